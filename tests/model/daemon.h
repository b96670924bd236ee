// The daemon in the model, as a caller of lease_table.h, and the second process that it serves.
//
// It does one operation at a time, as the real one does under its mutex; in between the client's
// process goes on. A block is in exactly one place: in a granted slot, with the second process, or
// free.
#pragma once

#include <optional>

#include "tests/model/client.h"
#include "tests/model/gpu.h"
#include "tests/model/state.h"

namespace nvcv_cached::model {

inline int FreeBlock(const State& s, int skip = 0) {
  for (int block = 0; block < run.config->blocks; ++block) {
    bool taken = (s.daemon.peer_has >> block & 1) != 0;
    for (const Book& book : s.daemon.book) taken |= book.granted && book.block == block;
    if (!taken && skip-- == 0) return block;
  }
  return -1;
}

inline int FreeSlot(const State& s, int skip = 0) {
  for (int slot = 0; slot < run.config->slots; ++slot) {
    if (!s.daemon.book[slot].granted && skip-- == 0) return slot;
  }
  return -1;
}

// Rule M2, at the moment a block changes hands: to whom does not matter, everybody starts with a
// done fence.
inline void CheckHandover(const State& s, int block) {
  if (Pending(s, block)) Break("M2: a block changes hands while GPU work on it is unfinished");
}

// The proof of death. EOF waits for a forked child, which holds a copy of the socket; the pidfd
// does not.
inline bool SocketAtEof(const State& s) { return s.life >= kFilesClosed && !s.child; }
inline bool PidfdReadable(const State& s) { return s.life == kGone; }
inline bool ProvenGone(const State& s) { return PidfdReadable(s) && SocketAtEof(s); }

inline std::optional<Word> GrantSlot(int slot, Word empty, GrantKind kind) {
  return kind == kUncached ? lease_table::GrantUncached(memory.slots[slot], empty)
                           : lease_table::Grant(memory.slots[slot], empty);
}

// Answers the request with a lease on the first free block, perhaps with one more of the same
// ahead.
inline void Grant(State& s, GrantKind kind) {
  Book first = s.daemon.book[FreeSlot(s)];
  const uint8_t slot = static_cast<uint8_t>(FreeSlot(s));
  first.block = static_cast<uint8_t>(FreeBlock(s));
  const std::optional<Word> held = GrantSlot(slot, Word(Unpack(first.word)), kind);
  std::optional<Word> idle;
  Book second;
  uint8_t second_slot = 0;
  if (kind == kWithOneAhead) {
    second_slot = static_cast<uint8_t>(FreeSlot(s, 1));
    second = s.daemon.book[second_slot];
    second.block = static_cast<uint8_t>(FreeBlock(s, 1));
    idle = lease_table::GrantAhead(memory.slots[second_slot], Word(Unpack(second.word)));
  }
  if (!held || (kind == kWithOneAhead && !idle)) {
    Break("an honest client wrote into a slot that is not its own");
    return;
  }
  const uint8_t spec = static_cast<uint8_t>(s.messages.request - 1);
  first.granted = 1;
  first.revoked = held->revoked();
  first.spec = spec;
  ++first.lease;
  CheckHandover(s, first.block);
  s.daemon.book[slot] = first;
  s.messages.grant =
      Object{Pack(held->bits()), 1, slot, spec, 0, s.client.thread, first.lease, 0, 0};
  if (idle) {
    second.granted = 1;
    second.revoked = 0;
    second.spec = spec;
    ++second.lease;
    CheckHandover(s, second.block);
    s.daemon.book[second_slot] = second;
    Append(s.messages.ahead, Entry{Pack(idle->bits()), second_slot, spec, second.lease, 0});
  }
  s.messages.granted = 1;
  s.messages.request = 0;
  Say("; grants slot %d with block %d", int{slot}, int{first.block});
}

inline void Revoke(State& s, int slot) {
  lease_table::Revoke(memory.slots[slot]);
  s.daemon.book[slot].revoked = 1;
  --s.daemon.revokes_left;
}

inline void Free(State& s, int slot, Word empty) {
  Book& book = s.daemon.book[slot];
  Say("; block %d is free", int{book.block});
  book = Book{Pack(empty.bits()), 0, 0, 0, 0, book.lease, 0};
}

// Looks at a slot because a message says that it was returned, or because it is its turn. A message
// is a hint: it may be late, and the slot granted again since.
inline void Scan(State& s, int slot, [[maybe_unused]] bool returned) {
  if (!s.daemon.book[slot].granted) return;
  const lease_table::Seen seen = lease_table::Look(memory.slots[slot]);
  if (!lease_table::Drained(memory.timelines, kTimelines, seen)) return;
  const std::optional<Word> empty = lease_table::Reap(memory.slots[slot], seen.word);
  if (empty) Free(s, slot, *empty);
}

// Death is proven: everything the session had is free, whatever its fences say.
inline void EndSession(State& s) {
  for (int slot = 0; slot < kSlots; ++slot) {
    if (s.daemon.book[slot].granted) Free(s, slot, Word());
  }
  s.daemon.ended = 1;
  s.messages = Messages{};
}

inline void GrantToPeer(State& s, int block) {
  CheckHandover(s, block);
  s.daemon.peer_has |= static_cast<uint8_t>(1 << block);
  --s.daemon.peer_grants_left;
}

}  // namespace nvcv_cached::model
