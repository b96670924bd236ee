// Whole processes: the library is started, forked, exited and left alone with daemons that do not
// answer.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "nvcv_cached/error.h"
#include "tests/connection/fake_daemon.h"

extern char** environ;

namespace nvcv_cached {
namespace {

using ::nvcv_cached::testing::FakeDaemon;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

int ExitCodeOf(ErrorCode code) { return 10 + static_cast<int>(code); }

struct Result {
  int exit_code = -1;
  std::string output;  // both streams
  milliseconds took{};
};

class ProcessTest : public ::testing::Test {
 protected:
  ProcessTest() {
    char name[] = "/tmp/nvcv-proc-XXXXXX";
    directory_ = ::mkdtemp(name);
    path_ = directory_ + "/host.sock";
    environment_["NVCV_CACHED_ADDRESS"] = path_;
    environment_["NVCV_CACHED_AUTOSTART"] = "0";
  }
  ~ProcessTest() override {
    if (pid_t pid = StartedPid(); pid > 0) ::kill(pid, SIGKILL);
    std::string remove = "rm -rf " + directory_;
    EXPECT_EQ(std::system(remove.c_str()), 0);
  }

  pid_t Spawn(const std::string& what, const std::string& output) {
    std::vector<std::string> variables;
    for (char** variable = environ; *variable != nullptr; ++variable) {
      if (std::string(*variable).rfind("NVCV_CACHED_", 0) != 0) variables.emplace_back(*variable);
    }
    for (const auto& [name, value] : environment_) variables.push_back(name + "=" + value);
    std::vector<char*> envp;
    for (std::string& variable : variables) envp.push_back(variable.data());
    envp.push_back(nullptr);
    std::string program = CLIENT_PROCESS, argument = what;
    char* argv[] = {program.data(), argument.data(), nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    if (!working_directory_.empty()) {
      posix_spawn_file_actions_addchdir_np(&actions, working_directory_.c_str());
    }
    pid_t pid = -1;
    EXPECT_EQ(::posix_spawn(&pid, program.c_str(), &actions, nullptr, argv, envp.data()), 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
  }

  static Result Await(pid_t pid, const std::string& output) {
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    Result result;
    result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    result.output = Read(output);
    return result;
  }

  Result Run(const std::string& what) {
    const auto start = steady_clock::now();
    const std::string output = directory_ + "/output";
    Result result = Await(Spawn(what, output), output);
    result.took = std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
    return result;
  }

  static std::string Read(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  // A program that takes the place of the daemon.
  void UseDaemon(const std::string& program) {
    environment_["NVCV_CACHED_AUTOSTART"] = "1";
    environment_["NVCV_CACHED_DAEMON"] = program;
  }
  std::string Script(const std::string& text) {
    std::string path = directory_ + "/script";
    std::ofstream(path) << "#!/bin/sh\n" << text << "\n";
    ::chmod(path.c_str(), 0700);
    return path;
  }
  pid_t StartedPid() {
    pid_t pid = 0;
    std::ifstream(path_ + ".pid") >> pid;
    return pid;
  }

  std::string directory_, path_, working_directory_;
  std::map<std::string, std::string> environment_;
};

bool IsGoodbye(const v1::ClientMessage& message) { return message.has_goodbye(); }

TEST_F(ProcessTest, ExitWithLiveObjectsIsQuickAndQuiet) {
  FakeDaemon daemon(path_, 1);
  Result result = Run("exit-with-live-objects");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.output, "made 2\n");
  EXPECT_LT(result.took, milliseconds(1000));
  EXPECT_TRUE(daemon.WaitFor(IsGoodbye));
}

TEST_F(ProcessTest, AForkedChildIsToldAndHarmsNothing) {
  FakeDaemon daemon(path_, 1);
  Result result = Run("fork");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output, ContainsRegex("created in pid [0-9]+, used in its fork [0-9]+"));
  EXPECT_THAT(result.output, HasSubstr("spawn"));
  EXPECT_EQ(daemon.hellos(), 1);
  EXPECT_EQ(daemon.Count(IsGoodbye), 1);  // the parent's
}

TEST_F(ProcessTest, AForkBeforeTheFirstConnectIsFine) {
  FakeDaemon daemon(path_, 1);
  Result result = Run("fork-first");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(daemon.hellos(), 2);
}

TEST_F(ProcessTest, AForkAfterAFailedConnectIsFine) {
  const std::string output = directory_ + "/output";
  const pid_t pid = Spawn("fork-after-failure", output);
  const auto deadline = steady_clock::now() + milliseconds(5000);
  while (Read(output).find("failed") == std::string::npos && steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  FakeDaemon daemon(path_, 1);
  Result result = Await(pid, output);
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(daemon.hellos(), 2);
}

TEST_F(ProcessTest, WithoutAThreadThereIsAnErrorAndNoSignalStaysBlocked) {
  FakeDaemon daemon(path_, 1);
  Result result = Run("no-threads");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("asked a thread for nvcv-read; found: "));
  EXPECT_THAT(result.output, HasSubstr("asked a thread for nvcv-keep; found: "));
  EXPECT_THAT(result.output, HasSubstr("; do: raise"));
}

TEST_F(ProcessTest, ANameThatIsNotUtf8KeepsNobodyFromConnecting) {
  FakeDaemon daemon(path_, 1);
  environment_["NVCV_CACHED_NAME"] = "caf\xe9 \xc3\xa9 \xed\xa0\x80 \xf0\x9f\x98\x80 \xc3";
  Result result = Run("make");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(daemon.last_hello().name(), "caf? \xc3\xa9 ??? \xf0\x9f\x98\x80 ?");
}

TEST_F(ProcessTest, NoPermissionNamesTheGroupAndTheCommand) {
  FakeDaemon daemon(path_, 1);
  ASSERT_EQ(::chmod(directory_.c_str(), 0755), 0);
  ASSERT_EQ(::chmod(path_.c_str(), 0660), 0);
  Result result = Run("make-as-nobody");
  if (result.exit_code == 77) GTEST_SKIP() << "needs root";
  EXPECT_EQ(result.exit_code, ExitCodeOf(ErrorCode::kPermissionDenied)) << result.output;
  EXPECT_THAT(result.output, HasSubstr("you are uid 65534, it wants group root"));
  EXPECT_THAT(result.output, HasSubstr("sudo usermod -aG root nobody"));
}

TEST_F(ProcessTest, LookingStartsNoDaemon) {
  UseDaemon(FAKE_DAEMON);
  Result result = Run("look");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(result.output, "0 0 1\n");
  EXPECT_EQ(StartedPid(), 0);
}

TEST_F(ProcessTest, AnObjectStartsADaemonThatOutlivesIt) {
  UseDaemon(FAKE_DAEMON);
  environment_["NVCV_CACHED_NAME"] = "starter";
  Result result = Run("make");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(result.output, "made 1\n");
  const pid_t daemon = StartedPid();
  ASSERT_GT(daemon, 0);
  EXPECT_EQ(::kill(daemon, 0), 0);
  const std::string log = Read(path_ + ".log");
  EXPECT_THAT(log, HasSubstr("flags --device host --socket " + path_ + " --idle-exit 10m"));
  EXPECT_THAT(log, Not(HasSubstr("inherited")));
  EXPECT_THAT(log, HasSubstr("session " + std::to_string(daemon)));
  // Nobody starts a second one.
  EXPECT_EQ(Run("make").exit_code, 0);
  EXPECT_EQ(StartedPid(), daemon);
}

TEST_F(ProcessTest, RelativePathsMeanTheClientsDirectory) {
  ASSERT_EQ(::symlink(FAKE_DAEMON, (directory_ + "/daemon").c_str()), 0);
  working_directory_ = directory_;
  UseDaemon("./daemon");
  environment_["NVCV_CACHED_ADDRESS"] = "host.sock";
  Result result = Run("make");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_GT(StartedPid(), 0);
}

TEST_F(ProcessTest, RacingStartersGetOneDaemon) {
  UseDaemon(FAKE_DAEMON);
  constexpr int kClients = 8;
  std::vector<pid_t> pids;
  for (int i = 0; i < kClients; ++i) {
    pids.push_back(Spawn("make", directory_ + "/output" + std::to_string(i)));
  }
  for (int i = 0; i < kClients; ++i) {
    Result result = Await(pids[i], directory_ + "/output" + std::to_string(i));
    EXPECT_EQ(result.exit_code, 0) << result.output;
  }
  EXPECT_GT(StartedPid(), 0);
}

TEST_F(ProcessTest, AStarterWhoseDaemonFoundOneThatLeavesStartsAgain) {
  const std::string once = directory_ + "/once";
  UseDaemon(Script("if mkdir " + once + "; then exit 3; fi; exec " FAKE_DAEMON " \"$@\""));
  Result result = Run("make");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_LT(result.took, milliseconds(5000));
}

TEST_F(ProcessTest, ThreadsOfAStarterWaitForItsDaemonAsLongAsItDoes) {
  const std::string gate = directory_ + "/gate";
  ASSERT_EQ(::mkfifo(gate.c_str(), 0600), 0);
  UseDaemon(Script("cat " + gate + "; exec " FAKE_DAEMON " \"$@\""));
  environment_["NVCV_CACHED_TIMEOUT"] = "100ms";
  const std::string output = directory_ + "/output";
  const pid_t pid = Spawn("make-on-two-threads", output);
  std::ofstream open(gate);  // once the daemon's script is there to read
  // Both callers' own time is over before the daemon begins.
  siginfo_t ended{};
  const auto begun = steady_clock::now();
  while (steady_clock::now() - begun < milliseconds(400)) {
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOHANG | WNOWAIT), 0);
    std::this_thread::yield();
  }
  open.close();
  Result result = Await(pid, output);
  EXPECT_EQ(result.exit_code, 0) << result.output;
}

TEST_F(ProcessTest, ADaemonThatDoesNotAnswerIsExplained) {
  UseDaemon(Script("echo $$ > " + path_ + ".pid; echo waiting for a disk; exec sleep 60"));
  Result result = Run("make");
  EXPECT_EQ(result.exit_code, ExitCodeOf(ErrorCode::kUnavailable)) << result.output;
  EXPECT_THAT(result.output, HasSubstr("no daemon at " + path_));
  EXPECT_THAT(result.output, HasSubstr("is running, but did not answer in 10s"));
  EXPECT_THAT(result.output, HasSubstr("log " + path_ + ".log: waiting for a disk; do: read"));
}

TEST_F(ProcessTest, ADaemonThatFailsToStartIsExplained) {
  UseDaemon(Script("echo first line; echo 'no usable device' >&2; exit 4"));
  Result result = Run("make");
  EXPECT_EQ(result.exit_code, ExitCodeOf(ErrorCode::kUnavailable)) << result.output;
  EXPECT_THAT(result.output, HasSubstr("exited with code 4"));
  EXPECT_THAT(result.output, HasSubstr("no usable device"));
  EXPECT_THAT(result.output, HasSubstr(path_ + ".log"));
  EXPECT_LT(result.took, milliseconds(5000));
}

TEST_F(ProcessTest, ADaemonThatIsNotThereIsExplained) {
  UseDaemon(directory_ + "/nothing");
  Result result = Run("make");
  EXPECT_EQ(result.exit_code, ExitCodeOf(ErrorCode::kUnavailable)) << result.output;
  EXPECT_THAT(result.output, HasSubstr("NVCV_CACHED_DAEMON=" + directory_ + "/nothing"));
}

TEST_F(ProcessTest, L4_AStoppedDaemonIsNamedWithItsState) {
  UseDaemon(FAKE_DAEMON);
  ASSERT_EQ(Run("make").exit_code, 0);
  ASSERT_EQ(::kill(StartedPid(), SIGSTOP), 0);
  environment_["NVCV_CACHED_TIMEOUT"] = "300ms";
  Result result = Run("make");
  EXPECT_EQ(result.exit_code, ExitCodeOf(ErrorCode::kDeadlineExceeded)) << result.output;
  EXPECT_THAT(result.output, HasSubstr("pid " + std::to_string(StartedPid()) + " (state T)"));
  EXPECT_LT(result.took, milliseconds(2000));
}

TEST_F(ProcessTest, ADefaultDeviceIsSaidOnce) {
  environment_.erase("NVCV_CACHED_ADDRESS");
  environment_["XDG_RUNTIME_DIR"] = directory_;
  EXPECT_THAT(Run("look").output, ContainsRegex("warning: .*NVCV_CACHED_DEVICE=host"));
  environment_["NVCV_CACHED_DEVICE"] = "host";
  EXPECT_THAT(Run("look").output, Not(HasSubstr("warning")));
}

TEST_F(ProcessTest, SomebodyElsesDirectoryIsRefused) {
  environment_.erase("NVCV_CACHED_ADDRESS");
  environment_["NVCV_CACHED_DEVICE"] = "host";
  environment_["XDG_RUNTIME_DIR"] = directory_;
  ASSERT_EQ(::mkdir((directory_ + "/nvcv-cached").c_str(), 0700), 0);
  ASSERT_EQ(::chmod((directory_ + "/nvcv-cached").c_str(), 0777), 0);
  Result result = Run("make");
  EXPECT_EQ(result.exit_code, ExitCodeOf(ErrorCode::kPermissionDenied)) << result.output;
  EXPECT_THAT(result.output, HasSubstr("mode 0777"));
}

TEST_F(ProcessTest, BadSettingsAreNamed) {
  environment_["NVCV_CACHED_TIMEOUT"] = "soon";
  Result result = Run("make");
  EXPECT_EQ(result.exit_code, ExitCodeOf(ErrorCode::kInvalidArgument)) << result.output;
  EXPECT_THAT(result.output, HasSubstr("NVCV_CACHED_TIMEOUT=soon"));
  environment_.erase("NVCV_CACHED_TIMEOUT");
  environment_["NVCV_CACHED_LOG"] = "loud";
  result = Run("make");
  EXPECT_EQ(result.exit_code, ExitCodeOf(ErrorCode::kInvalidArgument)) << result.output;
  EXPECT_THAT(result.output, HasSubstr("NVCV_CACHED_LOG=loud; do: use off, error, warn"));
  environment_.erase("NVCV_CACHED_LOG");
  environment_["NVCV_CACHED_DEVICE"] = "cuda:0";
  result = Run("make");
  EXPECT_EQ(result.exit_code, ExitCodeOf(ErrorCode::kDeviceError)) << result.output;
}

}  // namespace
}  // namespace nvcv_cached
