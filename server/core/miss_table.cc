#include "server/core/miss_table.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "server/core/refusals.h"

namespace nvcv_cached::server::core {

void MissTable::Count(std::string_view spec, uint64_t size_bytes, uint64_t Misses::*result) {
  Row& row = RowOf(spec);
  row.size_bytes = std::max(row.size_bytes, size_bytes);
  ++(row.misses.*result);
}

MissTable::Row& MissTable::RowOf(std::string_view spec) {
  // The empty spec stands for those that found no room.
  std::string text = spec.empty() ? "-" : Printable(spec, kMostSpecBytes);
  const size_t hash = std::hash<std::string>()(text);
  auto fewest = rows_.end();
  for (auto row = rows_.begin(); row != rows_.end(); ++row) {
    if (row->hash == hash && row->spec == text) return *row;
    if (fewest == rows_.end() || row->misses.sum() < fewest->misses.sum()) fewest = row;
  }
  if (rows_.size() >= most_) {
    others_.size_bytes = std::max(others_.size_bytes, fewest->size_bytes);
    others_.misses.pool += fewest->misses.pool;
    others_.misses.reclaim += fewest->misses.reclaim;
    others_.misses.grow += fewest->misses.grow;
    others_.misses.refused += fewest->misses.refused;
    rows_.erase(fewest);
  }
  return rows_.emplace_back(Row{hash, std::move(text), 0, {}});
}

std::vector<MissReport> MissTable::Rows() const {
  const auto report = [](const Row& row) {
    return MissReport{row.spec,           row.size_bytes,  row.misses.pool,
                      row.misses.reclaim, row.misses.grow, row.misses.refused};
  };
  std::vector<MissReport> reports;
  reports.reserve(rows_.size() + 1);
  for (const Row& row : rows_) reports.push_back(report(row));
  std::stable_sort(reports.begin(), reports.end(),
                   [](const MissReport& a, const MissReport& b) { return a.sum() > b.sum(); });
  if (others_.misses.sum() > 0) reports.push_back(report(others_));
  return reports;
}

}  // namespace nvcv_cached::server::core
