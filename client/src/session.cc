#include "client/src/session.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/coarse_clock.h"
#include "proto/descriptor_socket.h"

namespace nvcv_cached::client {

namespace {

using lease_table::Table;
using lease_table::Word;

// A frame is sent before the grant that names it, so it is on its way at the latest.
constexpr std::chrono::seconds kFrameTimeout{2};

constexpr uint64_t kNoSlab = ~uint64_t{0};  // of a slot that was never granted

absl::Status CheckHeader(const lease_table::Header& header, const SessionInfo& info) {
  if (header.magic != lease_table::kMagic || header.layout_version != lease_table::kLayoutVersion ||
      header.slots != lease_table::kSlots || header.counter_lines != lease_table::kCounterLines ||
      header.timelines != lease_table::kTimelines) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the daemon's lease table has layout ", header.layout_version, " with ", header.slots,
        " slots, this library knows layout ", lease_table::kLayoutVersion, " with ",
        lease_table::kSlots, "; do: install the same version of both"));
  }
  if (header.epoch != info.epoch) {
    return absl::DataLossError(absl::StrCat("the lease table is of epoch ", header.epoch,
                                            ", Welcome named epoch ", info.epoch));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Session*> Session::Open(const SessionInfo& info, UniqueFd descriptor_socket,
                                       std::chrono::steady_clock::time_point deadline,
                                       std::function<void()> call) {
  absl::StatusOr<ReceivedFrame> received = ReceiveFrame(descriptor_socket.get(), deadline);
  if (!received.ok()) return received.status();
  if (received->frame.kind != FrameKind::kLeaseTable ||
      received->frame.size_bytes < lease_table::kTableBytes) {
    return absl::DataLossError(absl::StrCat(
        "the first descriptor is of kind ", static_cast<uint32_t>(received->frame.kind), " with ",
        received->frame.size_bytes, " bytes; wanted a lease table of ", lease_table::kTableBytes));
  }
  void* memory = ::mmap(nullptr, lease_table::kTableBytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                        received->fd.get(), 0);
  if (memory == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("mapping the lease table: ", std::strerror(errno)));
  }
  ::madvise(memory, lease_table::kTableBytes, MADV_DONTFORK);
  ::madvise(memory, lease_table::kTableBytes, MADV_DONTDUMP);
  auto* table = static_cast<Table*>(memory);
  if (absl::Status status = CheckHeader(table->header, info); !status.ok()) {
    ::munmap(memory, lease_table::kTableBytes);
    return status;
  }
  std::unique_ptr<CudaSide> cuda;
  if (!info.gpu.empty()) {
    absl::StatusOr<std::unique_ptr<CudaSide>> opened =
        CudaSide::Open(info.gpu, info.strict_streams, *table);
    if (!opened.ok()) {
      ::munmap(memory, lease_table::kTableBytes);
      return opened.status();
    }
    cuda = *std::move(opened);
  }
  return new Session(info, std::move(descriptor_socket), table, std::move(cuda), std::move(call));
}

std::atomic<Session*> Session::newest_{nullptr};

Session::Session(SessionInfo info, UniqueFd descriptor_socket, Table* table,
                 std::unique_ptr<CudaSide> cuda, std::function<void()> call)
    : info_(std::move(info)),
      table_(table),
      clock_zero_ms_(CoarseNowMs() - info_.table_age_ms),
      cuda_(std::move(cuda)),
      returned_(new std::atomic<uint64_t>[kReturnedWords]()),
      descriptor_socket_(std::move(descriptor_socket)),
      mappings_(cuda_ == nullptr ? static_cast<SlabMapper&>(host_) : *cuda_),
      slab_of_slot_(lease_table::kSlots, kNoSlab),
      call_(std::move(call)) {}

Session::~Session() { ::munmap(table_, lease_table::kTableBytes); }

