#include "server/rpc/liveness.h"

#include <utility>

namespace nvcv_cached::server {

Liveness::Liveness(std::vector<Pulse> pulses) {
  for (Pulse& pulse : pulses) {
    asked_.push_back({.pulse = std::move(pulse),
                      .since = {},
                      .answered = std::make_shared<std::atomic<bool>>(true)});
  }
}

std::vector<std::string> Liveness::Beat(Time now, std::chrono::milliseconds patience) {
  std::vector<std::string> hung;
  for (Asked& asked : asked_) {
    if (asked.answered->load(std::memory_order_acquire)) {
      asked.answered->store(false, std::memory_order_release);
      asked.since = now;
      asked.pulse.ask(
          [answered = asked.answered] { answered->store(true, std::memory_order_release); });
      continue;
    }
    const auto extra = asked.pulse.extra ? asked.pulse.extra() : std::chrono::milliseconds(0);
    if (now - asked.since >= patience + extra) hung.push_back(asked.pulse.name);
  }
  return hung;
}

}  // namespace nvcv_cached::server
