#include "server/device/host_device.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/host_memory.h"
#include "proto/units.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14
#endif

namespace nvcv_cached::server {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

// With "always" or "within_size" the kernel takes huge pages by itself, with "never" not at all.
bool HugePagesOnAdvice(const std::string& root) {
  std::ifstream file(absl::StrCat(root, "/sys/kernel/mm/transparent_hugepage/shmem_enabled"));
  std::string line;
  return std::getline(file, line) && line.find("[advise]") != std::string::npos;
}

// Advice belongs to a mapping, and only pages that are made through it are huge: what this does not
// manage, fallocate does with small ones.
void PopulateHuge(int memfd, uint64_t size_bytes) {
  void* mapping = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
  if (mapping == MAP_FAILED) return;
  if (::madvise(mapping, size_bytes, MADV_HUGEPAGE) == 0) {
    ::madvise(mapping, size_bytes, MADV_POPULATE_WRITE);
  }
  ::munmap(mapping, size_bytes);
}

int Commit(int memfd, uint64_t size_bytes) {
  int result;
  do {
    result = ::fallocate(memfd, 0, 0, static_cast<off_t>(size_bytes));
  } while (result != 0 && errno == EINTR);
  return result;
}

}  // namespace

HostDevice::HostDevice(const HostDeviceOptions& options)
    : root_(options.root), huge_pages_(HugePagesOnAdvice(options.root)) {
  info_.kind = "host";
  info_.id = "host";
  info_.name = "shared memory";
  info_.total_bytes = ReadHostMemory(root_).total_bytes;
  info_.slab_granularity = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

absl::StatusOr<SlabHandle> HostDevice::AllocateSlab(uint64_t slab, uint64_t size_bytes) {
  if (slabs_.contains(slab)) return absl::AlreadyExistsError(absl::StrCat("slab ", slab));
  if (size_bytes == 0 || size_bytes % info_.slab_granularity != 0 || size_bytes >> 62 != 0) {
    return absl::InvalidArgumentError(absl::StrCat("slab of ", size_bytes,
                                                   " bytes; sizes are multiples of ",
                                                   info_.slab_granularity, ", from one up"));
  }
  // Asked before the kernel is: beyond a control group's limit it would kill instead of refuse.
  const HostMemory memory = ReadHostMemory(root_);
  auto exhausted = [&](const std::string& reason) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "slab of ", FormatSize(size_bytes), " on host; found ", FormatSize(memory.free_bytes),
        " left of ", FormatSize(memory.total_bytes), " (", memory.bound_by, ")", reason));
  };
  if (size_bytes > memory.free_bytes) return exhausted("");

  UniqueFd memfd(::memfd_create(absl::StrCat("nvcv-cached-slab-", slab).c_str(),
                                MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memfd) return exhausted(absl::StrCat("; memfd_create: ", std::strerror(errno)));
  if (::ftruncate(memfd.get(), static_cast<off_t>(size_bytes)) != 0) {
    return exhausted(absl::StrCat("; ftruncate: ", std::strerror(errno)));
  }
  if (huge_pages_) PopulateHuge(memfd.get(), size_bytes);
  if (Commit(memfd.get(), size_bytes) != 0) {
    return exhausted(absl::StrCat("; fallocate: ", std::strerror(errno)));
  }
  if (::fcntl(memfd.get(), F_ADD_SEALS, kSeals) != 0) {
    return absl::InternalError(absl::StrCat("sealing a slab: ", std::strerror(errno)));
  }
  SlabHandle handle;
  handle.memfd.reset(::fcntl(memfd.get(), F_DUPFD_CLOEXEC, 0));
  if (!handle.memfd) return exhausted(absl::StrCat("; descriptors: ", std::strerror(errno)));
  slabs_.emplace(slab, Slab{std::move(memfd), size_bytes});
  return handle;
}

absl::Status HostDevice::FreeSlab(uint64_t slab) {
  if (slabs_.erase(slab) == 0) return absl::NotFoundError(absl::StrCat("slab ", slab));
  return absl::OkStatus();
}

uint64_t HostDevice::FreeBytes() { return ReadHostMemory(root_).free_bytes; }

}  // namespace nvcv_cached::server
