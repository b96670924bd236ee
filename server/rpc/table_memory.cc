#include "server/rpc/table_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace nvcv_cached::server {
namespace {

absl::Status Failed(const char* call) {
  return absl::ResourceExhaustedError(absl::StrCat("lease table of ", lease_table::kTableBytes,
                                                   " bytes: ", call, ": ", std::strerror(errno)));
}

}  // namespace

absl::StatusOr<TableMemory> TableMemory::Make(uint64_t epoch) {
  using lease_table::kTableBytes;
  UniqueFd fd(::memfd_create("nvcv-cached-leases", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return Failed("memfd_create");
  if (::ftruncate(fd.get(), kTableBytes) != 0) return Failed("ftruncate");
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return Failed("F_ADD_SEALS");
  }
  void* memory = ::mmap(nullptr, kTableBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return Failed("mmap");
  ::madvise(memory, kTableBytes, MADV_DONTDUMP);
  ::madvise(memory, kTableBytes, MADV_DONTFORK);

  auto* table = static_cast<lease_table::Table*>(memory);
  table->header.magic = lease_table::kMagic;
  table->header.layout_version = lease_table::kLayoutVersion;
  table->header.slots = lease_table::kSlots;
  table->header.epoch = epoch;
  table->header.counter_lines = lease_table::kCounterLines;
  table->header.timelines = lease_table::kTimelines;
  return TableMemory(table, std::move(fd));
}

TableMemory::TableMemory(TableMemory&& other) noexcept
    : table_(std::exchange(other.table_, nullptr)), fd_(std::move(other.fd_)) {}

TableMemory::~TableMemory() {
  if (table_ != nullptr) ::munmap(table_, lease_table::kTableBytes);
}

}  // namespace nvcv_cached::server
