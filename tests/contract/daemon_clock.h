// The time of the program's steps (step_clock.h), as the daemon's core takes it. Thread-safe.
#pragma once

#include "server/core/clock.h"
#include "tests/contract/step_clock.h"

namespace nvcv_cached::contract {

class DaemonClock final : public server::Clock {
 public:
  explicit DaemonClock(const StepClock& steps) : steps_(steps) {}
  server::TimePoint Now() const override {
    return server::TimePoint(server::Duration(steps_.Look()));
  }

 private:
  const StepClock& steps_;
};

}  // namespace nvcv_cached::contract
