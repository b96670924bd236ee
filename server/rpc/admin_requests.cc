#include "server/rpc/admin_requests.h"

#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/units.h"
#include "proto/version.h"
#include "server/log/log_sink.h"
#include "server/rpc/admin_reports.h"
#include "server/rpc/refused_connections.h"

namespace nvcv_cached::server {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{1} << 62;

Event Change(const char* what, const Caller& caller) {
  return Event(what).With("by_pid", caller.pid).With("by_uid", caller.uid);
}

absl::Status CheckBytes(uint64_t bytes) {
  if (bytes <= kMaxBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(bytes, " bytes; at most 4 EiB"));
}

std::string SizeOrNone(std::optional<uint64_t> bytes) {
  return bytes ? FormatSize(*bytes) : "none";
}

}  // namespace

AdminRequests::AdminRequests(Broker& broker, LiveSettings& settings, std::string socket)
    : broker_(broker), settings_(settings), socket_(std::move(socket)) {}

absl::Status AdminRequests::MayChange(const Caller& caller) {
  if (caller.uid == 0 || caller.uid == ::geteuid()) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat("changes are for uid ", ::geteuid(),
                                                  " (the daemon's) and root; you are uid ",
                                                  caller.uid, "; do: ask as one of them"));
}

absl::Status AdminRequests::CheckSession(SessionId session) {
  if (session == 0) return absl::OkStatus();
  const std::vector<SessionId> sessions = broker_.With([](Books& books) { return books.Ids(); });
  if (std::find(sessions.begin(), sessions.end(), session) != sessions.end()) {
    return absl::OkStatus();
  }
  return absl::NotFoundError(absl::StrCat("no session ", session, "; there are ", sessions.size(),
                                          "; do: nvcv-cachectl sessions"));
}

void AdminRequests::GetStats(v1::Stats* reply) {
  const uint64_t device_free_bytes = broker_.DeviceFreeBytes();
  // Both at one moment: their sums are compared.
  const auto [totals, pool] =
      broker_.With([](Books& books) { return std::pair(books.GetTotals(), books.GetPool()); });
  FillStats(totals, pool, device_free_bytes, reply);
}

void AdminRequests::FillStats(const Totals& totals, const PoolReport& pool,
                              uint64_t device_free_bytes, v1::Stats* reply) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  reply->set_time_unix_ms(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  reply->set_daemon_version(kVersion);
  reply->set_protocol(kProtocolMax);
  reply->set_pid(::getpid());
  reply->set_state(ToMessage(broker_.state()));
  reply->set_epoch(broker_.epoch());
  reply->set_uptime_seconds(
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count());
  reply->set_start_time_seconds(std::chrono::duration<double>(start_time_).count());
  const DeviceInfo& device = broker_.device_info();
  reply->mutable_device()->set_kind(device.kind);
  reply->mutable_device()->set_id(device.id);
  reply->mutable_device()->set_name(device.name);
  reply->mutable_device()->set_index(device.index);
  reply->mutable_device()->set_total_bytes(device.total_bytes);
  reply->mutable_device()->set_pci_bus_id(device.pci_bus_id);
  reply->mutable_device()->set_driver(device.driver);
  reply->set_socket(socket_);
  for (const SettingText& text : settings_.Get().texts) {
    v1::Setting* setting = reply->add_settings();
    setting->set_key(text.key);
    setting->set_value(text.value);
    setting->set_origin(OriginName(text.origin));
  }
  reply->set_device_free_bytes(device_free_bytes);
  Fill(pool, reply);
  Fill(totals, reply);
  v1::Totals* counted = reply->mutable_totals();
  for (size_t i = 0; i < kConnectionRefusals; ++i) {
    const auto reason = static_cast<ConnectionRefusal>(i);
    (*counted->mutable_connections_refused())[ConnectionRefusalName(reason)] =
        broker_.refused_connections(reason);
  }
  for (const auto& [code, count] : broker_.DeviceErrors()) {
    (*counted->mutable_device_errors())[code] = count;
  }
  const Reloads reloads = settings_.reloads();
  (*counted->mutable_reloads())["ok"] = reloads.ok;
  (*counted->mutable_reloads())["refused"] = reloads.refused;
}

