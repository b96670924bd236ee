#include "server/rpc/messages.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/lease_table.h"

namespace nvcv_cached::server {
namespace {

constexpr uint64_t kMaxAlignment = uint64_t{2} << 20;
constexpr uint32_t kMaxTimeoutMs = 600'000;

absl::Status CheckThreadTag(uint32_t tag) {
  if (tag < lease_table::kCounterLines) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("thread_tag ", tag, " is not below ", lease_table::kCounterLines));
}

}  // namespace

std::string PrintableText(const std::string& text, size_t max_bytes) {
  std::string result = text.substr(0, max_bytes);
  std::replace_if(
      result.begin(), result.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return result;
}

absl::StatusOr<AcquireRequest> ParseAcquire(const v1::Acquire& acquire) {
  if (acquire.size_bytes() == 0) return absl::InvalidArgumentError("Acquire of 0 bytes");
  if (!std::has_single_bit(acquire.alignment()) || acquire.alignment() > kMaxAlignment) {
    return absl::InvalidArgumentError(absl::StrCat("alignment ", acquire.alignment(),
                                                   " is not a power of two up to ", kMaxAlignment));
  }
  if (absl::Status status = CheckThreadTag(acquire.thread_tag()); !status.ok()) return status;
  AcquireRequest request;
  request.id = acquire.request_id();
  request.size_bytes = acquire.size_bytes();
  request.alignment = acquire.alignment();
  request.thread_tag = acquire.thread_tag();
  request.timeout = std::chrono::milliseconds(std::min(acquire.timeout_ms(), kMaxTimeoutMs));
  request.ahead = std::min(acquire.ahead(), kMaxAhead);
  request.spec = PrintableText(acquire.spec(), kMaxSpecBytes);
  return request;
}

absl::StatusOr<ClearScope> ParseScope(SessionId session, v1::Scope scope, uint32_t thread_tag) {
  ClearScope result;
  switch (scope) {
    case v1::SCOPE_DAEMON:
      return result;
    case v1::SCOPE_PROCESS:
      result.session = session;
      return result;
    case v1::SCOPE_THREAD:
      if (absl::Status status = CheckThreadTag(thread_tag); !status.ok()) return status;
      result.session = session;
      result.thread_tag = thread_tag;
      return result;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("scope ", static_cast<int>(scope), " is unknown"));
  }
}

v1::ServerMessage GrantMessage(const SendGrant& grant, const SessionSink::Handles& handles) {
  v1::ServerMessage message;
  v1::Grant& out = *message.mutable_grant();
  out.set_request_id(grant.request);
  out.set_served(grant.served == Served::kGrowth    ? v1::SERVED_BY_GROWTH
                 : grant.served == Served::kReclaim ? v1::SERVED_BY_RECLAIM
                                                    : v1::SERVED_BY_POOL);
  out.mutable_leases()->Reserve(static_cast<int>(grant.leases.size()));
  for (const GrantedLease& lease : grant.leases) {
    v1::Lease& entry = *out.add_leases();
    entry.set_slot(lease.slot);
    entry.set_word(lease.word.bits());
    entry.set_slab(lease.block.slab);
    entry.set_offset(lease.block.offset);
    entry.set_block_bytes(lease.block.size);
  }
  for (size_t i = 0; i < grant.new_slabs.size(); ++i) {
    v1::Slab& slab = *out.add_slabs();
    slab.set_slab(grant.new_slabs[i].id);
    slab.set_size_bytes(grant.new_slabs[i].size_bytes);
    if (handles[i] && !handles[i]->cuda_ipc.empty()) {
      slab.mutable_cuda_ipc()->set_handle(handles[i]->cuda_ipc);
    } else {
      slab.mutable_memfd();
    }
  }
  return message;
}

const char* RefusalName(RefusalReason reason) {
  switch (reason) {
    case RefusalReason::kOther:
      return "other";
    case RefusalReason::kOutOfMemory:
      return "out_of_memory";
    case RefusalReason::kQuota:
      return "quota";
    case RefusalReason::kTableFull:
      return "table_full";
  }
  return "?";
}

v1::ServerMessage RefusalMessage(const SendRefusal& refusal) {
  v1::ServerMessage message;
  v1::Refusal& out = *message.mutable_refusal();
  out.set_request_id(refusal.request);
  out.set_code(static_cast<uint32_t>(refusal.status.code()));
  out.set_message(std::string(refusal.status.message()));
  out.set_hint(refusal.hint);
  switch (refusal.reason) {
    case RefusalReason::kOther:
      break;
    case RefusalReason::kOutOfMemory:
      out.set_reason(v1::Refusal::OUT_OF_MEMORY);
      break;
    case RefusalReason::kQuota:
      out.set_reason(v1::Refusal::QUOTA);
      break;
    case RefusalReason::kTableFull:
      out.set_reason(v1::Refusal::TABLE_FULL);
      break;
  }
  return message;
}

v1::ServerMessage CountsMessage(uint64_t request_id, const ScopeReport& report) {
  v1::ServerMessage message;
  v1::Counts& out = *message.mutable_counts();
  out.set_request_id(request_id);
  out.set_cache_items(report.items);
  out.set_cache_bytes(report.bytes);
  out.set_session_limit_bytes(report.session_limit_bytes.value_or(0));
  out.set_has_session_limit(report.session_limit_bytes.has_value());
  out.set_daemon_limit_bytes(report.daemon_limit_bytes);
  out.set_misses(report.misses);
  out.set_misses_reclaim(report.misses_reclaim);
  out.set_misses_grow(report.misses_grow);
  out.set_refused(report.refused);
  out.set_hits_exact(report.hits_exact);
  out.set_hits_size_class(report.hits_size_class);
  out.set_hits_depot(report.hits_depot);
  return message;
}

}  // namespace nvcv_cached::server
