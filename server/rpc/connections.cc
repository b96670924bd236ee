#include "server/rpc/connections.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/log/log_sink.h"
#include "server/log/logfmt.h"
#include "server/rpc/refused_connections.h"

namespace nvcv_cached::server {
namespace {

constexpr int kAcceptsAtOnce = 64;
// Descriptor sockets whose token has not come; half of them for one uid.
constexpr size_t kMaxPending = 512;
constexpr std::chrono::seconds kTokenTime{5};
// Connections that are no session's: the CLI, exporters, those that are just coming.
constexpr uint32_t kSpareConnections = 128;

UniqueFd OpenReserve() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

}  // namespace

Connections::Connections(Broker& broker, const RpcOptions& options,
                         std::shared_ptr<Sessions> sessions, PeerRegistry& registry,
                         std::function<void(int)> serve)
    : broker_(broker),
      options_(options),
      sessions_(std::move(sessions)),
      registry_(registry),
      serve_(std::move(serve)),
      max_sessions_(options.max_sessions),
      reserve_(OpenReserve()),
      loop_("accept") {}

Connections::~Connections() { Stop(); }

void Connections::Listen(int session_listener, int descriptor_listener) {
  loop_.Add(session_listener, EPOLLIN, [this, session_listener](uint32_t) {
    Accept(session_listener, &Connections::TakeSession);
  });
  loop_.Add(descriptor_listener, EPOLLIN, [this, descriptor_listener](uint32_t) {
    Accept(descriptor_listener, &Connections::TakeDescriptor);
  });
}

void Connections::Stop() { loop_.Stop(); }

void Connections::Accept(int listener, void (Connections::*take)(UniqueFd, std::shared_ptr<Peer>)) {
  for (int i = 0; i < kAcceptsAtOnce; ++i) {
    UniqueFd socket(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        RefuseOne(listener);
        return;
      }
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return;
    }
    absl::StatusOr<std::shared_ptr<Peer>> peer = ReadPeer(socket.get());
    if (absl::IsResourceExhausted(peer.status())) RefuseForLack();
    if (!peer.ok()) continue;
    if (!(*peer)->refusal.ok()) {
      RefuseConnection(broker_, ConnectionRefusal::kNamespace, **peer, (*peer)->refusal);
    } else if ((*peer)->uid == kOverflowUid && options_.domain != DomainKind::kShared) {
      (*peer)->refusal = absl::PermissionDeniedError(
          "your uid is 65534 here: a user namespace hides who you are; do: map your uid into the "
          "daemon's namespace, or run the daemon with --domain shared");
      RefuseConnection(broker_, ConnectionRefusal::kPermission, **peer, (*peer)->refusal);
    }
    (this->*take)(std::move(socket), *std::move(peer));
  }
}

void Connections::RefuseForLack() {
  broker_.CountRefusedConnection(ConnectionRefusal::kLimit);
  LogWarning(Event("connection-refused")
                 .With("reason", "limit")
                 .With("found", "no descriptor left")
                 .With("do", "raise RLIMIT_NOFILE"));
}

// The connection at the head of the line would keep the loop busy for ever: it is taken and closed.
void Connections::RefuseOne(int listener) {
  RefuseForLack();
  reserve_.reset();
  UniqueFd refused(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  refused.reset();
  reserve_ = OpenReserve();
}

bool Connections::Full(uid_t uid) const {
  const uint32_t max = 2 * max_sessions_ + kSpareConnections;
  if (open_.size() >= max) return true;
  if (uid == 0 || uid == ::geteuid()) return false;
  auto found = counts_.find(uid);
  return found != counts_.end() && found->second >= max / 2;
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): of one type with TakeDescriptor
void Connections::TakeSession(UniqueFd socket, std::shared_ptr<Peer> peer) {
  UniqueFd copy(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy || Full(peer->uid)) {
    RefuseConnection(broker_, ConnectionRefusal::kLimit, *peer,
                     absl::ResourceExhaustedError(
                         absl::StrCat(open_.size(),
                                      " connections are open, the most for this uid, "
                                      "for all, or for the descriptors that are left")));
    return;
  }
  const uint64_t number = ++last_number_;
  const int fd = socket.release();
  registry_.Add(fd, peer);
  ++counts_[peer->uid];
  const int copy_fd = copy.get();
  Open& entry = open_[number];
  entry.copy = std::move(copy);
  entry.peer = peer;
  serve_(fd);
  const Peer* identity = peer.get();
  entry.watch = loop_.Add(copy_fd, EPOLLRDHUP, [this, number, fd, identity](uint32_t) {
    registry_.Remove(fd, identity);
    OnOver(number);
  });
  if (entry.watch == 0) {
    // It cannot be watched, so it is not served: gRPC sees it end.
    ::shutdown(copy_fd, SHUT_RDWR);
    registry_.Remove(fd, identity);
    OnOver(number);
  }
}

void Connections::OnOver(uint64_t number) {
  auto found = open_.find(number);
  if (found == open_.end()) return;
  loop_.Remove(found->second.watch);
  auto count = counts_.find(found->second.peer->uid);
  if (count != counts_.end() && --count->second == 0) counts_.erase(count);
  open_.erase(found);
}

void Connections::TakeDescriptor(UniqueFd socket, std::shared_ptr<Peer> peer) {
  if (!peer->refusal.ok()) return;
  const auto of_uid = std::count_if(pending_.begin(), pending_.end(), [&](const auto& entry) {
    return entry.second.peer->uid == peer->uid;
  });
  if (pending_.size() >= kMaxPending || static_cast<size_t>(of_uid) >= kMaxPending / 2) {
    RefuseConnection(broker_, ConnectionRefusal::kLimit, *peer,
                     absl::ResourceExhaustedError(absl::StrCat(
                         pending_.size(), " descriptor sockets wait for their sessions' tokens")));
    return;
  }
  const uint64_t number = ++last_number_;
  Pending& entry = pending_[number];
  entry.socket = std::move(socket);
  entry.peer = std::move(peer);
  entry.watch = loop_.Add(entry.socket.get(), EPOLLIN | EPOLLRDHUP,
                          [this, number](uint32_t) { OnToken(number); });
  if (entry.watch == 0) return Drop(number);
  entry.deadline =
      loop_.At(std::chrono::steady_clock::now() + kTokenTime, [this, number] { Drop(number); });
}

void Connections::OnToken(uint64_t number) {
  auto found = pending_.find(number);
  if (found == pending_.end()) return;
  Pending& entry = found->second;
  const ssize_t count = ::recv(entry.socket.get(), entry.token.data() + entry.got,
                               entry.token.size() - entry.got, MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) return Drop(number);
  entry.got += static_cast<size_t>(count);
  if (entry.got < entry.token.size()) return;
  loop_.Remove(entry.watch);
  absl::Status status = sessions_->Connect(std::string(entry.token.data(), entry.token.size()),
                                           *entry.peer, std::move(entry.socket));
  if (!status.ok()) {
    broker_.CountRefusedConnection(ConnectionRefusal::kPermission);
    LogWarning(Event("descriptor-refused")
                   .With("pid", entry.peer->pid)
                   .With("uid", entry.peer->uid)
                   .With("found", std::string(status.message())));
  }
  Drop(number);
}

void Connections::Drop(uint64_t number) {
  auto found = pending_.find(number);
  if (found == pending_.end()) return;
  loop_.Remove(found->second.watch);
  loop_.Remove(found->second.deadline);
  pending_.erase(found);
}

}  // namespace nvcv_cached::server
