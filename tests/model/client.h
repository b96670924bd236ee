// The client's process in the model: the client thread, the releasing thread and the flusher, as
// callers of lease_table.h and timelines.h. Functions named after a Code are operations (see
// atomics.h); those in `moves` are indivisible, because they touch only what one thread owns, or
// one message.
#pragma once

#include <optional>

#include "tests/model/gpu.h"
#include "tests/model/state.h"

namespace nvcv_cached::model {

inline void Append(Entries& entries, Entry entry) {
  if (entries.count == kEntries) {
    fprintf(stderr, "a cache holds more than %d entries: raise kEntries\n", kEntries);
    abort();
  }
  entries.list[entries.count++] = entry;
}

inline Entry Remove(Entries& entries, int index) {
  const Entry entry = entries.list[index];
  memmove(entries.list + index, entries.list + index + 1,
          sizeof(Entry) * static_cast<size_t>(kEntries - 1 - index));
  entries.list[--entries.count] = Entry{};
  return entry;
}

inline int ObjectCount(const Object (&objects)[kObjects]) {
  int count = 0;
  while (count < kObjects && objects[count].present) ++count;
  return count;
}

inline void AppendObject(Object (&objects)[kObjects], Object object) {
  objects[ObjectCount(objects)] = object;
}

inline Object RemoveObject(Object (&objects)[kObjects], int index) {
  const Object object = objects[index];
  memmove(objects + index, objects + index + 1,
          sizeof(Object) * static_cast<size_t>(kObjects - 1 - index));
  objects[kObjects - 1] = Object{};
  return object;
}

inline Entry EntryOf(const Object& object, Word word) {
  return Entry{Pack(word.bits()), object.slot, object.spec, object.lease, 0};
}

// The timeline that the thread has for the stream; -1: none.
inline int TimelineFor(const BoundStream (&bound)[kTimelines], int stream) {
  for (int i = 0; i < kTimelines; ++i) {
    if (bound[i].stream == stream + 1) return i;
  }
  return -1;
}

// ---- operations of both threads -----------------------------------------------------------------

// Gives a lease back for good and tells the daemon.
inline void ReturnLease(State& s, int slot, uint16_t word, std::optional<Fence> fence) {
  const bool held = Word(Unpack(word)).state() == lease_table::State::kHeld;
  const bool returned = lease_table::Return(memory.slots[slot], Word(Unpack(word)), fence);
  if (!returned && held) Break("a held lease could not be returned");
  if (returned && run.config->hints) {
    s.messages.hints |= static_cast<uint8_t>(1 << slot);
    Say("; tells the daemon");
  }
}

// The fence of an object's uses. Several streams are joined: a private stream waits for all of
// them, and the fence is on that stream's timeline.
inline std::optional<Fence> FenceOf(const Object& object, BoundStream (&bound)[kTimelines]) {
  int on = -1, streams = 0;
  for (int i = 0; i < kStreams; ++i) {
    if ((object.streams >> i & 1) != 0) on = i, ++streams;
  }
  if (streams == 0) return std::nullopt;
  if (streams > 1) {
    on = kStreams;
    Driver join{on};
    for (int i = 0; i < kStreams; ++i) {
      const uint16_t timeline = static_cast<uint16_t>(TimelineFor(bound, i));
      Driver{i}.Record(timeline);
      join.Wait(timeline);
    }
  }
  const int timeline = TimelineFor(bound, on);
  client::Binding binding{static_cast<uint16_t>(timeline), bound[timeline].newest};
  Driver driver{on};
  const std::optional<Fence> fence =
      client::MakeFence(memory.counters[timeline], memory.bell, binding, driver);
  bound[timeline].newest = static_cast<uint8_t>(binding.newest);
  return fence;
}

// Back into a cache; nullopt: the lease was revoked and is returned.
inline std::optional<Entry> ReleaseObject(State& s, const Object& object,
                                          BoundStream (&bound)[kTimelines]) {
  const std::optional<Fence> fence = FenceOf(object, bound);
  const std::optional<Word> idle =
      lease_table::Release(memory.slots[object.slot], Word(Unpack(object.word)), fence, 0);
  if (idle) return EntryOf(object, *idle);
  ReturnLease(s, object.slot, object.word, fence);
  return std::nullopt;
}

inline bool Rebind(BoundStream (&bound)[kTimelines], int timeline, int stream) {
  const client::Binding binding{static_cast<uint16_t>(timeline), bound[timeline].newest};
  if (!client::Rebindable(memory.timelines, kTimelines, binding)) return false;
  bound[timeline].stream = static_cast<uint8_t>(stream + 1);
  return true;
}

// ---- the client thread --------------------------------------------------------------------------

inline void Acquire(State& s, uint8_t spec) {
  Client me = s.client;
  --me.acquires_left;
  for (int i = me.cache.count - 1; i >= 0; --i) {
    if (me.cache.list[i].spec != spec) continue;
    const Entry entry = Remove(me.cache, i);
    const std::optional<Word> held =
        lease_table::Reuse(memory.slots[entry.slot], Word(Unpack(entry.word)));
    if (!held) continue;
    AppendObject(me.object,
                 Object{Pack(held->bits()), 1, entry.slot, spec, 0, me.thread, entry.lease, 0, 0});
    s.client = me;
    return;
  }
  Say("; asks the daemon for spec %d", int{spec});
  me.waits_for = static_cast<uint8_t>(spec + 1);
  s.messages.request = me.waits_for;
  s.client = me;
}

inline void Launch(State& s, int index, int stream) {
  Client me = s.client;
  Object& object = me.object[index];
  Driver driver{stream};
  const int timeline = TimelineFor(me.bound, stream);
  const client::Binding binding{static_cast<uint16_t>(timeline), me.bound[timeline].newest};
  const Fence earlier(memory.slots[object.slot].fence.OwnValue());
  if (client::MustWait(memory.timelines, kTimelines, earlier, binding)) {
    driver.Wait(earlier.timeline());
  }
  if (object.use == 0) object.use = static_cast<uint8_t>(s.gpu.uses + 1);
  driver.Launch(object.slot, object.use);
  if (object.streams == 0) s.gpu.uses = object.use;
  object.streams |= static_cast<uint8_t>(1 << stream);
  --me.launches_left;
  s.client = me;
}

inline void ReleaseHere(State& s, int index) {
  Client me = s.client;
  const Object object = RemoveObject(me.object, index);
  const std::optional<Entry> entry = ReleaseObject(s, object, me.bound);
  if (entry) Append(me.cache, *entry);
  s.client = me;
}

inline void Drop(State& s, int index) {
  Client me = s.client;
  --me.drops_left;
  const Entry entry = Remove(me.cache, index);
  ReturnLease(s, entry.slot, entry.word, std::nullopt);
  s.client = me;
}

// Reads a grant that nobody waits for any more.
inline void ReturnStale(State& s) {
  Client me = s.client;
  Messages messages = s.messages;
  ReturnLease(s, messages.grant.slot, messages.grant.word, std::nullopt);
  for (int i = 0; i < messages.ahead.count; ++i) Append(me.cache, messages.ahead.list[i]);
  me.gave_up = 0;
  s.messages.granted = 0;
  s.messages.grant = Object{};
  s.messages.ahead = Entries{};
  s.client = me;
}

// ---- the releasing thread -----------------------------------------------------------------------

// The push to the owner's inbox is a step of its own, after the CAS; a closed inbox means the
// depot.
inline void ReleaseElsewhere(State& s) {
  Releaser me = s.releaser;
  const Object object = RemoveObject(me.object, 0);
  const std::optional<Entry> entry = ReleaseObject(s, object, me.bound);
  if (entry) {
    Step([&](State& now) {
      DrainBuffer(now, run.actor);
      const bool open = now.messages.inbox_of == object.thread;
      Append(open ? now.messages.inbox : now.messages.depot, *entry);
      Say("push slot %d to the %s", int{entry->slot}, open ? "owner's inbox" : "depot");
      return uint16_t{0};
    });
  }
  memmove(&s.releaser.object[0], &s.releaser.object[1], sizeof(Object) * (kObjects - 1));
  s.releaser.object[kObjects - 1] = Object{};
  memcpy(s.releaser.bound, me.bound, sizeof me.bound);
}

// ---- the flusher --------------------------------------------------------------------------------

inline void FlushNext(State& s) {
  Flusher me = s.flusher;
  const uint8_t i = me.next;
  FlushedLine& line = me.timeline[i];
  client::Flushing mine{line.flushed, line.handed, line.polls, false};
  Driver driver;
  const client::Flushed found =
      client::Flush(memory.timelines[i], memory.counters[i], i, mine, driver);
  line = FlushedLine{static_cast<uint8_t>(mine.flushed), static_cast<uint8_t>(mine.handed),
                     static_cast<uint8_t>(mine.polls)};
  if (found != client::Flushed::kClean) me.dirty = 1;
  ++me.next;
  if (me.next == TimelinesOf(*run.config) && me.dirty) me.next = me.dirty = 0;
  s.flusher = me;
}

inline void Park(State& s) {
  client::Flushing mine[kTimelines];
  for (int i = 0; i < kTimelines; ++i) mine[i].flushed = s.flusher.timeline[i].flushed;
  const bool sleep = client::Park(memory.bell, memory.counters, mine);
  if (sleep) Say("; sleeps");
  s.flusher.asleep = sleep;
  s.flusher.next = s.flusher.dirty = 0;
}

}  // namespace nvcv_cached::model
