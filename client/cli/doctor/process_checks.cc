// This process: its settings, and what the system lets it have.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "client/cli/doctor/checks.h"
#include "client/src/errors.h"
#include "client/src/options.h"
#include "proto/unique_fd.h"
#include "proto/units.h"

namespace nvcv_cached::cli {

namespace {

// Of a client: one for each slab of the host device, and a dozen for connections and the driver.
constexpr rlim_t kFewestDescriptors = 64;
constexpr rlim_t kEnoughDescriptors = 1024;
constexpr uint64_t kTrialBytes = uint64_t{1} << 20;

}  // namespace

void CheckClientSettings(const Machine&, Report& report) {
  const absl::StatusOr<client::Settings> settings = client::ReadSettings({});
  if (settings.ok()) {
    return report.Ok(
        "settings",
        "a client here would use " +
            (settings->device.empty() ? "the device of " + *settings->address : settings->device) +
            ", and wait " + FormatDuration(settings->timeout) + " for a call");
  }
  report.Fail("settings", std::string(settings.status().message()),
              client::HintOf(settings.status()).empty() ? "mend the variable that is named"
                                                        : client::HintOf(settings.status()));
}

void CheckDescriptors(const Machine&, Report& report) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const std::string text =
      "RLIMIT_NOFILE is " +
      (limit.rlim_cur == RLIM_INFINITY ? std::string("unlimited") : std::to_string(limit.rlim_cur));
  if (limit.rlim_cur < kFewestDescriptors) {
    report.Fail(
        "descriptors", text + ": a client may not even get its connection",
        "ulimit -n " + std::to_string(kEnoughDescriptors) + ", or LimitNOFILE= of its unit");
  } else if (limit.rlim_cur < kEnoughDescriptors) {
    report.Warn(
        "descriptors", text + ": a client keeps one for each slab of the host device",
        "ulimit -n " + std::to_string(kEnoughDescriptors) + ", or LimitNOFILE= of its unit");
  } else {
    report.Ok("descriptors", text);
  }
}

void CheckMemfd(const Machine&, Report& report) {
  // Beyond RLIMIT_FSIZE it is a signal, unless nobody listens to that.
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  std::string failed;
  const UniqueFd file(::memfd_create("nvcv-cached-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) {
    failed = "memfd_create";
  } else if (::ftruncate(file.get(), kTrialBytes) != 0) {
    failed = "ftruncate to 1.00MiB";
  } else if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    failed = "F_ADD_SEALS";
  } else {
    void* memory = ::mmap(nullptr, kTrialBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (memory == MAP_FAILED) {
      failed = "mmap";
    } else {
      ::munmap(memory, kTrialBytes);
    }
  }
  const int error = errno;
  ::signal(SIGXFSZ, handler);
  if (failed.empty()) return report.Ok("memfd", "1.00MiB of shared memory made, sealed and mapped");
  report.Fail(
      "memfd", failed + ": " + std::strerror(error),
      "look at ulimit -f, at the container's seccomp profile, and at sysctl vm.memfd_noexec");
}

}  // namespace nvcv_cached::cli
