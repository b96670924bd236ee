// Keeps the books told of foreign slabs: what earlier daemons' clients still map.
//
// Looks once at the start and, as long as there are any, once a second; from then on never again,
// since nobody can map more of a daemon that is dead. What starts and what ends is logged.
//
// Invariant: bytes() is what the books were told last. Thread-safety: one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "server/foreign/slab_record.h"
#include "server/rpc/broker.h"

namespace nvcv_cached::server {

class ForeignWatch {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Both outlive it.
  ForeignWatch(SlabRecord& record, Broker& broker) : record_(record), broker_(broker) {}

  void Look(Time now);  // does nothing before next(), and without one
  std::optional<Time> next() const { return next_; }
  uint64_t bytes() const { return bytes_; }

 private:
  SlabRecord& record_;
  Broker& broker_;
  std::optional<Time> next_{Time::min()};
  uint64_t bytes_ = 0;
};

}  // namespace nvcv_cached::server
