// The values that the daemon's core speaks in. Plain data.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace nvcv_cached::server {

using SessionId = uint64_t;  // from 1, never used again in an epoch
using SlabId = uint64_t;     // likewise
using RequestId = uint64_t;  // the client's, unique in its stream

// Who may share slabs: "uid:1000", "shared", "cgroup:...". Slabs never serve two domains (M4).
using Domain = std::string;

// Small blocks have slabs of their own, so that one batch table does not pin a big slab.
enum class SizeClass : uint8_t { kSmall, kLarge };
inline constexpr uint64_t kSmallBlockBytes = 256 * 1024;  // the largest small block

enum class Policy : uint8_t { kLru, kClear };

// A piece of a slab.
struct Block {
  SlabId slab = 0;
  uint64_t offset = 0;
  uint64_t size = 0;
  friend bool operator==(const Block&, const Block&) = default;
};

struct Settings {
  uint64_t capacity_bytes = 0;           // the most the pool takes from the device
  uint64_t device_bytes = ~uint64_t{0};  // what the device has in all
  uint64_t limit_bytes = 0;              // what counts toward the cache; may exceed the capacity
  Policy policy = Policy::kLru;
  std::optional<uint64_t> quota_bytes;  // default per session: leased bytes, cached or not
  uint64_t slab_bytes = uint64_t{64} << 20;
  uint64_t small_slab_bytes = uint64_t{4} << 20;
  // So much may stand empty while the pool grows, though it did not suit: for devices where to
  // unmap a slab is dear.
  uint64_t spare_bytes = 0;
  std::chrono::milliseconds trim_after{60'000};  // an empty slab goes back to the device after this
  std::chrono::milliseconds keep_time{
      100};                        // C10: idle this long, a lease goes before the pool grows
  std::string device = "host";     // as texts name it
  uint64_t block_alignment = 512;  // every block starts on and is a multiple of this
};

// Why an idle item was taken; the reasons of evictions_total.
enum class EvictReason : uint8_t { kLimit, kPressure, kClear, kQuota, kTrim };
inline constexpr size_t kEvictReasons = 5;

// How a session ended; the causes of sessions_ended_total.
enum class EndCause : uint8_t { kClose, kExit, kProtocol };
inline constexpr size_t kEndCauses = 3;

// Why an acquire was answered with an error; the codes of refused_total.
enum class RefusalReason : uint8_t { kOther, kOutOfMemory, kQuota, kTableFull };
inline constexpr size_t kRefusalReasons = 4;

}  // namespace nvcv_cached::server
