// The descriptor socket: a Unix stream socket beside the session's, for what gRPC cannot carry.
//
// The client sends one Token (Welcome.descriptor_token). The daemon then sends frames, each with
// exactly one descriptor (SCM_RIGHTS): first the lease table, later each slab of the host device,
// before the Grant that names it. On a GPU a witness follows the table, the last frame there: a
// client leaves it unread, so that it lives in the socket's queue exactly as long as the client's
// end does, which a later daemon can see (server/foreign/held_files.h). Nothing else is ever sent,
// and the connection stays open as long as the session lives. Every descriptor is sealed against
// shrink, grow and further seals before it is sent.
//
// Invariant: a frame and its descriptor arrive together or not at all. Thread-safety: one sender
// and one receiver at a time on each socket; the functions keep no state.
#pragma once

#include <chrono>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/unique_fd.h"

namespace nvcv_cached {

inline constexpr size_t kDescriptorTokenBytes = 16;

enum class FrameKind : uint32_t { kLeaseTable = 1, kSlab = 2, kWitness = 3 };

struct Frame {
  FrameKind kind;
  uint32_t reserved = 0;
  uint64_t slab = 0;        // with kSlab
  uint64_t size_bytes = 0;  // of the memory behind the descriptor
};

struct ReceivedFrame {
  Frame frame;
  UniqueFd fd;
};

// Sends without blocking. RESOURCE_EXHAUSTED: the peer does not read; UNAVAILABLE: it is gone.
absl::Status SendFrame(int socket, const Frame& frame, int fd);

// Waits until `deadline`. UNAVAILABLE: end of file; DEADLINE_EXCEEDED; DATA_LOSS: not a frame, no
// descriptor, or a descriptor that is not sealed and at least `size_bytes` long.
absl::StatusOr<ReceivedFrame> ReceiveFrame(int socket,
                                           std::chrono::steady_clock::time_point deadline);

}  // namespace nvcv_cached
