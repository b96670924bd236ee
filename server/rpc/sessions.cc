#include "server/rpc/sessions.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/descriptor_socket.h"
#include "proto/version.h"
#include "server/log/log_sink.h"
#include "server/log/logfmt.h"
#include "server/rpc/domain.h"
#include "server/rpc/messages.h"
#include "server/rpc/refused_connections.h"

namespace nvcv_cached::server {
namespace {

absl::StatusOr<std::string> RandomToken() {
  std::string token(kDescriptorTokenBytes, '\0');
  if (::getrandom(token.data(), token.size(), 0) != static_cast<ssize_t>(token.size())) {
    return absl::InternalError("getrandom failed");
  }
  return token;
}

// In the same time wherever the first difference is.
bool SameSecret(const std::string& a, const std::string& b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

v1::Welcome MakeWelcome(const Broker& broker, const Session& session, uint64_t limit_bytes) {
  const DeviceInfo& info = broker.device_info();
  v1::Welcome welcome;
  welcome.set_protocol(kProtocolMax);
  welcome.set_daemon_version(kVersion);
  welcome.set_session_id(session.id());
  welcome.set_epoch(broker.epoch());
  welcome.set_resume_token(session.resume_token());
  welcome.set_daemon_pid(::getpid());
  welcome.set_limit_bytes(limit_bytes);
  welcome.set_table_age_ms(session.table_age_ms(broker.clock().Now()));
  v1::Device& device = *welcome.mutable_device();
  device.set_kind(info.kind);
  device.set_id(info.id);
  device.set_name(info.name);
  device.set_total_bytes(info.total_bytes);
  device.set_row_alignment(info.row_alignment);
  device.set_base_alignment(info.base_alignment);
  return welcome;
}

// "2", or "1-2".
std::string Versions(uint32_t first, uint32_t last) {
  return first == last ? absl::StrCat(first) : absl::StrCat(first, "-", last);
}

absl::Status CheckVersion(const v1::Hello& hello) {
  if (hello.protocol_min() <= kProtocolMax && hello.protocol_max() >= kProtocolMin &&
      hello.protocol_min() <= hello.protocol_max()) {
    return absl::OkStatus();
  }
  const bool older = hello.protocol_max() < kProtocolMin;
  return absl::FailedPreconditionError(absl::StrCat(
      "daemon ", kVersion, " speaks protocol ", Versions(kProtocolMin, kProtocolMax), ", library ",
      PrintableText(hello.library_version(), kMaxNameBytes), " speaks ",
      Versions(hello.protocol_min(), hello.protocol_max()), "; do: upgrade ",
      older ? "this environment's nvcv-cached" : "the daemon, or use an older library"));
}

// The driver tells processes apart by their numbers in their own namespaces, and takes such a
// client for the exporter itself. A client that says another number than its own only has the
// driver's error instead of ours.
absl::Status CheckPids(const DeviceInfo& device, const v1::Hello& hello) {
  if (device.kind != "cuda" || hello.pid() != ::getpid()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("CUDA IPC: this process is pid ", hello.pid(),
                   " in its PID namespace and the daemon is pid ", ::getpid(),
                   " in its own, and CUDA refuses memory between equal numbers; do: start this "
                   "process again, or run both in one PID "
                   "namespace (hostPID)"));
}

}  // namespace

Sessions::Sessions(Broker& broker, const RpcOptions& options)
    : broker_(broker),
      options_(options),
      max_sessions_(options.max_sessions),
      death_watch_("death-watch") {}

absl::StatusOr<std::shared_ptr<Session>> Sessions::Hello(const std::shared_ptr<const Peer>& peer,
                                                         const v1::Hello& hello,
                                                         StreamPort* stream) {
  if (absl::Status status = CheckVersion(hello); !status.ok()) return status;
  if (absl::Status status = CheckPids(broker_.device_info(), hello); !status.ok()) {
    RefuseConnection(broker_, ConnectionRefusal::kNamespace, *peer, status);
    return status;
  }
  if (hello.has_resume()) return Resume(*peer, hello.resume(), stream);
  if (broker_.state() != ServingState::kServing) {
    broker_.CountRefusedConnection(ConnectionRefusal::kDraining);
    return absl::UnavailableError(
        "the daemon is draining and takes no new sessions; do: wait for its end or "
        "nvcv-cachectl undrain");
  }
  return Open(peer, hello, stream);
}

absl::Status Sessions::Reserve(uid_t uid) {
  const uint32_t max = max_sessions_;
  uint32_t max_per_uid = options_.max_sessions_per_uid;
  if (max_per_uid == 0) {
    max_per_uid = uid == 0 || uid == ::geteuid() ? max : std::max(1u, max / 2);
  }
  std::lock_guard lock(mutex_);
  if (count_ >= max) {
    return absl::ResourceExhaustedError(
        absl::StrCat(count_, " of ", max, " sessions are open; do: raise max-sessions"));
  }
  uint32_t& of_uid = counts_[uid];
  if (of_uid >= max_per_uid) {
    return absl::PermissionDeniedError(
        absl::StrCat("uid ", uid, " has ", of_uid, " of its ", max_per_uid,
                     " sessions; do: end some, or raise max-sessions"));
  }
  ++of_uid;
  ++count_;
  return absl::OkStatus();
}

void Sessions::Unreserve(uid_t uid) {
  std::lock_guard lock(mutex_);
  --count_;
  auto found = counts_.find(uid);
  if (found != counts_.end() && --found->second == 0) counts_.erase(found);
}

absl::StatusOr<std::shared_ptr<Session>> Sessions::Open(const std::shared_ptr<const Peer>& peer,
                                                        const v1::Hello& hello,
                                                        StreamPort* stream) {
  absl::StatusOr<Domain> domain = DomainOf(*peer, options_.domain);
  if (!domain.ok()) {
    if (absl::IsPermissionDenied(domain.status())) {  // else it is gone
      RefuseConnection(broker_, ConnectionRefusal::kNamespace, *peer, domain.status());
    }
    return domain.status();
  }
  if (absl::Status status = Reserve(peer->uid); !status.ok()) {
    RefuseConnection(broker_, ConnectionRefusal::kLimit, *peer, status);
    return status;
  }
  UniqueFd process(::fcntl(peer->pidfd.get(), F_DUPFD_CLOEXEC, 0));
  absl::Status copied;
  if (!process) copied = absl::ResourceExhaustedError("no descriptor left for another session");
  absl::StatusOr<TableMemory> table = TableMemory::Make(broker_.epoch());
  absl::StatusOr<std::string> token = RandomToken();
  absl::StatusOr<std::string> resume_token = RandomToken();
  for (const absl::Status& status :
       {copied, table.status(), token.status(), resume_token.status()}) {
    if (status.ok()) continue;
    Unreserve(peer->uid);
    return status;
  }

  SessionOptions options;
  options.domain = *std::move(domain);
  options.name = PrintableText(hello.name(), kMaxNameBytes);
  options.pid = peer->pid;
  options.uid = peer->uid;
  if (hello.has_session_limit_bytes()) options.limit_bytes = hello.session_limit_bytes();

  std::shared_ptr<Session> session;
  const TimePoint table_made = broker_.clock().Now();
  broker_.OpenSession(options, table->table(), [&](SessionId id) {
    Session::Parts parts{.id = id,
                         .peer = peer,
                         .name = options.name,
                         .process = std::move(process),
                         .table = *std::move(table),
                         .table_made = table_made,
                         .resume_token = *std::move(resume_token),
                         .on_ended = [self = weak_from_this()](SessionId ended) {
                           if (auto sessions = self.lock()) sessions->Forget(ended);
                         }};
    session = std::make_shared<Session>(broker_, std::move(parts));
    return session;
  });
  {
    std::lock_guard lock(mutex_);
    sessions_[session->id()] = Entry{.session = session, .token = *token};
    tokens_[*token] = session->id();
  }
  LogInfo(Event("session-open")
              .With("id", session->id())
              .With("pid", peer->pid)
              .With("uid", peer->uid)
              .With("domain", options.domain)
              .With("name", options.name));
  if (options.limit_bytes) session->NoteLimit(*options.limit_bytes);
  if (absl::Status status = Watch(session); !status.ok()) {
    LetGoIfUnconnected(session);
    return status;
  }
  const uint64_t limit = broker_.With([](Books& books) { return books.settings().limit_bytes; });
  v1::Welcome welcome = MakeWelcome(broker_, *session, limit);
  welcome.set_descriptor_token(*token);
  if (absl::Status status = session->Attach(stream, std::move(welcome), std::nullopt);
      !status.ok()) {
    LetGoIfUnconnected(session);
    return absl::UnavailableError(status.message());
  }
  return session;
}

absl::StatusOr<std::shared_ptr<Session>> Sessions::Resume(const Peer& peer,
                                                          const v1::Resume& resume,
                                                          StreamPort* stream) {
  // One text for all that a stranger could learn from.
  const absl::Status unknown = absl::NotFoundError(
      absl::StrCat("session ", resume.session_id(), " of epoch ", resume.epoch(),
                   " cannot be resumed here (epoch ", broker_.epoch(), "); do: begin a new one"));
  std::shared_ptr<Session> session;
  {
    std::lock_guard lock(mutex_);
    auto found = sessions_.find(resume.session_id());
    if (found != sessions_.end()) session = found->second.session;
  }
  if (!session || resume.epoch() != broker_.epoch() ||
      !SameSecret(session->resume_token(), resume.resume_token()) ||
      !SameProcess(session->peer(), peer)) {
    return unknown;
  }
  const uint64_t limit = broker_.With([](Books& books) { return books.settings().limit_bytes; });
  std::optional<uint64_t> received;
  if (resume.has_received()) received = resume.received();
  absl::Status status = session->Attach(stream, MakeWelcome(broker_, *session, limit), received);
  if (!status.ok()) return status;
  LogInfo(Event("session-resume").With("id", session->id()).With("pid", peer.pid));
  return session;
}

void Sessions::Detached(const std::shared_ptr<Session>& session, StreamPort* stream) {
  session->Detach(stream);
  LetGoIfUnconnected(session);
}

// Nothing was shared with it, so nothing is to be waited for.
void Sessions::LetGoIfUnconnected(const std::shared_ptr<Session>& session) {
  if (session->attached() || !session->CloseIfUnconnected()) return;
  broker_.With([&](Books& books) {
    books.SocketClosed(session->id());
    books.SaidGoodbye(session->id());
  });
}

absl::Status Sessions::Connect(const std::string& token, const Peer& peer, UniqueFd socket) {
  std::shared_ptr<Session> session;
  {
    std::lock_guard lock(mutex_);
    auto found = tokens_.find(token);
    if (found != tokens_.end()) {
      Entry& entry = sessions_.at(found->second);
      // Somebody else's attempt does not use the token up.
      if (SameProcess(entry.session->peer(), peer)) {
        session = entry.session;
        entry.token.clear();
        tokens_.erase(found);
      }
    }
  }
  if (!session)
    return absl::PermissionDeniedError("descriptor socket: not a token of this process");
  broker_.NoteConnected(session->id(), peer.pid, socket.get());
  if (absl::Status status = session->Connect(std::move(socket)); !status.ok()) {
    session->Lose(status);
    return status;
  }
  EventLoop::Id deadline = 0;
  {
    std::lock_guard lock(mutex_);
    auto found = sessions_.find(session->id());
    if (found != sessions_.end()) deadline = std::exchange(found->second.deadline, 0);
  }
  death_watch_.Remove(deadline);
  WatchSocket(session, EPOLLIN | EPOLLRDHUP);
  return absl::OkStatus();
}

void Sessions::EndStreams(const absl::Status& status) {
  std::vector<std::shared_ptr<Session>> all;
  {
    std::lock_guard lock(mutex_);
    for (auto& [id, entry] : sessions_) all.push_back(entry.session);
  }
  for (auto& session : all) session->EndStream(status);
}

void Sessions::Stop() {
  death_watch_.Stop();
  std::unordered_map<SessionId, Entry> dropped;
  std::lock_guard lock(mutex_);
  dropped.swap(sessions_);
  tokens_.clear();
}

}  // namespace nvcv_cached::server
