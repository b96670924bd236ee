// What leaves the model's cache: by a clear, for a limit, for room.
#include <algorithm>

#include "tests/contract/model.h"

namespace nvcv_cached::contract {

using State = ModelItem::State;

// What is idle ends; what is in use lives on uncounted.
void Model::LeaveBooks(ModelItem* item) {
  item->cached = false;
  if (item->state == State::kInUse) return;
  ModelProcess& process = this->process(item->process);
  if (item->owner == 0) {
    std::erase(process.depot, item);
  } else {
    ModelThread& owner = process.threads.at(item->owner);
    std::erase(item->state == State::kInbox ? owner.inbox : owner.idle, item);
  }
  Forget(item);
}

template <class F>
void Model::ForEach(Scope scope, F&& f) {
  std::vector<ModelItem*> items;
  for (ModelItem& item : items_) {
    if (item.cached && (!scope || item.process == *scope)) items.push_back(&item);
  }
  for (ModelItem* item : items) f(item);
}

void Model::Clear(ProcessId id, std::optional<ThreadId> thread) {
  ForEach(id, [&](ModelItem* item) {
    if (!thread || item->owner == *thread) LeaveBooks(item);
  });
  ModelProcess& process = this->process(id);
  for (auto& [at, object] : process.objects) {
    if (object.local && (!thread || object.local->home == *thread)) object.local->cached = false;
  }
  for (auto& [each, state] : process.threads) {
    if (!thread || each == *thread) state.idle_locals.clear();
  }
}

void Model::SetLimit(ProcessId id, uint64_t limit) {
  process(id).limit = limit;
  Reduce(id, LimitOf(id));
}

void Model::SetDaemonLimit(uint64_t limit) {
  limit_ = limit;
  Reduce(std::nullopt, limit);
}

// The process's own limit first, then the daemon's.
void Model::MakeRoom(ProcessId id, uint64_t bytes) {
  if (process(id).limit) Reduce(id, LimitOf(id) - bytes);
  Reduce(std::nullopt, limit_ - bytes);
}

void Model::Reduce(Scope scope, uint64_t target) {
  if (Bytes(scope) <= target) return;
  if (policy_ == Policy::kClear) {
    return ForEach(scope, [&](ModelItem* item) { LeaveBooks(item); });
  }
  if (!ReduceIdle(scope, target)) Observe(scope, target);
}

bool Model::ReduceIdle(Scope scope, uint64_t target) {
  std::vector<ModelItem*> idle;
  ForEach(scope, [&](ModelItem* item) {
    if (item->state != State::kInUse) idle.push_back(item);
  });
  std::sort(idle.begin(), idle.end(),
            [](const ModelItem* a, const ModelItem* b) { return a->released < b->released; });
  for (ModelItem* item : idle) {
    if (Bytes(scope) <= target) return true;
    LeaveBooks(item);
  }
  return Bytes(scope) <= target;
}

// Those in use leave until it fits, and not one more.
void Model::Observe(Scope scope, uint64_t target) {
  uint64_t largest = 0;
  std::map<ProcessId, uint64_t> detached;
  ForEach(scope, [&](ModelItem* item) {
    const auto [seen, first] = detached.try_emplace(item->process, 0);
    if (first) seen->second = look_(item->process);
    if ((seen->second >> item->at & 1) == 0) return;
    LeaveBooks(item);
    largest = std::max(largest, item->bytes);
  });
  const uint64_t left = Bytes(scope);
  if (left > target) {
    throw Differs(std::to_string(left) + " bytes stayed in the cache, and " +
                  std::to_string(target) + " had room");
  }
  if (largest > 0 && left + largest <= target) {
    throw Differs("more items in use left the cache than had to");
  }
}

void Model::CheckDetached(ProcessId id) {
  const uint64_t detached = look_(id);
  for (const ModelItem& item : items_) {
    if (item.process != id || item.state != State::kInUse) continue;
    const bool seen = (detached >> item.at & 1) != 0;
    if (seen == item.cached) {
      throw Differs("the object at " + std::to_string(item.at) + (seen ? " left" : " stayed in") +
                    " the cache unasked");
    }
  }
}

uint64_t Model::BytesInUse(Scope scope) const {
  uint64_t bytes = 0;
  for (const ModelItem& item : items_) {
    const bool counts = item.cached && item.state == State::kInUse;
    if (counts && (!scope || item.process == *scope)) bytes += item.bytes;
  }
  return bytes;
}

bool Model::IsCertain(ProcessId id, int spec) const {
  const uint64_t own_limit = LimitOf(id);
  const uint64_t bytes = kSpecs[spec].bytes;
  if (!processes_.at(id).limit || bytes > own_limit) return true;
  const uint64_t own = BytesInUse(id);
  return own + bytes <= own_limit || BytesInUse(std::nullopt) - own + own_limit <= limit_;
}

}  // namespace nvcv_cached::contract
