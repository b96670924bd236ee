// What each request of the Admin service does, without gRPC: reads through the broker, changes in
// the books and in the settings in force, each change logged with who asked.
//
// Calls may block for as long as the device takes to answer. Thread-safety: thread-safe.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

#include "absl/status/status.h"
#include "nvcv_cached/v1/admin.pb.h"
#include "server/config/live_settings.h"
#include "server/rpc/broker.h"

namespace nvcv_cached::server {

struct Caller {
  pid_t pid = 0;
  uid_t uid = 0;
};

class AdminRequests {
 public:
  AdminRequests(Broker& broker, LiveSettings& settings, std::string socket);

  // PERMISSION_DENIED: changes are for the daemon's own uid and root.
  static absl::Status MayChange(const Caller& caller);

  void GetStats(v1::Stats* reply);
  void ListSessions(v1::ListSessionsReply* reply);
  void ListSlabs(v1::ListSlabsReply* reply);
  absl::Status ListLeases(const v1::ListLeasesRequest& request, v1::ListLeasesReply* reply);
  absl::Status ListMisses(const v1::ListMissesRequest& request, v1::ListMissesReply* reply);
  void GetSnapshot(v1::Snapshot* reply);

  absl::Status SetLimit(const Caller& caller, const v1::SetLimitRequest& request,
                        v1::SetLimitReply* reply);
  absl::Status SetPolicy(const Caller& caller, const v1::SetPolicyRequest& request,
                         v1::SetPolicyReply* reply);
  absl::Status SetQuota(const Caller& caller, const v1::SetQuotaRequest& request,
                        v1::SetQuotaReply* reply);
  absl::Status Clear(const Caller& caller, const v1::ClearRequest& request, v1::ClearResult* reply);
  absl::Status Trim(const Caller& caller, const v1::TrimRequest& request, v1::TrimReply* reply);
  absl::Status Drain(const Caller& caller, v1::DrainReply* reply);
  absl::Status Undrain(const Caller& caller, v1::DrainReply* reply);

 private:
  absl::Status CheckSession(SessionId session);
  void FillHolders(v1::DrainReply* reply);
  void FillStats(const Totals& totals, const PoolReport& pool, uint64_t device_free_bytes,
                 v1::Stats* reply);

  Broker& broker_;
  LiveSettings& settings_;
  const std::string socket_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  const std::chrono::system_clock::duration start_time_ =
      std::chrono::system_clock::now().time_since_epoch();
};

}  // namespace nvcv_cached::server
