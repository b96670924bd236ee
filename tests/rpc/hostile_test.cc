// M5: what clients send and write is input. The offender loses its session at worst; nobody else
// notices.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/rpc/local_daemon.h"
#include "tests/rpc/raw_client.h"

namespace nvcv_cached::server::testing {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

// Another session works before and after; that is what "nobody else notices" means here.
class M5_Hostile : public ::testing::Test {
 protected:
  M5_Hostile() : daemon_(Patient()), bystander_(daemon_.socket_path()) {}
  static DaemonOptions Patient() {
    DaemonOptions options;
    options.rpc.token_deadline =
        std::chrono::minutes(10);  // what ends before is ended by another rule
    return options;
  }
  void SetUp() override {
    ASSERT_TRUE(daemon_.started().ok()) << daemon_.started();
    ASSERT_TRUE(bystander_.ok());
  }
  void TearDown() override {
    std::optional<v1::ServerMessage> answer = bystander_.Acquire(kMiB);
    EXPECT_TRUE(answer && answer->has_grant()) << "the bystander was harmed";
    daemon_.broker().With([](Books& books) { books.CheckInvariants(); });
    RawSession newcomer(daemon_.socket_path());
    EXPECT_TRUE(newcomer.ok());
  }

  grpc::StatusCode EndOf(RawSession& session) { return session.stream().Finish().error_code(); }

  LocalDaemon daemon_;
  RawSession bystander_;
};

TEST_F(M5_Hostile, GarbageInsteadOfHttp2) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 20; ++i) {
    UniqueFd socket = ConnectRaw(daemon_.socket_path());
    ASSERT_TRUE(socket);
    std::string bytes(1 + random() % 5000, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    if (i % 2 == 1) bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes;
    ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (i % 3 == 0) ::shutdown(socket.get(), SHUT_WR);
  }
}

TEST_F(M5_Hostile, UnreadableMessage) {
  grpc::ClientContext context;
  auto channel = Dial(daemon_.socket_path());
  grpc::internal::RpcMethod method("/nvcv_cached.v1.Session/Attach",
                                   grpc::internal::RpcMethod::BIDI_STREAMING);
  auto stream = std::unique_ptr<grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>>(
      grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer, grpc::ByteBuffer>::Create(
          channel.get(), method, &context));
  grpc::Slice slice(std::string("\x0a\xff\xff\xff\xff\x0f truncated"));
  stream->Write(grpc::ByteBuffer(&slice, 1));
  grpc::ByteBuffer answer;
  while (stream->Read(&answer)) {
  }
  EXPECT_FALSE(stream->Finish().ok());
}

TEST_F(M5_Hostile, MessagesThatBreakTheRules) {
  const std::vector<std::function<void(v1::ClientMessage&)>> breaks = {
      [](v1::ClientMessage&) {},
      [](v1::ClientMessage& m) { *m.mutable_hello() = GoodHello(); },
      [](v1::ClientMessage& m) { m.mutable_acquire()->set_alignment(512); },
      [](v1::ClientMessage& m) {
        m.mutable_acquire()->set_size_bytes(1);
        m.mutable_acquire()->set_alignment(3);
      },
      [](v1::ClientMessage& m) {
        m.mutable_acquire()->set_size_bytes(1);
        m.mutable_acquire()->set_alignment(uint64_t{1} << 63);
      },
      [](v1::ClientMessage& m) {
        m.mutable_acquire()->set_size_bytes(1);
        m.mutable_acquire()->set_alignment(1);
        m.mutable_acquire()->set_thread_tag(lease_table::kCounterLines);
      },
      [](v1::ClientMessage& m) { m.mutable_return_leases()->add_slots(lease_table::kSlots); },
      [](v1::ClientMessage& m) { m.mutable_unmapped()->set_slab(12345); },
      [](v1::ClientMessage& m) { m.mutable_clear()->set_scope(v1::SCOPE_DAEMON); },
      [](v1::ClientMessage& m) { m.mutable_clear()->set_scope(static_cast<v1::Scope>(77)); },
      [](v1::ClientMessage& m) { m.mutable_query()->set_scope(static_cast<v1::Scope>(77)); },
  };
  for (size_t i = 0; i < breaks.size(); ++i) {
    RawSession session(daemon_.socket_path());
    ASSERT_TRUE(session.ok());
    v1::ClientMessage message;
    breaks[i](message);
    session.stream().Write(message);
    EXPECT_EQ(EndOf(session), grpc::StatusCode::INVALID_ARGUMENT) << "rule " << i;
    EXPECT_EQ(session.Resume(session.ResumeMessage()).error_code(), grpc::StatusCode::NOT_FOUND);
  }
}

