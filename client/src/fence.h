// The place where a fence goes: between the last use of an object and the CAS that gives it back.
//
// An item knows the Fencer of its device; the host device has none (its work is done when the call
// returns), so on the host a release pays one test of a pointer. A device with streams implements
// Fencer: HandOut binds the streams that will use the memory and makes them wait for an earlier use
// elsewhere; AtRelease records what was submitted since. An object whose memory was not handed out
// keeps the fence of the use before. Thread-safety: HandOut and AtRelease of one item are never
// called at the same time; AtRelease never blocks and never throws: what it cannot fence it answers
// with a fence that is never done.
#pragma once

#include <optional>

#include "proto/lease_table.h"

namespace nvcv_cached::client {

class Item;

class Fencer {
 public:
  virtual ~Fencer() = default;
  virtual void HandOut(Item& item) = 0;
  virtual std::optional<lease_table::Fence> AtRelease(Item& item) noexcept = 0;
};

}  // namespace nvcv_cached::client
