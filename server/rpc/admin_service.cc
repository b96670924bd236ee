// One method for each request of the service, and the streams of Watch: long as the list is.
#include "server/rpc/admin_service.h"

#include <fcntl.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "nvcv_cached/v1/admin.grpc.pb.h"
#include "proto/unique_fd.h"
#include "server/rpc/admin_requests.h"
#include "server/rpc/admin_worker.h"
#include "server/rpc/event_follower.h"

namespace nvcv_cached::server {
namespace {

constexpr uint32_t kDefaultIntervalMs = 1000;
constexpr uint32_t kShortestIntervalMs = 50;
constexpr int kMaxStreams = 256;  // of watchers and followers

// The codes of absl and gRPC are the same numbers.
grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

grpc::Status TooMany() {
  return {grpc::StatusCode::RESOURCE_EXHAUSTED,
          "too many requests of operators wait already; do: ask again later"};
}

// One watcher: a snapshot at once, then one each interval for as long as it is read.
class Watcher final : public grpc::ServerWriteReactor<v1::Stats> {
 public:
  static Watcher* Begin(AdminRequests& requests, AdminWorker& worker, std::atomic<int>& count,
                        uint32_t interval_ms) {
    auto made = std::shared_ptr<Watcher>(new Watcher(requests, worker, count, interval_ms));
    made->self_ = made;
    made->Next(AdminWorker::Time::min());
    return made.get();
  }

  void OnWriteDone(bool ok) override {
    {
      std::lock_guard lock(mutex_);
      writing_ = false;
      if (!ok) cancelled_ = true;
    }
    Next(std::chrono::steady_clock::now() + interval_);
  }
  void OnCancel() override {
    {
      std::lock_guard lock(mutex_);
      cancelled_ = true;
    }
    Next(AdminWorker::Time::min());
  }
  void OnDone() override {
    --count_;
    self_.reset();
  }

 private:
  Watcher(AdminRequests& requests, AdminWorker& worker, std::atomic<int>& count,
          uint32_t interval_ms)
      : requests_(requests),
        worker_(worker),
        count_(count),
        interval_(
            std::max(interval_ms == 0 ? kDefaultIntervalMs : interval_ms, kShortestIntervalMs)) {
    ++count_;
  }

  // The job keeps the watcher; self_ keeps it until gRPC is done with it.
  void Next(AdminWorker::Time when) {
    const std::shared_ptr<Watcher> self = self_;
    {
      std::lock_guard lock(mutex_);
      if (next_) worker_.Remove(*next_);
      next_ = worker_.Post([self] { self->Step(); }, cancelled_ ? AdminWorker::Time::min() : when);
      if (next_) return;
    }
    End(TooMany());
  }

  void Step() {
    {
      std::lock_guard lock(mutex_);
      if (finished_ || writing_) return;
      if (!cancelled_) writing_ = true;
    }
    if (!writing_) return End(grpc::Status::CANCELLED);
    stats_.Clear();
    requests_.GetStats(&stats_);
    StartWrite(&stats_);
  }

  void End(const grpc::Status& status) {
    {
      std::lock_guard lock(mutex_);
      if (std::exchange(finished_, true)) return;
    }
    Finish(status);
  }

  AdminRequests& requests_;
  AdminWorker& worker_;
  std::atomic<int>& count_;
  const std::chrono::milliseconds interval_;
  v1::Stats stats_;
  std::mutex mutex_;
  bool writing_ = false;  // changed under mutex_; set by the worker alone
  std::optional<AdminWorker::Ticket> next_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<Watcher> self_;
};

// Refused streams are answered by a reactor that does nothing else.
template <class Message>
class Refused final : public grpc::ServerWriteReactor<Message> {
 public:
  explicit Refused(const grpc::Status& status) { this->Finish(status); }
  void OnDone() override { delete this; }
};

}  // namespace

class AdminService::Impl final : public v1::Admin::CallbackService {
 public:
  Impl(Broker& broker, LiveSettings& settings, const PeerRegistry& peers, EventRing& events,
       std::string socket)
      : requests_(broker, settings, std::move(socket)), peers_(peers), events_(events) {}

  grpc::ServerUnaryReactor* GetStats(grpc::CallbackServerContext* context,
                                     const v1::GetStatsRequest*, v1::Stats* reply) override {
    return Read(context, [=, this] {
      requests_.GetStats(reply);
      return absl::OkStatus();
    });
  }
  grpc::ServerUnaryReactor* ListSessions(grpc::CallbackServerContext* context,
                                         const v1::ListSessionsRequest*,
                                         v1::ListSessionsReply* reply) override {
    return Read(context, [=, this] {
      requests_.ListSessions(reply);
      return absl::OkStatus();
    });
  }
  grpc::ServerUnaryReactor* ListSlabs(grpc::CallbackServerContext* context,
                                      const v1::ListSlabsRequest*,
                                      v1::ListSlabsReply* reply) override {
    return Read(context, [=, this] {
      requests_.ListSlabs(reply);
      return absl::OkStatus();
    });
  }
  grpc::ServerUnaryReactor* ListLeases(grpc::CallbackServerContext* context,
                                       const v1::ListLeasesRequest* request,
                                       v1::ListLeasesReply* reply) override {
    return Read(context, [=, this] { return requests_.ListLeases(*request, reply); });
  }
  grpc::ServerUnaryReactor* ListMisses(grpc::CallbackServerContext* context,
                                       const v1::ListMissesRequest* request,
                                       v1::ListMissesReply* reply) override {
    return Read(context, [=, this] { return requests_.ListMisses(*request, reply); });
  }
  grpc::ServerUnaryReactor* GetSnapshot(grpc::CallbackServerContext* context,
                                        const v1::GetSnapshotRequest*,
                                        v1::Snapshot* reply) override {
    return Read(context, [=, this] {
      requests_.GetSnapshot(reply);
      return absl::OkStatus();
    });
  }

