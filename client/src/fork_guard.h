// After fork() the child has this library's memory but neither its threads nor its lease table (the
// table is MADV_DONTFORK). A flag set in the child by pthread_atfork makes every use an error that
// says so, before anything of the table is touched; destroying an inherited object does nothing.
//
// Nothing is armed before a daemon was reached: a process that forks earlier, also after it looked
// for one in vain, gets children that work. Thread-safety: thread-safe.
#pragma once

#include <atomic>

namespace nvcv_cached::client {

// From here on a fork's child is marked. Called before anything of a session is made; again does
// nothing.
void ArmForkGuard();

// While one lives a fork's child is marked: it would inherit an attempt to connect that nobody in
// it carries on.
class ConnectAttempt {
 public:
  ConnectAttempt();
  ~ConnectAttempt();
  ConnectAttempt(const ConnectAttempt&) = delete;
  ConnectAttempt& operator=(const ConnectAttempt&) = delete;
};

namespace internal {
// The pid that the table belongs to when this process is a fork of it, else 0.
extern std::atomic<int> forked_from;
}  // namespace internal

inline bool IsForkedChild() { return internal::forked_from.load(std::memory_order_relaxed) != 0; }

[[noreturn]] void ThrowForked();

// First statement of every entry point that may touch a table.
inline void RefuseInForkedChild() {
  if (__builtin_expect(IsForkedChild(), 0)) ThrowForked();
}

}  // namespace nvcv_cached::client
