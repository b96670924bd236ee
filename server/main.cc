// nvcv-cached: the only place where concrete types meet.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/cuda_driver.h"
#include "proto/socket_paths.h"
#include "proto/units.h"
#include "proto/version.h"
#include "server/activation.h"
#include "server/all_devices.h"
#include "server/chosen_device.h"
#include "server/config/command_line.h"
#include "server/config/live_settings.h"
#include "server/config/settings_reader.h"
#include "server/core/clock.h"
#include "server/daemon.h"
#include "server/exit_code.h"
#include "server/foreign/slab_record.h"
#include "server/foreign_watch.h"
#include "server/high_pid.h"
#include "server/lock_file.h"
#include "server/log/log_sink.h"
#include "server/rpc/admin_service.h"
#include "server/rpc/broker.h"
#include "server/rpc/server.h"
#include "server/service_manager.h"

namespace nvcv_cached::server {
namespace {

constexpr std::chrono::milliseconds kShutdownGrace{500};
constexpr uint64_t kSmallSlabBytes = uint64_t{4} << 20;

int Usage(const absl::Status& status) {
  std::fprintf(stderr, "nvcv-cached: %s\nsee nvcv-cached --help\n",
               std::string(status.message()).c_str());
  return kUsage;
}

int Fail(ExitCode code, const char* event, const absl::Status& status) {
  LogError(Event(event)
               .With("exit", static_cast<int>(code))
               .With("error", std::string(status.message())));
  return code;
}

// A session takes up to five descriptors (its connection and our copy of it, two pidfds, the
// descriptor socket), a slab of the host device one.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// A daemon whose GPU is of no more use makes room for the next one.
void EndOnFailure(const absl::Status& status) {
  LogError(Event("device-failed")
               .With("exit", static_cast<int>(kFailed))
               .With("error", std::string(status.message()))
               .With("hint", "clients keep what they use; a new daemon can serve them"));
  ::_exit(kFailed);
}

absl::Status PrepareDirectory(const std::string& directory, Scope scope) {
  if (directory == UserSocketDirectory() && scope == Scope::kUser) {
    return MakeUserSocketDirectory(directory);
  }
  if (directory != SystemSocketDirectory() || ::mkdir(directory.c_str(), 0755) == 0 ||
      errno == EEXIST) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(
      absl::StrCat("cannot make ", directory, ": ", std::strerror(errno)));
}

struct Locks {
  LockFile device;
  std::optional<LockFile> socket;  // of a socket that is not named by the device
};

absl::StatusOr<Locks> TakeLocks(const DaemonSettings& settings, const std::string& device) {
  const std::string directory = settings.socket.substr(0, settings.socket.rfind('/'));
  const std::string suffix(kLockSuffix);
  const std::string usual = SocketPath(directory, device);
  absl::StatusOr<LockFile> of_device = LockFile::Take(absl::StrCat(usual, suffix), settings.socket);
  if (!of_device.ok()) return of_device.status();
  Locks locks{.device = *std::move(of_device), .socket = std::nullopt};
  if (settings.socket == usual) return locks;
  absl::StatusOr<LockFile> of_socket =
      LockFile::Take(absl::StrCat(settings.socket, suffix), settings.socket);
  if (!of_socket.ok()) return of_socket.status();
  locks.socket = *std::move(of_socket);
  return locks;
}

ExitCode CodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kAlreadyExists:
      return kAnother;
    case absl::StatusCode::kInvalidArgument:
      return kUsage;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kDataLoss:
      return kNoRight;
    default:
      return kFailed;
  }
}

void LogStart(const ChosenDevice& chosen, const DaemonSettings& settings) {
  const DeviceInfo& device = chosen.info;
  Event start("start");
  start.With("version", kVersion).With("pid", ::getpid());
  start.With("device", device.kind == "host" ? device.id : absl::StrCat("cuda:", device.index));
  if (device.kind != "host") start.With("uuid", device.id);
  LogInfo(start.With("name", device.name).With("memory", FormatSize(device.total_bytes)));
  if (!chosen.note.empty()) LogInfo(Event("host-device").With("why", chosen.note));
  for (const std::string& warning : chosen.gpu.warnings) {
    LogWarning(Event("device").With("warning", warning));
  }
  std::string config = "config";
  for (const char* key : {"limit", "capacity", "policy", "quota"}) {
    for (const SettingText& text : settings.texts) {
      if (text.key != key) continue;
      absl::StrAppend(&config, " ", key, "=", text.shown, "(", OriginName(text.origin), ")");
    }
  }
  LogInfo(Event(config));
  for (const std::string& warning : settings.warnings) {
    LogWarning(Event("config").With("warning", warning));
  }
}

