#include "tests/rpc/raw_client.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <cstring>
#include <utility>

#include "proto/socket_paths.h"
#include "proto/version.h"

namespace nvcv_cached::server::testing {

std::shared_ptr<grpc::Channel> Dial(const std::string& socket_path) {
  static std::atomic<int> number{0};
  grpc::ChannelArguments arguments;
  arguments.SetInt("nvcv_cached.test.channel", ++number);  // shares no connection with another
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // what is not read stays with the daemon
  return grpc::CreateCustomChannel("unix:" + socket_path, grpc::InsecureChannelCredentials(),
                                   arguments);
}

UniqueFd ConnectRaw(const std::string& path) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    socket.reset();
  }
  return socket;
}

RawStream::RawStream(const std::shared_ptr<grpc::Channel>& channel)
    : stub_(v1::Session::NewStub(channel)) {
  // A stream outlives the wait of one message, and a test that hangs ends here.
  context_.set_deadline(std::chrono::system_clock::now() + 6 * kWait);
  stream_ = stub_->Attach(&context_);
}

RawStream::~RawStream() {
  if (finished_) return;
  context_.TryCancel();
  Finish();
}

std::optional<v1::ServerMessage> RawStream::Read() {
  v1::ServerMessage message;
  if (!stream_->Read(&message)) return std::nullopt;
  return message;
}

grpc::Status RawStream::Finish() {
  v1::ServerMessage message;
  while (stream_->Read(&message)) {
  }
  finished_ = true;
  return stream_->Finish();
}

std::optional<v1::Welcome> RawStream::Hello(const v1::Hello& hello) {
  v1::ClientMessage message;
  *message.mutable_hello() = hello;
  Write(message);
  std::optional<v1::ServerMessage> answer = Read();
  if (!answer || !answer->has_welcome()) return std::nullopt;
  return answer->welcome();
}

v1::Hello GoodHello() {
  v1::Hello hello;
  hello.set_protocol_min(kProtocolMin);
  hello.set_protocol_max(kProtocolMax);
  hello.set_library_version("raw");
  hello.set_name("raw-client");
  return hello;
}

RawSession::RawSession(const std::string& socket_path)
    : socket_path_(socket_path), stream_(std::make_unique<RawStream>(Dial(socket_path))) {
  std::optional<v1::Welcome> welcome = stream_->Hello(GoodHello());
  if (!welcome) return;
  welcome_ = *welcome;
  socket_ = ConnectRaw(socket_path + std::string(kDescriptorSuffix));
  const std::string& token = welcome_.descriptor_token();
  if (!socket_ || ::send(socket_.get(), token.data(), token.size(), MSG_NOSIGNAL) < 0) return;
  auto frame = ReceiveFrame(socket_.get(), std::chrono::steady_clock::now() + kWait);
  if (!frame.ok() || frame->frame.kind != FrameKind::kLeaseTable) return;
  table_fd_ = std::move(frame->fd);
  void* memory = ::mmap(nullptr, lease_table::kTableBytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                        table_fd_.get(), 0);
  if (memory != MAP_FAILED) table_ = static_cast<lease_table::Table*>(memory);
}

RawSession::~RawSession() {
  if (table_ != nullptr) ::munmap(table_, lease_table::kTableBytes);
}

std::optional<v1::ServerMessage> RawSession::Answer(uint64_t request_id) {
  while (std::optional<v1::ServerMessage> message = stream_->Read()) {
    ++received_;
    switch (message->message_case()) {
      case v1::ServerMessage::kGrant:
        if (message->grant().request_id() == request_id) return message;
        break;
      case v1::ServerMessage::kRefusal:
        if (message->refusal().request_id() == request_id) return message;
        break;
      case v1::ServerMessage::kLimit:
        if (message->limit().request_id() == request_id) return message;
        break;
      case v1::ServerMessage::kCleared:
        if (message->cleared().request_id() == request_id) return message;
        break;
      case v1::ServerMessage::kCounts:
        if (message->counts().request_id() == request_id) return message;
        break;
      default:
        break;
    }
  }
  return std::nullopt;
}

v1::ClientMessage RawSession::AcquireMessage(uint64_t size_bytes) {
  v1::ClientMessage message;
  v1::Acquire& acquire = *message.mutable_acquire();
  acquire.set_request_id(++last_request_);
  acquire.set_size_bytes(size_bytes);
  acquire.set_alignment(512);
  acquire.set_timeout_ms(5'000);
  acquire.set_spec("raw");
  return message;
}

std::optional<v1::ServerMessage> RawSession::Acquire(uint64_t size_bytes) {
  const v1::ClientMessage message = AcquireMessage(size_bytes);
  if (!stream_->Write(message)) return std::nullopt;
  return Answer(message.acquire().request_id());
}

std::optional<v1::Counts> RawSession::Query(v1::Scope scope) {
  v1::ClientMessage message;
  message.mutable_query()->set_request_id(++last_request_);
  message.mutable_query()->set_scope(scope);
  if (!stream_->Write(message)) return std::nullopt;
  std::optional<v1::ServerMessage> answer = Answer(last_request_);
  if (!answer) return std::nullopt;
  return answer->counts();
}

bool RawSession::Return(const v1::Lease& lease) {
  if (!lease_table::Return(table_->slots[lease.slot()], lease_table::Word(lease.word()),
                           std::nullopt)) {
    return false;
  }
  v1::ClientMessage message;
  message.mutable_return_leases()->add_slots(lease.slot());
  return stream_->Write(message);
}

void RawSession::Goodbye() {
  v1::ClientMessage message;
  message.mutable_goodbye();
  stream_->Write(message);
}

std::vector<ReceivedFrame> RawSession::TakeFrames(size_t count) {
  std::vector<ReceivedFrame> frames;
  while (frames.size() < count) {
    auto frame = ReceiveFrame(socket_.get(), std::chrono::steady_clock::now() + kWait);
    if (!frame.ok()) break;
    frames.push_back(*std::move(frame));
  }
  return frames;
}

v1::Resume RawSession::ResumeMessage() const {
  v1::Resume resume;
  resume.set_session_id(welcome_.session_id());
  resume.set_resume_token(welcome_.resume_token());
  resume.set_epoch(welcome_.epoch());
  resume.set_received(received_);
  return resume;
}

grpc::Status RawSession::Resume(const v1::Resume& resume) {
  stream_ = std::make_unique<RawStream>(Dial(socket_path_));
  v1::Hello hello = GoodHello();
  *hello.mutable_resume() = resume;
  std::optional<v1::Welcome> welcome = stream_->Hello(hello);
  if (!welcome) return stream_->Finish();
  welcome_ = *welcome;
  return grpc::Status::OK;
}

}  // namespace nvcv_cached::server::testing
