// The lease table: the memory that a client process and the daemon share, and its every transition.
//
// What it is: one sealed memfd per session, mapped by both sides. A *lease* (the right of this
// session to use one block) lives in one slot. A release and a reuse are one compare-and-swap on
// the slot's word by the client; taking a lease back is one fetch_or by the daemon. Nobody else
// writes the words, and nobody writes a transition by hand: the functions below are the only ones.
//
//   from                      to              by      function      when
//   EMPTY                     HELD            daemon  Grant         granted, cached
//   EMPTY                     HELD + REVOKED  daemon  GrantUncached granted, never enters the cache
//   EMPTY                     IDLE            daemon  GrantAhead    granted before it was asked for
//   HELD                      IDLE            client  Release       idle; fails when revoked
//   IDLE                      HELD            client  Reuse         a hit; fails when revoked
//   HELD, IDLE (any)          RETURNED        client  Return        given back for good
//   any                       same + REVOKED  daemon  Revoke        off the books; wait-free
//   RETURNED, IDLE + REVOKED  EMPTY           daemon  Reap          only when Drained says so
//
// Invariant: whoever decides about a block's memory does so on a slot that the other side can no
// longer change: the client on HELD, the daemon on RETURNED or IDLE + REVOKED. Every CAS adds 1 to
// the version and versions begin at epoch << 40, so an entry that remembers the exact word last
// seen mistakes neither a slot granted again nor a new daemon's table for its own.
//
// Trust: the daemon takes everything in here as input. It keeps its own record of each lease,
// checks ranges, and never loops on what a client can change. Counters are statistics and trusted
// no further.
//
// Thread-safety: all of it, by atomics. The orders are part of the protocol and stand beside each
// access; tests/model explores them. `A` supplies the atomics: std::atomic here, single steps in
// the model checker.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace nvcv_cached::lease_table {

inline constexpr uint64_t kMagic = 0x31544c4341435643;  // "CVCACLT1", little endian
inline constexpr uint32_t kLayoutVersion = 1;
inline constexpr uint32_t kSlots = 32768;
inline constexpr uint32_t kCounterLines = 1024;
inline constexpr uint32_t kTimelines = 4096;
inline constexpr size_t kLine = 64;  // a cache line; every record below fills exactly one
inline constexpr size_t kSpecWords = 5;
inline constexpr size_t kSpecBytes = kSpecWords * sizeof(uint64_t);

enum class State : uint64_t { kEmpty = 0, kHeld = 1, kIdle = 2, kReturned = 3 };

// The value of a slot's word: version (61 bits) | REVOKED (1) | state (2).
class Word {
 public:
  constexpr Word() = default;
  explicit constexpr Word(uint64_t bits) : bits_(bits) {}
  static constexpr Word First(uint64_t epoch) { return Word(epoch << 40 << kVersionShift); }

  constexpr uint64_t bits() const { return bits_; }
  constexpr State state() const { return static_cast<State>(bits_ & kStateMask); }
  constexpr bool revoked() const { return (bits_ & kRevokedBit) != 0; }
  constexpr uint64_t version() const { return bits_ >> kVersionShift; }

  // The word after one transition: the version advances, REVOKED is as asked.
  constexpr Word Next(State state, bool revoked = false) const {
    return Word(((version() + 1) << kVersionShift) | (revoked ? kRevokedBit : 0) |
                static_cast<uint64_t>(state));
  }
  constexpr Word WithRevoked() const { return Word(bits_ | kRevokedBit); }
  friend constexpr bool operator==(Word a, Word b) { return a.bits_ == b.bits_; }
  friend constexpr bool operator!=(Word a, Word b) { return a.bits_ != b.bits_; }

  static constexpr uint64_t kStateMask = 3;
  static constexpr uint64_t kRevokedBit = 4;
  static constexpr int kVersionShift = 3;

 private:
  uint64_t bits_ = 0;
};

