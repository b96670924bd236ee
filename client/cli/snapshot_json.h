// A snapshot of daemons as JSON: what `snapshot -o json` saves and `snapshot --from` reads again.
// `stats` is that of `stats -o json`; the rest is read at the same moment, so the sums agree.
#pragma once

#include <nlohmann/json.hpp>

#include "nvcv_cached/v1/admin.pb.h"

namespace nvcv_cached::cli {

inline constexpr int kSnapshotSchema = 1;

nlohmann::ordered_json ToJson(const v1::Snapshot& snapshot);

}  // namespace nvcv_cached::cli
