// Timelines of a client: how a release makes a fence, and how the flusher tells that the fence is
// done.
//
// A timeline is bound to one (thread, context, stream) and has one event and one counter. A release
// records the event, then publishes counter + 1, then rings for the flusher if it sleeps. The
// flusher reads the counter first and queries the event then, so what it calls done was recorded
// before it asked. What takes longer it hands to the GPU, which stores done_gpu itself, also when
// this process is stopped.
//
// Invariant: max(done_cpu, done_gpu) of a timeline never passes a counter whose work is unfinished,
// and the flusher never sleeps while a counter differs from the one it flushed last.
//
// Thread-safety: MakeFence and the Binding belong to the thread that the timeline is bound to;
// Flush, Park and the Flushing belong to the flusher; the atomics join them. The orders are part of
// the protocol and tests/model explores them: `A` supplies atomics and Fence(), `Driver` the calls
// to the GPU's driver.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "proto/lease_table.h"

namespace nvcv_cached::client {

using lease_table::BasicTimeline;

struct StdAtomics : lease_table::StdAtomics {
  static void Fence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
};

// One per timeline, in the client's own memory: the counter of the newest fence made on it.
template <class A>
struct alignas(lease_table::kLine) BasicCounter {
  typename A::template Atomic<uint64_t> newest;
};

// One per process. Timelines 0 .. in_use - 1 are or were bound; in_use is raised before the first
// fence.
template <class A>
struct alignas(lease_table::kLine) BasicBell {
  typename A::template Atomic<uint32_t> parked;  // 1: the flusher sleeps, or is about to
  typename A::template Atomic<uint32_t> in_use;
};

// What the owning thread remembers of a timeline. `newest` goes on when the timeline is bound anew.
struct Binding {
  uint16_t timeline = 0;
  uint64_t newest = 0;
};

// What the flusher remembers of a timeline.
struct Flushing {
  uint64_t flushed = 0;  // the newest counter known to be done
  uint64_t handed = 0;   // the newest counter that the GPU itself will report
  uint32_t polls = 0;
  bool failed =
      false;  // the driver reported an error: nothing on it is done before the process ends
};

enum class EventState { kReached, kPending, kFailed };
enum class Flushed { kClean, kDone, kPending, kFailed };

// ---- the releasing thread -----------------------------------------------------------------------

// The fence of everything submitted to the bound stream so far. Driver::Record(timeline) records
// the event on that stream. nullopt: it failed; the caller leaves the object to quarantine.
template <class A, class Driver>
std::optional<lease_table::Fence> MakeFence(BasicCounter<A>& counter, BasicBell<A>& bell,
                                            Binding& bound, Driver& driver) {
  if (!driver.Record(bound.timeline)) return std::nullopt;
  ++bound.newest;
  counter.newest.store(bound.newest, std::memory_order_release);  // after the record
  A::Fence();  // pairs with Park: it sees the counter, or this thread sees it parked
  if (bell.parked.load(std::memory_order_relaxed) != 0) {
    bell.parked.store(0, std::memory_order_relaxed);
    bell.parked.notify_one();
  }
  return lease_table::Fence(bound.timeline, bound.newest);
}

// May the timeline be bound to another stream, by whichever thread? Only when everything on it is
// done: its event is about to be recorded elsewhere, and a query answers for the last record alone.
template <class A>
bool Rebindable(const BasicTimeline<A>* timelines, uint32_t count, const Binding& bound) {
  return lease_table::IsDone(timelines, count, lease_table::Fence(bound.timeline, bound.newest));
}

// Memory with the fence `earlier` is handed out on the stream that `bound` belongs to: must that
// stream wait for the earlier timeline's event first? (A later record on that event only makes the
// wait longer.)
template <class A>
bool MustWait(const BasicTimeline<A>* timelines, uint32_t count, lease_table::Fence earlier,
              const Binding& bound) {
  return earlier.timeline() != bound.timeline && !lease_table::IsDone(timelines, count, earlier);
}

// ---- the flusher --------------------------------------------------------------------------------

// One look at one timeline. Driver::Query(timeline) says whether the event's last record is
// reached; Driver::WaitAndWrite(timeline, counter) makes the timeline's private stream wait for
// that record and store the counter into done_gpu (false: not possible here, go on polling).
// Driver::kPolls is how often to ask before handing over.
template <class T, class A, class Driver>
Flushed Flush(BasicTimeline<T>& line, const BasicCounter<A>& counter, uint16_t timeline,
              Flushing& mine, Driver& driver) {
  if (mine.failed) return Flushed::kFailed;
  const uint64_t newest = counter.newest.load(std::memory_order_acquire);  // before the query
  if (newest == mine.flushed) return Flushed::kClean;
  switch (driver.Query(timeline)) {
    case EventState::kReached:
      line.done_cpu.store(newest, std::memory_order_release);
      mine.flushed = newest;  // not what the counter says by now
      mine.polls = 0;
      return Flushed::kDone;
    case EventState::kFailed:
      mine.failed = true;
      return Flushed::kFailed;
    case EventState::kPending:
      break;
  }
  if (mine.polls < Driver::kPolls) ++mine.polls;
  if (mine.polls == Driver::kPolls && newest != mine.handed &&
      driver.WaitAndWrite(timeline, newest)) {
    mine.handed = newest;
  }
  return Flushed::kPending;
}

// True: nothing is dirty, the flusher may Sleep. False: look again.
template <class A>
bool Park(BasicBell<A>& bell, const BasicCounter<A>* counters, const Flushing* mine) {
  bell.parked.store(1, std::memory_order_relaxed);
  A::Fence();  // pairs with MakeFence
  const uint32_t in_use = bell.in_use.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < in_use; ++i) {
    if (mine[i].failed) continue;
    if (counters[i].newest.load(std::memory_order_acquire) != mine[i].flushed) {
      bell.parked.store(0, std::memory_order_relaxed);
      return false;
    }
  }
  return true;
}

template <class A>
void Sleep(BasicBell<A>& bell) {
  bell.parked.wait(1, std::memory_order_acquire);
}

using Counter = BasicCounter<StdAtomics>;
using Bell = BasicBell<StdAtomics>;

}  // namespace nvcv_cached::client
