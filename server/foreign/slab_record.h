// Which process maps which slab, in a file beside the lock: what a daemon that was killed can still
// tell the next one.
//
// A journal of lines, one for each session that connects and each slab that it is given or unmaps;
// written anew when it has grown, and when a daemon opens it. Whoever opens it takes over what is
// in it. The file says what may be mapped, not what is: foreign_slabs.h looks who of them lives.
//
//   boot <id>                                      other lines of another boot are void
//   session <epoch> <id> <pid> <start> <witness>   0: not known
//   map <epoch> <id> <slab> <bytes> <inode>        inode of a host slab's memory, else 0
//   unmap <epoch> <id> <slab>
//   end <epoch> <id>
//
// Every change is memory work until Flush, which writes without the lock of the books. A grant of a
// new slab leaves only after a Flush, so that no client maps what the file does not say. A file
// that cannot be written makes the record useless for the next daemon and harms nothing else: what
// is noted stays in memory, and Retry writes all of it.
//
// Invariant: while status() is OK and nothing waits to be flushed, what Earlier() and Note* left in
// memory is what the file says. Thread-safety: thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "proto/unique_fd.h"
#include "server/core/types.h"

namespace nvcv_cached::server {

struct SessionKey {
  uint64_t epoch = 0;
  SessionId session = 0;
  friend auto operator<=>(const SessionKey&, const SessionKey&) = default;
};

struct RecordedSlab {
  uint64_t size_bytes = 0;
  uint64_t inode = 0;  // of its memory, marked as held (held_files.h)
};

struct RecordedSession {
  pid_t pid = 0;         // as this daemon's PID namespace numbers it
  uint64_t started = 0;  // the process's, in clock ticks since the boot
  uint64_t witness = 0;  // inode of the file in its descriptor socket (held_files.h)
  std::map<SlabId, RecordedSlab> slabs;
};

using RecordedSessions = std::map<SessionKey, RecordedSession>;

class SlabRecord {
 public:
  // Reads what earlier daemons left, then writes `path` anew. `epoch` is this daemon's.
  SlabRecord(std::string path, uint64_t epoch);
  // Removes the file when nobody has a slab of it.
  ~SlabRecord();
  SlabRecord(const SlabRecord&) = delete;
  SlabRecord& operator=(const SlabRecord&) = delete;

  // Not OK: the file cannot be written, with the reason and the code of its errno.
  absl::Status status() const;
  // `observer` is called, by the thread that flushes, when status() becomes OK or ceases to be; it
  // must not call the record. Set before the record has a second thread.
  void OnChange(std::function<void()> observer) { observer_ = std::move(observer); }

  // Sessions of earlier daemons that still have slabs.
  RecordedSessions Earlier() const;
  void DropEarlier(const SessionKey& key);

  // Sessions of this daemon.
  void NoteSession(SessionId session, const RecordedSession& recorded);
  void NoteMapped(SessionId session, SlabId slab, const RecordedSlab& recorded);
  void NoteUnmapped(SessionId session, SlabId slab);
  void NoteEnded(SessionId session);

  // When it returns, all that was noted before the call is written, or the record cannot be
  // written.
  void Flush();
  // Tries again to write a file that could not be written.
  void Retry();

 private:
  void Append(const std::string& line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(const SessionKey& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteAnew() ABSL_EXCLUSIVE_LOCKS_REQUIRED(flushing_);
  bool Replace(const std::string& text) ABSL_EXCLUSIVE_LOCKS_REQUIRED(flushing_);

  const std::string path_;
  const uint64_t epoch_;
  std::function<void()> observer_;
  std::mutex flushing_;  // before mutex_; the file is written under it
  UniqueFd file_ ABSL_GUARDED_BY(flushing_);
  size_t written_bytes_ ABSL_GUARDED_BY(flushing_) = 0;
  mutable std::mutex mutex_;
  RecordedSessions sessions_ ABSL_GUARDED_BY(mutex_);
  std::string waiting_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nvcv_cached::server
