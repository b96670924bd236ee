#include "client/src/wait_scope.h"

#include <atomic>

#include "nvcv_cached/wait_hooks.h"

namespace nvcv_cached {
namespace {

std::atomic<const WaitHooks*> g_hooks{nullptr};
thread_local int t_depth = 0;

}  // namespace

void set_wait_hooks(const WaitHooks& hooks) {
  // Never freed: a thread may be waiting with the hooks of before.
  g_hooks.store(new WaitHooks(hooks), std::memory_order_release);
}

namespace client {

WaitScope::WaitScope() {
  if (t_depth++ > 0) return;
  const WaitHooks* hooks = g_hooks.load(std::memory_order_acquire);
  if (hooks != nullptr && hooks->begin != nullptr) begun_ = hooks->begin();
}

WaitScope::~WaitScope() {
  if (--t_depth > 0 || begun_ == nullptr) return;
  g_hooks.load(std::memory_order_acquire)->end(begun_);
}

bool WaitInterrupted() {
  if (t_depth == 0) return false;
  const WaitHooks* hooks = g_hooks.load(std::memory_order_acquire);
  return hooks != nullptr && hooks->interrupted != nullptr && hooks->interrupted();
}

}  // namespace client
}  // namespace nvcv_cached
