// What the random program says to its worker processes, and what they answer.
//
// One socket per thread of a worker and one for its main thread, which begins and joins the others.
// Each command is answered before the next one is given to anybody: so everything happens in one
// order, whatever thread of whatever process does it, and the model can follow it. Plain data.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace nvcv_cached::contract {

inline constexpr int kThreads = 3;   // at most, of one worker at once
inline constexpr int kObjects = 24;  // places for objects in one worker
// Descriptors of a worker, above any that the driver has when it makes one.
inline constexpr int kClockDescriptor = 500;
inline constexpr int kFirstSocket = 501;  // the main thread's; those of the threads follow

enum class Class : uint8_t {
  kTensor,
  kImage,
  kImageBatch,
  kTensorBatch,
  kBuffer,
  kStream,
  kExternalItem,
  kWrapper,
};

// Large enough that none is granted ahead. Some are of one size, so that one serves for the other;
// the buffer's 300 KiB serve for 272 KiB as well, being less than a quarter larger.
struct SpecOf {
  Class kind;
  int64_t a, b;  // tensors and images: rows and bytes of a row; batches: capacity; buffers: bytes
  uint64_t bytes;
};
inline constexpr uint64_t kKiB = 1024;
inline constexpr std::array<SpecOf, 12> kSpecs{{
    {Class::kTensor, 272, kKiB, 272 * kKiB},
    {Class::kImage, 272, kKiB, 272 * kKiB},
    {Class::kTensor, 344, kKiB, 344 * kKiB},
    {Class::kImage, 344, kKiB, 344 * kKiB},
    {Class::kImage, 440, kKiB, 440 * kKiB},
    {Class::kImageBatch, 3600, 0, 3600 * 160},
    {Class::kTensorBatch, 2250, 0, 2250 * 256},
    {Class::kBuffer, 300 * kKiB, 0, 300 * kKiB},
    {Class::kStream, 0, 0, 0},
    {Class::kExternalItem, 1, 0, 0},
    {Class::kExternalItem, 2, 0, 0},
    {Class::kWrapper, 0, 0, 0},
}};

enum class Op : uint8_t {
  // of a thread
  kMake,     // spec, at; value: the row alignment of a tensor
  kReshape,  // the tensor `other`, at
  kDrop,     // at
  kPush,     // at: a batch, other: its new member
  kEmpty,    // at: a batch
  kClearThread,
  kClearProcess,
  kLimit,  // value
  kRead,
  kReadLimit,
  kLeave,  // the thread ends, without an answer
  // of the main thread
  kStart,  // at: which thread
  kJoin,   // at: which thread
  kLook,
  kExit,  // without an answer
};

struct Command {
  Op op = Op::kRead;
  uint8_t spec = 0;
  uint8_t at = 0;
  uint8_t other = 0;
  bool read = true;  // the counters through the API afterwards
  int64_t value = 0;
};

struct Counts {
  uint64_t items = 0, bytes = 0;
  friend bool operator==(const Counts&, const Counts&) = default;
};

struct Hits {
  uint64_t exact = 0, size_class = 0, depot = 0, misses = 0;
  friend bool operator==(const Hits&, const Hits&) = default;
};

inline constexpr uint32_t kNoSlot = UINT32_MAX;

struct Reply {
  uint32_t slot = kNoSlot;  // kMake: of the lease
  bool cached = false;      // kMake: it counts
  bool reused = false;      // kMake of an external item: it was idle
  uint64_t bytes = 0;       // kMake: what counts for the object
  int64_t row_bytes = 0;    // kMake of a tensor: from a row to the next
  uint64_t detached = 0;    // kLook: by place, what is in use and off the books
  // After the operation, as the thread that did it reads them.
  uint64_t local_items = 0;  // of the process, those without memory
  Counts process, thread;    // when asked to read
  Hits hits;                 // of the process; likewise
  int64_t limit = 0;
  std::array<char, 160> error{};

  std::string_view error_text() const { return error.data(); }
};

}  // namespace nvcv_cached::contract
