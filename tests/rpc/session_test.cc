// A session as a well-behaved client sees it.
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/rpc/local_daemon.h"
#include "tests/rpc/raw_client.h"

namespace nvcv_cached::server::testing {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

std::string Text(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string text;
  if (!buffer.Valid() || !buffer.Dump(&slices).ok()) return text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

TEST(RpcSession, WelcomeTellsDeviceAndEpoch) {
  LocalDaemon daemon;
  ASSERT_TRUE(daemon.started().ok()) << daemon.started();
  RawSession session(daemon.socket_path());
  ASSERT_TRUE(session.ok());
  EXPECT_EQ(session.welcome().epoch(), 7u);
  EXPECT_EQ(session.welcome().device().id(), "host");
  EXPECT_EQ(session.welcome().daemon_pid(), ::getpid());
  EXPECT_EQ(session.table().header.magic, lease_table::kMagic);
  EXPECT_EQ(session.table().header.epoch, 7u);
  EXPECT_EQ(session.table().header.session_id, session.welcome().session_id());
}

// CUDA IPC fails between equal numbers of two PID namespaces; here both are one process.
TEST(RpcSession, OnAGpuAClientWithTheDaemonsOwnPidIsRefused) {
  LocalDaemon daemon({.device_kind = "cuda"});
  v1::Hello hello = GoodHello();
  hello.set_pid(::getpid());
  RawStream twin(Dial(daemon.socket_path()));
  EXPECT_FALSE(twin.Hello(hello));
  const grpc::Status status = twin.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  const std::string both = "is pid " + std::to_string(::getpid());
  EXPECT_NE(status.error_message().find("this process " + both), std::string::npos)
      << status.error_message();
  EXPECT_NE(status.error_message().find("the daemon " + both), std::string::npos);
  EXPECT_EQ(daemon.broker().refused_connections(ConnectionRefusal::kNamespace), 1u);

  hello.set_pid(::getpid() + 1);
  RawStream other(Dial(daemon.socket_path()));
  EXPECT_TRUE(other.Hello(hello));
}

TEST(RpcSession, OnTheHostPidNumbersDoNotMatter) {
  LocalDaemon daemon;
  v1::Hello hello = GoodHello();
  hello.set_pid(::getpid());
  RawStream stream(Dial(daemon.socket_path()));
  EXPECT_TRUE(stream.Hello(hello));
}

TEST(RpcSession, GrantComesWithItsSlabsDescriptor) {
  LocalDaemon daemon;
  RawSession session(daemon.socket_path());
  ASSERT_TRUE(session.ok());
  std::optional<v1::ServerMessage> answer = session.Acquire(kMiB);
  ASSERT_TRUE(answer && answer->has_grant()) << (answer ? answer->DebugString() : "no answer");
  const v1::Grant& grant = answer->grant();
  ASSERT_EQ(grant.leases_size(), 1);
  ASSERT_EQ(grant.slabs_size(), 1);
  const v1::Lease& lease = grant.leases(0);
  EXPECT_EQ(session.table().slots[lease.slot()].word.load(), lease.word());
  EXPECT_GE(lease.block_bytes(), kMiB);

  std::vector<ReceivedFrame> frames = session.TakeFrames(1);
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].frame.slab, lease.slab());
  EXPECT_EQ(frames[0].frame.size_bytes, grant.slabs(0).size_bytes());

  answer = session.Acquire(kMiB);
  ASSERT_TRUE(answer && answer->has_grant());
  EXPECT_EQ(answer->grant().slabs_size(), 0) << "a slab is announced once";
}

TEST(RpcSession, ReturnMakesTheBlockFree) {
  LocalDaemon daemon;
  RawSession session(daemon.socket_path());
  ASSERT_TRUE(session.ok());
  std::optional<v1::ServerMessage> answer = session.Acquire(kMiB);
  ASSERT_TRUE(answer && answer->has_grant());
  EXPECT_EQ(daemon.pool().in_use, kMiB);
  ASSERT_TRUE(session.Return(answer->grant().leases(0)));
  EXPECT_TRUE(Eventually([&] { return daemon.pool().in_use == 0; }));
  EXPECT_EQ(daemon.pool().free, daemon.pool().pool_bytes);
}

