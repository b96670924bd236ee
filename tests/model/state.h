// One state of the modelled world, as plain bytes: equal states have equal bytes.
//
// It holds the shared memory cell by cell, the operation that each actor is in the middle of (with
// the results of the atomic steps it has done), what each actor remembers between operations, the
// GPU's queues, and *ghosts*: what really is the case, for the rules only. Fields that end in
// `_left` are budgets: how often an actor may still do a thing. They bound the world; a Config sets
// them.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace nvcv_cached::model {

inline constexpr int kSlots = 3;  // room; a Config uses fewer
inline constexpr int kTimelines = 4;
inline constexpr int kStreams = 2;
inline constexpr int kPrivateStreams = 2;
inline constexpr int kQueueLength = 6;
inline constexpr int kEntries = 4;
inline constexpr int kObjects = 2;
inline constexpr int kSteps = 16;  // atomic steps in one operation

struct Config {
  const char* name;
  const char* about;
  uint8_t slots = 2, blocks = 2, specs = 2;
  uint8_t streams = 1, private_streams = 1;
  uint8_t client_timelines = 1, releaser_timelines = 0;  // the client's come first
  uint8_t polls = 1;                                     // queries before handing over to the GPU
  uint8_t acquires = 2, launches = 2, live = 1;
  bool join = false;     // an object may be handed out on two streams; the last timeline joins them
  uint8_t passes = 0;    // objects given to the releasing thread
  uint8_t give_ups = 0;  // acquires whose deadline passes
  uint8_t drops = 0;     // idle leases that the client returns
  uint8_t exits = 0;     // the client thread ends and another begins
  uint8_t revokes = 2, peer_grants = 1;
  bool ahead = false, uncached = false, hints = false;
  bool kill = false, forked_child = false;
  bool store_buffers = false;  // counters and `parked` reach memory late, as on real machines
  bool check_stop = false;     // in every state: what if the client were stopped here for ever?
};

// ---- shared memory: one cell per atomic variable ------------------------------------------------

inline constexpr int kWordCell = 0;           // 2 per slot: word, fence
inline constexpr int kDoneCell = 2 * kSlots;  // 2 per timeline: done_cpu, done_gpu
inline constexpr int kCounterCell = kDoneCell + 2 * kTimelines;
inline constexpr int kParkedCell = kCounterCell + kTimelines;
inline constexpr int kCells = kParkedCell + 1;

// Values in 16 bits: the fence's timeline in the upper 4, everything else in the lower 12.
constexpr uint16_t Pack(uint64_t value) {
  return static_cast<uint16_t>((value >> 48) << 12 | (value & 0xfff));
}
constexpr uint64_t Unpack(uint16_t packed) {
  return uint64_t{packed} >> 12 << 48 | (packed & 0xfff);
}

// ---- actors -------------------------------------------------------------------------------------

enum Actor : uint8_t { kClient, kReleaser, kFlusher, kDaemon, kActors };

// Operations with atomic steps. Everything else an actor does is one indivisible move.
enum class Code : uint8_t {
  kNone,
  kAcquire,  // a: spec
  kLaunch,   // a: object, b: stream
  kRelease,  // a: object
  kDrop,     // a: entry
  kReturnStale,
  kBind,  // a: timeline, b: stream
  kFlush,
  kPark,
  kGrant,   // a: GrantKind
  kRevoke,  // a: slot
  kScan,    // a: slot, b: 1 when a message asked for it
};
enum GrantKind : uint8_t { kPlain, kUncached, kWithOneAhead };

struct Operation {
  Code code = Code::kNone;
  uint8_t a = 0, b = 0;
  uint8_t steps = 0;  // results in the log
  uint16_t log[kSteps] = {};
};

struct Object {  // an object in use
  uint16_t word = 0;
  uint8_t present = 0, slot = 0, spec = 0;
  uint8_t streams = 0;  // bit per stream that its memory was handed out on
  uint8_t thread = 0;   // whose cache it goes back to
  uint8_t lease = 0;    // ghost: which of the slot's leases this is
  uint8_t use = 0;      // ghost: number of this use of the block
  uint8_t unused = 0;
};

