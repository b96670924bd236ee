// Which specs miss, and how their misses were served: so many rows and no more.
//
// A spec is what a client says: cut, made printable, and kept for as long as it is among the rows
// with the most misses. When a new spec finds no room, the row with the fewest misses (of several
// the oldest) joins those that found none.
//
// Invariant: at most `most` rows; the sums over Rows() are the sums of all that was counted.
// Thread-safety: none; under the lock of the books.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "server/core/report.h"

namespace nvcv_cached::server::core {

class MissTable {
 public:
  static constexpr size_t kMostSpecBytes = 64;  // more is cut

  explicit MissTable(size_t most) : most_(most) {}

  // One miss, counted in `result`.
  void Count(std::string_view spec, uint64_t size_bytes, uint64_t Misses::*result);

  // Most misses first; what found no room comes last, with an empty spec, if there is any.
  std::vector<MissReport> Rows() const;

 private:
  struct Row {
    size_t hash;
    MissReport report;
  };
  MissReport& RowOf(std::string_view spec);

  const size_t most_;
  std::vector<Row> rows_;  // in the order of their first miss
  MissReport others_;
};

}  // namespace nvcv_cached::server::core