// Which GPU work must have finished before a block may change hands: a timeline and a point on it.
// Timeline 0 at counter 0 is done for ever; the host device knows no other fence.
class Fence {
 public:
  constexpr Fence() = default;
  explicit constexpr Fence(uint64_t bits) : bits_(bits) {}
  constexpr Fence(uint16_t timeline, uint64_t counter)
      : bits_((uint64_t{timeline} << 48) | (counter & kCounterMask)) {}
  constexpr uint64_t bits() const { return bits_; }
  constexpr uint16_t timeline() const { return static_cast<uint16_t>(bits_ >> 48); }
  constexpr uint64_t counter() const { return bits_ & kCounterMask; }
  friend constexpr bool operator==(Fence a, Fence b) { return a.bits_ == b.bits_; }

  static constexpr uint64_t kCounterMask = (uint64_t{1} << 48) - 1;

 private:
  uint64_t bits_ = 0;
};
inline constexpr Fence kDone{};

struct StdAtomics {
  template <class T>
  using Atomic = std::atomic<T>;
};

template <class A>
struct alignas(kLine) BasicSlot {
  typename A::template Atomic<uint64_t> word;
  typename A::template Atomic<uint64_t> fence;       // written by the client before it leaves HELD
  typename A::template Atomic<uint32_t> last_used;   // ms since the table was made, at release
  typename A::template Atomic<uint32_t> thread_tag;  // counter line of the thread it belongs to
  typename A::template Atomic<uint64_t> spec[kSpecWords];  // text for people; never trusted
};

// done_cpu and done_gpu each only grow; a fence is done when the larger has reached its counter.
template <class A>
struct alignas(kLine) BasicTimeline {
  typename A::template Atomic<uint64_t> done_cpu;  // stored by the client's flusher
  typename A::template Atomic<uint64_t> done_gpu;  // stored by the GPU itself
};

// ---- transitions of the daemon ------------------------------------------------------------------

namespace internal {
template <class A>
std::optional<Word> Leave(BasicSlot<A>& slot, Word from, Word to) {
  uint64_t expected = from.bits();
  if (!slot.word.compare_exchange_strong(expected, to.bits(), std::memory_order_acq_rel,
                                         std::memory_order_acquire)) {
    return std::nullopt;
  }
  return to;
}
}  // namespace internal

// Grants start from the EMPTY word that the daemon itself stored last. nullopt: the client wrote
// into a slot that is not its own; the caller ends that session.
template <class A>
std::optional<Word> Grant(BasicSlot<A>& slot, Word empty) {
  slot.fence.store(kDone.bits(), std::memory_order_relaxed);
  return internal::Leave(slot, empty, empty.Next(State::kHeld));
}

template <class A>
std::optional<Word> GrantUncached(BasicSlot<A>& slot, Word empty) {
  slot.fence.store(kDone.bits(), std::memory_order_relaxed);
  return internal::Leave(slot, empty, empty.Next(State::kHeld, true));
}

template <class A>
std::optional<Word> GrantAhead(BasicSlot<A>& slot, Word empty) {
  slot.fence.store(kDone.bits(), std::memory_order_relaxed);
  return internal::Leave(slot, empty, empty.Next(State::kIdle));
}

// The daemon's one verb. Returns the word as it was *before*: HELD means that the item has left the
// books and its block comes back on release; IDLE or RETURNED means that only Drained stands before
// Reap.
template <class A>
Word Revoke(BasicSlot<A>& slot) {
  return Word(slot.word.fetch_or(Word::kRevokedBit, std::memory_order_acq_rel));
}

// What the daemon sees of a slot. The word is loaded first (acquire): a fence read after it is at
// least as new as the release that made the word.
struct Seen {
  Word word;
  Fence fence;
};
template <class A>
Seen Look(const BasicSlot<A>& slot) {
  Word word(slot.word.load(std::memory_order_acquire));
  return Seen{word, Fence(slot.fence.load(std::memory_order_relaxed))};
}

// True when no client can change the slot any more, whatever its fence says.
constexpr bool Settled(Word word) {
  return word.state() == State::kReturned || (word.state() == State::kIdle && word.revoked());
}

