// What the cache of all processes must count, by the contract (DESIGN C1 to C9): the reference of
// the random program.
//
// An item is in use, in its owner's inbox (released by another thread), idle with its owner, or
// idle in its process's depot; `cached` says that it counts. Which idle items leave at the limit is
// certain, oldest release first; which of those in use leave is nobody's promise: the model asks
// (`Look`), and holds the answer against the limit. When those in use might leave for the process's
// limit and for the daemon's in one step, nobody could tell which left for what: IsCertain says so.
//
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/contract/protocol.h"

namespace nvcv_cached::contract {

// What was seen is not what had to be.
struct Differs : std::runtime_error {
  using std::runtime_error::runtime_error;
};

using ProcessId = int;
using ThreadId = uint64_t;  // never used again; 0: the depot

enum class Policy : uint8_t { kLru, kClear };

struct ModelItem {
  enum class State : uint8_t { kInUse, kInbox, kIdle };
  ProcessId process;
  ThreadId owner;
  int spec;
  uint64_t bytes;  // that it was granted for
  bool cached;
  uint32_t slot;
  int at;  // the place of the object that it was made for
  State state = State::kInUse;
  int uses = 1;
  uint64_t released = 0;  // when, in the order of all releases
};

// A stream, an external item or a wrapper: counts 0 bytes in the cache of the thread that made it.
struct ModelLocal {
  ThreadId home;
  int spec;
  bool cached = true;
};

struct ModelObject {
  ModelItem* item = nullptr;  // in use by it
  std::optional<ModelLocal> local;
  ModelItem* parent = nullptr;      // of a reshape
  std::vector<ModelItem*> members;  // of a batch
  int spec = -1;                    // -1: a reshape
};

struct ModelThread {
  std::vector<ModelItem*> idle;    // released last is last
  std::vector<ModelItem*> inbox;   // likewise
  std::map<int, int> idle_locals;  // by spec
};

struct ModelProcess {
  std::map<ThreadId, ModelThread> threads;
  std::vector<ModelItem*> depot;
  std::map<int, ModelObject> objects;  // by place
  std::optional<uint64_t> limit;
  Hits hits;
};

class Model {
 public:
  // By place, which objects of the process lie on leases that were taken from it in use.
  using Look = std::function<uint64_t(ProcessId)>;

  Model(uint64_t limit, Look look) : limit_(limit), look_(std::move(look)) {}

  ModelProcess& process(ProcessId id) { return processes_.at(id); }
  Counts Count(ProcessId id) const;
  Counts Count(ProcessId id, ThreadId thread) const;
  Counts CountDaemon() const;  // items with memory alone
  bool IsFree(ProcessId id, int at) const;
  bool IsCertain(ProcessId id, int spec) const;  // what Make of it does to others
  size_t items() const { return items_.size(); }

  void Begin(ProcessId id) { processes_[id]; }
  void End(ProcessId id);  // by exit or by a signal
  void Begin(ProcessId id, ThreadId thread) { process(id).threads[thread]; }
  void End(ProcessId id, ThreadId thread);

  void Make(ProcessId id, ThreadId thread, int spec, int at, const Reply& reply);
  void Reshape(ProcessId id, ThreadId thread, int parent, int at);
  void Drop(ProcessId id, ThreadId thread, int at);
  void Push(ProcessId id, int batch, int member);
  void Empty(ProcessId id, ThreadId thread, int batch);
  void Clear(ProcessId id, std::optional<ThreadId> thread);
  void SetLimit(ProcessId id, uint64_t limit);
  void SetDaemonLimit(uint64_t limit);
  void SetPolicy(Policy policy) { policy_ = policy; }

  // What is in use and off the books must be just what the model says.
  void CheckDetached(ProcessId id);

 private:
  using Scope = std::optional<ProcessId>;  // none: all processes
  template <class F>
  void ForEach(Scope scope, F&& f);
  uint64_t Bytes(Scope scope) const;
  uint64_t BytesInUse(Scope scope) const;
  uint64_t LimitOf(ProcessId id) const;

  void MakeLocal(ProcessId id, ThreadId thread, int spec, int at, const Reply& reply);
  ModelItem* Reuse(ModelProcess& process, ThreadId thread, int spec, const Reply& reply);
  void MakeRoom(ProcessId id, uint64_t bytes);
  void Reduce(Scope scope, uint64_t target);
  bool ReduceIdle(Scope scope, uint64_t target);  // false: that was not enough
  void Observe(Scope scope, uint64_t target);
  void LeaveBooks(ModelItem* item);
  void Release(ModelItem* item, ThreadId thread);
  void Forget(ModelItem* item);

  uint64_t limit_;
  Look look_;
  Policy policy_ = Policy::kLru;
  uint64_t releases_ = 0;
  std::map<ProcessId, ModelProcess> processes_;
  std::list<ModelItem> items_;
};

}  // namespace nvcv_cached::contract
