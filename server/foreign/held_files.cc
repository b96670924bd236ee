#include "server/foreign/held_files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace nvcv_cached::server {

namespace {

constexpr std::chrono::milliseconds kLongest{100};
constexpr int kReads = 4;

}  // namespace

uint64_t MarkHeld(int memfd) {
  struct stat status {};
  struct flock whole {};
  whole.l_type = F_RDLCK;
  whole.l_whence = SEEK_SET;
  if (::fstat(memfd, &status) != 0 || ::fcntl(memfd, F_OFD_SETLK, &whole) != 0) return 0;
  return status.st_ino;
}

UniqueFd MakeWitness() {
  UniqueFd witness(::memfd_create("nvcv-cached-witness", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (witness && ::fcntl(witness.get(), F_ADD_SEALS,
                         F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
    witness.reset();
  }
  return witness;
}

std::optional<HeldFiles> HeldFiles::Look(const Where& where) {
  if (::access(where.list, R_OK) != 0) return std::nullopt;
  HeldFiles held;
  // A mark of our own tells whether they are shown, and on which device memory files are.
  const UniqueFd own = MakeWitness();
  struct stat status {};
  if (!own || ::fstat(own.get(), &status) != 0) return held;  // for want of descriptors
  if (MarkHeld(own.get()) == 0) return std::nullopt;
  const std::string device =
      absl::StrFormat("%02x:%02x:", major(status.st_dev), minor(status.st_dev));
  const auto until = std::chrono::steady_clock::now() + kLongest;
  for (int i = 0; i < kReads; ++i) {
    if (!held.ReadOnce(where, device, until)) return held;
  }
  if (!held.contains(status.st_ino)) return std::nullopt;
  held.is_complete_ = true;
  return held;
}

// False: not to its end.
bool HeldFiles::ReadOnce(const Where& where, const std::string& device,
                         std::chrono::steady_clock::time_point until) {
  std::ifstream file(where.list);
  if (!file) return false;
  std::string line;
  size_t bytes = 0;
  while (std::getline(file, line)) {
    bytes += line.size() + 1;
    if (bytes > where.most_bytes || std::chrono::steady_clock::now() > until) return false;
    // number, kind, advisory, access, pid, device:inode, first, last
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (words.size() < 6 || words[1] != "OFDLCK") continue;
    absl::string_view place = words[5];
    uint64_t inode = 0;
    if (place.substr(0, device.size()) != device) continue;
    place.remove_prefix(device.size());
    if (absl::SimpleAtoi(place, &inode)) inodes_.insert(inode);
  }
  return true;
}

}  // namespace nvcv_cached::server
