// One session: a lease table of one epoch with the slabs mapped for it.
//
// A session outlives its daemon. While it is open, grants are adopted into it and slots that came
// back are collected for the next message. Close() is the dead daemon's last word, spoken by the
// client: REVOKED on every slot, so idle entries fail their next Reuse and held ones come back
// through Returned; slabs in which nothing is held are unmapped at once, the others when their last
// lease comes back, and then the table's pages are replaced by private zeros (its address stays
// good: entries in thread caches still look there, and no entry's word is zero). A session is never
// deleted once it has granted a lease; until then it belongs to its link. On a GPU "unmapped" means
// that the CUDA side is asked to close the slab when that disturbs nobody, and the table's pages
// stay: the driver holds them.
//
// Thread-safety: thread-safe. Returned is wait-free while the session is open; a closed one takes a
// mutex for a moment. In a forked child the table is not mapped: nothing here may be called.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/src/cuda/cuda_side.h"
#include "client/src/lease_source.h"
#include "client/src/mapping_table.h"
#include "proto/lease_table.h"
#include "proto/unique_fd.h"

namespace nvcv_cached::client {

// What Welcome said of a new session.
struct SessionInfo {
  uint64_t id = 0;
  uint64_t epoch = 0;
  std::string resume_token;
  uint32_t table_age_ms = 0;
  std::string gpu;  // its UUID; empty: the host device
  bool strict_streams = false;
};

class Session {
 public:
  // Takes the lease table that `descriptor_socket` delivers before `deadline`, and keeps the socket
  // open. `call` is called, on any thread, when TakeUnmapped has something that nobody waits for;
  // it must not block.
  static absl::StatusOr<Session*> Open(const SessionInfo& info, UniqueFd descriptor_socket,
                                       std::chrono::steady_clock::time_point deadline,
                                       std::function<void()> call);

  ~Session();  // nothing was ever granted in it
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  uint64_t id() const { return info_.id; }
  uint64_t epoch() const { return info_.epoch; }
  const std::string& resume_token() const { return info_.resume_token; }
  lease_table::Table& table() { return *table_; }

  // CoarseNowMs() when the table was made: the zero of last_used.
  uint64_t clock_zero_ms() const { return clock_zero_ms_; }

  struct GrantedSlab {
    uint64_t slab = 0;
    uint64_t size_bytes = 0;
    std::string cuda_ipc = {};  // empty: its descriptor comes over the socket
  };
  struct GrantedLease {
    uint32_t slot = 0;
    lease_table::Word word;
    uint64_t slab = 0;
    uint64_t offset = 0;
    uint64_t block_bytes = 0;
  };
  // Maps what is new and makes leases of what a Grant named. DATA_LOSS: the daemon broke the
  // protocol; RESOURCE_EXHAUSTED: a slab could not be mapped (the leases have gone back).
  absl::StatusOr<std::vector<Lease>> Adopt(const std::vector<GrantedSlab>& slabs,
                                           const std::vector<GrantedLease>& leases);

  // Gives back leases that nobody waits for.
  void GiveBack(const std::vector<Lease>& leases) noexcept;

  // The lease's slot is RETURNED. True: the first since the last TakeReturned, which is worth a
  // wake-up.
  bool Returned(const Lease& lease) noexcept;
  std::vector<uint32_t> TakeReturned();

  // Unmaps a slab that the daemon retires: now, or in the background.
  void Retire(uint64_t slab);
  // Retired slabs that are unmapped since the last call.
  std::vector<uint64_t> TakeUnmapped();

  // False once the daemon has closed the descriptor socket: it is gone, or it has ended this
  // session.
  bool PeerIsOpen() const;

  // Null on the host device.
  CudaSide* cuda() { return cuda_.get(); }

  // False: no lease ever named it, and nothing but its owner does.
  bool ever_granted() const { return ever_granted_.load(std::memory_order_acquire); }

  void Close();
  bool closed() const { return closed_.load(std::memory_order_acquire); }

  struct Hits {
    uint64_t exact = 0;
    uint64_t size_class = 0;
    uint64_t depot = 0;
  };
  Hits SumHits() const;  // of a closed session: as they were at Close

  size_t mapped_slabs();  // for tests

 private:
  Session(SessionInfo info, UniqueFd descriptor_socket, lease_table::Table* table,
          std::unique_ptr<CudaSide> cuda, std::function<void()> call);
  // The mapping of a slab that was named; what could not be mapped is tried again.
  absl::StatusOr<MappingTable::Mapping*> Mapped(uint64_t slab);
  absl::Status Map(const GrantedSlab& slab);
  void LetGoIfUnheld();  // mutex_ held
  Hits SumTable() const;

  const SessionInfo info_;
  Session* granted_before_ = nullptr;  // those that granted, newest first: none is deleted
  static std::atomic<Session*> newest_;
  std::atomic<bool> ever_granted_{false};  // changes under mutex_
  lease_table::Table* const table_;
  const uint64_t clock_zero_ms_;
  const std::unique_ptr<CudaSide> cuda_;
  HostMapper host_;
  std::atomic<bool> closed_{false};

  // One bit per slot that came back, and whether any is set.
  static constexpr size_t kReturnedWords = lease_table::kSlots / 64;
  std::unique_ptr<std::atomic<uint64_t>[]> returned_;
  std::atomic<bool> any_returned_{false};

  mutable std::mutex mutex_;
  UniqueFd descriptor_socket_;
  MappingTable mappings_;
  std::unordered_map<uint64_t, GrantedSlab> unmapped_slabs_;  // named, and to be mapped yet
  std::unordered_map<uint64_t, UniqueFd> frames_;             // descriptors of slabs not mapped yet
  std::vector<uint64_t> slab_of_slot_;
  std::vector<bool> held_at_close_;
  uint32_t held_count_ = 0;
  Hits hits_at_close_;

  std::mutex unmapped_mutex_;   // what follows; may be taken under mutex_
  std::function<void()> call_;  // none once closed
  std::vector<uint64_t> unmapped_;
};

}  // namespace nvcv_cached::client