Settings CoreSettings(const DaemonSettings& settings, const DeviceInfo& device) {
  Settings core;
  core.capacity_bytes = settings.capacity_bytes;
  core.device_bytes = device.total_bytes;
  core.limit_bytes = settings.limit_bytes;
  core.policy = settings.policy;
  core.quota_bytes = settings.quota_bytes;
  core.slab_bytes = settings.slab_bytes;
  core.small_slab_bytes = std::min(kSmallSlabBytes, settings.slab_bytes);
  // On a GPU a client that unmaps a slab waits for all of its work, and launches nothing meanwhile.
  core.spare_bytes = device.kind == "cuda" ? settings.capacity_bytes / 64 : 0;
  core.trim_after = settings.trim_after;
  core.keep_time = settings.keep_time;
  core.device = device.kind == "host" ? device.id : absl::StrCat("cuda:", device.index);
  core.block_alignment = device.base_alignment;
  return core;
}

RpcOptions Rpc(const DaemonSettings& settings) {
  return {.socket_path = settings.socket,
          .mode = settings.mode,
          .group = settings.group,
          .domain = settings.domain == "shared"   ? DomainKind::kShared
                    : settings.domain == "cgroup" ? DomainKind::kCgroup
                                                  : DomainKind::kUid,
          .max_sessions = settings.max_sessions};
}

// What of a GPU others hold beside foreign slabs: their own memory and contexts. The pool cannot
// have it; growth finds that out by itself.
void LogOthers(const DeviceInfo& info, uint64_t free_bytes, uint64_t foreign_bytes) {
  const uint64_t known = free_bytes + foreign_bytes;
  if (info.kind == "host" || known >= info.total_bytes / 10 * 9) return;
  LogWarning(Event("device-memory")
                 .With("held_by_others", FormatSize(info.total_bytes - known))
                 .With("free", FormatSize(free_bytes))
                 .With("hint", "other processes' own memory: see nvidia-smi"));
}

// What a daemon may have been given by who started it.
struct Inherited {
  std::optional<ListeningSockets> sockets;  // the service manager's
  UniqueFd relay;                           // to the stand-in (high_pid.h)
};

int Serve(const SettingsReader& reader, const ChosenDevice& chosen, const DaemonSettings& settings,
          LogSink& log, Inherited inherited, std::chrono::steady_clock::time_point begin) {
  const std::string directory = settings.socket.substr(0, settings.socket.rfind('/'));
  if (absl::Status made = PrepareDirectory(directory, reader.scope()); !made.ok()) {
    return Fail(kNoRight, "no-directory", made);
  }
  absl::StatusOr<Locks> locks = TakeLocks(settings, chosen.info.id);
  if (!locks.ok()) return Fail(CodeOf(locks.status()), "no-lock", locks.status());
  const absl::StatusOr<std::unique_ptr<Device>> opened = OpenDevice(chosen, EndOnFailure);
  if (!opened.ok()) return Fail(kNoDevice, "no-device", opened.status());
  Device& device = **opened;

  const SystemClock clock;
  LiveSettings live(settings);
  SlabRecord record(
      absl::StrCat(SocketPath(directory, device.info().id), std::string(kSlabsSuffix)),
      locks->device.epoch());
  if (absl::Status kept = record.status(); !kept.ok()) {
    LogWarning(Event("no-record")
                   .With("error", std::string(kept.message()))
                   .With("hint", "the next daemon will not know what this one's clients map"));
  }
  Broker broker(CoreSettings(settings, device.info()), locks->device.epoch(), device, clock,
                &record);
  ForeignWatch foreign(record, broker);
  foreign.Look(std::chrono::steady_clock::now());
  LogOthers(device.info(), broker.DeviceFreeBytes(), foreign.bytes());
  RpcServer rpc(broker, Rpc(settings));
  broker.OnStateChange(
      [&](ServingState state) { rpc.SetServing(state == ServingState::kServing); });
  AdminService admin(broker, live, rpc.peers(), log.events(), settings.socket);
  const bool sockets_are_ours = !inherited.sockets;
  if (absl::Status started = rpc.Start({admin.service()}, std::move(inherited.sockets));
      !started.ok()) {
    rpc.Shutdown(std::chrono::milliseconds(0));  // the service goes before the server does
    return Fail(CodeOf(started), "no-socket", started);
  }
  const bool has_stand_in = static_cast<bool>(inherited.relay);
  ServiceManager manager(std::move(inherited.relay));
  Daemon daemon({.broker = broker,
                 .rpc = rpc,
                 .settings = live,
                 .reader = reader,
                 .log = log,
                 .manager = manager,
                 .foreign = foreign,
                 .has_stand_in = has_stand_in});
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  LogInfo(Event("ready")
              .With("socket", settings.socket)
              .With("in", absl::StrFormat("%.2fs", took.count())));

  if (!daemon.Run()) {
    if (sockets_are_ours) {
      ::unlink(settings.socket.c_str());
      ::unlink(absl::StrCat(settings.socket, std::string(kDescriptorSuffix)).c_str());
    }
    ::_exit(kStopped);
  }
  const std::string last = absl::StrCat(settings.socket, std::string(kLastSuffix));
  if (absl::Status written = admin.WriteStats(last); !written.ok()) {
    LogWarning(Event("no-last-statistics").With("error", std::string(written.message())));
  }
  rpc.Shutdown(kShutdownGrace);
  LogInfo(Event("stopped").With("pid", ::getpid()));
  return kStopped;
}

