// The atomics of the model: one access, one step.
//
// An actor's operation is ordinary code over these atomics. To take one step of it, the operation
// is run again from its start: accesses it has already made return their logged results and touch
// nothing; the first new one acts on the state and is logged; the next new one jumps out. So an
// operation must depend on nothing but the state at its start and its log, must keep only trivially
// destructible things on its stack, and must write what it remembers to the state at its very end.
#pragma once

#include <setjmp.h>

#include <atomic>
#include <cassert>
#include <cstdio>
#include <cstdlib>

#include "client/src/timelines.h"
#include "proto/lease_table.h"
#include "tests/model/state.h"

namespace nvcv_cached::model {

struct Run {
  const Config* config = nullptr;
  State* state = nullptr;
  Actor actor = kClient;
  int position = 0;      // accesses made by this run of the operation
  bool stepped = false;  // the one new step is taken
  jmp_buf out;
  FILE* narrate = nullptr;
  const char* broken = nullptr;  // the rule that this transition broke
};
inline Run run;

inline void Break(const char* rule) {
  if (run.broken == nullptr) run.broken = rule;
}

template <class... Args>
void Say(const char* format, Args... args) {
  if (run.narrate == nullptr) return;
  if constexpr (sizeof...(Args) == 0) {
    fputs(format, run.narrate);
  } else {
    fprintf(run.narrate, format, args...);
  }
}

inline void SayCell(int cell) {
  if (cell < kDoneCell) {
    Say(cell % 2 == 0 ? "slot %d word" : "slot %d fence", cell / 2);
  } else if (cell < kCounterCell) {
    Say((cell - kDoneCell) % 2 == 0 ? "timeline %d done_cpu" : "timeline %d done_gpu",
        (cell - kDoneCell) / 2);
  } else if (cell < kParkedCell) {
    Say("timeline %d counter", cell - kCounterCell);
  } else {
    Say("parked");
  }
}

inline void SayValue(int cell, uint16_t packed) {
  if (cell < kDoneCell && cell % 2 == 0) {
    static constexpr const char* kNames[] = {"EMPTY", "HELD", "IDLE", "RETURNED"};
    const lease_table::Word word(Unpack(packed));
    Say("%s%s v%d", kNames[static_cast<int>(word.state())], word.revoked() ? "+REVOKED" : "",
        static_cast<int>(word.version()));
  } else if (cell < kDoneCell) {
    const lease_table::Fence fence(Unpack(packed));
    if (fence == lease_table::kDone) return Say("done");
    Say("(timeline %d, %d)", int{fence.timeline()}, static_cast<int>(fence.counter()));
  } else {
    Say("%d", int{packed});
  }
}

template <class... Args>
void SayCellValue(const char* verb, int cell, uint16_t value, const char* tail) {
  Say("%s ", verb);
  SayCell(cell);
  Say(" ");
  SayValue(cell, value);
  Say("%s", tail);
}

// The buffered store of the running actor, if any, reaches memory.
inline void DrainBuffer(State& s, Actor actor) {
  if (s.buffered_cell[actor] == 0) return;
  s.cell[s.buffered_cell[actor] - 1] = s.buffered[actor];
  s.buffered_cell[actor] = 0;
  s.buffered[actor] = 0;
}

// One access: replayed, made, or one too many. `perform` acts on the state and returns the result
// to log.
template <class Perform>
uint16_t Step(Perform perform) {
  Operation& operation = run.state->operation[run.actor];
  if (run.position < operation.steps) return operation.log[run.position++];
  if (run.stepped) longjmp(run.out, 1);
  run.stepped = true;
  if (operation.steps == kSteps) {
    fprintf(stderr, "an operation takes more than %d steps: raise kSteps\n", kSteps);
    abort();
  }
  const uint16_t result = perform(*run.state);
  operation.log[operation.steps++] = result;
  ++run.position;
  return result;
}

// A variable of the modelled memory. Without a cell it is not part of the protocol (a time stamp,
// or a constant of the configuration) and its accesses are no steps.
template <class T>
class Atomic {
 public:
  void Place(int cell) { cell_ = cell; }
  void Fix(T constant) { constant_ = constant; }

