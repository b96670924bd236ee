#include "server/core/pool.h"

#include <algorithm>

#include "server/core/check.h"

namespace nvcv_cached::server::core {

namespace {
// How many extents beyond the best fit are looked at for one in a slab that the session maps, and
// how much larger such a one may be.
constexpr int kMappedLooks = 16;
constexpr int kLastLooks = 4096;  // more gaps than honest clients leave
constexpr uint64_t MappedWaste(uint64_t bytes) { return bytes + bytes / 4; }

// An empty slab of one large block's own serves another block if at most an eighth of it stays
// free.
bool Suits(const Slab& slab, uint64_t bytes) {
  return !slab.own || !slab.empty() ||
         slab.size_bytes - bytes <= std::max(kPageBytes, slab.size_bytes / 8);
}
}  // namespace

GroupId Pool::GroupOf(const Domain& domain, SizeClass size_class) {
  auto [it, added] = group_of_domain_.try_emplace(domain, static_cast<GroupId>(groups_.size()));
  if (added) {
    groups_.push_back({domain, SizeClass::kSmall, {}});
    groups_.push_back({domain, SizeClass::kLarge, {}});
  }
  return it->second + (size_class == SizeClass::kLarge ? 1 : 0);
}

Slab& Pool::Add(GroupId group, uint64_t size_bytes, bool own) {
  auto slab = std::make_unique<Slab>();
  slab->id = next_slab_++;
  slab->group = group;
  slab->size_bytes = size_bytes;
  slab->own = own;
  ++count_in_[static_cast<size_t>(slab->state)];
  held_bytes_ += size_bytes;
  allocating_bytes_ += size_bytes;
  groups_[group].in_flight_bytes += size_bytes;
  Slab& added = *slab;
  slabs_.emplace(added.id, std::move(slab));
  return added;
}

void Pool::Serve(Slab& slab, TimePoint now) {
  if (slab.state == SlabState::kAllocating) {
    allocating_bytes_ -= slab.size_bytes;
    groups_[slab.group].in_flight_bytes -= slab.size_bytes;
    slab.first = NewExtent(&slab, 0, slab.size_bytes);
  } else {
    NVCV_CACHED_CHECK(slab.state == SlabState::kDoomed ||
                      (slab.state == SlabState::kRetiring && slab.empty()));
  }
  Group& group = groups_[slab.group];
  group.held_bytes += slab.size_bytes;
  group.used_bytes += slab.used_bytes;
  SetState(slab, SlabState::kServing);
  if (slab.empty()) {
    slab.empty_since = now;
    empty_slabs_.insert({now, slab.id});
  }
  for (Extent* e = slab.first; e != nullptr; e = e->next) {
    if (e->lease == nullptr) group.free.insert(KeyOf(e));
  }
}

void Pool::Close(Slab& slab, SlabState state, TimePoint now) {
  if (slab.state == SlabState::kServing) {
    for (Extent* e = slab.first; e != nullptr; e = e->next) {
      if (e->lease == nullptr) groups_[slab.group].free.erase(KeyOf(e));
    }
    if (slab.empty()) empty_slabs_.erase({slab.empty_since, slab.id});
    groups_[slab.group].held_bytes -= slab.size_bytes;
    groups_[slab.group].used_bytes -= slab.used_bytes;
  }
  // From serving, or from doomed: its importers have just been asked.
  if (slab.state == SlabState::kServing || state == SlabState::kRetiring) slab.closed_since = now;
  SetState(slab, state);
}

void Pool::Remove(Slab& slab, TimePoint now) {
  NVCV_CACHED_CHECK(slab.empty());
  if (slab.state == SlabState::kAllocating) {
    allocating_bytes_ -= slab.size_bytes;
    groups_[slab.group].in_flight_bytes -= slab.size_bytes;
  }
  Close(slab, SlabState::kFreeing, now);
  held_bytes_ -= slab.size_bytes;
  --count_in_[static_cast<size_t>(slab.state)];
  if (slab.first != nullptr) DropExtent(slab.first);
  slabs_.erase(slab.id);
}

Slab* Pool::Find(SlabId id) {
  auto it = slabs_.find(id);
  return it == slabs_.end() ? nullptr : it->second.get();
}

Extent* Pool::FindFit(Group& group, uint64_t bytes, uint64_t alignment, Fit fit,
                      const Mapped& mapped) {
  Extent* best = nullptr;
  int looks = 0;
  bool jumped = false;
  for (auto it = group.free.lower_bound({bytes, 0, 0, nullptr}); it != group.free.end(); ++it) {
    Extent* extent = it->extent;
    if (best != nullptr && (++looks > kMappedLooks || extent->size > MappedWaste(bytes))) break;
    if (fit == Fit::kClose && !Suits(*extent->slab, bytes)) continue;
    if (mapped.asked.contains(extent->slab->id)) continue;
    if (!extent->Fits(bytes, alignment)) {
      // Whatever is this much larger fits wherever it starts; jump there rather than walk.
      if (best == nullptr && ++looks > kMappedLooks && !jumped) {
        jumped = true;
        it = group.free.lower_bound({bytes + alignment, 0, 0, nullptr});
        if (it == group.free.end()) break;
        --it;
      }
      continue;
    }
    if (mapped.slabs.contains(extent->slab->id)) return extent;
    if (best == nullptr) {
      best = extent;
      looks = 0;
    }
  }
  // Jumped over, perhaps. Nothing else is left, so more of it is worth a look; not all, for a
  // client may have made it any number of pieces.
  if (best == nullptr && jumped) {
    const auto end = group.free.lower_bound({bytes + alignment, 0, 0, nullptr});
    looks = 0;
    for (auto it = group.free.lower_bound({bytes, 0, 0, nullptr});
         it != end && ++looks <= kLastLooks; ++it) {
      const Slab& slab = *it->extent->slab;
      if (!it->extent->Fits(bytes, alignment) || mapped.asked.contains(slab.id)) continue;
      if (fit == Fit::kAny || Suits(slab, bytes)) return it->extent;
    }
  }
  return best;
}

Extent* Pool::Allocate(GroupId id, uint64_t bytes, uint64_t alignment, Fit fit,
                       const Mapped& mapped, Lease* lease) {
  Group& group = groups_[id];
  Extent* extent = FindFit(group, bytes, alignment, fit, mapped);
  if (extent == nullptr) return nullptr;
  group.free.erase(KeyOf(extent));
  if (const uint64_t start = extent->StartFor(alignment); start != extent->offset) {
    Extent* before = extent;
    extent = SplitAt(extent, start);
    group.free.insert(KeyOf(before));
  }
  if (extent->size > bytes) group.free.insert(KeyOf(SplitAt(extent, extent->offset + bytes)));
  extent->lease = lease;
  if (extent->slab->empty()) {
    empty_slabs_.erase({extent->slab->empty_since, extent->slab->id});
  }
  extent->slab->used_bytes += bytes;
  group.used_bytes += bytes;
  used_bytes_ += bytes;
  return extent;
}

Extent* Pool::Free(Extent* block, TimePoint now) {
  Slab& slab = *block->slab;
  const bool serving = slab.state == SlabState::kServing;
  auto& free = groups_[slab.group].free;
  if (serving) groups_[slab.group].used_bytes -= block->size;
  block->lease = nullptr;
  slab.used_bytes -= block->size;
  used_bytes_ -= block->size;
  if (slab.empty()) {
    slab.empty_since = now;
    if (serving) empty_slabs_.insert({now, slab.id});
    if (slab.state == SlabState::kDoomed) empty_doomed_.push_back(slab.id);
  }
  if (Extent* next = block->next; next != nullptr && next->lease == nullptr) {
    if (serving) free.erase(KeyOf(next));
    block->size += next->size;
    block->next = next->next;
    if (block->next != nullptr) block->next->previous = block;
    DropExtent(next);
  }
  if (Extent* previous = block->previous; previous != nullptr && previous->lease == nullptr) {
    if (serving) free.erase(KeyOf(previous));
    previous->size += block->size;
    previous->next = block->next;
    if (previous->next != nullptr) previous->next->previous = previous;
    DropExtent(block);
    block = previous;
  }
  if (serving) free.insert(KeyOf(block));
  return block;
}

uint64_t Pool::largest_free_bytes() const {
  uint64_t largest = 0;
  for (const Group& group : groups_) {
    if (!group.free.empty()) largest = std::max(largest, group.free.rbegin()->size);
  }
  return largest;
}

Extent* Pool::NewExtent(Slab* slab, uint64_t offset, uint64_t size) {
  Extent* extent;
  if (spare_extents_.empty()) {
    extent = &extents_.emplace_back();
  } else {
    extent = spare_extents_.back();
    spare_extents_.pop_back();
  }
  *extent = Extent{slab, offset, size, nullptr, nullptr, nullptr};
  return extent;
}

void Pool::DropExtent(Extent* extent) { spare_extents_.push_back(extent); }

Extent* Pool::SplitAt(Extent* extent, uint64_t offset) {
  Extent* rest = NewExtent(extent->slab, offset, extent->end() - offset);
  extent->size = offset - extent->offset;
  rest->previous = extent;
  rest->next = extent->next;
  if (rest->next != nullptr) rest->next->previous = rest;
  extent->next = rest;
  return rest;
}

void Pool::CheckInvariants() const {
  uint64_t held = 0, allocating = 0, used = 0;
  size_t indexed = 0, free_extents = 0, empty = 0;
  for (const auto& [id, slab] : slabs_) {
    held += slab->size_bytes;
    if (slab->state == SlabState::kAllocating) {
      allocating += slab->size_bytes;
      continue;
    }
    if (slab->state == SlabState::kServing && slab->empty()) {
      ++empty;
      NVCV_CACHED_CHECK(empty_slabs_.contains({slab->empty_since, id}));
    }
    uint64_t offset = 0, slab_used = 0;
    const Extent* previous = nullptr;
    for (const Extent* e = slab->first; e != nullptr; previous = e, e = e->next) {
      NVCV_CACHED_CHECK(e->slab == slab.get() && e->offset == offset && e->size > 0);
      NVCV_CACHED_CHECK(e->size % kBlockBytes == 0 && e->previous == previous);
      offset = e->end();
      if (e->lease != nullptr) {
        NVCV_CACHED_CHECK(e->lease->extent == e);
        slab_used += e->size;
        continue;
      }
      NVCV_CACHED_CHECK(previous == nullptr || previous->lease != nullptr);
      if (slab->state != SlabState::kServing) continue;
      ++free_extents;
      NVCV_CACHED_CHECK(groups_[slab->group].free.contains(KeyOf(const_cast<Extent*>(e))));
    }
    NVCV_CACHED_CHECK(offset == slab->size_bytes && slab_used == slab->used_bytes);
    NVCV_CACHED_CHECK(slab->empty() ||
                      (slab->state == SlabState::kServing || slab->state == SlabState::kDoomed));
    used += slab_used;
  }
  for (const Group& group : groups_) indexed += group.free.size();
  NVCV_CACHED_CHECK(indexed == free_extents && empty == empty_slabs_.size());
  NVCV_CACHED_CHECK(held == held_bytes_ && allocating == allocating_bytes_ && used == used_bytes_);
}

}  // namespace nvcv_cached::server::core
