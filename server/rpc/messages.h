// Between the wire's messages and the core's values: what a client sent is checked here (M5), what
// the core answers is written out. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nvcv_cached/v1/session.pb.h"
#include "server/core/books.h"
#include "server/core/effects.h"
#include "server/core/report.h"
#include "server/rpc/broker.h"

namespace nvcv_cached::server {

inline constexpr size_t kMaxNameBytes = 64;
inline constexpr size_t kMaxSpecBytes = 96;

// Client text for people: printable ASCII, at most `max_bytes`; everything else becomes '?'.
std::string PrintableText(const std::string& text, size_t max_bytes);

// INVALID_ARGUMENT: what breaks the rules of session.proto, with the number.
absl::StatusOr<AcquireRequest> ParseAcquire(const v1::Acquire& acquire);
absl::StatusOr<ClearScope> ParseScope(SessionId session, v1::Scope scope, uint32_t thread_tag);

v1::ServerMessage GrantMessage(const SendGrant& grant, const SessionSink::Handles& handles);
// "out_of_memory", as metrics and log call it.
const char* RefusalName(RefusalReason reason);

v1::ServerMessage RefusalMessage(const SendRefusal& refusal);
v1::ServerMessage CountsMessage(uint64_t request_id, const ScopeReport& report);

}  // namespace nvcv_cached::server
