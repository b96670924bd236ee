#include "tests/contract/model.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace nvcv_cached::contract {

namespace {

using State = ModelItem::State;

bool HasMemory(int spec) { return kSpecs[spec].bytes > 0; }

bool ServesFor(const ModelItem& item, int spec) {
  const uint64_t bytes = kSpecs[spec].bytes;
  return item.bytes >= bytes && item.bytes <= bytes + bytes / 4;
}

std::string Slots(const std::vector<ModelItem*>& items) {
  std::string text;
  for (const ModelItem* item : items) text += " " + std::to_string(item->slot);
  return text;
}

}  // namespace

// ---- counting

Counts Model::Count(ProcessId id) const {
  Counts counts;
  for (const ModelItem& item : items_) {
    if (item.process != id || !item.cached) continue;
    ++counts.items;
    counts.bytes += item.bytes;
  }
  const ModelProcess& process = processes_.at(id);
  for (const auto& [at, object] : process.objects) {
    counts.items += object.local && object.local->cached;
  }
  for (const auto& [thread, state] : process.threads) {
    for (const auto& [spec, count] : state.idle_locals)
      counts.items += static_cast<uint64_t>(count);
  }
  return counts;
}

Counts Model::Count(ProcessId id, ThreadId thread) const {
  Counts counts;
  for (const ModelItem& item : items_) {
    if (item.process != id || !item.cached || item.owner != thread) continue;
    ++counts.items;
    counts.bytes += item.bytes;
  }
  const ModelProcess& process = processes_.at(id);
  for (const auto& [at, object] : process.objects) {
    counts.items += object.local && object.local->cached && object.local->home == thread;
  }
  for (const auto& [spec, count] : process.threads.at(thread).idle_locals) {
    counts.items += static_cast<uint64_t>(count);
  }
  return counts;
}

Counts Model::CountDaemon() const {
  Counts counts;
  for (const ModelItem& item : items_) {
    if (!item.cached) continue;
    ++counts.items;
    counts.bytes += item.bytes;
  }
  return counts;
}

uint64_t Model::Bytes(Scope scope) const {
  uint64_t bytes = 0;
  for (const ModelItem& item : items_) {
    if (item.cached && (!scope || item.process == *scope)) bytes += item.bytes;
  }
  return bytes;
}

uint64_t Model::LimitOf(ProcessId id) const {
  return std::min(limit_, processes_.at(id).limit.value_or(limit_));
}

// A place is taken as long as the item that was made for it is in use, by a batch perhaps.
bool Model::IsFree(ProcessId id, int at) const {
  if (processes_.at(id).objects.contains(at)) return false;
  return std::none_of(items_.begin(), items_.end(), [&](const ModelItem& item) {
    return item.process == id && item.state == State::kInUse && item.at == at;
  });
}

// ---- threads and processes

void Model::End(ProcessId id) {
  items_.remove_if([&](const ModelItem& item) { return item.process == id; });
  processes_.erase(id);
}

void Model::End(ProcessId id, ThreadId thread) {
  ModelProcess& process = this->process(id);
  ModelThread& ending = process.threads.at(thread);
  for (auto* list : {&ending.inbox, &ending.idle}) {
    for (ModelItem* item : *list) {
      item->owner = 0;
      item->state = State::kIdle;
      process.depot.push_back(item);
    }
  }
  for (auto& [at, object] : process.objects) {
    if (object.local && object.local->home == thread) object.local->cached = false;
  }
  process.threads.erase(thread);
}

// ---- making

void Model::Make(ProcessId id, ThreadId thread, int spec, int at, const Reply& reply) {
  if (!HasMemory(spec)) return MakeLocal(id, thread, spec, at, reply);
  ModelProcess& process = this->process(id);
  ModelThread& mine = process.threads.at(thread);
  for (ModelItem* item : std::exchange(mine.inbox, {})) {
    item->state = State::kIdle;
    mine.idle.push_back(item);
  }
  ModelItem* item = Reuse(process, thread, spec, reply);
  if (item == nullptr) {
    ++process.hits.misses;
    const uint64_t bytes = kSpecs[spec].bytes;
    const bool cached = bytes <= LimitOf(id);
    if (cached) MakeRoom(id, bytes);
    item = &items_.emplace_back(ModelItem{id, thread, spec, bytes, cached, reply.slot, at});
  } else {
    item->owner = thread;
    item->spec = spec;
    item->at = at;
    item->state = State::kInUse;
    item->uses = 1;
  }
  if (reply.cached != item->cached) {
    throw Differs(item->cached ? "what fits the limit was not cached"
                               : "what exceeds the limit was cached");
  }
  ModelObject object;
  object.item = item;
  object.spec = spec;
  process.objects[at] = object;
}