TEST(RpcSession, CountsTellTheStateAfterEarlierMessages) {
  LocalDaemon daemon;
  RawSession session(daemon.socket_path());
  ASSERT_TRUE(session.ok());
  ASSERT_TRUE(session.Acquire(kMiB));
  std::optional<v1::Counts> counts = session.Query(v1::SCOPE_PROCESS);
  ASSERT_TRUE(counts);
  EXPECT_EQ(counts->cache_bytes(), kMiB);
  EXPECT_EQ(counts->cache_items(), 1u);

  v1::ClientMessage clear;
  clear.mutable_clear()->set_request_id(1000);
  session.stream().Write(clear);
  std::optional<v1::ServerMessage> cleared = session.Answer(1000);
  ASSERT_TRUE(cleared);
  counts = session.Query(v1::SCOPE_DAEMON);
  ASSERT_TRUE(counts);
  EXPECT_EQ(counts->cache_bytes(), 0u);
}

TEST(RpcSession, LimitOfTheSessionIsTakenAndReadBack) {
  LocalDaemon daemon;
  RawSession session(daemon.socket_path());
  ASSERT_TRUE(session.ok());
  v1::ClientMessage message;
  message.mutable_set_limit()->set_request_id(1000);
  message.mutable_set_limit()->set_limit_bytes(12345);
  session.stream().Write(message);
  std::optional<v1::ServerMessage> answer = session.Answer(1000);
  ASSERT_TRUE(answer && answer->has_limit());
  EXPECT_EQ(answer->limit().session_limit_bytes(), 12345u);
  std::optional<v1::Counts> counts = session.Query(v1::SCOPE_PROCESS);
  ASSERT_TRUE(counts && counts->has_session_limit());
  EXPECT_EQ(counts->session_limit_bytes(), 12345u);
}

TEST(RpcSession, RefusalNamesAskedAndFound) {
  LocalDaemon daemon;
  RawSession session(daemon.socket_path());
  ASSERT_TRUE(session.ok());
  std::optional<v1::ServerMessage> answer = session.Acquire(uint64_t{1} << 40);
  ASSERT_TRUE(answer && answer->has_refusal());
  EXPECT_EQ(answer->refusal().code(), static_cast<uint32_t>(absl::StatusCode::kResourceExhausted));
  EXPECT_FALSE(answer->refusal().message().empty());
}

TEST(RpcSession, GoodbyeEndsTheSessionAndItsMemoryIsFree) {
  LocalDaemon daemon;
  {
    RawSession session(daemon.socket_path());
    ASSERT_TRUE(session.ok());
    std::optional<v1::ServerMessage> answer = session.Acquire(kMiB);
    ASSERT_TRUE(answer && answer->has_grant());
    ASSERT_TRUE(session.Return(answer->grant().leases(0)));
    session.Goodbye();
    EXPECT_TRUE(session.stream().Finish().ok());
  }
  EXPECT_TRUE(Eventually([&] { return daemon.sessions() == 0; }));
  EXPECT_EQ(daemon.pool().in_use, 0u);
}

TEST(RpcSession, NoCommonVersionNamesBothSides) {
  LocalDaemon daemon;
  RawStream stream(Dial(daemon.socket_path()));
  v1::Hello hello = GoodHello();
  hello.set_protocol_min(8);
  hello.set_protocol_max(9);
  EXPECT_FALSE(stream.Hello(hello));
  const grpc::Status status = stream.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_NE(status.error_message().find("8-9"), std::string::npos) << status.error_message();
}

