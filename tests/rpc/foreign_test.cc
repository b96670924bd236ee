// What an earlier daemon's clients still map: the record that daemons leave, and who of it counts.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include "proto/unique_fd.h"
#include "server/foreign/foreign_slabs.h"
#include "server/foreign/slab_record.h"
#include "server/foreign/socket_inode.h"

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
  // As a session of this process, whose descriptor socket is not known.
  static RecordedSession Mine() {
    return {.pid = ::getpid(), .started = ProcessStart(::getpid()), .socket = 0, .slabs = {}};
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
  EXPECT_EQ(LookForForeignSlabs(next).bytes, 0u);
  EXPECT_TRUE(next.Earlier().empty()) << "and is dropped for good";
}

TEST_F(ForeignTest, ASessionCountsAsLongAsItsSocketIsHeld) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  UniqueFd daemon(pair[0]);
  UniqueFd client(pair[1]);
  const std::optional<uint32_t> inode = PeerInode(daemon.get());
  if (!inode) GTEST_SKIP() << "this kernel does not tell of sockets (unix_diag)";
  struct stat status {};
  ::fstat(client.get(), &status);
  EXPECT_EQ(*inode, status.st_ino);
  {
    SlabRecord killed(path(), 1);
    RecordedSession session = Mine();
    session.socket = *inode;
    killed.NoteSession(1, session);
    killed.NoteMapped(1, 1, {.size_bytes = 4096, .inode = 0});
  }
  daemon.reset();
  SlabRecord next(path(), 2);
  EXPECT_EQ(LookForForeignSlabs(next).bytes, 4096u);
  client.reset();
  EXPECT_EQ(LookForForeignSlabs(next).bytes, 0u) << "though the process lives";
}

TEST_F(ForeignTest, AHostSlabThatTheProcessDoesNotMapDoesNotCount) {
  {
    SlabRecord killed(path(), 1);
    killed.NoteSession(1, Mine());
    killed.NoteMapped(1, 1, {.size_bytes = 4096, .inode = ~uint32_t{0}});
  }
  SlabRecord next(path(), 2);
  EXPECT_EQ(LookForForeignSlabs(next).bytes, 0u);
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
  EXPECT_FALSE(record.status().ok());
  record.NoteSession(1, Mine());
  record.Flush();
  EXPECT_EQ(LookForForeignSlabs(record).bytes, 0u);
}

}  // namespace
}  // namespace nvcv_cached::server
