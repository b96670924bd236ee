#include "tests/fake_cuda/fake_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace fake_cuda {
namespace {

std::string Variable(const char* name, const std::string& fallback) {
  const char* value = std::getenv(name);
  return value == nullptr ? fallback : value;
}

// Who has a file open says so by a lock on a byte of it: locks end with their process, in whatever
// namespace it lives.
enum Byte : off_t { kExporter = 0, kImporter = 1 };

void Lock(int fd, Byte byte) {
  struct flock lock {};
  lock.l_type = F_RDLCK;
  lock.l_start = byte;
  lock.l_len = 1;
  ::fcntl(fd, F_OFD_SETLK, &lock);
}

bool IsLocked(int fd, off_t first, off_t count) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_start = first;
  lock.l_len = count;
  return ::fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

// On a page of the fake GPU's, as the driver's are.
void* Map(int fd, uint64_t bytes) {
  char* room = static_cast<char*>(::mmap(nullptr, bytes + kPage, PROT_NONE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (room == MAP_FAILED) return nullptr;
  char* start = room + (kPage - reinterpret_cast<uintptr_t>(room) % kPage) % kPage;
  void* mapped = ::mmap(start, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
  return mapped == MAP_FAILED ? nullptr : mapped;
}

}  // namespace

Memory::Memory()
    : directory_(Variable("FAKE_CUDA_DIR", "/tmp/fake-cuda-" + std::to_string(::getuid()))),
      total_(std::stoull(Variable("FAKE_CUDA_BYTES", std::to_string(uint64_t{1} << 30)))) {
  ::mkdir(directory_.c_str(), 0700);
}

// What others have freed but map still is not seen here; what nobody has any more goes.
uint64_t Memory::free() {
  uint64_t used = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
    const uint64_t bytes = entry.file_size(error);
    const int fd = bytes == 0 || entry.path().filename() == "fail"
                       ? -1
                       : ::open(entry.path().c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) continue;
    if (IsLocked(fd, kExporter, 2)) {
      used += bytes;
    } else {
      ::unlink(entry.path().c_str());
    }
    ::close(fd);
  }
  return total_ - std::min(total_, used);
}

CUresult Memory::Allocate(CUdeviceptr* out, uint64_t bytes) {
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  std::lock_guard lock(mutex_);
  if (bytes > free()) return CUDA_ERROR_OUT_OF_MEMORY;
  const std::string name = std::to_string(::getpid()) + "-" + std::to_string(next_++);
  const std::string path = directory_ + "/" + name;
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return CUDA_ERROR_OPERATING_SYSTEM;
  ::fchmod(fd, 0666);   // whoever has the handle maps it, of whatever user
  Lock(fd, kExporter);  // while it is empty nobody takes it for a leftover
  void* memory = ::ftruncate(fd, static_cast<off_t>(bytes)) == 0 ? Map(fd, bytes) : nullptr;
  if (memory != nullptr) std::memset(memory, 0xdb, bytes);  // whoever wants zeros has to make them
  if (memory == nullptr) {
    ::close(fd);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  *out = reinterpret_cast<CUdeviceptr>(memory);
  allocations_[*out] = {.name = name, .bytes = bytes, .lock = fd};
  return CUDA_SUCCESS;
}

CUresult Memory::Free(CUdeviceptr pointer) {
  std::lock_guard lock(mutex_);
  auto found = allocations_.find(pointer);
  if (found == allocations_.end() || found->second.imported) return CUDA_ERROR_INVALID_VALUE;
  ::unlink((directory_ + "/" + found->second.name).c_str());
  ::close(found->second.lock);
  ::munmap(reinterpret_cast<void*>(pointer), found->second.bytes);
  allocations_.erase(found);
  return CUDA_SUCCESS;
}

std::map<CUdeviceptr, Memory::Allocation>::iterator Memory::Find(CUdeviceptr pointer) {
  auto found = allocations_.upper_bound(pointer);
  if (found == allocations_.begin()) return allocations_.end();
  --found;
  return pointer - found->first < found->second.bytes ? found : allocations_.end();
}

CUresult Memory::Range(CUdeviceptr* base, size_t* size, CUdeviceptr pointer) {
  std::lock_guard lock(mutex_);
  auto found = Find(pointer);
  if (found == allocations_.end()) return CUDA_ERROR_INVALID_VALUE;
  if (base != nullptr) *base = found->first;
  if (size != nullptr) *size = found->second.bytes;
  return CUDA_SUCCESS;
}

CUresult Memory::Export(CUipcMemHandle* handle, CUdeviceptr pointer) {
  std::lock_guard lock(mutex_);
  auto found = Find(pointer);
  if (found == allocations_.end() || found->second.imported) return CUDA_ERROR_INVALID_VALUE;
  *handle = {};
  std::memcpy(handle->reserved, found->second.name.c_str(), found->second.name.size() + 1);
  return CUDA_SUCCESS;
}

CUresult Memory::Open(CUdeviceptr* out, const CUipcMemHandle& handle) {
  const std::string name(handle.reserved, ::strnlen(handle.reserved, sizeof(handle.reserved)));
  const pid_t exporter = std::atoi(name.c_str());
  if (exporter == ::getpid()) return CUDA_ERROR_INVALID_CONTEXT;
  std::lock_guard lock(mutex_);
  for (const auto& [pointer, allocation] : allocations_) {
    if (allocation.imported && allocation.name == name) return CUDA_ERROR_ALREADY_MAPPED;
  }
  const int fd = ::open((directory_ + "/" + name).c_str(), O_RDWR | O_CLOEXEC);
  struct stat info {};
  const bool gone = fd >= 0 && !IsLocked(fd, kExporter, 1);
  if (fd < 0 || gone || ::fstat(fd, &info) != 0) {
    if (fd >= 0) ::close(fd);
    return CUDA_ERROR_INVALID_HANDLE;
  }
  void* memory = Map(fd, static_cast<uint64_t>(info.st_size));
  if (memory == nullptr) {
    ::close(fd);
    return CUDA_ERROR_MAP_FAILED;
  }
  Lock(fd, kImporter);
  *out = reinterpret_cast<CUdeviceptr>(memory);
  allocations_[*out] = {
      .name = name, .bytes = static_cast<uint64_t>(info.st_size), .imported = true, .lock = fd};
  return CUDA_SUCCESS;
}

CUresult Memory::Close(CUdeviceptr pointer) {
  std::lock_guard lock(mutex_);
  auto found = allocations_.find(pointer);
  if (found == allocations_.end() || !found->second.imported) return CUDA_ERROR_INVALID_VALUE;
  ::close(found->second.lock);
  ::munmap(reinterpret_cast<void*>(pointer), found->second.bytes);
  allocations_.erase(found);
  return CUDA_SUCCESS;
}

}  // namespace fake_cuda