// A fence names a timeline by number: out of range is not done, for ever (the session is lying).
template <class A>
bool IsDone(const BasicTimeline<A>* timelines, uint32_t count, Fence fence) {
  if (fence == kDone) return true;
  if (fence.timeline() >= count) return false;
  const BasicTimeline<A>& line = timelines[fence.timeline()];
  if (line.done_cpu.load(std::memory_order_acquire) >= fence.counter()) return true;
  return line.done_gpu.load(std::memory_order_acquire) >= fence.counter();
}

// May the block of this slot change hands? `seen` must come from a Look *after* the Revoke (or show
// RETURNED).
template <class A>
bool Drained(const BasicTimeline<A>* timelines, uint32_t count, Seen seen) {
  return Settled(seen.word) && IsDone(timelines, count, seen.fence);
}

// The last step of a lease. nullopt: a client returned it in the same moment; look again.
template <class A>
std::optional<Word> Reap(BasicSlot<A>& slot, Word settled) {
  return internal::Leave(slot, settled, settled.Next(State::kEmpty));
}

// ---- transitions of the client ------------------------------------------------------------------

// Gives an object back to the thread cache. The fence (nullopt: the memory was not handed out, the
// fence of the use before still holds) and the time are stored before the CAS publishes them; the
// block must not be touched after it. nullopt: revoked, since it was granted or since then; the
// caller Returns.
template <class A>
std::optional<Word> Release(BasicSlot<A>& slot, Word held, std::optional<Fence> fence,
                            uint32_t now_ms) {
  if (held.revoked()) return std::nullopt;
  if (fence) slot.fence.store(fence->bits(), std::memory_order_relaxed);
  slot.last_used.store(now_ms, std::memory_order_relaxed);
  return internal::Leave(slot, held, held.Next(State::kIdle));
}

// A hit. nullopt: the daemon took it; the caller drops its entry.
template <class A>
std::optional<Word> Reuse(BasicSlot<A>& slot, Word idle) {
  return internal::Leave(slot, idle, idle.Next(State::kHeld));
}

// Gives a lease back for good, revoked or not. False: it is no longer ours (reaped, perhaps granted
// again). A fence may be given only from HELD: an IDLE slot may by now be somebody else's, and has
// its fence. The daemon changes a live slot only by setting REVOKED once, so this tries at most
// twice.
template <class A>
bool Return(BasicSlot<A>& slot, Word last_seen, std::optional<Fence> fence) {
  if (fence) slot.fence.store(fence->bits(), std::memory_order_relaxed);
  if (internal::Leave(slot, last_seen, last_seen.Next(State::kReturned, last_seen.revoked()))) {
    return true;
  }
  if (last_seen.revoked()) return false;
  Word revoked = last_seen.WithRevoked();
  return internal::Leave(slot, revoked, revoked.Next(State::kReturned, true)).has_value();
}

// ---- the layout ---------------------------------------------------------------------------------

// What one client thread counted; plain stores by that thread alone, summed by the daemon on
// demand.
struct alignas(kLine) CounterLine {
  std::atomic<uint64_t> hits_exact;
  std::atomic<uint64_t> hits_size_class;
  std::atomic<uint64_t> hits_depot;
  std::atomic<uint64_t> lost;  // entries whose lease the daemon had taken
  uint64_t reserved[4];
};

struct alignas(kLine) Header {
  uint64_t magic;
  uint32_t layout_version;
  uint32_t slots;
  uint64_t epoch;
  uint32_t counter_lines;
  uint32_t timelines;
  uint64_t session_id;
};

using Slot = BasicSlot<StdAtomics>;
using Timeline = BasicTimeline<StdAtomics>;

static_assert(sizeof(Slot) == kLine && sizeof(Timeline) == kLine && sizeof(CounterLine) == kLine);
static_assert(sizeof(Header) == kLine);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

// The whole memfd. The daemon makes it of zeros, fills the header and stores Word::First(epoch) in
// each slot that it grants for the first time.
struct Table {
  Header header;
  CounterLine counters[kCounterLines];
  Timeline timelines[kTimelines];
  Slot slots[kSlots];
};
inline constexpr size_t kTableBytes = sizeof(Table);

}  // namespace nvcv_cached::lease_table
