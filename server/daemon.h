// A daemon that serves: its signals, its draining, its reloads, its leaving when idle.
//
// Run is the main thread's loop. It sleeps until a signal or a moment that matters (the end of an
// idle time, of a drain, the service manager's next word); without any of these it uses no CPU.
//
//   serving --TERM, INT, idle--> draining --nothing in use, or timeout--> left
//                                draining --TERM, INT--> left at once
//
// Precondition: BlockSignals was called before the process had a second thread. Thread-safety: one
// thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "proto/unique_fd.h"
#include "server/config/live_settings.h"
#include "server/config/settings_reader.h"
#include "server/foreign_watch.h"
#include "server/log/log_sink.h"
#include "server/record_watch.h"
#include "server/rpc/broker.h"
#include "server/rpc/liveness.h"
#include "server/rpc/server.h"
#include "server/service_manager.h"

namespace nvcv_cached::server {

void BlockSignals();

class Daemon {
 public:
  // All outlive it.
  struct Parts {
    Broker& broker;
    RpcServer& rpc;
    LiveSettings& settings;
    const SettingsReader& reader;
    LogSink& log;
    ServiceManager& manager;
    ForeignWatch& foreign;
    RecordWatch& record;
    bool has_stand_in =
        false;  // it passes on signals that may have reached us as well (high_pid.h)
  };
  explicit Daemon(const Parts& parts);

  // Returns when the daemon is to leave: true for in good order, false for at once.
  bool Run();

 private:
  using Time = std::chrono::steady_clock::time_point;

  std::optional<Time> NextMoment() const;
  void OnSignal(uint32_t signal);
  void Drain(const std::string& why);
  void Reload();
  void LogSnapshot();
  void LogHolders();
  void CheckIdle();
  void CheckDrain();
  void TellManager();
  std::string Status();

  Parts parts_;
  UniqueFd signals_;
  std::optional<Time> draining_since_;
  Time next_extension_{};
  Liveness liveness_;
  std::string hung_;  // threads that do not answer
  Time next_word_{};  // to the service manager
  enum class Leave : uint8_t { kNo, kInOrder, kAtOnce } leave_ = Leave::kNo;
};

}  // namespace nvcv_cached::server
