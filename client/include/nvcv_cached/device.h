/// @file
/// Which devices this process borrows from, and the connections to their daemons.
///
/// Each device has a session of its own, and a thread has one device at a time: the one that it
/// named in connect(); else the process's, which is named by NVCV_CACHED_DEVICE, NVCV_CACHED_ADDRESS
/// or the first connect() with a device; else, where the process sees several GPUs, the thread's
/// current one at each object (cudaSetDevice, torch.cuda.device); else the only one. Objects stay on
/// the device that they were made on. The functions of cache.h, device() and Stream() speak of the
/// calling thread's device.
///
/// Nothing connects until the first object is made, or connect() is called. Options win over the
/// environment:
///   NVCV_CACHED_DEVICE     host, cuda:N or a GPU's UUID; default: the current CUDA device, without
///                          a driver host
///   NVCV_CACHED_ADDRESS    the socket's path; default: the system's socket, else the user's
///   NVCV_CACHED_AUTOSTART  1 (default): start a daemon for this user when there is none; 0: do not
///   NVCV_CACHED_DAEMON     the program to start; default: beside the library, then PATH
///   NVCV_CACHED_TIMEOUT    of every call that needs the daemon, 5s
///   NVCV_CACHED_NAME       shown to operators; default: the program's name
///   NVCV_CACHED_LOG        off, error, warn (default), info or debug: log.h
///   NVCV_CACHED_STRICT_STREAMS  1: see Options::strict_streams
/// With an address and no device, the device is the one of the daemon there. Naming none, and no
/// address, starts the CUDA driver (cuInit) where there is one.
///
/// Thread-safety: thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "nvcv_cached/export.h"

namespace nvcv_cached {

/// A GPU, or the host's shared memory. A value; immutable.
class NVCV_CACHED_API Device {
 public:
  /// From its four properties, as below; device() makes them.
  Device(std::string kind, std::string id, std::string name, std::uint64_t total_bytes);
  ~Device();
  Device(const Device&);                             ///< a copy
  Device& operator=(const Device&);                  ///< a copy
  bool is_host() const { return kind_ == "host"; }   ///< memory that the CPU reads and writes
  const std::string& kind() const { return kind_; }  ///< "host" or "cuda"
  const std::string& id() const { return id_; }      ///< "host" or the GPU's UUID
  const std::string& name() const { return name_; }  ///< for people: "NVIDIA H200"
  std::uint64_t total_bytes() const { return total_bytes_; }  ///< 0: not asked yet

 private:
  std::string kind_, id_, name_;
  std::uint64_t total_bytes_;
};

/// What connect() takes; what is left out comes from the environment (see device.h).
struct Options {
  std::optional<std::string> device;                 ///< host, cuda:N or a GPU's UUID
  std::optional<std::string> address;                ///< the path of the daemon's socket
  std::optional<std::string> name;                   ///< shown to operators
  std::optional<std::chrono::milliseconds> timeout;  ///< of each call that needs the daemon
  std::optional<bool> autostart;  ///< whether to start a daemon where there is none
  /// On a GPU: every release waits for all work of the context at that moment, on whatever stream,
  /// instead of for the streams that the memory was handed out on. Breaks graph captures under way.
  /// Driver 555 or newer.
  std::optional<bool> strict_streams;
};

/// Connects now, and makes a named device the calling thread's. Throws InvalidArgument when the
/// process is connected to that device with other options already, or when the daemon at the address
/// serves another device; else as any call that needs the daemon: Unavailable, PermissionDenied,
/// VersionMismatch, DeadlineExceeded.
NVCV_CACHED_API void connect(const Options& options = {});

/// The device that the calling thread's objects are made on; connects to none, starts none: before
/// the first object it says what the options and the environment choose, with total_bytes 0 for a
/// daemon not yet asked.
NVCV_CACHED_API Device device();

}  // namespace nvcv_cached
