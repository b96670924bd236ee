#include "tests/client/fake_source.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "client/src/coarse_clock.h"
#include "tests/client/test_process.h"

namespace nvcv_cached::client {

using lease_table::State;
using lease_table::Word;

FakeSource& FakeSource::Install() {
  static FakeSource* installed = nullptr;
  if (installed != nullptr) installed->Close();
  installed = &Make();
  InstallSource(installed);
  return *installed;
}

FakeSource& FakeSource::Make() {
  static auto* const all = new std::vector<FakeSource*>;  // never destroyed, and no leak
  return *all->emplace_back(new FakeSource);
}

FakeSource::FakeSource() : clock_zero_ms_(CoarseNowMs()) {
  static std::atomic<uint64_t> epochs{1};
  void* const pages = mmap(nullptr, lease_table::kTableBytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) std::abort();
  madvise(pages, lease_table::kTableBytes, MADV_DONTFORK);
  table_ = static_cast<lease_table::Table*>(pages);
  const Word first = Word::First(epochs.fetch_add(1));
  records_.resize(lease_table::kSlots);
  for (uint32_t i = 0; i < lease_table::kSlots; ++i) {
    records_[i].empty = first;
    table_->slots[i].word.store(first.bits());
    free_slots_.push_back(i);
  }
}

absl::StatusOr<std::vector<Lease>> FakeSource::Acquire(const LeaseRequest& request) {
  acquires_.fetch_add(1);
  const auto answer_at = std::chrono::steady_clock::now() + round_trip_;
  std::vector<Lease> leases;
  {
    std::lock_guard lock(mutex_);
    last_request_ = request;
    if (fail_next_) {
      absl::Status status = *fail_next_;
      fail_next_.reset();
      return status;
    }
    ReapLocked();
    const uint32_t ahead = ahead_allowed_ && !uncached_ ? request.ahead : 0;
    for (uint32_t i = 0; i <= ahead; ++i) {
      absl::StatusOr<Lease> lease = Grant(request, i > 0);
      if (!lease.ok()) {
        if (i == 0) return lease.status();
        break;
      }
      leases.push_back(*lease);
    }
  }
  while (std::chrono::steady_clock::now() < answer_at) {
  }
  return leases;
}

absl::StatusOr<Lease> FakeSource::Grant(const LeaseRequest& request, bool ahead) {
  if (free_slots_.empty()) return absl::ResourceExhaustedError("the table is full");
  const uint32_t index = free_slots_.front();
  free_slots_.pop_front();
  high_water_ = std::max(high_water_, index + 1);
  Record& record = records_[index];
  Block block;
  const auto fits = [&](const auto& entry) {
    return entry.first == request.size_bytes &&
           reinterpret_cast<uintptr_t>(entry.second.data) % request.alignment == 0;
  };
  const auto [begin, end] = free_blocks_.equal_range(request.size_bytes);
  if (const auto found = std::find_if(begin, end, fits); found != end) {
    block = found->second;
    free_blocks_.erase(found);
  } else {
    block.bytes = request.size_bytes;
    const uint64_t alignment = std::max<uint64_t>(request.alignment, 512);
    block.data = std::aligned_alloc(alignment, (block.bytes + alignment - 1) & ~(alignment - 1));
    if (block.data == nullptr) return absl::ResourceExhaustedError("no memory");
  }
  lease_table::Slot& slot = table_->slots[index];
  slot.thread_tag.store(request.thread_tag, std::memory_order_relaxed);
  const auto word = ahead       ? lease_table::GrantAhead(slot, record.empty)
                    : uncached_ ? lease_table::GrantUncached(slot, record.empty)
                                : lease_table::Grant(slot, record.empty);
  if (!word) std::abort();  // somebody wrote into an EMPTY slot
  record.block = block;
  record.counted_bytes = request.size_bytes;
  record.used = true;
  granted_.fetch_add(1);
  return Lease{.session = nullptr,
               .slot = &slot,
               .slot_index = index,
               .word = *word,
               .data = block.data,
               .block_bytes = block.bytes,
               .clock_zero_ms = clock_zero_ms_};
}

void FakeSource::Returned(const Lease& lease) noexcept {
  const Word word(lease.slot->word.load());
  if (word.state() == State::kHeld) std::abort();  // RETURNED, or reaped since
  returned_.fetch_add(1);
}

void FakeSource::FailNext(absl::Status status) {
  std::lock_guard lock(mutex_);
  fail_next_ = std::move(status);
}

void FakeSource::GrantUncached(bool uncached) {
  std::lock_guard lock(mutex_);
  uncached_ = uncached;
}

int FakeSource::RevokeIdle() { return Revoke(std::nullopt, false); }
int FakeSource::Clear() { return Revoke(std::nullopt, true); }
int FakeSource::ClearThread(uint32_t tag) { return Revoke(tag, true); }

int FakeSource::Revoke(std::optional<uint32_t> tag, bool in_use_too) {
  std::lock_guard lock(mutex_);
  int off_the_books = 0;
  for (uint32_t i = 0; i < high_water_; ++i) {
    if (!records_[i].used) continue;
    lease_table::Slot& slot = table_->slots[i];
    const Word now(slot.word.load());
    if (now.revoked() || now.state() == State::kReturned) continue;
    if (tag && slot.thread_tag.load() != *tag) continue;
    if (!in_use_too && now.state() != State::kIdle) continue;
    lease_table::Revoke(slot);
    ++off_the_books;
  }
  ReapLocked();
  return off_the_books;
}

int FakeSource::Reap() {
  std::lock_guard lock(mutex_);
  return ReapLocked();
}

int FakeSource::ReapLocked() {
  int reaped = 0;
  for (uint32_t i = 0; i < high_water_; ++i) {
    Record& record = records_[i];
    if (!record.used) continue;
    lease_table::Slot& slot = table_->slots[i];
    const lease_table::Seen seen = lease_table::Look(slot);
    if (!lease_table::Drained(table_->timelines, lease_table::kTimelines, seen)) continue;
    const auto empty = lease_table::Reap(slot, seen.word);
    if (!empty) continue;
    record.empty = *empty;
    record.used = false;
    // Another lease's from here on: whoever still writes into it is caught.
    std::memset(record.block.data, 0xdb, std::min<uint64_t>(record.block.bytes, 4096));
    free_blocks_.emplace(record.block.bytes, record.block);
    free_slots_.push_front(i);  // granted again at once: an old entry must not take it for its own
    ++reaped;
  }
  return reaped;
}

FakeSource::Count FakeSource::Books(std::optional<uint32_t> tag) {
  std::lock_guard lock(mutex_);
  Count count;
  for (uint32_t i = 0; i < high_water_; ++i) {
    const lease_table::Slot& slot = table_->slots[i];
    const Word word(slot.word.load());
    if (!records_[i].used || word.revoked() || word.state() == State::kReturned) continue;
    if (tag && slot.thread_tag.load() != *tag) continue;
    ++count.items;
    count.bytes += records_[i].counted_bytes;
    ++(word.state() == State::kHeld ? count.in_use : count.idle);
  }
  return count;
}

int FakeSource::leases() {
  std::lock_guard lock(mutex_);
  return static_cast<int>(
      std::count_if(records_.begin(), records_.end(), [](const Record& r) { return r.used; }));
}

LeaseRequest FakeSource::last_request() {
  std::lock_guard lock(mutex_);
  return last_request_;
}

std::string FakeSource::SpecOf(uint32_t slot) {
  char text[lease_table::kSpecBytes + 1] = {};
  for (size_t i = 0; i < lease_table::kSpecWords; ++i) {
    const uint64_t word = table_->slots[slot].spec[i].load();
    std::memcpy(text + i * sizeof(word), &word, sizeof(word));
  }
  return text;
}

FakeSource::Hits FakeSource::hits() const {
  Hits sum;
  for (const lease_table::CounterLine& line : table_->counters) {
    sum.exact += line.hits_exact.load();
    sum.size_class += line.hits_size_class.load();
    sum.depot += line.hits_depot.load();
    sum.lost += line.lost.load();
  }
  return sum;
}

}  // namespace nvcv_cached::client
