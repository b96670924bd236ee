#include "tests/connection/fake_daemon.h"

#include <fcntl.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "proto/descriptor_socket.h"
#include "proto/version.h"

namespace nvcv_cached::testing {

using lease_table::Word;
using Stream = grpc::ServerReaderWriter<v1::ServerMessage, v1::ClientMessage>;

namespace {

UniqueFd Listen(const std::string& path) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::strncpy(name.sun_path, path.c_str(), sizeof(name.sun_path) - 1);
  ::unlink(path.c_str());
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)) != 0 ||
      ::listen(socket.get(), 64) != 0) {
    std::abort();
  }
  return socket;
}

UniqueFd SealedMemory(uint64_t bytes) {
  UniqueFd memory(::memfd_create("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (::ftruncate(memory.get(), static_cast<off_t>(bytes)) != 0) std::abort();
  ::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  return memory;
}

}  // namespace

class FakeDaemon::Service final : public v1::Session::Service {
 public:
  explicit Service(FakeDaemon* daemon) : daemon_(daemon) {}
  grpc::Status Attach(grpc::ServerContext*, Stream* stream) override {
    return daemon_->Attach(stream);
  }

 private:
  FakeDaemon* daemon_;
};

FakeDaemon::FakeDaemon(std::string path, uint64_t epoch)
    : path_(std::move(path)), epoch_(epoch), service_(std::make_unique<Service>(this)) {
  streams_ = Listen(path_);
  descriptors_ = Listen(path_ + ".fd");
  grpc::ServerBuilder builder;
  builder.RegisterService(service_.get());
  server_ = builder.BuildAndStart();
  accepting_streams_ = std::thread([this] { AcceptStreams(); });
  accepting_descriptors_ = std::thread([this] { AcceptDescriptors(); });
}

FakeDaemon::~FakeDaemon() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  ::unlink(path_.c_str());
  ::unlink((path_ + ".fd").c_str());
  ::shutdown(streams_.get(), SHUT_RDWR);
  ::shutdown(descriptors_.get(), SHUT_RDWR);
  accepting_streams_.join();
  accepting_descriptors_.join();
  streams_.reset();
  descriptors_.reset();
  {
    std::lock_guard lock(mutex_);
    for (auto& session : sessions_) session->descriptors.reset();
  }
  BreakStreams();
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  for (auto& session : sessions_) ::munmap(session->table, lease_table::kTableBytes);
}