ModelItem* Model::Reuse(ModelProcess& process, ThreadId thread, int spec, const Reply& reply) {
  ModelThread& mine = process.threads.at(thread);
  const auto exact = [&](const ModelItem* item) { return item->spec == spec; };
  const auto fits = [&](const ModelItem* item) { return ServesFor(*item, spec); };
  const auto taken = [&](std::vector<ModelItem*>& from, auto&& may) -> ModelItem* {
    std::vector<ModelItem*> candidates;
    std::copy_if(from.begin(), from.end(), std::back_inserter(candidates), may);
    for (ModelItem* item : candidates) {
      if (item->slot != reply.slot) continue;
      std::erase(from, item);
      return item;
    }
    throw Differs("one of the idle leases" + Slots(candidates) + " had to serve, and " +
                  std::to_string(reply.slot) + " did");
  };
  const auto last = std::find_if(mine.idle.rbegin(), mine.idle.rend(), exact);
  if (last != mine.idle.rend()) {  // last in, first out
    ++process.hits.exact;
    return taken(mine.idle, [&](const ModelItem* item) { return item == *last; });
  }
  if (std::any_of(mine.idle.begin(), mine.idle.end(), fits)) {
    ++process.hits.size_class;
    return taken(mine.idle, fits);
  }
  const bool in_depot = std::any_of(process.depot.begin(), process.depot.end(), exact);
  if (in_depot || std::any_of(process.depot.begin(), process.depot.end(), fits)) {
    ++process.hits.depot;
    return in_depot ? taken(process.depot, exact) : taken(process.depot, fits);
  }
  return nullptr;
}

void Model::MakeLocal(ProcessId id, ThreadId thread, int spec, int at, const Reply& reply) {
  ModelProcess& process = this->process(id);
  int& idle = process.threads.at(thread).idle_locals[spec];
  const bool reused = idle > 0;
  idle -= reused;
  if (kSpecs[spec].kind == Class::kExternalItem && reply.reused != reused) {
    throw Differs(reused ? "an idle external item was not reused"
                         : "an external item came from nowhere");
  }
  ModelObject object;
  object.local = ModelLocal{thread, spec};
  object.spec = spec;
  process.objects[at] = object;
}

void Model::Reshape(ProcessId id, ThreadId thread, int parent, int at) {
  ModelProcess& process = this->process(id);
  ModelObject object;
  object.local = ModelLocal{thread, -1};
  object.parent = process.objects.at(parent).item;
  ++object.parent->uses;
  process.objects[at] = object;
}

// ---- releasing

void Model::Drop(ProcessId id, ThreadId thread, int at) {
  ModelProcess& process = this->process(id);
  Empty(id, thread, at);
  const ModelObject object = process.objects.at(at);
  process.objects.erase(at);
  if (object.parent != nullptr) Release(object.parent, thread);
  if (object.item != nullptr) Release(object.item, thread);
  const bool kept = object.spec >= 0 && kSpecs[object.spec].kind != Class::kWrapper;
  if (object.local && object.local->cached && kept) {
    ++process.threads.at(object.local->home).idle_locals[object.spec];
  }
}

void Model::Release(ModelItem* item, ThreadId thread) {
  if (--item->uses > 0) return;
  if (!item->cached) return Forget(item);
  ModelProcess& process = this->process(item->process);
  item->released = ++releases_;
  const auto owner = process.threads.find(item->owner);
  if (owner == process.threads.end()) {  // an orphan
    item->owner = 0;
    item->state = State::kIdle;
    process.depot.push_back(item);
  } else if (item->owner == thread) {
    item->state = State::kIdle;
    owner->second.idle.push_back(item);
  } else {
    item->state = State::kInbox;
    owner->second.inbox.push_back(item);
  }
}

void Model::Forget(ModelItem* item) {
  items_.remove_if([&](const ModelItem& each) { return &each == item; });
}

void Model::Push(ProcessId id, int batch, int member) {
  auto& objects = process(id).objects;
  ModelItem* const item = objects.at(member).item;
  ++item->uses;
  objects.at(batch).members.push_back(item);
}

void Model::Empty(ProcessId id, ThreadId thread, int batch) {
  for (ModelItem* member : std::exchange(process(id).objects.at(batch).members, {})) {
    Release(member, thread);
  }
}

}  // namespace nvcv_cached::contract
