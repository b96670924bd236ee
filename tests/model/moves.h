// Who can do what next. ForEachMove is the transition relation: it calls `visit` with each state
// that one step of one actor leads to.
#pragma once

#include "tests/model/client.h"
#include "tests/model/daemon.h"
#include "tests/model/state.h"

namespace nvcv_cached::model {

inline const char* NameOf(Actor actor) {
  static constexpr const char* kNames[] = {"client", "releaser", "flusher", "daemon"};
  return kNames[actor];
}

inline const char* NameOf(Code code) {
  static constexpr const char* kNames[] = {
      "",     "acquire", "hand out", "release", "return idle", "return unread",
      "bind", "flush",   "park",     "grant",   "revoke",      "scan"};
  return kNames[static_cast<int>(code)];
}

inline void RunOperation(State& s, Actor actor, const Operation& operation) {
  switch (operation.code) {
    case Code::kNone:
      return;
    case Code::kAcquire:
      return Acquire(s, operation.a);
    case Code::kLaunch:
      return Launch(s, operation.a, operation.b);
    case Code::kRelease:
      return actor == kClient ? ReleaseHere(s, operation.a) : ReleaseElsewhere(s);
    case Code::kDrop:
      return Drop(s, operation.a);
    case Code::kReturnStale:
      return ReturnStale(s);
    case Code::kBind:
      Rebind(actor == kClient ? s.client.bound : s.releaser.bound, operation.a, operation.b);
      return;
    case Code::kFlush:
      return FlushNext(s);
    case Code::kPark:
      return Park(s);
    case Code::kGrant:
      return Grant(s, static_cast<GrantKind>(operation.a));
    case Code::kRevoke:
      return Revoke(s, operation.a);
    case Code::kScan:
      return Scan(s, operation.a, operation.b != 0);
  }
}

// One step of the operation that the actor is in. True: it ended.
inline bool RunStep(State& s, Actor actor) {
  run.state = &s;
  run.actor = actor;
  run.position = 0;
  run.stepped = false;
  if (setjmp(run.out) != 0) return false;
  RunOperation(s, actor, s.operation[actor]);
  return true;
}

inline void Continue(State& s, Actor actor) {
  Say("%-8s %-13s ", NameOf(actor), NameOf(s.operation[actor].code));
  if (RunStep(s, actor)) s.operation[actor] = Operation{};
  Say("\n");
}

inline void Begin(State& s, Actor actor, Code code, uint8_t a = 0, uint8_t b = 0) {
  s.operation[actor].code = code;
  s.operation[actor].a = a;
  s.operation[actor].b = b;
  Continue(s, actor);
}

// The flusher's loop: look at each timeline, again while one is dirty; then park, sleep until rung.
inline void BeginFlusher(State& s) {
  if (s.flusher.asleep) {
    Say("flusher  wakes\n");
    s.flusher.asleep = 0;
  } else if (s.flusher.next < TimelinesOf(*run.config)) {
    Begin(s, kFlusher, Code::kFlush);
  } else {
    Begin(s, kFlusher, Code::kPark);
  }
}

inline State InitialState(const Config& config) {
  State s;
  for (int i = 0; i < config.client_timelines; ++i) {
    s.client.bound[i].stream = static_cast<uint8_t>(i < config.streams ? i + 1 : 0);
  }
  if (config.join) s.client.bound[config.client_timelines - 1].stream = kStreams + 1;
  for (int i = 0; i < config.releaser_timelines; ++i) {
    s.releaser.bound[config.client_timelines + i].stream =
        static_cast<uint8_t>(i < config.streams ? i + 1 : 0);
  }
  s.client.acquires_left = config.acquires;
  s.client.launches_left = config.launches;
  s.client.passes_left = config.passes;
  s.client.give_ups_left = config.give_ups;
  s.client.drops_left = config.drops;
  s.client.exits_left = config.exits;
  s.daemon.revokes_left = config.revokes;
  s.daemon.peer_grants_left = config.peer_grants;
  s.child = config.forked_child;
  memory.bell.in_use.Fix(static_cast<uint32_t>(TimelinesOf(config)));
  Driver::kPolls = config.polls;
  run.config = &config;
  return s;
}

// Each move starts from a copy of `from`; `visit(next)` gets the result.
template <class Visit>
class Mover {
 public:
  Mover(const State& from, Visit visit) : from_(from), visit_(visit) {}

  void All() {
    if (from_.life == kAlive) {
      Thread(kClient, &Mover::ClientMoves);
      Thread(kReleaser, &Mover::ReleaserMoves);
      Thread(kFlusher, &Mover::FlusherMoves);
    }
    GpuMoves();
    Thread(kDaemon, &Mover::DaemonMoves);
    PeerMoves();
    LifeMoves();
  }

