#include "server/core/lru_index.h"

#include "server/core/session_books.h"

namespace nvcv_cached::server::core {

namespace {
Kind KindOf(const Lease& lease) { return lease.reused ? Kind::kReused : Kind::kFresh; }
size_t At(SizeClass size_class) { return static_cast<size_t>(size_class); }
size_t At(Kind kind) { return static_cast<size_t>(kind); }
}  // namespace

void LeaseQueue::Up(size_t at, Entry entry) {
  while (at > 0) {
    const size_t parent = (at - 1) / 2;
    if (heap_[parent].key <= entry.key) break;
    Place(at, heap_[parent]);
    at = parent;
  }
  Place(at, entry);
}

void LeaseQueue::Down(size_t at, Entry entry) {
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1].key < heap_[child].key) ++child;
    if (entry.key <= heap_[child].key) break;
    Place(at, heap_[child]);
    at = child;
  }
  Place(at, entry);
}

void LeaseQueue::Push(Lease* lease) {
  heap_.emplace_back();
  Up(heap_.size() - 1, {lease->key, lease});
}

void LeaseQueue::Erase(Lease* lease) {
  const size_t at = lease->heap_at;
  lease->heap_at = kNowhere;
  const Entry last = heap_.back();
  heap_.pop_back();
  if (at == heap_.size()) return;
  if (at > 0 && last.key < heap_[(at - 1) / 2].key) {
    Up(at, last);
  } else {
    Down(at, last);
  }
}

void LruIndex::Register(SessionBooks* session, SizeClass size_class, Kind kind) {
  auto& queue = session->queues.by_class[At(size_class)][At(kind)];
  std::optional<LruKey> key;
  if (!queue.leases.empty()) key = queue.leases.top_key();
  if (key == queue.registered) return;
  const GroupId group = session->group(size_class);
  if (group >= groups_.size()) groups_.resize(group + 1);
  Heads& heads = groups_[group][At(kind)];
  if (queue.registered && key) {
    auto node = heads.extract({*queue.registered, session});
    node.value().first = *key;
    heads.insert(std::move(node));
  } else if (queue.registered) {
    heads.erase({*queue.registered, session});
  } else {
    heads.insert({*key, session});
  }
  queue.registered = key;
}

void LruIndex::Add(Lease* lease) {
  lease->session->queues.by_class[At(lease->size_class)][At(KindOf(*lease))].leases.Push(lease);
  Register(lease->session, lease->size_class, KindOf(*lease));
}

void LruIndex::Remove(Lease* lease) {
  if (lease->heap_at == kNowhere) return;
  lease->session->queues.by_class[At(lease->size_class)][At(KindOf(*lease))].leases.Erase(lease);
  Register(lease->session, lease->size_class, KindOf(*lease));
}

void LruIndex::Rekey(Lease* lease, LruKey key) {
  const bool in = lease->heap_at != kNowhere;
  if (in) Remove(lease);
  lease->key = key;
  if (in) Add(lease);
}

Lease* LruIndex::Oldest() const {
  const std::pair<LruKey, SessionBooks*>* oldest = nullptr;
  size_t kind_of_oldest = 0, class_of_oldest = 0;
  for (GroupId group = 0; group < groups_.size(); ++group) {
    for (size_t kind = 0; kind < kKinds; ++kind) {
      const Heads& heads = groups_[group][kind];
      if (heads.empty() || (oldest != nullptr && oldest->first < heads.begin()->first)) continue;
      oldest = &*heads.begin();
      kind_of_oldest = kind;
      class_of_oldest = group % 2;
    }
  }
  if (oldest == nullptr) return nullptr;
  return oldest->second->queues.by_class[class_of_oldest][kind_of_oldest].leases.top();
}

Lease* LruIndex::Oldest(const SessionBooks& session) {
  Lease* oldest = nullptr;
  for (const auto& by_kind : session.queues.by_class) {
    for (const auto& queue : by_kind) {
      if (queue.leases.empty()) continue;
      if (oldest == nullptr || queue.leases.top_key() < oldest->key) oldest = queue.leases.top();
    }
  }
  return oldest;
}

Lease* LruIndex::Oldest(const SessionBooks& session, SizeClass size_class, Kind kind) {
  const LeaseQueue& leases = session.queues.by_class[At(size_class)][At(kind)].leases;
  return leases.empty() ? nullptr : leases.top();
}

Lease* LruIndex::Oldest(GroupId group, Kind kind, const SessionBooks* except) const {
  if (group >= groups_.size()) return nullptr;
  for (const auto& [key, session] : groups_[group][At(kind)]) {
    if (session != except) {
      return Oldest(*session, static_cast<SizeClass>(group % 2), kind);
    }
  }
  return nullptr;
}

}  // namespace nvcv_cached::server::core
