// Ends of client processes: what the daemon sees, and what it makes of it. The clients are real
// processes.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/rpc/local_daemon.h"
#include "tests/rpc/raw_client.h"

namespace nvcv_cached::server::testing {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

// client_process in a process of its own; it is ready when the constructor returns.
class ClientProcess {
 public:
  ClientProcess(const std::string& socket_path, int leases, const char* extra = nullptr) {
    int in[2], out[2];
    if (::pipe(in) != 0 || ::pipe(out) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      for (int fd = 3; fd < 1024; ++fd) ::close(fd);
      const std::string count = std::to_string(leases), bytes = std::to_string(kMiB);
      ::execl(NVCV_CACHED_CLIENT_PROCESS, "client_process", socket_path.c_str(), count.c_str(),
              bytes.c_str(), extra, nullptr);
      ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    input_.reset(in[1]);
    FILE* lines = ::fdopen(out[0], "r");
    ready_ = std::fscanf(lines, "ready %lu %d", &session_, &child_) == 2;
    std::fclose(lines);
  }
  ~ClientProcess() {
    if (child_ > 0) ::kill(child_, SIGKILL);
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    Wait();
  }

  bool ready() const { return ready_; }
  pid_t pid() const { return pid_; }
  void Kill(int signal) { ::kill(pid_, signal); }
  void KillChild() { ::kill(child_, SIGKILL); }
  void CloseInput() { input_.reset(); }
  int Wait() {
    int status = -1;
    if (pid_ > 0) ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return status;
  }

 private:
  pid_t pid_ = 0;
  int child_ = 0;
  unsigned long session_ = 0;
  bool ready_ = false;
  UniqueFd input_;
};

uint64_t Ended(LocalDaemon& daemon, EndCause cause) {
  return daemon.broker().With(
      [&](Books& books) { return books.GetTotals().sessions_ended[static_cast<size_t>(cause)]; });
}

TEST(RpcDeath, L1_LeasesOfAKilledProcessAreFree) {
  LocalDaemon daemon;
  ClientProcess client(daemon.socket_path(), 3);
  ASSERT_TRUE(client.ready());
  EXPECT_EQ(daemon.pool().in_use, 3 * kMiB);
  client.Kill(SIGKILL);
  EXPECT_TRUE(Eventually([&] { return daemon.sessions() == 0; }));
  const PoolReport pool = daemon.pool();
  EXPECT_EQ(pool.in_use + pool.quarantined + pool.draining, 0u);
  EXPECT_EQ(Ended(daemon, EndCause::kExit), 1u);
}

TEST(RpcDeath, M2_AForkedChildKeepsTheMemoryQuarantined) {
  LocalDaemon daemon;
  ClientProcess client(daemon.socket_path(), 3, "fork");
  ASSERT_TRUE(client.ready());
  client.Kill(SIGKILL);
  client.Wait();
  EXPECT_TRUE(Eventually([&] { return daemon.pool().quarantined == 3 * kMiB; }));
  EXPECT_EQ(daemon.sessions(), 1u);
  client.KillChild();
  EXPECT_TRUE(Eventually([&] { return daemon.sessions() == 0; }));
  EXPECT_EQ(daemon.pool().quarantined, 0u);
}

TEST(RpcDeath, M2_AfterExecIdleIsFreeAndHeldIsQuarantined) {
  LocalDaemon daemon;
  ClientProcess client(daemon.socket_path(), 3, "exec");
  ASSERT_TRUE(client.ready());
  EXPECT_TRUE(Eventually([&] { return daemon.pool().quarantined == 2 * kMiB; }));
  EXPECT_EQ(daemon.pool().in_use + daemon.pool().idle, 0u);
  EXPECT_EQ(daemon.sessions(), 1u);
  client.Kill(SIGKILL);
  EXPECT_TRUE(Eventually([&] { return daemon.sessions() == 0; }));
  EXPECT_EQ(daemon.pool().quarantined, 0u);
}

TEST(RpcDeath, L2_AStoppedProcessKeepsWhatItUses) {
  LocalDaemon daemon;
  ClientProcess client(daemon.socket_path(), 3);
  ASSERT_TRUE(client.ready());
  client.Kill(SIGSTOP);
  RawSession other(daemon.socket_path());
  ASSERT_TRUE(other.ok());
  EXPECT_TRUE(other.Acquire(kMiB));
  EXPECT_EQ(daemon.pool().in_use, 4 * kMiB);
  EXPECT_EQ(daemon.sessions(), 2u);
  client.Kill(SIGCONT);
}

TEST(RpcDeath, GoodbyeIsCountedAsClose) {
  LocalDaemon daemon;
  ClientProcess client(daemon.socket_path(), 0);
  ASSERT_TRUE(client.ready());
  client.CloseInput();
  EXPECT_EQ(client.Wait(), 0);
  EXPECT_TRUE(Eventually([&] { return daemon.sessions() == 0; }));
  EXPECT_EQ(Ended(daemon, EndCause::kClose), 1u);
}

TEST(RpcDeath, AClosedSocketOfALivingProcessEndsASessionThatHoldsNothing) {
  LocalDaemon daemon;
  RawSession session(daemon.socket_path());
  ASSERT_TRUE(session.ok());
  session.descriptor_socket().reset();
  EXPECT_TRUE(Eventually([&] { return daemon.sessions() == 0; }));
}

TEST(RpcDeath, WithoutPeerPidfdTheSameHolds) {
  ::setenv("NVCV_CACHED_TEST_NO_PEERPIDFD", "1", 1);
  {
    LocalDaemon daemon;
    ClientProcess client(daemon.socket_path(), 3);
    ASSERT_TRUE(client.ready());
    RawSession session(daemon.socket_path());
    EXPECT_TRUE(session.ok());
    client.Kill(SIGKILL);
    EXPECT_TRUE(Eventually([&] { return daemon.sessions() == 1; }));
    EXPECT_EQ(daemon.pool().in_use, 0u);
  }
  ::unsetenv("NVCV_CACHED_TEST_NO_PEERPIDFD");
}

}  // namespace
}  // namespace nvcv_cached::server::testing