absl::Status Session::Map(const GrantedSlab& slab) {
  if (slab.cuda_ipc.empty() != (cuda_ == nullptr)) {
    return absl::DataLossError(absl::StrCat("slab ", slab.slab, " is of another device"));
  }
  if (cuda_ != nullptr)
    return mappings_.Map(slab.slab, slab.size_bytes, {.cuda_ipc = slab.cuda_ipc});
  auto deadline = std::chrono::steady_clock::now() + kFrameTimeout;
  while (frames_.count(slab.slab) == 0) {
    absl::StatusOr<ReceivedFrame> received = ReceiveFrame(descriptor_socket_.get(), deadline);
    if (!received.ok()) {
      return absl::DataLossError(
          absl::StrCat("no descriptor for slab ", slab.slab, ": ", received.status().message()));
    }
    if (received->frame.kind != FrameKind::kSlab) {
      return absl::DataLossError("a descriptor that is not a slab's");
    }
    frames_[received->frame.slab] = std::move(received->fd);
  }
  absl::Status mapped = mappings_.Map(slab.slab, slab.size_bytes, {.fd = frames_[slab.slab].get()});
  if (mapped.ok()) frames_.erase(slab.slab);
  return mapped;
}

absl::StatusOr<MappingTable::Mapping*> Session::Mapped(uint64_t slab) {
  if (MappingTable::Mapping* mapping = mappings_.Find(slab); mapping != nullptr) return mapping;
  auto named = unmapped_slabs_.find(slab);
  if (named == unmapped_slabs_.end()) {
    return absl::DataLossError(absl::StrCat("a grant in slab ", slab, ", never announced"));
  }
  if (absl::Status mapped = Map(named->second); !mapped.ok()) return mapped;
  unmapped_slabs_.erase(named);
  return mappings_.Find(slab);
}

absl::StatusOr<std::vector<Lease>> Session::Adopt(const std::vector<GrantedSlab>& slabs,
                                                  const std::vector<GrantedLease>& granted) {
  std::vector<Lease> leases;
  leases.reserve(granted.size());
  absl::Status unmapped;
  std::unique_lock lock(mutex_);
  if (closed()) return absl::UnavailableError("the session was closed before the grant arrived");
  if (!ever_granted_.exchange(true, std::memory_order_acq_rel)) {
    granted_before_ = newest_.exchange(this);
  }
  for (const GrantedSlab& slab : slabs) {
    if (mappings_.Find(slab.slab) == nullptr) unmapped_slabs_.insert_or_assign(slab.slab, slab);
  }
  for (const GrantedLease& lease : granted) {
    if (lease.slot >= lease_table::kSlots) {
      return absl::DataLossError(
          absl::StrCat("a grant of slot ", lease.slot, " of ", lease_table::kSlots));
    }
    absl::StatusOr<MappingTable::Mapping*> found = Mapped(lease.slab);
    if (absl::IsDataLoss(found.status())) return found.status();
    if (!found.ok()) unmapped = found.status();
    const MappingTable::Mapping* mapping = found.ok() ? *found : nullptr;
    if (mapping != nullptr && (lease.offset > mapping->size_bytes ||
                               lease.block_bytes > mapping->size_bytes - lease.offset)) {
      return absl::DataLossError(absl::StrCat("a grant of ", lease.block_bytes, " bytes at ",
                                              lease.offset, " of a slab of ", mapping->size_bytes));
    }
    slab_of_slot_[lease.slot] = lease.slab;
    char* base = mapping == nullptr ? nullptr : static_cast<char*>(mapping->data) + lease.offset;
    leases.push_back(Lease{.session = this,
                           .slot = &table_->slots[lease.slot],
                           .slot_index = lease.slot,
                           .word = lease.word,
                           .data = base,
                           .block_bytes = lease.block_bytes,
                           .clock_zero_ms = clock_zero_ms_,
                           .fencer = cuda_ == nullptr ? nullptr : &cuda_->fencer()});
  }
  lock.unlock();
  if (!unmapped.ok()) {
    GiveBack(leases);
    return unmapped;
  }
  return leases;
}

void Session::GiveBack(const std::vector<Lease>& leases) noexcept {
  for (const Lease& lease : leases) {
    if (lease_table::Return(*lease.slot, lease.word, std::nullopt)) Returned(lease);
  }
}

