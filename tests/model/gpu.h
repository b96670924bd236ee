// The GPU of the model and the driver calls that reach it.
//
// Each stream is a queue and does its work in order, at its own pace. Work on a block is one item
// that ends at some moment. A timeline's event counts its records; a query asks about the last one,
// a wait keeps the one that was last when it was submitted. A private stream's item waits for a
// record and then stores done_gpu.
#pragma once

#include "tests/model/atomics.h"
#include "tests/model/state.h"

namespace nvcv_cached::model {

constexpr uint16_t MakeItem(Item kind, int of, int number, int value = 0) {
  return static_cast<uint16_t>(kind << 12 | of << 8 | number << 4 | value);
}
constexpr Item KindOf(uint16_t item) { return static_cast<Item>(item >> 12); }
constexpr int SubjectOf(uint16_t item) { return item >> 8 & 15; }
constexpr int NumberOf(uint16_t item) { return item >> 4 & 15; }
constexpr int ValueOf(uint16_t item) { return item & 15; }

inline void Push(Queue& queue, uint16_t item) {
  if (queue.count == kQueueLength) {
    fprintf(stderr, "a stream holds more than %d items: raise kQueueLength\n", kQueueLength);
    abort();
  }
  queue.item[queue.count++] = item;
}

inline uint16_t Pop(Queue& queue) {
  const uint16_t head = queue.item[0];
  memmove(queue.item, queue.item + 1, sizeof queue.item - sizeof head);
  queue.item[kQueueLength - 1] = 0;
  --queue.count;
  return head;
}

inline bool Reached(const Gpu& gpu, int timeline, int record) {
  return record == 0 || (gpu.reached[timeline] >> record & 1) != 0;
}

// Ghost: is work on the block unfinished?
inline bool Pending(const State& s, int block) {
  for (int i = 0; i < kStreams; ++i) {
    for (int k = 0; k < s.gpu.stream[i].count; ++k) {
      const uint16_t item = s.gpu.stream[i].item[k];
      if (KindOf(item) == kWork && SubjectOf(item) == block) return true;
    }
  }
  return false;
}

// Waits whose record is reached end by themselves: nobody can see the moment.
inline void SettleWaits(State& s) {
  for (bool again = true; again;) {
    again = false;
    for (Queue& queue : s.gpu.stream) {
      while (queue.count > 0 && KindOf(queue.item[0]) == kWait &&
             Reached(s.gpu, SubjectOf(queue.item[0]), NumberOf(queue.item[0]))) {
        Pop(queue);
        again = true;
      }
    }
  }
}

inline bool CanAdvance(const State& s, int stream) {
  const Queue& queue = s.gpu.stream[stream];
  if (queue.count == 0) return false;
  const uint16_t head = queue.item[0];
  if (KindOf(head) != kWait && KindOf(head) != kWaitAndWrite) return true;
  return Reached(s.gpu, SubjectOf(head), NumberOf(head));
}

// The stream ends its first item; records right behind it are reached in the same moment, which is
// the earliest that anybody could learn of it.
inline void Advance(State& s, int stream) {
  Queue& queue = s.gpu.stream[stream];
  const uint16_t head = Pop(queue);
  const int subject = SubjectOf(head);
  if (KindOf(head) == kWaitAndWrite) {
    const int cell = kDoneCell + 2 * subject + 1;
    if (s.cell[cell] > ValueOf(head)) Break("a done word shrank");
    s.cell[cell] = static_cast<uint16_t>(ValueOf(head));
    SayCellValue("store", cell, s.cell[cell], " (private stream)");
    return;
  }
  if (KindOf(head) == kWork) {
    Say("stream %d ends work of use %d on block %d", stream, NumberOf(head), subject);
    for (int i = 0; i < kStreams; ++i) {
      for (int k = 0; k < s.gpu.stream[i].count; ++k) {
        const uint16_t item = s.gpu.stream[i].item[k];
        if (KindOf(item) == kWork && SubjectOf(item) == subject &&
            NumberOf(item) < NumberOf(head)) {
          Break("two uses of one block overlap on the GPU");
        }
      }
    }
  } else {
    s.gpu.reached[subject] |= static_cast<uint16_t>(1 << NumberOf(head));
    Say("stream %d reaches record %d of timeline %d", stream, NumberOf(head), subject);
  }
  while (queue.count > 0 && KindOf(queue.item[0]) == kRecord) {
    const uint16_t next = Pop(queue);
    s.gpu.reached[SubjectOf(next)] |= static_cast<uint16_t>(1 << NumberOf(next));
    Say(", reaches record %d of timeline %d", NumberOf(next), SubjectOf(next));
  }
  SettleWaits(s);
}

// The calls that timelines.h asks of a driver, and those of the user's code. Each is one step.
struct Driver {
  static inline uint32_t kPolls = 1;  // of the configuration
  int stream = 0;                     // what Record records on

  bool Record(uint16_t timeline) {
    Step([this, timeline](State& s) {
      DrainBuffer(s, run.actor);
      const int number = ++s.gpu.recorded[timeline];
      Push(s.gpu.stream[stream], MakeItem(kRecord, timeline, number));
      Say("record %d of timeline %d's event on stream %d", number, int{timeline}, stream);
      return uint16_t{0};
    });
    return true;
  }

  client::EventState Query(uint16_t timeline) {
    const bool reached = Step([timeline](State& s) {
      DrainBuffer(s, run.actor);
      const int number = s.gpu.recorded[timeline];
      const bool is = Reached(s.gpu, timeline, number);
      Say("query timeline %d's event: record %d %s", int{timeline}, number,
          is ? "is reached" : "is pending");
      return uint16_t{is};
    });
    return reached ? client::EventState::kReached : client::EventState::kPending;
  }

  bool WaitAndWrite(uint16_t timeline, uint64_t counter) {
    Step([timeline, counter](State& s) {
      DrainBuffer(s, run.actor);
      const int to = timeline % run.config->private_streams;
      Push(s.gpu.stream[kStreams + to],
           MakeItem(kWaitAndWrite, timeline, s.gpu.recorded[timeline], static_cast<int>(counter)));
      Say("private stream %d: wait for record %d of timeline %d, then store done_gpu %d", to,
          int{s.gpu.recorded[timeline]}, int{timeline}, static_cast<int>(counter));
      return uint16_t{0};
    });
    return true;
  }

  void Wait(uint16_t timeline) {
    Step([this, timeline](State& s) {
      DrainBuffer(s, run.actor);
      Push(s.gpu.stream[stream], MakeItem(kWait, timeline, s.gpu.recorded[timeline]));
      SettleWaits(s);
      Say("stream %d waits for record %d of timeline %d", stream, int{s.gpu.recorded[timeline]},
          int{timeline});
      return uint16_t{0};
    });
  }

  void Launch(int slot, int use) {
    Step([this, slot, use](State& s) {
      DrainBuffer(s, run.actor);
      const int block = s.daemon.book[slot].block;
      Push(s.gpu.stream[stream], MakeItem(kWork, block, use));
      Say("launch work of use %d on block %d (slot %d) on stream %d", use, block, slot, stream);
      return uint16_t{0};
    });
  }
};

}  // namespace nvcv_cached::model