  grpc::ServerUnaryReactor* SetLimit(grpc::CallbackServerContext* context,
                                     const v1::SetLimitRequest* request,
                                     v1::SetLimitReply* reply) override {
    return Change(context, &AdminRequests::SetLimit, request, reply);
  }
  grpc::ServerUnaryReactor* SetPolicy(grpc::CallbackServerContext* context,
                                      const v1::SetPolicyRequest* request,
                                      v1::SetPolicyReply* reply) override {
    return Change(context, &AdminRequests::SetPolicy, request, reply);
  }
  grpc::ServerUnaryReactor* SetQuota(grpc::CallbackServerContext* context,
                                     const v1::SetQuotaRequest* request,
                                     v1::SetQuotaReply* reply) override {
    return Change(context, &AdminRequests::SetQuota, request, reply);
  }
  grpc::ServerUnaryReactor* Clear(grpc::CallbackServerContext* context,
                                  const v1::ClearRequest* request,
                                  v1::ClearResult* reply) override {
    return Change(context, &AdminRequests::Clear, request, reply);
  }
  grpc::ServerUnaryReactor* Trim(grpc::CallbackServerContext* context,
                                 const v1::TrimRequest* request, v1::TrimReply* reply) override {
    return Change(context, &AdminRequests::Trim, request, reply);
  }
  grpc::ServerUnaryReactor* Drain(grpc::CallbackServerContext* context, const v1::DrainRequest*,
                                  v1::DrainReply* reply) override {
    return Run(context, &AdminRequests::MayChange,
               [=, this](const Caller& caller) { return requests_.Drain(caller, reply); });
  }
  grpc::ServerUnaryReactor* Undrain(grpc::CallbackServerContext* context, const v1::UndrainRequest*,
                                    v1::DrainReply* reply) override {
    return Run(context, &AdminRequests::MayChange,
               [=, this](const Caller& caller) { return requests_.Undrain(caller, reply); });
  }

  AdminRequests& requests() { return requests_; }

  grpc::ServerWriteReactor<v1::Stats>* Watch(grpc::CallbackServerContext* context,
                                             const v1::WatchRequest* request) override {
    if (grpc::Status may = MayOpenStream(context); !may.ok()) return new Refused<v1::Stats>(may);
    return Watcher::Begin(requests_, worker_, streams_, request->interval_ms());
  }
  grpc::ServerWriteReactor<v1::LogEvent>* FollowEvents(
      grpc::CallbackServerContext* context, const v1::FollowEventsRequest* request) override {
    if (grpc::Status may = MayOpenStream(context); !may.ok()) return new Refused<v1::LogEvent>(may);
    return server::FollowEvents(events_, worker_, streams_, *request);
  }

 private:
  using Right = absl::Status (*)(const Caller&);

  grpc::Status MayOpenStream(grpc::CallbackServerContext* context) const {
    if (auto peer = peers_.Find(context->peer()); !peer.ok()) return ToGrpc(peer.status());
    return streams_ < kMaxStreams ? grpc::Status::OK : TooMany();
  }

  template <class F>
  grpc::ServerUnaryReactor* Run(grpc::CallbackServerContext* context, Right right, F answer) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    const auto peer = peers_.Find(context->peer());
    if (!peer.ok()) {
      reactor->Finish(ToGrpc(peer.status()));
      return reactor;
    }
    const Caller caller{.pid = (*peer)->pid, .uid = (*peer)->uid};
    if (absl::Status allowed = right(caller); !allowed.ok()) {
      reactor->Finish(ToGrpc(allowed));
      return reactor;
    }
    if (!worker_.Post([=] { reactor->Finish(ToGrpc(answer(caller))); })) {
      reactor->Finish(TooMany());
    }
    return reactor;
  }

  template <class F>
  grpc::ServerUnaryReactor* Read(grpc::CallbackServerContext* context, F answer) {
    return Run(
        context, [](const Caller&) { return absl::OkStatus(); },
        [=](const Caller&) { return answer(); });
  }

  template <class Request, class Reply>
  grpc::ServerUnaryReactor* Change(grpc::CallbackServerContext* context,
                                   absl::Status (AdminRequests::*method)(const Caller&,
                                                                         const Request&, Reply*),
                                   const Request* request, Reply* reply) {
    return Run(context, &AdminRequests::MayChange, [=, this](const Caller& caller) {
      return (requests_.*method)(caller, *request, reply);
    });
  }

  AdminRequests requests_;
  const PeerRegistry& peers_;
  EventRing& events_;
  std::atomic<int> streams_{0};
  AdminWorker worker_;  // last: its jobs use all of the above
};

AdminService::AdminService(Broker& broker, LiveSettings& settings, const PeerRegistry& peers,
                           EventRing& events, std::string socket)
    : impl_(std::make_unique<Impl>(broker, settings, peers, events, std::move(socket))) {}

AdminService::~AdminService() = default;

grpc::Service* AdminService::service() { return impl_.get(); }

absl::Status AdminService::WriteStats(const std::string& path) {
  v1::Stats stats;
  impl_->requests().GetStats(&stats);
  const std::string unfinished = absl::StrCat(path, ".new");
  ::unlink(unfinished.c_str());
  const UniqueFd file(
      ::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (file && stats.SerializeToFileDescriptor(file.get()) &&
      ::rename(unfinished.c_str(), path.c_str()) == 0) {
    return absl::OkStatus();
  }
  return absl::UnavailableError(absl::StrCat(path, ": ", std::strerror(errno)));
}

}  // namespace nvcv_cached::server