bool Session::Returned(const Lease& lease) noexcept {
  const uint32_t slot = lease.slot_index;
  if (!closed()) {
    returned_[slot / 64].fetch_or(uint64_t{1} << (slot % 64), std::memory_order_release);
    return !any_returned_.exchange(true, std::memory_order_acq_rel);
  }
  std::lock_guard lock(mutex_);
  if (!held_at_close_[slot]) return false;
  held_at_close_[slot] = false;
  --held_count_;
  MappingTable::Mapping* mapping = mappings_.Find(slab_of_slot_[slot]);
  if (mapping != nullptr && --mapping->held == 0) mappings_.Unmap(slab_of_slot_[slot]);
  LetGoIfUnheld();
  return false;
}

std::vector<uint32_t> Session::TakeReturned() {
  std::vector<uint32_t> slots;
  if (!any_returned_.exchange(false, std::memory_order_acq_rel)) return slots;
  for (size_t i = 0; i < kReturnedWords; ++i) {
    if (returned_[i].load(std::memory_order_relaxed) == 0) continue;
    uint64_t bits = returned_[i].exchange(0, std::memory_order_acquire);
    for (; bits != 0; bits &= bits - 1) {
      slots.push_back(static_cast<uint32_t>(i * 64 + __builtin_ctzll(bits)));
    }
  }
  return slots;
}

void Session::Retire(uint64_t slab) {
  std::lock_guard lock(mutex_);
  unmapped_slabs_.erase(slab);
  frames_.erase(slab);
  mappings_.Unmap(slab, [this, slab] {
    std::lock_guard unmapped(unmapped_mutex_);
    unmapped_.push_back(slab);
    if (cuda_ != nullptr && call_) call_();
  });
}

std::vector<uint64_t> Session::TakeUnmapped() {
  std::lock_guard lock(unmapped_mutex_);
  return std::exchange(unmapped_, {});
}

bool Session::PeerIsOpen() const {
  std::lock_guard lock(mutex_);
  if (!descriptor_socket_) return false;
  pollfd state{descriptor_socket_.get(), POLLRDHUP, 0};
  return ::poll(&state, 1, 0) == 0 || (state.revents & (POLLRDHUP | POLLHUP | POLLERR)) == 0;
}

void Session::Close() {
  std::lock_guard lock(mutex_);
  if (closed_.exchange(true, std::memory_order_acq_rel)) return;
  {
    std::lock_guard unmapped(unmapped_mutex_);
    call_ = nullptr;
  }
  hits_at_close_ = SumTable();
  held_at_close_.assign(lease_table::kSlots, false);
  for (uint32_t i = 0; i < lease_table::kSlots; ++i) {
    // Untouched slots stay untouched: no page of the table is made for them.
    if (slab_of_slot_[i] == kNoSlab) continue;
    Word before = lease_table::Revoke(table_->slots[i]);
    if (before.state() != lease_table::State::kHeld) continue;
    held_at_close_[i] = true;
    ++held_count_;
    if (auto* mapping = mappings_.Find(slab_of_slot_[i]); mapping != nullptr) ++mapping->held;
  }
  mappings_.UnmapUnheld();
  unmapped_slabs_.clear();
  frames_.clear();
  LetGoIfUnheld();
}

void Session::LetGoIfUnheld() {
  if (held_count_ != 0) return;
  // A child forked earlier keeps its copy of the socket; ours has nothing more to prove.
  descriptor_socket_.reset();
  if (cuda_ != nullptr) return;
  void* memory = ::mmap(table_, lease_table::kTableBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  if (memory != MAP_FAILED) ::madvise(memory, lease_table::kTableBytes, MADV_DONTFORK);
}

Session::Hits Session::SumTable() const {
  Hits hits;
  for (const lease_table::CounterLine& line : table_->counters) {
    hits.exact += line.hits_exact.load(std::memory_order_relaxed);
    hits.size_class += line.hits_size_class.load(std::memory_order_relaxed);
    hits.depot += line.hits_depot.load(std::memory_order_relaxed);
  }
  return hits;
}

Session::Hits Session::SumHits() const {
  std::lock_guard lock(mutex_);
  return closed() ? hits_at_close_ : SumTable();
}

size_t Session::mapped_slabs() {
  std::lock_guard lock(mutex_);
  return mappings_.size();
}

}  // namespace nvcv_cached::client