struct Entry {  // an idle lease in a cache
  uint16_t word = 0;
  uint8_t slot = 0, spec = 0;
  uint8_t lease = 0;  // ghost
  uint8_t unused = 0;
};

struct Entries {
  uint8_t count = 0, unused = 0;
  Entry list[kEntries] = {};
};

struct BoundStream {   // a timeline's binding, as its thread remembers it
  uint8_t stream = 0;  // 1 + stream, the private ones behind the user's; 0: free
  uint8_t newest = 0;
};

struct Client {
  Object object[kObjects] = {};
  Entries cache = {};
  BoundStream bound[kTimelines] = {};
  uint8_t thread = 0;
  uint8_t waits_for = 0;  // 1 + spec
  uint8_t gave_up = 0;    // a grant may come that nobody waits for
  uint8_t acquires_left = 0, launches_left = 0, passes_left = 0, give_ups_left = 0, drops_left = 0,
          exits_left = 0;
  uint8_t unused = 0;
};

struct Releaser {
  Object object[kObjects] = {};  // given by the client, released in order
  BoundStream bound[kTimelines] = {};
};

struct FlushedLine {  // a timeline, as the flusher remembers it
  uint8_t flushed = 0, handed = 0, polls = 0;
};

struct Flusher {
  FlushedLine timeline[kTimelines] = {};
  uint8_t next = 0;   // timeline to look at
  uint8_t dirty = 0;  // in this pass something was not clean
  uint8_t asleep = 0;
  uint8_t unused = 0;
};

struct Book {         // what the daemon knows of a slot
  uint16_t word = 0;  // last stored by the daemon itself
  uint8_t granted = 0, revoked = 0, block = 0, spec = 0;
  uint8_t lease = 0;  // ghost
  uint8_t unused = 0;
};

struct Daemon {
  Book book[kSlots] = {};
  uint8_t ended = 0;  // the session's death is proven
  uint8_t revokes_left = 0;
  uint8_t peer_has = 0;  // bit per block that the second process holds
  uint8_t peer_grants_left = 0;
};

// Messages between the client's process and the daemon, and between the client's threads.
struct Messages {
  uint8_t request = 0;   // 1 + spec
  uint8_t hints = 0;     // bit per slot: "returned"
  uint8_t granted = 0;   // a grant to read: `grant`, and the entries ahead
  uint8_t inbox_of = 0;  // number of the thread whose inbox is open
  Object grant = {};
  Entries ahead = {};
  Entries inbox = {};
  Entries depot = {};
};

// ---- the GPU ------------------------------------------------------------------------------------

// What a stream still has to do. An item is kind (4 bits) | timeline or block (4) | number (4) |
// value (4).
enum Item : uint8_t { kWork, kRecord, kWait, kWaitAndWrite };
struct Queue {
  uint8_t count = 0, unused = 0;
  uint16_t item[kQueueLength] = {};
};
struct Gpu {
  Queue stream[kStreams + kPrivateStreams] = {};  // the user's, then the private ones
  uint16_t reached[kTimelines] = {};              // bit per record of the timeline's event
  uint8_t recorded[kTimelines] = {};              // records of it so far
  uint8_t uses = 0;                               // ghost: uses begun so far
  uint8_t unused = 0;
};

// A death goes alive, killed, files closed, context destroyed, gone (pidfd readable).
enum Life : uint8_t { kAlive, kKilled, kFilesClosed, kContextGone, kGone };

struct State {
  uint16_t cell[kCells] = {};
  uint16_t buffered[kActors] = {};      // a store on its way to memory
  uint8_t buffered_cell[kActors] = {};  // 1 + its cell; 0: none
  Operation operation[kActors] = {};
  Client client = {};
  Releaser releaser = {};
  Flusher flusher = {};
  Daemon daemon = {};
  Messages messages = {};
  Gpu gpu = {};
  uint8_t life = kAlive;
  uint8_t child = 0;  // a forked child lives
};
static_assert(std::has_unique_object_representations_v<State>,
              "no padding: states are compared as bytes");
static_assert(std::is_trivially_copyable_v<State>);

inline int TimelinesOf(const Config& config) {
  return config.client_timelines + config.releaser_timelines;
}

inline bool Idle(const State& s, Actor actor) { return s.operation[actor].code == Code::kNone; }

}  // namespace nvcv_cached::model
