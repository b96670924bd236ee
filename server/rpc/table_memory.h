// The memory of one lease table: made, filled with its header, sealed, and mapped here; its
// descriptor goes to the client once.
//
// Invariant: nobody can shorten it (sealed against shrink, grow and seal before anybody else has
// it), and it is neither in core dumps nor in forked children. Thread-safety: the mapping's own
// atomics; the rest is const.
#pragma once

#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "proto/lease_table.h"
#include "proto/unique_fd.h"

namespace nvcv_cached::server {

class TableMemory {
 public:
  // RESOURCE_EXHAUSTED: no descriptor or no memory for it.
  static absl::StatusOr<TableMemory> Make(uint64_t epoch);

  TableMemory(TableMemory&& other) noexcept;
  TableMemory& operator=(TableMemory&&) = delete;
  ~TableMemory();

  lease_table::Table* table() const { return table_; }
  int fd() const { return fd_.get(); }
  void SetSession(uint64_t session_id) { table_->header.session_id = session_id; }
  void CloseFd() { fd_.reset(); }  // once it has been sent

 private:
  TableMemory(lease_table::Table* table, UniqueFd fd) : table_(table), fd_(std::move(fd)) {}

  lease_table::Table* table_;
  UniqueFd fd_;
};

}  // namespace nvcv_cached::server
