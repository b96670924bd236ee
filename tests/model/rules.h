// What must hold. CheckState looks at one state; CheckRest asks what a state at rest leads to.
// Rules about a moment (a grant, a step of the GPU) stand where the moment is: see Break().
#pragma once

#include "tests/model/daemon.h"
#include "tests/model/moves.h"
#include "tests/model/state.h"

namespace nvcv_cached::model {

// The object's lease is the one that the daemon has on its books for that slot.
inline void CheckObject(const State& s, const Object& object) {
  const Book& book = s.daemon.book[object.slot];
  if (!book.granted) {
    Break("M1: an object is in use whose lease is over");
  } else if (book.lease != object.lease) {
    Break(book.spec == object.spec
              ? "M1: an object is in use whose lease was granted anew"
              : "M1: a hit on a lease that was granted anew, for another spec");
  }
}

inline void CheckState(const State& s) {
  if (s.life != kAlive) return;
  for (int slot = 0; slot < run.config->slots && Idle(s, kDaemon); ++slot) {
    if (s.daemon.book[slot].revoked && !Word(Unpack(s.cell[kWordCell + 2 * slot])).revoked()) {
      Break("C4: a lease that is off the books goes on without REVOKED");
    }
  }
  uint32_t slots = 0;
  const auto check = [&](const Object& object) {
    CheckObject(s, object);
    if ((slots >> object.slot & 1) != 0) Break("M1: two objects share one lease");
    slots |= 1u << object.slot;
  };
  for (int i = 0; i < kObjects; ++i) {
    const Operation& client = s.operation[kClient];
    if (s.client.object[i].present && !(client.code == Code::kRelease && client.a == i)) {
      check(s.client.object[i]);
    }
    const Operation& releaser = s.operation[kReleaser];
    if (s.releaser.object[i].present && !(releaser.code == Code::kRelease && i == 0)) {
      check(s.releaser.object[i]);
    }
  }
  if (s.messages.granted && s.operation[kClient].code != Code::kReturnStale) {
    check(s.messages.grant);
  }
}

// ---- liveness: from a state at rest, what must still happen, happens ----------------------------

inline bool AtRest(const State& s) {
  if (s.life != kAlive) return false;
  for (int i = 0; i < kActors; ++i) {
    if (!Idle(s, static_cast<Actor>(i)) || s.buffered_cell[i] != 0) return false;
  }
  for (int i = 0; i < kStreams; ++i) {
    if (s.gpu.stream[i].count != 0) return false;
  }
  return true;
}

inline void DrainGpu(State& s) {
  for (bool again = true; again;) {
    again = false;
    for (int i = 0; i < kStreams + kPrivateStreams; ++i) {
      while (CanAdvance(s, i)) {
        Advance(s, i);
        again = true;
      }
    }
  }
}

// The daemon ends what it is doing and then looks at every lease.
inline void ScanAll(State& s) {
  while (!Idle(s, kDaemon)) Continue(s, kDaemon);
  for (int slot = 0; slot < run.config->slots; ++slot) {
    if (!s.daemon.book[slot].granted) continue;
    Begin(s, kDaemon, Code::kScan, static_cast<uint8_t>(slot));
    while (!Idle(s, kDaemon)) Continue(s, kDaemon);
  }
}

inline bool Knows(const Entries& entries, int slot, uint16_t word) {
  for (int i = 0; i < entries.count; ++i) {
    if (entries.list[i].slot == slot && entries.list[i].word == word) return true;
  }
  return false;
}

inline bool Uses(const Object (&objects)[kObjects], int slot) {
  return (objects[0].present && objects[0].slot == slot) ||
         (objects[1].present && objects[1].slot == slot);
}

// Everybody is between operations and the user's streams are idle: the flusher falls asleep with
// every fence done, the daemon reaps what was given back, and somebody knows each of the other
// leases.
inline void CheckRest(State s) {
  DrainGpu(s);
  for (int turns = 0; !s.flusher.asleep || s.cell[kParkedCell] == 0; ++turns) {
    if (turns == 200) return Break("L: the flusher never comes to rest");
    if (Idle(s, kFlusher)) {
      BeginFlusher(s);
    } else {
      Continue(s, kFlusher);
    }
    DrainBuffer(s, kFlusher);
    DrainGpu(s);
  }
  for (int i = 0; i < kTimelines; ++i) {
    const int done = kDoneCell + 2 * i;
    const uint16_t newest = s.cell[kCounterCell + i];
    if (s.cell[done] < newest && s.cell[done + 1] < newest) {
      return Break("L: the flusher sleeps and a finished fence is never seen");
    }
  }
  ScanAll(s);
  for (int slot = 0; slot < run.config->slots; ++slot) {
    if (!s.daemon.book[slot].granted) continue;
    const uint16_t packed = s.cell[kWordCell + 2 * slot];
    const Word word(Unpack(packed));
    if (lease_table::Settled(word)) Break("L: a lease that was given back is never reaped");
    const bool held = word.state() == lease_table::State::kHeld;
    const bool known =
        held ? Uses(s.client.object, slot) || Uses(s.releaser.object, slot) ||
                   (s.messages.granted && s.messages.grant.slot == slot)
             : Knows(s.client.cache, slot, packed) || Knows(s.messages.inbox, slot, packed) ||
                   Knows(s.messages.depot, slot, packed) || Knows(s.messages.ahead, slot, packed);
    if (!known) Break("L: a lease is lost: nobody knows it");
  }
}

// L2: stopped here for ever, the client loses each idle lease whose fence was done or handed to the
// GPU.
inline void CheckStop(State s) {
  if (s.life != kAlive) return;
  while (!Idle(s, kDaemon)) Continue(s, kDaemon);
  bool owed[kSlots] = {};
  for (int slot = 0; slot < run.config->slots; ++slot) {
    if (!s.daemon.book[slot].granted) continue;
    const Word word(Unpack(s.cell[kWordCell + 2 * slot]));
    const Fence fence(Unpack(s.cell[kWordCell + 2 * slot + 1]));
    const int done = kDoneCell + 2 * fence.timeline();
    owed[slot] = word.state() == lease_table::State::kIdle &&
                 (s.cell[done] >= fence.counter() || s.cell[done + 1] >= fence.counter() ||
                  s.flusher.timeline[fence.timeline()].handed >= fence.counter());
  }
  DrainGpu(s);
  s.daemon.revokes_left = kSlots;
  for (int slot = 0; slot < run.config->slots; ++slot) {
    if (!owed[slot] || s.daemon.book[slot].revoked) continue;
    Begin(s, kDaemon, Code::kRevoke, static_cast<uint8_t>(slot));
    while (!Idle(s, kDaemon)) Continue(s, kDaemon);
  }
  ScanAll(s);
  for (int slot = 0; slot < run.config->slots; ++slot) {
    if (owed[slot] && s.daemon.book[slot].granted) {
      Break("L2: a stopped process keeps a lease that it left idle");
    }
  }
}

}  // namespace nvcv_cached::model