  T load(std::memory_order) const {
    if (cell_ < 0) return constant_;
    return T(Unpack(Step([this](State& s) {
      const bool own = s.buffered_cell[run.actor] == cell_ + 1;
      const uint16_t value = own ? s.buffered[run.actor] : s.cell[cell_];
      SayCellValue("load ", cell_, value, "");
      return value;
    })));
  }

  void store(T value, std::memory_order) {
    if (cell_ < 0) return;
    Step([this, value](State& s) {
      assert(Unpack(Pack(value)) == value);
      DrainBuffer(s, run.actor);
      if (run.config->store_buffers && cell_ >= kCounterCell) {
        s.buffered_cell[run.actor] = static_cast<uint8_t>(cell_ + 1);
        s.buffered[run.actor] = Pack(value);
        SayCellValue("store", cell_, Pack(value), " (not yet in memory)");
      } else {
        s.cell[cell_] = Pack(value);
        SayCellValue("store", cell_, Pack(value), "");
      }
      return uint16_t{0};
    });
  }

  bool compare_exchange_strong(T& expected, T desired, std::memory_order, std::memory_order) {
    const T found = T(Unpack(Step([this, expected, desired](State& s) {
      assert(Unpack(Pack(desired)) == desired);
      DrainBuffer(s, run.actor);
      const uint16_t old = s.cell[cell_];
      SayCellValue("cas  ", cell_, Pack(expected), " -> ");
      SayValue(cell_, Pack(desired));
      if (old == Pack(expected)) {
        s.cell[cell_] = Pack(desired);
      } else {
        Say(": fails, it is ");
        SayValue(cell_, old);
      }
      return old;
    })));
    const bool same = found == expected;
    expected = found;
    return same;
  }

  T fetch_or(T bits, std::memory_order) {
    return T(Unpack(Step([this, bits](State& s) {
      DrainBuffer(s, run.actor);
      const uint16_t old = s.cell[cell_];
      s.cell[cell_] = Pack(Unpack(old) | bits);
      SayCellValue("or   ", cell_, old, " -> ");
      SayValue(cell_, s.cell[cell_]);
      return old;
    })));
  }

  void notify_one() {}  // the sleeper is ready as soon as `parked` is 0

  // The running actor is the only one that may write the variable now: reading it is no step.
  T OwnValue() const { return T(Unpack(run.state->cell[cell_])); }

 private:
  int cell_ = -1;
  T constant_{};
};

struct Atomics {
  template <class T>
  using Atomic = model::Atomic<T>;

  static void Fence() {
    if (!run.config->store_buffers) return;
    Step([](State& s) {
      Say("fence");
      DrainBuffer(s, run.actor);
      return uint16_t{0};
    });
  }
};

using lease_table::Fence;
using lease_table::Word;

// The shared memory as the real functions see it. The values are in State::cell.
struct Memory {
  lease_table::BasicSlot<Atomics> slots[kSlots];
  lease_table::BasicTimeline<Atomics> timelines[kTimelines];
  client::BasicCounter<Atomics> counters[kTimelines];
  client::BasicBell<Atomics> bell;

  Memory() {
    for (int i = 0; i < kSlots; ++i) {
      slots[i].word.Place(kWordCell + 2 * i);
      slots[i].fence.Place(kWordCell + 2 * i + 1);
    }
    for (int i = 0; i < kTimelines; ++i) {
      timelines[i].done_cpu.Place(kDoneCell + 2 * i);
      timelines[i].done_gpu.Place(kDoneCell + 2 * i + 1);
      counters[i].newest.Place(kCounterCell + i);
    }
    bell.parked.Place(kParkedCell);
  }
};
inline Memory memory;

}  // namespace nvcv_cached::model
