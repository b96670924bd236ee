// What an earlier daemon's clients still map: the record that daemons leave, and who of it counts.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include "proto/descriptor_socket.h"
#include "proto/unique_fd.h"
#include "server/foreign/foreign_slabs.h"
#include "server/foreign/held_files.h"
#include "server/foreign/process_stat.h"
#include "server/foreign/slab_record.h"

namespace nvcv_cached::server {
namespace {

class ForeignTest : public testing::Test {
 protected:
  ForeignTest() : directory_(testing::TempDir() + "foreign-" + std::to_string(::getpid())) {
    std::filesystem::create_directories(directory_);
  }
  ~ForeignTest() override { std::filesystem::remove_all(directory_); }

  std::string path() const { return directory_ + "/host.sock.slabs"; }
  std::string text() const {
    std::ostringstream text;
    text << std::ifstream(path()).rdbuf();
    return text.str();
  }
  // As a session of this process, without a witness.
  static RecordedSession Mine() {
    return {.pid = ::getpid(),
            .started = ReadProcessStat(::getpid()).value().started,
            .witness = 0,
            .slabs = {}};
  }
  // A look that was cut short, on a busy machine, shows more.
  static bool NothingIsLeft(SlabRecord& record) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (LookForForeignSlabs(record).bytes != 0) {
      if (std::chrono::steady_clock::now() > deadline) return false;
    }
    return true;
  }
  static UniqueFd SlabMemory() {
    UniqueFd memory(::memfd_create("nvcv-cached-slab-1", MFD_CLOEXEC));
    EXPECT_EQ(::ftruncate(memory.get(), 4096), 0);
    return memory;
  }