void AdminRequests::ListSessions(v1::ListSessionsReply* reply) {
  for (v1::SessionInfo& session : Sessions(broker_)) *reply->add_sessions() = std::move(session);
}

void AdminRequests::ListSlabs(v1::ListSlabsReply* reply) {
  const auto slabs = broker_.With([](Books& books) { return books.GetSlabs(); });
  for (const SlabReport& slab : slabs) Fill(slab, reply->add_slabs());
}

absl::Status AdminRequests::ListLeases(const v1::ListLeasesRequest& request,
                                       v1::ListLeasesReply* reply) {
  if (absl::Status status = CheckSession(request.session()); !status.ok()) return status;
  std::vector<SessionId> sessions{request.session()};
  if (request.session() == 0) sessions = broker_.With([](Books& books) { return books.Ids(); });
  // A session at a time: all leases at once would keep everybody else waiting.
  for (const SessionId session : sessions) {
    const auto leases = broker_.With([&](Books& books) { return books.GetLeases(session); });
    for (const LeaseReport& lease : leases) {
      v1::LeaseInfo message;
      Fill(lease, &message);
      if (request.state().empty() || request.state() == message.state()) {
        *reply->add_leases() = std::move(message);
      }
    }
  }
  return absl::OkStatus();
}

absl::Status AdminRequests::ListMisses(const v1::ListMissesRequest& request,
                                       v1::ListMissesReply* reply) {
  if (absl::Status status = CheckSession(request.session()); !status.ok()) return status;
  const auto misses =
      broker_.With([&](Books& books) { return books.GetMisses(request.session()); });
  for (const MissReport& spec : misses) Fill(spec, reply->add_specs());
  return absl::OkStatus();
}

void AdminRequests::GetSnapshot(v1::Snapshot* reply) {
  const uint64_t device_free_bytes = broker_.DeviceFreeBytes();
  const MapReport map = broker_.With([](Books& books) { return books.GetMap(); });
  FillStats(map.totals, map.pool, device_free_bytes, reply->mutable_stats());
  for (v1::SessionInfo& session : Sessions(broker_, map.sessions)) {
    *reply->add_sessions() = std::move(session);
  }
  for (const SlabReport& slab : map.slabs) Fill(slab, reply->add_slabs());
  for (const LeaseReport& lease : map.leases) Fill(lease, reply->add_leases());
}

absl::Status AdminRequests::SetLimit(const Caller& caller, const v1::SetLimitRequest& request,
                                     v1::SetLimitReply* reply) {
  const uint64_t limit = request.limit_bytes();
  if (absl::Status status = CheckBytes(limit); !status.ok()) return status;
  settings_.Change([&](DaemonSettings& settings) {
    reply->set_old_bytes(settings.limit_bytes);
    const auto [evicted, pool] = broker_.With([&](Books& books) {
      const Evicted done = books.SetLimit(limit);
      return std::pair(done, books.GetPool());
    });
    settings.limit_bytes = limit;
    NoteRuntime(settings, SizeText("limit", limit, Origin::kRuntime));
    reply->set_new_bytes(limit);
    reply->set_evicted_items(evicted.items);
    reply->set_evicted_bytes(evicted.bytes);
    reply->set_detached_items(evicted.detached_items);
    reply->set_cache_bytes(pool.cache_bytes);
  });
  if (const uint64_t total = broker_.device_info().total_bytes; limit > total) {
    reply->set_warning(absl::StrCat("the limit, ", FormatSize(limit),
                                    ", is above the device's memory, ", FormatSize(total)));
  }
  Event change = Change("limit", caller)
                     .With("old", FormatSize(reply->old_bytes()))
                     .With("new", FormatSize(limit))
                     .With("evicted", reply->evicted_items())
                     .With("detached", reply->detached_items());
  if (reply->warning().empty()) {
    LogInfo(change);
  } else {
    LogWarning(change.With("warning", "above the memory of the device"));
  }
  return absl::OkStatus();
}