TEST(RpcSession, MaxSessionsIsRefusedWithTheNumbers) {
  DaemonOptions options;
  options.rpc.max_sessions = 2;
  LocalDaemon daemon(options);
  RawSession first(daemon.socket_path()), second(daemon.socket_path());
  ASSERT_TRUE(first.ok() && second.ok());
  RawStream third(Dial(daemon.socket_path()));
  EXPECT_FALSE(third.Hello(GoodHello()));
  EXPECT_EQ(third.Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(daemon.broker().refused_connections(ConnectionRefusal::kLimit), 1u);
  daemon.server().SetMaxSessions(3);
  RawSession fourth(daemon.socket_path());
  EXPECT_TRUE(fourth.ok());
}

TEST(RpcSession, SessionsOfOneUidAreLimited) {
  DaemonOptions options;
  options.rpc.max_sessions_per_uid = 1;
  LocalDaemon daemon(options);
  RawSession first(daemon.socket_path());
  ASSERT_TRUE(first.ok());
  RawStream second(Dial(daemon.socket_path()));
  EXPECT_FALSE(second.Hello(GoodHello()));
  EXPECT_EQ(second.Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST(RpcSession, DrainingTakesNoNewSessionsAndTellsTheOld) {
  LocalDaemon daemon;
  RawSession old(daemon.socket_path());
  ASSERT_TRUE(old.ok());
  daemon.broker().Drain();
  std::optional<v1::ServerMessage> notice = old.stream().Read();
  ASSERT_TRUE(notice);
  EXPECT_TRUE(notice->has_draining());
  RawStream late(Dial(daemon.socket_path()));
  EXPECT_FALSE(late.Hello(GoodHello()));
  EXPECT_EQ(late.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(old.Acquire(kMiB)) << "a session that is open goes on";
  daemon.broker().Undrain();
  RawSession again(daemon.socket_path());
  EXPECT_TRUE(again.ok());
}

TEST(RpcSession, DomainIsWhatTheOptionSays_M4) {
  const std::vector<std::pair<DomainKind, std::string>> kinds = {
      {DomainKind::kUid, "uid:" + std::to_string(::geteuid())},
      {DomainKind::kCgroup, "cgroup:/"},
      {DomainKind::kShared, "shared"}};
  for (const auto& [kind, begin] : kinds) {
    DaemonOptions options;
    options.rpc.domain = kind;
    LocalDaemon daemon(options);
    RawSession session(daemon.socket_path());
    ASSERT_TRUE(session.ok());
    const auto reports = daemon.broker().With([](Books& books) { return books.GetSessions(); });
    ASSERT_EQ(reports.size(), 1u);
    EXPECT_EQ(reports[0].domain.rfind(begin, 0), 0u) << reports[0].domain;
  }
}

TEST(RpcServer, ShutdownEndsStreamsAndRemovesTheSockets) {
  LocalDaemon daemon;
  RawSession session(daemon.socket_path());
  ASSERT_TRUE(session.ok());
  daemon.server().Shutdown(std::chrono::seconds(5));
  EXPECT_EQ(session.stream().Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_FALSE(std::filesystem::exists(daemon.socket_path()));
  EXPECT_FALSE(std::filesystem::exists(daemon.socket_path() + ".fd"));
}

// The answer of grpc.health.v1.Health/Check as bytes: field 1 is the status, 1 for SERVING.
std::string Health(const std::string& socket_path) {
  grpc::GenericStub stub(Dial(socket_path));
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  grpc::Slice empty;
  grpc::ByteBuffer request(&empty, 1), response;
  auto call = stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", request, &queue);
  call->StartCall();
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  void* tag;
  bool ok;
  queue.Next(&tag, &ok);
  return status.ok() ? Text(response) : status.error_message();
}

TEST(RpcServer, HealthFollowsDraining) {
  LocalDaemon daemon;
  EXPECT_EQ(Health(daemon.socket_path()), std::string("\x08\x01"));
  daemon.broker().Drain();
  EXPECT_EQ(Health(daemon.socket_path()), std::string("\x08\x02"));
  daemon.broker().Undrain();
  EXPECT_EQ(Health(daemon.socket_path()), std::string("\x08\x01"));
}

TEST(RpcServer, ReflectionListsTheServices) {
  LocalDaemon daemon;
  grpc::GenericStub stub(Dial(daemon.socket_path()));
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  void* tag;
  bool ok;
  auto call = stub.PrepareCall(
      &context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  call->StartCall(nullptr);
  queue.Next(&tag, &ok);
  grpc::Slice ask(std::string("\x3a\x01*"));  // list_services: "*"
  call->Write(grpc::ByteBuffer(&ask, 1), nullptr);
  queue.Next(&tag, &ok);
  grpc::ByteBuffer response;
  call->Read(&response, nullptr);
  queue.Next(&tag, &ok);
  EXPECT_TRUE(ok);
  EXPECT_NE(Text(response).find("nvcv_cached.v1.Session"), std::string::npos);
  call->WritesDone(nullptr);
  queue.Next(&tag, &ok);
  grpc::Status status;
  call->Finish(&status, nullptr);
  queue.Next(&tag, &ok);
}

// ---- resume

TEST(RpcResume, KeepsTableAndLeases) {
  LocalDaemon daemon;
  RawSession session(daemon.socket_path());
  ASSERT_TRUE(session.ok());
  std::optional<v1::ServerMessage> before = session.Acquire(kMiB);
  ASSERT_TRUE(before && before->has_grant());
  const uint64_t id = session.welcome().session_id();
  session.BreakStream();
  const grpc::Status status = session.Resume(session.ResumeMessage());
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(session.welcome().session_id(), id);
  EXPECT_TRUE(session.welcome().descriptor_token().empty());
  EXPECT_EQ(session.welcome().received(), 1u);
  EXPECT_EQ(daemon.sessions(), 1u);
  ASSERT_TRUE(session.Return(before->grant().leases(0)));
  EXPECT_TRUE(Eventually([&] { return daemon.pool().in_use == 0; }));
}

TEST(RpcResume, SendsAgainWhatTheClientDidNotReceive) {
  LocalDaemon daemon;
  RawSession session(daemon.socket_path());
  ASSERT_TRUE(session.ok());
  ASSERT_TRUE(session.Acquire(kMiB));
  const v1::ClientMessage lost = session.AcquireMessage(2 * kMiB);
  session.stream().Write(lost);
  ASSERT_TRUE(Eventually([&] { return daemon.pool().leases_in_use == 2; }));
  session.BreakStream();
  ASSERT_TRUE(session.Resume(session.ResumeMessage()).ok());
  EXPECT_EQ(session.welcome().received(), 2u);
  std::optional<v1::ServerMessage> answer = session.Answer(lost.acquire().request_id());
  ASSERT_TRUE(answer && answer->has_grant());
  EXPECT_EQ(daemon.pool().leases_in_use, 2u) << "sent again, not granted again";
}

TEST(RpcResume, ReplacesAStreamThatIsStillUp) {
  LocalDaemon daemon;
  RawSession session(daemon.socket_path());
  ASSERT_TRUE(session.ok());
  RawStream second(Dial(daemon.socket_path()));
  v1::Hello hello = GoodHello();
  *hello.mutable_resume() = session.ResumeMessage();
  ASSERT_TRUE(second.Hello(hello));
  EXPECT_EQ(session.stream().Finish().error_code(), grpc::StatusCode::ABORTED);
}

TEST(RpcResume, WrongTokenEpochOrSessionIsNotFound) {
  LocalDaemon daemon;
  RawSession session(daemon.socket_path());
  ASSERT_TRUE(session.ok());
  for (int wrong = 0; wrong < 3; ++wrong) {
    RawStream stream(Dial(daemon.socket_path()));
    v1::Hello hello = GoodHello();
    v1::Resume& resume = *hello.mutable_resume();
    resume = session.ResumeMessage();
    if (wrong == 0) resume.set_resume_token(std::string(16, 'x'));
    if (wrong == 1) resume.set_epoch(6);
    if (wrong == 2) resume.set_session_id(99);
    EXPECT_FALSE(stream.Hello(hello));
    EXPECT_EQ(stream.Finish().error_code(), grpc::StatusCode::NOT_FOUND) << wrong;
  }
  EXPECT_TRUE(session.Acquire(kMiB)) << "the session itself goes on";
}

TEST(RpcResume, NotAfterTheEndOfTheDescriptorSocket) {
  LocalDaemon daemon;
  RawSession session(daemon.socket_path());
  ASSERT_TRUE(session.ok());
  session.descriptor_socket().reset();
  EXPECT_EQ(session.stream().Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(session.Resume(session.ResumeMessage()).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST(RpcResume, NotAfterGoodbye) {
  LocalDaemon daemon;
  RawSession session(daemon.socket_path());
  ASSERT_TRUE(session.ok());
  ASSERT_TRUE(session.Acquire(kMiB));
  session.Goodbye();
  EXPECT_TRUE(session.stream().Finish().ok());
  EXPECT_EQ(session.Resume(session.ResumeMessage()).error_code(), grpc::StatusCode::NOT_FOUND);
}

// ---- the descriptor socket

TEST(RpcDescriptorSocket, TableIsSealed_M5) {
  LocalDaemon daemon;
  RawSession session(daemon.socket_path());
  ASSERT_TRUE(session.ok());
  EXPECT_NE(::ftruncate(session.table_fd(), 0), 0);
  EXPECT_NE(::ftruncate(session.table_fd(), 1 << 30), 0);
}

}  // namespace
}  // namespace nvcv_cached::server::testing