  const std::string directory_;
};

TEST_F(ForeignTest, TheNextDaemonReadsWhatWasFlushed) {
  auto killed = std::make_unique<SlabRecord>(path(), 1);
  killed->NoteSession(7, Mine());
  killed->NoteMapped(7, 1, {.size_bytes = 4096, .inode = 0});
  killed->NoteMapped(7, 2, {.size_bytes = 8192, .inode = 0});
  killed->NoteUnmapped(7, 1);
  killed->NoteSession(8, Mine());
  killed->NoteMapped(8, 2, {.size_bytes = 8192, .inode = 0});
  killed->NoteSession(9, Mine());
  killed->NoteMapped(9, 3, {.size_bytes = 1 << 20, .inode = 0});
  killed->NoteEnded(9);
  killed->Flush();
  EXPECT_TRUE(killed->Earlier().empty());

  SlabRecord next(path(), 2);
  ASSERT_EQ(next.Earlier().size(), 2u);
  const ForeignSlabs foreign = LookForForeignSlabs(next);
  EXPECT_EQ(foreign.bytes, 8192u) << "a slab that two map counts once";
  EXPECT_EQ(foreign.pids, std::set<pid_t>{::getpid()});
}

TEST_F(ForeignTest, AProcessThatHasEndedOrIsAnotherDoesNotCount) {
  {
    SlabRecord killed(path(), 1);
    RecordedSession another = Mine();
    ++another.started;  // its number was given to this process later
    killed.NoteSession(1, another);
    killed.NoteMapped(1, 1, {.size_bytes = 4096, .inode = 0});
  }
  SlabRecord next(path(), 2);
  ASSERT_EQ(next.Earlier().size(), 1u);
  EXPECT_TRUE(NothingIsLeft(next));
  EXPECT_TRUE(next.Earlier().empty()) << "and is dropped for good";
}

// The witness lies unread in the client's end, as a daemon that died left it.
TEST_F(ForeignTest, ASessionCountsAsLongAsItsSocketIsHeld) {
  if (!HeldFiles::Look()) GTEST_SKIP() << "this kernel does not show who has a file (/proc/locks)";
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  UniqueFd daemon(pair[0]);
  UniqueFd client(pair[1]);
  UniqueFd witness = MakeWitness();
  {
    SlabRecord killed(path(), 1);
    RecordedSession session = Mine();
    session.witness = MarkHeld(witness.get());
    ASSERT_NE(session.witness, 0u);
    killed.NoteSession(1, session);
    killed.NoteMapped(1, 1, {.size_bytes = 4096, .inode = 0});
  }
  ASSERT_TRUE(SendFrame(daemon.get(), {.kind = FrameKind::kWitness}, witness.get()).ok());
  witness.reset();
  daemon.reset();
  SlabRecord next(path(), 2);
  EXPECT_EQ(LookForForeignSlabs(next).bytes, 4096u);
  UniqueFd childs(::dup(client.get()));  // as a forked child has it
  client.reset();
  EXPECT_EQ(LookForForeignSlabs(next).bytes, 4096u);
  childs.reset();
  EXPECT_TRUE(NothingIsLeft(next)) << "though the process lives";
}

// The list of locks is everybody's: it is read up to a bound, and what is beyond it is not known.
TEST_F(ForeignTest, M5_WhoTakesVeryManyLocksHidesNothing) {
  if (!HeldFiles::Look()) GTEST_SKIP() << "this kernel does not show who has a file (/proc/locks)";
  {
    SlabRecord killed(path(), 1);
    RecordedSession gone = Mine();
    ++gone.started;
    killed.NoteSession(1, gone);
    killed.NoteMapped(1, 1, {.size_bytes = 4096, .inode = 1});  // that nobody has
  }
  SlabRecord next(path(), 2);
  EXPECT_FALSE(HeldFiles::Look({.most_bytes = 1})->is_complete());
  EXPECT_EQ(LookForForeignSlabs(next, {.most_bytes = 1}).bytes, 4096u);
  EXPECT_EQ(next.Earlier().size(), 1u) << "nothing is dropped unseen";
  EXPECT_TRUE(NothingIsLeft(next));
}

// Such as a sandboxed kernel's. What then counts is whose process lives.
TEST_F(ForeignTest, WhereNoListIsShownTheDeadDoNotCountForEver) {
  {
    SlabRecord killed(path(), 1);
    RecordedSession gone = Mine();
    ++gone.started;
    killed.NoteSession(1, gone);
    killed.NoteMapped(1, 1, {.size_bytes = 4096, .inode = 1});
  }
  SlabRecord next(path(), 2);
  EXPECT_FALSE(HeldFiles::Look({.list = "/proc/no-such-list"}).has_value());
  EXPECT_EQ(LookForForeignSlabs(next, {.list = "/proc/no-such-list"}).bytes, 0u);
  EXPECT_TRUE(next.Earlier().empty());
}

TEST_F(ForeignTest, AHostSlabCountsAsLongAsAnybodyHasItsMemory) {
  if (!HeldFiles::Look()) GTEST_SKIP() << "this kernel does not show who has a file (/proc/locks)";
  UniqueFd memory = SlabMemory();
  const uint64_t inode = MarkHeld(memory.get());
  ASSERT_NE(inode, 0u);
  {
    SlabRecord killed(path(), 1);
    RecordedSession gone = Mine();
    ++gone.started;  // its process has ended; a forked child may live
    killed.NoteSession(1, gone);
    killed.NoteMapped(1, 1, {.size_bytes = 4096, .inode = inode});
  }
  SlabRecord next(path(), 2);
  EXPECT_EQ(LookForForeignSlabs(next).bytes, 4096u);
  EXPECT_TRUE(LookForForeignSlabs(next).pids.empty());
  void* mapping = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, memory.get(), 0);
  ASSERT_NE(mapping, MAP_FAILED);
  memory.reset();
  EXPECT_EQ(LookForForeignSlabs(next).bytes, 4096u) << "a mapping is enough";
  ::munmap(mapping, 4096);
  EXPECT_TRUE(NothingIsLeft(next));
  EXPECT_TRUE(next.Earlier().empty());
}

// What a client can do to a slab that it was given: lift its mark, and go on using it.
TEST_F(ForeignTest, M5_AMappingThatCanBeSeenCountsWithoutItsMark) {
  UniqueFd memory = SlabMemory();
  void* mapping = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, memory.get(), 0);
  ASSERT_NE(mapping, MAP_FAILED);
  struct stat status {};
  ASSERT_EQ(::fstat(memory.get(), &status), 0);
  {
    SlabRecord killed(path(), 1);
    killed.NoteSession(1, Mine());
    killed.NoteMapped(1, 1, {.size_bytes = 4096, .inode = status.st_ino});
  }
  SlabRecord next(path(), 2);
  const ForeignSlabs foreign = LookForForeignSlabs(next);
  EXPECT_EQ(foreign.bytes, 4096u);
  EXPECT_EQ(foreign.pids, std::set<pid_t>{::getpid()});
  ::munmap(mapping, 4096);
  EXPECT_TRUE(NothingIsLeft(next));
}