int Main(int argc, char** argv, char** variables) {
  const auto begin = std::chrono::steady_clock::now();
  auto parsed = ParseCommandLine(argc, argv);
  if (!parsed.ok()) return Usage(parsed.status());
  if (const auto* text = std::get_if<Information>(&*parsed)) {
    std::fputs(text->c_str(), stdout);
    return kStopped;
  }
  const CommandLine& command_line = std::get<CommandLine>(*parsed);
  absl::StatusOr<std::optional<ListeningSockets>> sockets = TakeActivatedSockets();
  if (!sockets.ok()) return Usage(sockets.status());
  const SettingsReader reader(command_line, variables,
                              *sockets ? (*sockets)->session.path() : std::string());
  const absl::StatusOr<std::string> name = reader.Device();
  if (!name.ok()) return Usage(name.status());
  if (*name == "all") return RunOnAllDevices(reader, argc, argv);

  UniqueFd relay;
  if (*name != "host" && CudaDriver::IsInstalled() && !command_line.check_config) {
    absl::StatusOr<UniqueFd> left = LeaveLowPids();
    if (!left.ok()) {
      InstallLog({.journal = StderrIsJournal()}, "info");
      return Fail(kFailed, "no-process", left.status());
    }
    relay = *std::move(left);
  }
  BlockSignals();
  const absl::StatusOr<ChosenDevice> device = ChooseDevice(*name);
  if (!device.ok()) {
    InstallLog({.journal = StderrIsJournal()}, "info");
    return Fail(kNoDevice, "no-device", device.status());
  }
  const absl::StatusOr<DaemonSettings> settings = reader.Read(device->info);
  if (!settings.ok()) return Usage(settings.status());
  if (command_line.check_config) {
    std::fputs(Describe(*settings, reader.unknown_variables()).c_str(), stdout);
    return kStopped;
  }
  const std::shared_ptr<LogSink> log =
      InstallLog({.format = settings->log_format == "json" ? LogFormat::kJson : LogFormat::kText,
                  .journal = StderrIsJournal()},
                 settings->log_level);
  LogStart(*device, *settings);
  for (const std::string& variable : reader.unknown_variables()) {
    LogWarning(Event("unknown-variable").With("name", variable));
  }
  RaiseDescriptorLimit();
  return Serve(reader, *device, *settings, *log, {*std::move(sockets), std::move(relay)}, begin);
}

}  // namespace
}  // namespace nvcv_cached::server

// NOLINTNEXTLINE(bugprone-exception-escape): without memory it ends, whoever catches
int main(int argc, char** argv) { return nvcv_cached::server::Main(argc, argv, environ); }
