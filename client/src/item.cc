#include "client/src/item.h"

#include <algorithm>
#include <cstring>

#include "client/src/device_cache.h"
#include "client/src/idle_index.h"
#include "client/src/wrapping.h"

namespace nvcv_cached::client {

namespace {

std::atomic<uint64_t> next_id{0};

}  // namespace

Item::Item(DeviceCache* of, const Spec& as, const Footprint& footprint) : device(of) {
  Become(as, footprint);
}
Item::~Item() = default;

void Item::Become(const Spec& as, const Footprint& footprint) {
  std::memcpy(static_cast<void*>(&spec), &as, offsetof(Spec, extents));
  std::copy(as.extents, as.extents + as.rank, spec.extents);
  spec.hash = as.hash;
  std::copy(footprint.strides, footprint.strides + as.rank, strides);
  size_bytes = footprint.size_bytes;
  id = next_id.fetch_add(1, std::memory_order_relaxed);
}

void Item::Hold(const Lease& lease) {
  session = lease.session;
  slot = lease.slot;
  slot_index = lease.slot_index;
  word = lease.word;
  data = lease.data;
  block_bytes = lease.block_bytes;
  size_class = static_cast<uint16_t>(IdleIndex::SizeClass(block_bytes));
  clock_zero_ms = lease.clock_zero_ms;
  fencer = lease.fencer;
}

Lease Item::lease() const {
  return Lease{.session = session,
               .slot = slot,
               .slot_index = slot_index,
               .word = word,
               .data = data,
               .block_bytes = block_bytes,
               .clock_zero_ms = clock_zero_ms,
               .fencer = fencer};
}

bool Item::TryReleaseFenced() noexcept {
  const std::optional<lease_table::Fence> fence = fencer->AtRelease(*this);
  if (fence.has_value() && *fence == kNeverDone) {
    unfenced = true;
    return false;
  }
  return ReleaseAfter(fence);
}

void Item::GiveBack() noexcept {
  std::optional<lease_table::Fence> fence;
  if (unfenced) {
    fence = kNeverDone;
  } else if (word.state() == lease_table::State::kHeld && FenceIsDue()) {
    fence = fencer->AtRelease(*this);
  }
  // False: the daemon ended the lease itself (it was idle), and waits for no answer.
  if (lease_table::Return(*slot, word, fence)) device->source.Returned(lease());
}

void Item::SetCounters(uint32_t thread_tag) {
  auto* const first_slot = reinterpret_cast<std::byte*>(slot - slot_index);
  auto* const table =
      reinterpret_cast<lease_table::Table*>(first_slot - offsetof(lease_table::Table, slots));
  counters = &table->counters[thread_tag];
}

void Item::WriteSpecText(std::string_view text) {
  char padded[lease_table::kSpecBytes] = {};
  std::memcpy(padded, text.data(), std::min(text.size(), sizeof(padded)));
  for (size_t i = 0; i < lease_table::kSpecWords; ++i) {
    uint64_t word_of_text;
    std::memcpy(&word_of_text, padded + i * sizeof(word_of_text), sizeof(word_of_text));
    slot->spec[i].store(word_of_text, std::memory_order_relaxed);
  }
}

}  // namespace nvcv_cached::client