TEST_F(ForeignTest, GrowsOnlySoFar) {
  SlabRecord record(path(), 1);
  record.NoteSession(1, Mine());
  for (SlabId slab = 1; slab < 40'000; ++slab) {
    record.NoteMapped(1, slab, {.size_bytes = 1u << 20, .inode = 0});
    record.NoteUnmapped(1, slab);
    record.Flush();
  }
  record.NoteMapped(1, 40'000, {.size_bytes = 1u << 20, .inode = 0});
  record.Flush();
  EXPECT_LT(text().size(), size_t{1} << 20);
  SlabRecord next(path(), 2);
  EXPECT_EQ(LookForForeignSlabs(next).bytes, 1u << 20);
}

TEST_F(ForeignTest, NoFileIsLeftWhenNobodyMapsAnything) {
  {
    SlabRecord record(path(), 1);
    record.NoteSession(1, Mine());
    record.NoteMapped(1, 1, {.size_bytes = 4096, .inode = 0});
    record.NoteEnded(1);
    EXPECT_TRUE(record.status().ok());
  }
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(ForeignTest, APlaceThatCannotBeWrittenIsSaidAndHarmsNothing) {
  SlabRecord record(directory_ + "/nowhere/host.sock.slabs", 1);
  EXPECT_EQ(record.status().code(), absl::StatusCode::kNotFound);
  record.NoteSession(1, Mine());
  record.Flush();
  EXPECT_EQ(LookForForeignSlabs(record).bytes, 0u);
}

// A disk that is full for a while: said once, not tried at each change, and then all is written.
TEST_F(ForeignTest, WhatCouldNotBeWrittenIsWrittenLater) {
  ::signal(SIGXFSZ, SIG_IGN);
  SlabRecord record(path(), 1);
  int changes = 0;
  record.OnChange([&] { ++changes; });
  record.NoteSession(1, Mine());
  record.Flush();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit full{.rlim_cur = 16, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  for (SlabId slab = 1; slab <= 3; ++slab) {
    record.NoteMapped(1, slab, {.size_bytes = 4096, .inode = 0});
    record.Flush();
  }
  record.Retry();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_FALSE(record.status().ok());
  EXPECT_FALSE(absl::IsPermissionDenied(record.status())) << record.status();
  EXPECT_NE(record.status().message().find(path()), std::string::npos);
  EXPECT_EQ(changes, 1);
  record.NoteMapped(1, 4, {.size_bytes = 4096, .inode = 0});
  record.Retry();
  EXPECT_TRUE(record.status().ok());
  EXPECT_EQ(changes, 2);
  record.NoteMapped(1, 5, {.size_bytes = 4096, .inode = 0});
  record.Flush();
  SlabRecord next(path(), 2);
  EXPECT_EQ(LookForForeignSlabs(next).bytes, 5u * 4096);
}

TEST(ProcessStatTest, AnyNameIsRead) {
  const std::optional<ProcessStat> mine = ReadProcessStat(::getpid());
  ASSERT_TRUE(mine);
  EXPECT_EQ(mine->state, 'R');
  EXPECT_GT(mine->started, 0u);
  char before[16];
  ASSERT_EQ(::prctl(PR_GET_NAME, before), 0);
  ASSERT_EQ(::prctl(PR_SET_NAME, ") S 1\n2 3) R 7"), 0);
  const std::optional<ProcessStat> named = ReadProcessStat(::getpid());
  ::prctl(PR_SET_NAME, before);
  ASSERT_TRUE(named);
  EXPECT_EQ(named->started, mine->started);
  EXPECT_EQ(named->state, 'R');
  EXPECT_FALSE(ReadProcessStat(0));
}

}  // namespace
}  // namespace nvcv_cached::server