absl::Status AdminRequests::SetPolicy(const Caller& caller, const v1::SetPolicyRequest& request,
                                      v1::SetPolicyReply* reply) {
  const absl::StatusOr<Policy> policy = ParsePolicy(request.policy());
  if (!policy.ok()) return policy.status();
  settings_.Change([&](DaemonSettings& settings) {
    reply->set_old_policy(PolicyName(settings.policy));
    broker_.With([&](Books& books) { books.SetPolicy(*policy); });
    settings.policy = *policy;
    const std::string name = PolicyName(*policy);
    NoteRuntime(
        settings,
        {.key = "policy", .value = name, .shown = name, .origin = Origin::kRuntime, .where = ""});
  });
  LogInfo(
      Change("policy", caller).With("old", reply->old_policy()).With("new", PolicyName(*policy)));
  return absl::OkStatus();
}

absl::Status AdminRequests::SetQuota(const Caller& caller, const v1::SetQuotaRequest& request,
                                     v1::SetQuotaReply* reply) {
  std::optional<uint64_t> quota;
  if (request.has_quota_bytes()) quota = request.quota_bytes();
  if (absl::Status status = CheckBytes(quota.value_or(0)); !status.ok()) return status;
  if (absl::Status status = CheckSession(request.session()); !status.ok()) return status;
  const SessionId session = request.session();
  std::optional<uint64_t> old;
  absl::Status status = settings_.Change([&](DaemonSettings& settings) {
    absl::Status changed = broker_.With([&](Books& books) {
      if (session == 0) {
        old = books.settings().quota_bytes;
        return books.SetQuota(std::nullopt, quota);
      }
      for (const SessionReport& report : books.GetSessions()) {
        if (report.id == session) old = report.quota_bytes;
      }
      return books.SetQuota(session, quota);
    });
    if (changed.ok() && session == 0) {
      settings.quota_bytes = quota;
      NoteRuntime(settings, SizeText("quota", quota, Origin::kRuntime));
    }
    return changed;
  });
  if (!status.ok()) return status;
  if (old) reply->set_old_bytes(*old);
  LogInfo(Change("quota", caller)
              .With("session", session)
              .With("old", SizeOrNone(old))
              .With("new", SizeOrNone(quota)));
  return absl::OkStatus();
}

absl::Status AdminRequests::Clear(const Caller& caller, const v1::ClearRequest& request,
                                  v1::ClearResult* reply) {
  if (absl::Status status = CheckSession(request.session()); !status.ok()) return status;
  const Evicted evicted =
      broker_.With([&](Books& books) { return books.Clear({.session = request.session()}); });
  reply->set_items(evicted.items + evicted.detached_items);
  reply->set_bytes(evicted.bytes + evicted.detached_bytes);
  LogInfo(Change("clear", caller)
              .With("session", request.session())
              .With("items", reply->items())
              .With("bytes", FormatSize(reply->bytes())));
  return absl::OkStatus();
}

absl::Status AdminRequests::Trim(const Caller& caller, const v1::TrimRequest& request,
                                 v1::TrimReply* reply) {
  const Books::Trimmed trimmed =
      broker_.With([&](Books& books) { return books.Trim(request.target_bytes()); });
  reply->set_freed_bytes(trimmed.freed_bytes);
  reply->set_retiring_bytes(trimmed.retiring_bytes);
  reply->set_evicted_items(trimmed.evicted.items);
  LogInfo(Change("trim", caller)
              .With("freed", FormatSize(trimmed.freed_bytes))
              .With("retiring", FormatSize(trimmed.retiring_bytes))
              .With("evicted", trimmed.evicted.items));
  return absl::OkStatus();
}

absl::Status AdminRequests::Drain(const Caller& caller, v1::DrainReply* reply) {
  LogInfo(Change("drain", caller));
  broker_.Drain();
  FillHolders(reply);
  return absl::OkStatus();
}

absl::Status AdminRequests::Undrain(const Caller& caller, v1::DrainReply* reply) {
  LogInfo(Change("undrain", caller));
  broker_.Undrain();
  FillHolders(reply);
  return absl::OkStatus();
}

void AdminRequests::FillHolders(v1::DrainReply* reply) {
  for (v1::SessionInfo& session : Sessions(broker_)) {
    if (session.in_use_bytes() > 0) *reply->add_holders() = std::move(session);
  }
}

}  // namespace nvcv_cached::server