 private:
  template <class Change>
  void Move(Change change) {
    State next = from_;
    change(next);
    visit_(next);
  }
  void BeginMove(Actor actor, Code code, int a = 0, int b = 0) {
    Move(
        [&](State& s) { Begin(s, actor, code, static_cast<uint8_t>(a), static_cast<uint8_t>(b)); });
  }

  void Thread(Actor actor, void (Mover::*begin)()) {
    if (Idle(from_, actor)) {
      (this->*begin)();
    } else {
      Move([&](State& s) { Continue(s, actor); });
    }
    if (from_.buffered_cell[actor] != 0) {
      Move([&](State& s) {
        Say("%-8s its store reaches memory\n", NameOf(actor));
        DrainBuffer(s, actor);
      });
    }
  }

  void ClientMoves() {
    const Client& me = from_.client;
    const Config& config = *run.config;
    if (from_.messages.granted && !me.gave_up) {
      Move([](State& s) {
        Say("client   reads its grant\n");
        AppendObject(s.client.object, s.messages.grant);
        for (int i = 0; i < s.messages.ahead.count; ++i) {
          Append(s.client.cache, s.messages.ahead.list[i]);
        }
        s.client.waits_for = s.messages.granted = 0;
        s.messages.grant = Object{};
        s.messages.ahead = Entries{};
      });
    }
    if (me.waits_for != 0) {
      if (me.give_ups_left > 0) {
        Move([](State& s) {
          Say("client   its deadline passes\n");
          s.client.waits_for = 0;
          s.client.gave_up = 1;
          --s.client.give_ups_left;
        });
      }
      return;
    }
    if (me.gave_up && from_.messages.granted) BeginMove(kClient, Code::kReturnStale);
    const int live = ObjectCount(me.object);
    if (me.acquires_left > 0 && live < config.live && !me.gave_up) {
      for (int spec = 0; spec < config.specs; ++spec) BeginMove(kClient, Code::kAcquire, spec);
    }
    for (int i = 0; i < live; ++i) {
      const Object& object = me.object[i];
      if ((object.streams == 0 || config.join) && me.launches_left > 0) {
        for (int stream = 0; stream < config.streams; ++stream) {
          if ((object.streams >> stream & 1) != 0) continue;
          if (TimelineFor(me.bound, stream) >= 0) BeginMove(kClient, Code::kLaunch, i, stream);
        }
      }
      BeginMove(kClient, Code::kRelease, i);  // a stream in use stays bound
      if (me.passes_left > 0 && ObjectCount(from_.releaser.object) < kObjects) {
        Move([i](State& s) {
          Say("client   gives object %d to the releasing thread\n", i);
          --s.client.passes_left;
          AppendObject(s.releaser.object, RemoveObject(s.client.object, i));
        });
      }
    }
    if (from_.messages.inbox.count > 0) {
      Move([](State& s) {
        Say("client   empties its inbox\n");
        for (int i = 0; i < s.messages.inbox.count; ++i) {
          Append(s.client.cache, s.messages.inbox.list[i]);
        }
        s.messages.inbox = Entries{};
      });
    }
    for (int i = 0; me.drops_left > 0 && i < me.cache.count; ++i) {
      BeginMove(kClient, Code::kDrop, i);
    }
    if (live == 0 && me.exits_left > 0) Move(&EndThread);
    if (from_.messages.depot.count > 0) {
      Move([](State& s) {
        Say("client   takes a lease from the depot\n");
        Append(s.client.cache, Remove(s.messages.depot, 0));
      });
    }
    BindMoves(kClient, me.bound, 0, config.client_timelines);
  }

  // The thread ends: its list closes, its idle leases go to the depot; the next thread opens its
  // own.
  static void EndThread(State& s) {
    Say("client   the thread ends, another begins\n");
    --s.client.exits_left;
    for (Entries* from : {&s.client.cache, &s.messages.inbox}) {
      for (int i = 0; i < from->count; ++i) Append(s.messages.depot, from->list[i]);
      *from = Entries{};
    }
    s.messages.inbox_of = ++s.client.thread;
  }

  // A stream that has no timeline gets one that no object in use needs.
  void BindMoves(Actor actor, const BoundStream (&bound)[kTimelines], int first, int count) {
    if (count >= run.config->streams) return;
    for (int stream = 0; stream < run.config->streams; ++stream) {
      if (TimelineFor(bound, stream) >= 0) continue;
      for (int i = first; i < first + count; ++i) {
        bool needed = false;
        for (const Object& object :
             actor == kClient ? from_.client.object : from_.releaser.object) {
          needed |= object.present && (object.streams << 1 >> bound[i].stream & 1) != 0;
        }
        if (!needed || bound[i].stream == 0) BeginMove(actor, Code::kBind, i, stream);
      }
    }
  }

