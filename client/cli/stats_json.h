// A daemon's statistics as JSON: docs/stats.schema.json is its definition. Integers in base units,
// no dots in names; only additions within a schema number.
#pragma once

#include <nlohmann/json.hpp>

#include "client/cli/state_name.h"
#include "nvcv_cached/v1/admin.pb.h"

namespace nvcv_cached::cli {

inline constexpr int kStatsSchema = 1;

nlohmann::ordered_json ToJson(const v1::Stats& stats);

uint64_t Hits(const v1::Totals& totals);
uint64_t Misses(const v1::Totals& totals);

}  // namespace nvcv_cached::cli
