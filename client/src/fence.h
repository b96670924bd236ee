// The place where a fence goes: between the last use of an object and the CAS that gives it back.
//
// An item knows the Fencer of its device; the host device has none (its work is done when the call
// returns), so on the host a release pays one test of a pointer. A device with streams implements
// Fencer: HandOut and HandOutOn bind the stream that will use the memory and make it wait for an
// earlier use elsewhere; AtRelease records what was submitted since. An object whose memory was not
// handed out keeps the fence of the use before. Thread-safety: holders of one item may hand it out
// at the same time; AtRelease is called once nobody holds it, never blocks and never throws: what
// it cannot fence it answers with kNeverDone, and such an object must not be used again.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "proto/lease_table.h"

namespace nvcv_cached::client {

class Item;
struct StreamState;

// Timeline 0 is never bound: the block stays the daemon's problem until this process is proven
// gone.
inline constexpr lease_table::Fence kNeverDone{0, lease_table::Fence::kCounterMask};

class Fencer {
 public:
  virtual ~Fencer() = default;

  // The pointer goes to work on the calling thread's current stream. Throws DeviceError;
  // InvalidArgument for a stream that is capturing or of another context.
  virtual void HandOut(Item& item) = 0;

  // The same for another stream, beside the current one.
  virtual void HandOutOn(Item& item, const std::shared_ptr<StreamState>& stream) = 0;

  // The same, and what that stream is given from here on runs after what the others that the memory
  // was handed out to have now.
  virtual void HandOutAfter(Item& item, const std::shared_ptr<StreamState>& stream) = 0;

  // nullopt: nothing was handed out, the fence before still holds.
  virtual std::optional<lease_table::Fence> AtRelease(Item& item) noexcept = 0;

  virtual int device_ordinal() const = 0;  // of the GPU, in this process
};

}  // namespace nvcv_cached::client