  void ReleaserMoves() {
    const Releaser& me = from_.releaser;
    if (!me.object[0].present) return;
    bool bound = true;
    for (int i = 0; i < kStreams; ++i) {
      bound &= (me.object[0].streams >> i & 1) == 0 || TimelineFor(me.bound, i) >= 0;
    }
    if (bound) BeginMove(kReleaser, Code::kRelease);
    BindMoves(kReleaser, me.bound, run.config->client_timelines, run.config->releaser_timelines);
  }

  void FlusherMoves() {
    if (from_.flusher.asleep && from_.cell[kParkedCell] != 0) return;
    Move(&BeginFlusher);
  }

  void GpuMoves() {
    if (from_.life >= kContextGone && !from_.child) return;
    for (int stream = 0; stream < kStreams + kPrivateStreams; ++stream) {
      if (!CanAdvance(from_, stream)) continue;
      Move([stream](State& s) {
        Say("gpu      ");
        Advance(s, stream);
        Say("\n");
      });
    }
  }

  void DaemonMoves() {
    const Daemon& me = from_.daemon;
    const Config& config = *run.config;
    if (me.ended) return;
    if (from_.messages.request != 0 && FreeSlot(from_) >= 0 && FreeBlock(from_) >= 0) {
      BeginMove(kDaemon, Code::kGrant, kPlain);
      if (config.uncached) BeginMove(kDaemon, Code::kGrant, kUncached);
      if (config.ahead && FreeSlot(from_, 1) >= 0 && FreeBlock(from_, 1) >= 0) {
        BeginMove(kDaemon, Code::kGrant, kWithOneAhead);
      }
    }
    for (int slot = 0; slot < config.slots; ++slot) {
      if (me.book[slot].granted) {
        if (!me.book[slot].revoked && me.revokes_left > 0) {
          BeginMove(kDaemon, Code::kRevoke, slot);
        }
        BeginMove(kDaemon, Code::kScan, slot);
      }
      if ((from_.messages.hints >> slot & 1) != 0) {
        Move([slot](State& s) {
          s.messages.hints &= static_cast<uint8_t>(~(1 << slot));
          Say("daemon   a message says that slot %d was returned\n      ", slot);
          Begin(s, kDaemon, Code::kScan, static_cast<uint8_t>(slot), 1);
        });
      }
    }
    if (ProvenGone(from_)) {
      Move([](State& s) {
        Say("daemon   the process is gone");
        EndSession(s);
        Say("\n");
      });
    }
  }

  void PeerMoves() {
    for (int block = 0; block < run.config->blocks; ++block) {
      if ((from_.daemon.peer_has >> block & 1) == 0) continue;
      Move([block](State& s) {
        Say("peer     returns block %d\n", block);
        s.daemon.peer_has &= static_cast<uint8_t>(~(1 << block));
      });
    }
    const int free = FreeBlock(from_);
    if (Idle(from_, kDaemon) && from_.daemon.peer_grants_left > 0 && free >= 0) {
      Move([free](State& s) {
        Say("daemon   grants block %d to the second process\n", free);
        GrantToPeer(s, free);
      });
    }
  }

  void LifeMoves() {
    if (!run.config->kill) return;
    static constexpr const char* kNames[] = {"is killed: its threads end", "its files are closed",
                                             "its GPU context is destroyed",
                                             "is gone: the pidfd is readable"};
    if (from_.life < kGone) {
      Move([](State& s) {
        Say("process  %s\n", kNames[s.life]);
        ++s.life;
        if (s.life == kKilled) {
          for (int i = kClient; i <= kFlusher; ++i) {
            s.operation[i] = Operation{};
            s.buffered[i] = s.buffered_cell[i] = 0;
          }
        }
        if (s.life == kContextGone && !s.child) DestroyContext(s);
      });
    }
    if (from_.child && from_.life != kAlive) {
      Move([](State& s) {
        Say("process  its forked child dies\n");
        s.child = 0;
        if (s.life >= kContextGone) DestroyContext(s);
      });
    }
  }

  static void DestroyContext(State& s) {
    for (Queue& queue : s.gpu.stream) queue = Queue{};
  }

  const State& from_;
  Visit visit_;
};

template <class Visit>
void ForEachMove(const State& from, Visit visit) {
  Mover<Visit>(from, visit).All();
}

}  // namespace nvcv_cached::model
