// Keeps the record of slabs written: says once when it can no longer be, tries again, and says once
// when it is.
//
// Invariant: what was logged last is what status() of the record was at the last Look.
// Thread-safety: one thread; wakeup() is readable when the record has news for Look.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "proto/unique_fd.h"
#include "server/foreign/slab_record.h"

namespace nvcv_cached::server {

class RecordWatch {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kTryAgain{2};

  // `record` outlives it; nobody else has it yet.
  explicit RecordWatch(SlabRecord& record);
  ~RecordWatch() { record_.OnChange(nullptr); }
  RecordWatch(const RecordWatch&) = delete;
  RecordWatch& operator=(const RecordWatch&) = delete;

  int wakeup() const { return wakeup_.get(); }
  void Look(Time now);  // tries again when next() has come
  std::optional<Time> next() const { return next_; }

 private:
  SlabRecord& record_;
  const UniqueFd wakeup_;
  bool said_ = false;  // that it cannot be written
  std::optional<Time> next_;
};

}  // namespace nvcv_cached::server
