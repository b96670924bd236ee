#include "client/src/local_items.h"

#include <pthread.h>

#include <mutex>
#include <new>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "client/src/fork_guard.h"

namespace nvcv_cached::client {

class LocalItems : public std::enable_shared_from_this<LocalItems> {
 public:
  struct Idle {
    std::shared_ptr<const ExternalKey> key;
    std::shared_ptr<void> payload;
  };

  static LocalItems& Mine();
  static LocalItems* MineIfAny() noexcept { return mine_; }

  Membership Join() {
    std::lock_guard lock(mutex_);
    ++count_;
    return Membership(shared_from_this(), generation_);
  }

  void Leave(uint64_t generation) noexcept {
    std::lock_guard lock(mutex_);
    if (generation == generation_) --count_;
  }

  // Candidates are taken out to be compared: equality may be a user's code.
  std::optional<LocalItem> Take(const ExternalKey& key) {
    const std::size_t hash = key.hash();
    std::vector<Candidate> others;
    std::optional<LocalItem> found;
    while (std::optional<Candidate> candidate = TakeAny(hash)) {
      if (candidate->idle.key->equals(key)) {
        found.emplace(LocalItem{std::move(candidate->idle.key), std::move(candidate->idle.payload),
                                Membership(shared_from_this(), candidate->generation)});
        break;
      }
      others.push_back(*std::move(candidate));
    }
    for (; !others.empty(); others.pop_back()) {
      std::lock_guard lock(mutex_);
      if (others.back().generation != generation_) continue;  // cleared meanwhile: it ends here
      idle_[hash].push_back(std::move(others.back().idle));
    }
    return found;
  }

  void Put(LocalItem& item) {
    const std::size_t hash = item.key->hash();
    std::lock_guard lock(mutex_);
    if (item.membership.generation_ != generation_) return;  // the item ends with its caller
    idle_[hash].push_back({std::move(item.key), std::move(item.payload)});
    item.membership.home_.reset();  // it still counts
  }

  int64_t count() {
    std::lock_guard lock(mutex_);
    return count_;
  }

  void Clear() {
    std::unordered_map<std::size_t, std::vector<Idle>> ending;
    {
      std::lock_guard lock(mutex_);
      ++generation_;
      count_ = 0;
      ending.swap(idle_);
    }
  }

 private:
  struct Candidate {
    Idle idle;
    uint64_t generation;
  };

  static void OnThreadExit(void* items);

  std::optional<Candidate> TakeAny(std::size_t hash) {
    std::lock_guard lock(mutex_);
    const auto list = idle_.find(hash);
    if (list == idle_.end() || list->second.empty()) return std::nullopt;
    Candidate candidate{std::move(list->second.back()), generation_};
    list->second.pop_back();
    return candidate;
  }

  std::mutex mutex_;
  uint64_t generation_ = 1;
  int64_t count_ = 0;
  std::unordered_map<std::size_t, std::vector<Idle>>
      idle_;  // by the key's hash; last in, first out

  static thread_local constinit LocalItems* mine_ __attribute__((tls_model("initial-exec")));
  friend class AllLocalItems;
};

thread_local constinit LocalItems* LocalItems::mine_ __attribute__((tls_model("initial-exec"))) =
    nullptr;

// Those of all living threads; holds them.
class AllLocalItems {
 public:
  static AllLocalItems& Process() {
    static AllLocalItems* const all = new AllLocalItems;
    return *all;
  }

  LocalItems* Add() {
    auto made = std::make_shared<LocalItems>();
    std::lock_guard lock(mutex_);
    return all_.insert(std::move(made)).first->get();
  }

  void Remove(LocalItems* items) {
    std::shared_ptr<LocalItems> held = items->shared_from_this();
    std::lock_guard lock(mutex_);
    all_.erase(held);
  }

  std::vector<std::shared_ptr<LocalItems>> Living() {
    std::lock_guard lock(mutex_);
    return {all_.begin(), all_.end()};
  }

  pthread_key_t exit_key() const { return exit_key_; }

 private:
  // A key's destructor runs after the thread's thread_local objects are gone.
  AllLocalItems() { pthread_key_create(&exit_key_, LocalItems::OnThreadExit); }

  pthread_key_t exit_key_;
  std::mutex mutex_;
  std::unordered_set<std::shared_ptr<LocalItems>> all_;
};

LocalItems& LocalItems::Mine() {
  if (mine_ == nullptr) {
    mine_ = AllLocalItems::Process().Add();
    pthread_setspecific(AllLocalItems::Process().exit_key(), mine_);
  }
  return *mine_;
}

void LocalItems::OnThreadExit(void* items) {
  mine_ = nullptr;
  if (IsForkedChild()) return;
  auto* const ending = static_cast<LocalItems*>(items);
  ending->Clear();
  AllLocalItems::Process().Remove(ending);
}

Membership Membership::Join() {
  RefuseInForkedChild();
  return LocalItems::Mine().Join();
}

Membership::~Membership() {
  if (home_ != nullptr && !IsForkedChild()) home_->Leave(generation_);
}

std::optional<LocalItem> TakeIdle(const ExternalKey& key) {
  LocalItems* const mine = LocalItems::MineIfAny();
  return mine == nullptr ? std::nullopt : mine->Take(key);
}

namespace {

struct Loan {
  explicit Loan(LocalItem lent) : item(std::move(lent)) {}
  ~Loan() {
    if (IsForkedChild()) {             // the parent's payloads are not ours to end
      new LocalItem(std::move(item));  // NOLINT: for ever; without memory the child ends
      return;
    }
    try {
      item.membership.home()->Put(item);
    } catch (const std::bad_alloc&) {
      // It ends here instead, and leaves the count with its membership.
    }
  }
  LocalItem item;
};

}  // namespace

std::shared_ptr<void> Lend(LocalItem item) {
  void* const payload = item.payload.get();
  return std::shared_ptr<void>(std::make_shared<Loan>(std::move(item)), payload);
}

int64_t CountLocalItems(Scope scope) {
  if (scope == Scope::kThread) {
    LocalItems* const mine = LocalItems::MineIfAny();
    return mine == nullptr ? 0 : mine->count();
  }
  int64_t count = 0;
  if (scope == Scope::kProcess) {
    for (const auto& items : AllLocalItems::Process().Living()) count += items->count();
  }
  return count;
}

void ClearLocalItems(Scope scope) {
  if (scope == Scope::kThread) {
    if (LocalItems* const mine = LocalItems::MineIfAny()) mine->Clear();
  } else if (scope == Scope::kProcess) {
    for (const auto& items : AllLocalItems::Process().Living()) items->Clear();
  }
}

}  // namespace nvcv_cached::client
