// The small parts under the RPC side, each alone: listener, event loop, peers.
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "server/rpc/event_loop.h"
#include "server/rpc/listener.h"
#include "server/rpc/messages.h"
#include "server/rpc/peer.h"
#include "tests/rpc/local_daemon.h"
#include "tests/rpc/raw_client.h"

namespace nvcv_cached::server::testing {
namespace {

class ListenerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/nvcv-cached-listener-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    path_ = directory_ + "/a.sock";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  mode_t ModeOf(const std::string& path) {
    struct stat info {};
    ::lstat(path.c_str(), &info);
    return info.st_mode & 07777;
  }
  std::string directory_, path_;
};

TEST_F(ListenerTest, ModeIsExactWhateverTheUmask) {
  for (mode_t mask : {0000, 0027, 0077, 0777}) {
    const mode_t old = ::umask(mask);
    auto listener = Listener::Make(path_, 0660, std::nullopt);
    ::umask(old);
    ASSERT_TRUE(listener.ok()) << listener.status();
    EXPECT_EQ(ModeOf(path_), 0660u) << mask;
  }
}

TEST_F(ListenerTest, RemovesAStaleSocketAndItsOwn) {
  ASSERT_TRUE(Listener::Make(path_, 0600, std::nullopt).ok());
  EXPECT_FALSE(std::filesystem::exists(path_)) << "removed with the listener";
  auto first = Listener::Make(path_, 0600, std::nullopt);
  ASSERT_TRUE(first.ok());
  auto second = Listener::Make(path_, 0600, std::nullopt);
  ASSERT_TRUE(second.ok());
  { auto gone = *std::move(first); }
  EXPECT_TRUE(std::filesystem::exists(path_)) << "it is the second one's now";
}

TEST_F(ListenerTest, LeavesOtherFilesAlone) {
  std::ofstream(path_) << "precious";
  EXPECT_EQ(Listener::Make(path_, 0600, std::nullopt).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(ListenerTest, PathTooLongNamesTheLengths) {
  auto listener = Listener::Make("/tmp/" + std::string(200, 'x'), 0600, std::nullopt);
  EXPECT_EQ(listener.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(EventLoopTest, DeadlinesComeInOrderAndRemovedOnesNever) {
  EventLoop loop("test");
  std::atomic<int> order{0}, first{0}, second{0}, never{0};
  const auto now = std::chrono::steady_clock::now();
  loop.At(now + std::chrono::milliseconds(10), [&] { second = ++order; });
  const EventLoop::Id removed = loop.At(now + std::chrono::milliseconds(5), [&] { never = 1; });
  loop.At(now, [&] { first = ++order; });
  loop.Remove(removed);
  EXPECT_TRUE(Eventually([&] { return order == 2; }));
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 2);
  EXPECT_EQ(never, 0);
}

TEST(EventLoopTest, ADeadlineWakesALoopThatSleeps) {
  EventLoop loop("test");
  for (int i = 0; i < 3; ++i) {
    std::atomic<bool> called{false};
    const auto due = std::chrono::steady_clock::now() + std::chrono::milliseconds(5);
    loop.At(due, [&] { called = true; });
    EXPECT_TRUE(Eventually([&] { return called.load(); }));
  }
}

TEST(EventLoopTest, CallsBackForDescriptorsUntilRemoved) {
  EventLoop loop("test");
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  UniqueFd here(pair[0]), there(pair[1]);
  std::atomic<int> calls{0};
  EventLoop::Id id = 0;
  id = loop.Add(here.get(), EPOLLIN | EPOLLONESHOT, [&](uint32_t) { ++calls; });
  ASSERT_NE(id, 0u);
  EXPECT_EQ(loop.Add(here.get(), EPOLLIN, [](uint32_t) {}), 0u) << "watched already";
  ASSERT_EQ(::send(there.get(), "x", 1, 0), 1);
  EXPECT_TRUE(Eventually([&] { return calls == 1; }));
  loop.Remove(id);
  EXPECT_NE(loop.Add(here.get(), EPOLLIN | EPOLLONESHOT, [&](uint32_t) { ++calls; }), 0u);
  EXPECT_TRUE(Eventually([&] { return calls == 2; }));
}

TEST(PeerTest, NamesTheProcessByBothWays) {
  for (const char* forced : {"0", "1"}) {
    ::setenv("NVCV_CACHED_TEST_NO_PEERPIDFD", forced, 1);
    int pair[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    UniqueFd here(pair[0]), there(pair[1]);
    auto peer = ReadPeer(here.get());
    ASSERT_TRUE(peer.ok()) << peer.status();
    EXPECT_EQ((*peer)->pid, ::getpid());
    EXPECT_EQ((*peer)->uid, ::geteuid());
    EXPECT_TRUE((*peer)->refusal.ok());
    EXPECT_FALSE(HasExited(**peer));
    EXPECT_TRUE(SameProcess(**peer, **peer));
    there.reset();
    if (forced[0] == '1') {
      EXPECT_FALSE(ReadPeer(here.get()).ok()) << "the socket was closed";
    }
  }
  ::unsetenv("NVCV_CACHED_TEST_NO_PEERPIDFD");
}

TEST(PeerTest, RegistryFindsByTheNameOfTheConnection) {
  PeerRegistry registry;
  auto peer = std::make_shared<Peer>();
  registry.Add(12, peer);
  EXPECT_TRUE(registry.Find("fd:12").ok());
  for (const char* name : {"fd:1", "fd:", "fd:12x", "unix:12", "", "fd:99999999999999999999"}) {
    EXPECT_EQ(registry.Find(name).status().code(), absl::StatusCode::kUnavailable) << name;
  }
  auto next = std::make_shared<Peer>();
  registry.Add(12, next);
  registry.Remove(12, peer.get());
  EXPECT_TRUE(registry.Find("fd:12").ok()) << "the number belongs to the next one";
  next->refusal = absl::PermissionDeniedError("no");
  EXPECT_EQ(registry.Find("fd:12").status().code(), absl::StatusCode::kPermissionDenied);
}

TEST(MessagesTest, ClientTextIsPrintableAndCut) {
  EXPECT_EQ(PrintableText("a\n\x1b[31m\xff", 64), "a??[31m?");
  EXPECT_EQ(PrintableText(std::string(1000, 'x'), 64).size(), 64u);
}

}  // namespace
}  // namespace nvcv_cached::server::testing