void FakeDaemon::AcceptStreams() {
  while (true) {
    UniqueFd socket(::accept4(streams_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;
    {
      std::lock_guard lock(mutex_);
      connections_.emplace_back(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
    }
    grpc::AddInsecureChannelFromFd(server_.get(), socket.release());
  }
}

void FakeDaemon::AcceptDescriptors() {
  while (true) {
    UniqueFd socket(::accept4(descriptors_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) return;
    char token[kDescriptorTokenBytes];
    if (::recv(socket.get(), token, sizeof(token), MSG_WAITALL) != sizeof(token)) continue;
    std::lock_guard lock(mutex_);
    for (auto& session : sessions_) {
      if (std::string(token, sizeof(token)) !=
          std::string(kDescriptorTokenBytes, char('a' + session->id))) {
        continue;
      }
      (void)SendFrame(socket.get(),
                      Frame{.kind = FrameKind::kLeaseTable, .size_bytes = lease_table::kTableBytes},
                      session->table_fd.get());
      (void)SendFrame(
          socket.get(),
          Frame{.kind = FrameKind::kSlab, .slab = session->id, .size_bytes = kSlabBytes},
          session->slab_fd.get());
      session->descriptors = std::move(socket);
      break;
    }
  }
}

grpc::Status FakeDaemon::Greet(const v1::Hello& hello, v1::ServerMessage& reply,
                               Session*& session) {
  if (!refusal_.ok()) return refusal_;
  if (hello.has_resume()) {
    for (auto& known : sessions_) {
      if (known->id == hello.resume().session_id() && epoch_ == hello.resume().epoch() &&
          !refuse_resumes_) {
        session = known.get();
      }
    }
    if (session == nullptr) return {grpc::StatusCode::NOT_FOUND, "no such session"};
  } else {
    auto made = std::make_unique<Session>();
    made->id = sessions_.size() + 1;
    made->table_fd = SealedMemory(lease_table::kTableBytes);
    made->slab_fd = SealedMemory(kSlabBytes);
    made->table = static_cast<lease_table::Table*>(::mmap(nullptr, lease_table::kTableBytes,
                                                          PROT_READ | PROT_WRITE, MAP_SHARED,
                                                          made->table_fd.get(), 0));
    made->table->header = {.magic = lease_table::kMagic,
                           .layout_version = lease_table::kLayoutVersion,
                           .slots = lease_table::kSlots,
                           .epoch = epoch_,
                           .counter_lines = lease_table::kCounterLines,
                           .timelines = lease_table::kTimelines,
                           .session_id = made->id};
    session = made.get();
    sessions_.push_back(std::move(made));
  }
  v1::Welcome& welcome = *reply.mutable_welcome();
  welcome.set_protocol(kProtocolMax);
  welcome.set_session_id(session->id);
  welcome.set_epoch(epoch_);
  welcome.set_resume_token("resume");
  welcome.set_daemon_pid(::getpid());
  welcome.set_limit_bytes(1 << 30);
  welcome.set_received(session->received);
  welcome.mutable_device()->set_kind("host");
  welcome.mutable_device()->set_id("host");
  welcome.mutable_device()->set_total_bytes(1 << 30);
  welcome.mutable_device()->set_row_alignment(32);
  welcome.mutable_device()->set_base_alignment(512);
  if (!hello.has_resume()) {
    welcome.set_descriptor_token(std::string(kDescriptorTokenBytes, char('a' + session->id)));
  }
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::Attach(Stream* stream) {
  v1::ClientMessage message;
  if (!stream->Read(&message)) return grpc::Status::OK;
  Session* session = nullptr;
  {
    std::unique_lock lock(mutex_);
    messages_.push_back(message);
    changed_.notify_all();
    changed_.wait(lock, [&] { return !hold_hellos_ || stopping_; });
    v1::ServerMessage reply;
    if (grpc::Status status = Greet(message.hello(), reply, session); !status.ok()) return status;
    stream->Write(reply);
    if (message.hello().has_resume()) {
      for (uint64_t i = message.hello().resume().received(); i < session->sent.size(); ++i) {
        stream->Write(session->sent[i]);
      }
    }
    session->stream = stream;
  }
  while (stream->Read(&message)) {
    std::lock_guard lock(mutex_);
    ++session->received;
    messages_.push_back(message);
    Handle(*session, message);
    changed_.notify_all();
  }
  std::lock_guard lock(mutex_);
  if (session->stream == stream) session->stream = nullptr;
  return grpc::Status::OK;
}

void FakeDaemon::Say(Session& session, v1::ServerMessage message) {
  if (session.stream != nullptr) session.stream->Write(message);
  session.sent.push_back(std::move(message));
}

void FakeDaemon::Grant(Session& session, const v1::Acquire& acquire) {
  v1::ServerMessage reply;
  v1::Grant& grant = *reply.mutable_grant();
  grant.set_request_id(acquire.request_id());
  if (!session.slab_named) {
    session.slab_named = true;
    v1::Slab& slab = *grant.add_slabs();
    slab.set_slab(session.id);
    slab.set_size_bytes(kSlabBytes);
    slab.mutable_memfd();
  }
  for (uint32_t i = 0; i <= acquire.ahead(); ++i) {
    uint32_t slot = session.next_slot++;
    lease_table::Slot& entry = session.table->slots[slot];
    Word empty = Word::First(epoch_);
    entry.word.store(empty.bits());
    Word word = i == 0 ? *lease_table::Grant(entry, empty) : *lease_table::GrantAhead(entry, empty);
    v1::Lease& lease = *grant.add_leases();
    lease.set_slot(slot);
    lease.set_word(word.bits());
    lease.set_slab(session.id);
    lease.set_offset(uint64_t{slot} * 4096 % kSlabBytes);
    lease.set_block_bytes(4096);
  }
  Say(session, std::move(reply));
}

void FakeDaemon::Handle(Session& session, const v1::ClientMessage& message) {
  v1::ServerMessage reply;
  if (message.has_acquire()) {
    if (answer_) {
      Grant(session, message.acquire());
    } else {
      kept_.emplace_back(&session, message.acquire());
    }
  } else if (message.has_set_limit()) {
    reply.mutable_limit()->set_request_id(message.set_limit().request_id());
    Say(session, std::move(reply));
  } else if (message.has_clear()) {
    reply.mutable_cleared()->set_request_id(message.clear().request_id());
    Say(session, std::move(reply));
  } else if (message.has_query() && answer_queries_) {
    reply.mutable_counts()->set_request_id(message.query().request_id());
    reply.mutable_counts()->set_cache_items(session.next_slot);
    reply.mutable_counts()->set_misses(session.next_slot);
    reply.mutable_counts()->set_daemon_limit_bytes(1 << 30);
    Say(session, std::move(reply));
  }
}

void FakeDaemon::AnswerAcquires(bool answer) {
  std::lock_guard lock(mutex_);
  answer_ = answer;
  if (!answer) return;
  for (auto& [session, acquire] : kept_) Grant(*session, acquire);
  kept_.clear();
}

void FakeDaemon::AnswerQueries(bool answer) {
  std::lock_guard lock(mutex_);
  answer_queries_ = answer;
}

void FakeDaemon::HoldHellos(bool hold) {
  std::lock_guard lock(mutex_);
  hold_hellos_ = hold;
  changed_.notify_all();
}

void FakeDaemon::RefuseHello(grpc::Status status) {
  std::lock_guard lock(mutex_);
  refusal_ = std::move(status);
}

void FakeDaemon::RefuseResumes(bool refuse) {
  std::lock_guard lock(mutex_);
  refuse_resumes_ = refuse;
}

void FakeDaemon::BreakStreams() {
  std::lock_guard lock(mutex_);
  for (UniqueFd& connection : connections_) ::shutdown(connection.get(), SHUT_RDWR);
  connections_.clear();
  for (auto& session : sessions_) session->stream = nullptr;
}

void FakeDaemon::Retire(uint64_t slab) {
  std::lock_guard lock(mutex_);
  v1::ServerMessage message;
  message.mutable_retire()->set_slab(slab);
  Say(*sessions_.back(), std::move(message));
}

bool FakeDaemon::WaitFor(const std::function<bool(const v1::ClientMessage&)>& wanted) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(5), [&] {
    for (const v1::ClientMessage& message : messages_) {
      if (wanted(message)) return true;
    }
    return false;
  });
}

int FakeDaemon::Count(const std::function<bool(const v1::ClientMessage&)>& wanted) {
  std::lock_guard lock(mutex_);
  int count = 0;
  for (const v1::ClientMessage& message : messages_) count += wanted(message) ? 1 : 0;
  return count;
}

int FakeDaemon::hellos() {
  return Count([](const v1::ClientMessage& message) { return message.has_hello(); });
}

v1::Hello FakeDaemon::last_hello() {
  std::lock_guard lock(mutex_);
  v1::Hello hello;
  for (const v1::ClientMessage& message : messages_) {
    if (message.has_hello()) hello = message.hello();
  }
  return hello;
}

lease_table::Table& FakeDaemon::table() {
  std::lock_guard lock(mutex_);
  return *sessions_.back()->table;
}

}  // namespace nvcv_cached::testing
