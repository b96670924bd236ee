// The connection against the real daemon: killed, started again, stopped, and cut off from it.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <iostream>
#include <set>
#include <thread>
#include <vector>

#include "client/src/connection.h"
#include "client/src/errors.h"
#include "client/src/session.h"
#include "proto/lease_table.h"

extern char** environ;

namespace nvcv_cached::client {
namespace {

using lease_table::State;
using lease_table::Word;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using ::testing::HasSubstr;

constexpr uint64_t kMiB = 1 << 20;

class DaemonTest : public ::testing::Test {
 protected:
  DaemonTest() {
    char name[] = "/tmp/nvcv-real-XXXXXX";
    directory_ = ::mkdtemp(name);
    path_ = directory_ + "/host.sock";
  }
  ~DaemonTest() override {
    connection_.reset();
    Kill();
    std::string remove = "rm -rf " + directory_;
    EXPECT_EQ(std::system(remove.c_str()), 0);
  }

  void StartDaemon() {
    std::string log = directory_ + "/log";
    std::vector<std::string> words = {DAEMON,       "--device", "host",    "--socket", path_,
                                      "--capacity", "256MiB",   "--limit", "128MiB"};
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    ASSERT_EQ(::posix_spawn(&daemon_, DAEMON, &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
  }

  void Kill() {
    if (daemon_ <= 0) return;
    ::kill(daemon_, SIGKILL);
    ::waitpid(daemon_, nullptr, 0);
    daemon_ = 0;
  }

  // Connects as soon as the daemon listens.
  absl::Status Connect(milliseconds timeout = milliseconds(20000)) {
    Options options;
    options.device = "host";
    options.address = path_;
    options.timeout = timeout;
    options.autostart = false;
    absl::Status status;
    Soon([&] {
      status = connection_->Connect(options);
      return status.ok();
    });
    return status;
  }

  absl::StatusOr<Lease> Acquire(uint64_t size_bytes = kMiB) {
    LeaseRequest request;
    request.size_bytes = size_bytes;
    auto leases = connection_->Acquire(request);
    if (!leases.ok()) return leases.status();
    return leases->front();
  }

  void GiveBack(const Lease& lease) {
    ASSERT_TRUE(lease_table::Return(*lease.slot, lease.word, std::nullopt));
    connection_->Returned(lease);
  }

  template <class Condition>
  static bool Soon(Condition condition) {
    const auto deadline = steady_clock::now() + milliseconds(20000);
    while (!condition()) {
      if (steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  // Shuts this process's session streams, as if they broke; the descriptor sockets stay.
  int CutStreams() {
    int cut = 0;
    for (int fd = 0; fd < 1024; ++fd) {
      sockaddr_un peer{};
      socklen_t size = sizeof(peer);
      if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) continue;
      if (peer.sun_family != AF_UNIX || path_ != peer.sun_path) continue;
      ::shutdown(fd, SHUT_RDWR);
      ++cut;
    }
    return cut;
  }

  Stats Count(Scope scope = Scope::kProcess) { return connection_->Count(scope, 0).value(); }

  std::string directory_, path_;
  pid_t daemon_ = 0;
  std::unique_ptr<Connection> connection_ = std::make_unique<Connection>();
};

TEST_F(DaemonTest, ALeaseComesAndGoes) {
  StartDaemon();
  ASSERT_TRUE(Connect().ok());
  absl::StatusOr<Lease> lease = Acquire();
  ASSERT_TRUE(lease.ok()) << lease.status();
  EXPECT_GE(lease->block_bytes, kMiB);
  std::memset(lease->data, 0x5a, lease->block_bytes);
  EXPECT_EQ(Count().cache_bytes, kMiB);
  EXPECT_EQ(Count().misses, 1u);
  GiveBack(*lease);
  EXPECT_TRUE(Soon([&] { return Count().cache_bytes == 0; }));
}

TEST_F(DaemonTest, ARoundTripIsShort) {
  StartDaemon();
  ASSERT_TRUE(Connect().ok());
  std::vector<double> us;
  for (int i = 0; i < 2000; ++i) {
    const auto start = steady_clock::now();
    absl::StatusOr<Lease> lease = Acquire(kMiB);
    us.push_back(std::chrono::duration<double, std::micro>(steady_clock::now() - start).count());
    ASSERT_TRUE(lease.ok()) << lease.status();
    GiveBack(*lease);
  }
  std::sort(us.begin(), us.end());
  std::cout << "acquire: p50 " << us[us.size() / 2] << " us, p99 " << us[us.size() * 99 / 100]
            << " us\n";
  EXPECT_LT(us[us.size() / 2],
            5000.0);  // a wait for some timer shows; the budget is the benchmark's
}

TEST_F(DaemonTest, AResumedSessionKeepsItsLeasesByNumber) {
  StartDaemon();
  ASSERT_TRUE(Connect().ok());
  std::vector<Lease> leases;
  for (int i = 0; i < 20; ++i) {
    leases.push_back(*Acquire(64 << 10));
    std::memset(leases.back().data, i, leases.back().block_bytes);
    ASSERT_GE(CutStreams(), 1);
  }
  std::set<uint32_t> slots;
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(leases[i].session, leases[0].session);
    EXPECT_FALSE(leases[i].session->closed());
    slots.insert(leases[i].slot_index);
    EXPECT_EQ(Word(leases[i].slot->word.load()).bits(), leases[i].word.bits());
    EXPECT_EQ(static_cast<char*>(leases[i].data)[leases[i].block_bytes - 1], i);
  }
  EXPECT_EQ(slots.size(), 20u);
  EXPECT_EQ(Count().cache_items, 20u);  // none was granted twice, none got lost
  for (const Lease& lease : leases) GiveBack(lease);
  EXPECT_TRUE(Soon([&] { return Count().cache_items == 0; }));
}

TEST_F(DaemonTest, StreamsThatBreakUnderLoadLoseNothing) {
  StartDaemon();
  ASSERT_TRUE(Connect().ok());
  std::atomic<bool> stop{false};
  std::atomic<int> served{0}, failed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (!stop) {
        absl::StatusOr<Lease> lease = Acquire(64 << 10);
        if (!lease.ok()) {
          ++failed;
          ADD_FAILURE() << lease.status();
          return;
        }
        ++served;
        GiveBack(*lease);
      }
    });
  }
  for (int cut = 0; cut < 10; ++cut) {
    const int before = served;
    EXPECT_TRUE(Soon([&] { return served > before + 20 || failed > 0; }));
    CutStreams();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_TRUE(Soon([&] { return Count().cache_items == 0; })) << Count().cache_items;
}

TEST_F(DaemonTest, L3_AKilledDaemonsMemoryStaysAndTheNextOneServes) {
  StartDaemon();
  ASSERT_TRUE(Connect().ok());
  Lease held = *Acquire();
  Lease idle = *Acquire();
  idle.word = *lease_table::Release(*idle.slot, idle.word, std::nullopt, 0);
  std::memset(held.data, 0x77, held.block_bytes);
  Kill();
  StartDaemon();
  absl::StatusOr<Lease> next = Acquire();
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_GT(next->session->epoch(), held.session->epoch());
  std::memset(next->data, 0x11, next->block_bytes);
  EXPECT_EQ(static_cast<char*>(held.data)[held.block_bytes - 1], 0x77);
  EXPECT_FALSE(lease_table::Reuse(*idle.slot, idle.word).has_value());
  EXPECT_EQ(Count().cache_bytes, kMiB);  // the old epoch's lease is nobody's here
  GiveBack(held);
  EXPECT_EQ(Count().cache_bytes, kMiB);
  EXPECT_EQ(held.session->mapped_slabs(), 0u);
}

TEST_F(DaemonTest, L4_AStoppedDaemonEndsCallsAtTheirDeadline) {
  StartDaemon();
  ASSERT_TRUE(Connect(milliseconds(1000)).ok());
  ASSERT_TRUE(Acquire().ok());
  ASSERT_EQ(::kill(daemon_, SIGSTOP), 0);
  absl::Status status;
  steady_clock::duration took{};
  // Its threads stop one after the other: a few calls may still be served.
  ASSERT_TRUE(Soon([&] {
    const auto start = steady_clock::now();
    status = Acquire().status();
    took = steady_clock::now() - start;
    return !status.ok();
  }));
  EXPECT_LT(took, milliseconds(3000));
  EXPECT_THROW(ThrowStatus(status), DeadlineExceeded);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("pid " + std::to_string(daemon_) + " (state T)"));
  EXPECT_FALSE(connection_->Clear(Scope::kProcess, 0).ok());
  ASSERT_EQ(::kill(daemon_, SIGCONT), 0);
  EXPECT_TRUE(Soon([&] { return Acquire().ok(); }));
}

TEST_F(DaemonTest, C8_MoreThanThereIsNamesTheHolders) {
  StartDaemon();
  ASSERT_TRUE(Connect(milliseconds(1000)).ok());
  Lease lease = *Acquire(100 * kMiB);
  absl::Status status = Acquire(200 * kMiB).status();
  EXPECT_THROW(ThrowStatus(status), OutOfMemory) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("200"));
  GiveBack(lease);
}

TEST_F(DaemonTest, C9_TheProcessSpeaksForItself) {
  StartDaemon();
  ASSERT_TRUE(connection_->SetLimit(10 * kMiB).ok());
  ASSERT_TRUE(Connect().ok());
  EXPECT_EQ(*connection_->Limit().value(), 10 * kMiB);
  Lease cached = *Acquire(8 * kMiB);
  EXPECT_EQ(Count().cache_bytes, 8 * kMiB);
  Lease uncached = *Acquire(16 * kMiB);
  EXPECT_TRUE(uncached.word.revoked());
  EXPECT_EQ(Count().cache_bytes, 8 * kMiB);
  ASSERT_TRUE(connection_->Clear(Scope::kProcess, 0).ok());
  EXPECT_EQ(Count().cache_bytes, 0u);
  EXPECT_TRUE(Word(cached.slot->word.load()).revoked());
  GiveBack(cached);
  GiveBack(uncached);
}

}  // namespace
}  // namespace nvcv_cached::client