TEST_F(M5_Hostile, FirstMessageIsNotHello) {
  RawStream stream(Dial(daemon_.socket_path()));
  v1::ClientMessage message;
  message.mutable_goodbye();
  stream.Write(message);
  EXPECT_EQ(stream.Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(M5_Hostile, AcquireBeforeTheTable) {
  RawStream stream(Dial(daemon_.socket_path()));
  ASSERT_TRUE(stream.Hello(GoodHello()));
  v1::ClientMessage message;
  message.mutable_acquire()->set_request_id(1);
  message.mutable_acquire()->set_size_bytes(kMiB);
  message.mutable_acquire()->set_alignment(1);
  stream.Write(message);
  EXPECT_EQ(stream.Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(Eventually([&] { return daemon_.sessions() == 1; })) << "nothing was shared with it";
}

TEST_F(M5_Hostile, RequestIdUsedTwice) {
  RawSession session(daemon_.socket_path());
  ASSERT_TRUE(session.ok());
  daemon_.HoldDevice();  // the first is not answered when the second comes
  const v1::ClientMessage message = session.AcquireMessage(kMiB);
  session.stream().Write(message);
  session.stream().Write(message);
  EXPECT_EQ(EndOf(session), grpc::StatusCode::INVALID_ARGUMENT);
  daemon_.ReleaseDevice();
}

TEST_F(M5_Hostile, NeverReadsItsStream) {
  RawSession session(daemon_.socket_path());
  ASSERT_TRUE(session.ok());
  v1::ClientMessage query;
  query.mutable_query()->set_scope(v1::SCOPE_PROCESS);
  bool written = true;
  int count = 0;
  while (written && ++count < 200'000) {
    query.mutable_query()->set_request_id(static_cast<uint64_t>(count));
    written = session.stream().Write(query);
  }
  EXPECT_FALSE(written) << "the daemon took " << count << " questions without an answer being read";
  EXPECT_FALSE(session.stream().Finish().ok());
  EXPECT_EQ(session.Resume(session.ResumeMessage()).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(M5_Hostile, TooManyAcquiresWithoutAnAnswer) {
  RawSession session(daemon_.socket_path());
  ASSERT_TRUE(session.ok());
  daemon_.HoldDevice();
  int count = 0;
  while (count < 5000 && session.stream().Write(session.AcquireMessage(4096))) ++count;
  EXPECT_EQ(EndOf(session), grpc::StatusCode::RESOURCE_EXHAUSTED);
  daemon_.ReleaseDevice();
}

TEST_F(M5_Hostile, AcquireFlood) {
  RawSession session(daemon_.socket_path());
  ASSERT_TRUE(session.ok());
  int count = 0;
  while (++count < 20'000 && session.stream().Write(session.AcquireMessage(4096))) {
    if (count % 1000 == 0) {
      ASSERT_TRUE(bystander_.Query(v1::SCOPE_PROCESS));
    }
  }
  session.stream().Cancel();
}

TEST_F(M5_Hostile, OpenCloseStorm) {
  const int before = OpenDescriptors();
  for (int i = 0; i < 300; ++i) {
    UniqueFd plain = ConnectRaw(daemon_.socket_path());
    UniqueFd descriptor = ConnectRaw(daemon_.socket_path() + ".fd");
    if (i % 2 == 0) ::send(descriptor.get(), "short", 5, MSG_NOSIGNAL);
  }
  for (int i = 0; i < 50; ++i) {
    RawStream stream(Dial(daemon_.socket_path()));
    if (i % 2 == 0) stream.Hello(GoodHello());
  }
  EXPECT_TRUE(Eventually([&] { return daemon_.sessions() == 1; })) << daemon_.sessions();
  EXPECT_TRUE(Eventually([&] { return OpenDescriptors() <= before + 2; }))
      << before << " descriptors before, " << OpenDescriptors() << " after";
}

TEST_F(M5_Hostile, LyingTable) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 20; ++i) {
    RawSession session(daemon_.socket_path());
    ASSERT_TRUE(session.ok());
    std::optional<v1::ServerMessage> answer = session.Acquire(kMiB);
    ASSERT_TRUE(answer && answer->has_grant());
    auto* words = reinterpret_cast<uint64_t*>(&session.table());
    for (size_t w = 0; w < lease_table::kTableBytes / 8; w += 1 + random() % 8) words[w] = random();
    v1::ClientMessage hint;
    for (uint32_t slot = 0; slot < 100; ++slot) hint.mutable_return_leases()->add_slots(slot);
    session.stream().Write(hint);
    session.stream().Write(session.AcquireMessage(kMiB));
    session.stream().WritesDone();
    session.stream().Finish();
  }
}

TEST_F(M5_Hostile, ReturnsALeaseTwice) {
  RawSession session(daemon_.socket_path());
  ASSERT_TRUE(session.ok());
  std::optional<v1::ServerMessage> answer = session.Acquire(kMiB);
  ASSERT_TRUE(answer && answer->has_grant());
  const v1::Lease lease = answer->grant().leases(0);
  ASSERT_TRUE(session.Return(lease));
  for (int i = 0; i < 3; ++i) {
    v1::ClientMessage again;
    again.mutable_return_leases()->add_slots(lease.slot());
    again.mutable_return_leases()->add_slots(lease.slot());
    session.stream().Write(again);
  }
  if (session.Query(v1::SCOPE_PROCESS)) {
    EXPECT_EQ(daemon_.pool().in_use, 0u);
  }
}

TEST_F(M5_Hostile, WrongToken) {
  UniqueFd socket = ConnectRaw(daemon_.socket_path() + ".fd");
  const std::string token(kDescriptorTokenBytes, 'x');
  ::send(socket.get(), token.data(), token.size(), MSG_NOSIGNAL);
  auto frame = ReceiveFrame(socket.get(), std::chrono::steady_clock::now() + kWait);
  EXPECT_EQ(frame.status().code(), absl::StatusCode::kUnavailable) << frame.status();
}

TEST_F(M5_Hostile, TokenIsGoodOnce) {
  const std::string token = bystander_.welcome().descriptor_token();
  UniqueFd socket = ConnectRaw(daemon_.socket_path() + ".fd");
  ::send(socket.get(), token.data(), token.size(), MSG_NOSIGNAL);
  auto frame = ReceiveFrame(socket.get(), std::chrono::steady_clock::now() + kWait);
  EXPECT_EQ(frame.status().code(), absl::StatusCode::kUnavailable) << frame.status();
}

TEST_F(M5_Hostile, TokenOfAnotherProcess) {
  RawStream stream(Dial(daemon_.socket_path()));
  std::optional<v1::Welcome> welcome = stream.Hello(GoodHello());
  ASSERT_TRUE(welcome);
  const std::string path = daemon_.socket_path() + ".fd";
  const pid_t thief = ::fork();
  if (thief == 0) {
    UniqueFd socket = ConnectRaw(path);
    ::send(socket.get(), welcome->descriptor_token().data(), kDescriptorTokenBytes, MSG_NOSIGNAL);
    char byte;
    ::_exit(::recv(socket.get(), &byte, 1, 0) == 0 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(thief, &status, 0), thief);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the thief was served";

  // The theft did not use the token up.
  UniqueFd socket = ConnectRaw(path);
  ::send(socket.get(), welcome->descriptor_token().data(), kDescriptorTokenBytes, MSG_NOSIGNAL);
  EXPECT_TRUE(ReceiveFrame(socket.get(), std::chrono::steady_clock::now() + kWait).ok());
}

TEST_F(M5_Hostile, WritesToTheDescriptorSocketAfterTheToken) {
  RawSession session(daemon_.socket_path());
  ASSERT_TRUE(session.ok());
  ::send(session.descriptor_socket().get(), "more", 4, MSG_NOSIGNAL);
  EXPECT_EQ(EndOf(session), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST(M5_HostileSlabs, NeverReadsItsDescriptorSocket) {
  DaemonOptions options;
  options.settings.slab_bytes = kMiB;  // a slab for each of these leases
  LocalDaemon daemon(options);
  RawSession session(daemon.socket_path()), bystander(daemon.socket_path());
  ASSERT_TRUE(session.ok() && bystander.ok());
  int granted = 0;
  while (granted < 1000) {
    std::optional<v1::ServerMessage> answer = session.Acquire(kMiB);
    if (!answer || !answer->has_grant()) break;
    ++granted;
  }
  EXPECT_GE(granted, 64) << "a client that is slow for a moment must not lose its session";
  EXPECT_LT(granted, 300) << "unread descriptors are counted as the daemon's own";
  EXPECT_EQ(session.stream().Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(bystander.Acquire(kMiB));
}

TEST_F(M5_Hostile, OversizedMessage) {
  RawSession session(daemon_.socket_path());
  ASSERT_TRUE(session.ok());
  v1::ClientMessage message = session.AcquireMessage(4096);
  message.mutable_acquire()->set_spec(std::string(1 << 20, 'x'));
  session.stream().Write(message);
  EXPECT_FALSE(session.stream().Finish().ok());
}

TEST(RpcDescriptorSocket, TokenDeadline) {
  DaemonOptions options;
  options.rpc.token_deadline = std::chrono::milliseconds(20);
  LocalDaemon daemon(options);
  RawStream stream(Dial(daemon.socket_path()));
  ASSERT_TRUE(stream.Hello(GoodHello()));
  const grpc::Status status = stream.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_NE(status.error_message().find("within 20 ms"), std::string::npos)
      << status.error_message();
  EXPECT_TRUE(Eventually([&] { return daemon.sessions() == 0; }));
}

TEST(RpcConnections, OverflowUidIsRefusedUnlessShared) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become uid 65534";
  for (DomainKind domain : {DomainKind::kUid, DomainKind::kShared}) {
    DaemonOptions options;
    options.rpc.mode = 0666;
    options.rpc.domain = domain;
    LocalDaemon daemon(options);
    ::chmod(std::filesystem::path(daemon.socket_path()).parent_path().c_str(), 0755);
    const std::string path = daemon.socket_path();
    const pid_t nobody = ::fork();
    if (nobody == 0) {
      if (::setuid(65534) != 0) ::_exit(2);
      UniqueFd socket = ConnectRaw(path);
      ::_exit(socket ? 0 : 1);
    }
    int status = -1;
    ::waitpid(nobody, &status, 0);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    RawSession ours(path);
    EXPECT_TRUE(ours.ok());
    EXPECT_EQ(daemon.broker().refused_connections(ConnectionRefusal::kPermission),
              domain == DomainKind::kUid ? 1u : 0u);
  }
}

// Waits until the daemon has closed at least `count` of the sockets.
bool ClosedByPeer(const std::vector<UniqueFd>& sockets, size_t count) {
  return Eventually([&] {
    size_t closed = 0;
    for (const UniqueFd& socket : sockets) {
      pollfd look{socket.get(), POLLRDHUP, 0};
      if (::poll(&look, 1, 0) > 0) ++closed;
    }
    return closed >= count;
  });
}

TEST(RpcConnections, GoesOnAfterRunningOutOfDescriptors) {
  LocalDaemon daemon;
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  int go[2];
  ASSERT_EQ(::pipe(go), 0);
  const std::string path = daemon.socket_path();
  const pid_t crowd = ::fork();
  if (crowd == 0) {
    char byte;
    [[maybe_unused]] ssize_t ignored = ::read(go[0], &byte, 1);
    std::vector<UniqueFd> sockets;
    for (int i = 0; i < 60; ++i) sockets.push_back(ConnectRaw(path));
    ::_exit(ClosedByPeer(sockets, 40) ? 0 : 1);
  }
  rlimit tight = old;
  tight.rlim_cur = static_cast<rlim_t>(OpenDescriptors() + 10);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  [[maybe_unused]] ssize_t ignored = ::write(go[1], "g", 1);
  int status = -1;
  ::waitpid(crowd, &status, 0);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "connections were left waiting";
  EXPECT_GT(daemon.broker().refused_connections(ConnectionRefusal::kLimit), 0u);
  RawSession session(path);
  EXPECT_TRUE(session.ok());
  for (int fd : go) ::close(fd);
}

}  // namespace
}  // namespace nvcv_cached::server::testing
