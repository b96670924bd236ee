#include "server/core/miss_table.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "server/core/refusals.h"

namespace nvcv_cached::server::core {

void MissTable::Count(std::string_view spec, uint64_t size_bytes, uint64_t Misses::*result) {
  MissReport& row = RowOf(spec);
  row.size_bytes = std::max(row.size_bytes, size_bytes);
  ++(row.*result);
}

MissReport& MissTable::RowOf(std::string_view spec) {
  // The empty spec stands for those that found no room.
  std::string text = spec.empty() ? "-" : Printable(spec, kMostSpecBytes);
  const size_t hash = std::hash<std::string>()(text);
  auto fewest = rows_.end();
  for (auto row = rows_.begin(); row != rows_.end(); ++row) {
    if (row->hash == hash && row->report.spec == text) return row->report;
    if (fewest == rows_.end() || row->report.sum() < fewest->report.sum()) fewest = row;
  }
  if (rows_.size() >= most_) {
    others_.size_bytes = std::max(others_.size_bytes, fewest->report.size_bytes);
    others_.Add(fewest->report);
    rows_.erase(fewest);
  }
  MissReport fresh;
  fresh.spec = std::move(text);
  return rows_.emplace_back(Row{hash, std::move(fresh)}).report;
}

std::vector<MissReport> MissTable::Rows() const {
  std::vector<MissReport> reports;
  reports.reserve(rows_.size() + 1);
  for (const Row& row : rows_) reports.push_back(row.report);
  std::stable_sort(reports.begin(), reports.end(),
                   [](const MissReport& a, const MissReport& b) { return a.sum() > b.sum(); });
  if (others_.sum() > 0) reports.push_back(others_);
  return reports;
}

}  // namespace nvcv_cached::server::core
