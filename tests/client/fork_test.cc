// A forked child: a clear error on use, and nothing happens when what it inherited is destroyed.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "client/src/fork_guard.h"
#include "nvcv_cached/buffer.h"
#include "nvcv_cached/error.h"
#include "nvcv_cached/tensor.h"
#include "tests/client/fake_source.h"

namespace nvcv_cached::client {
namespace {

// The exit status of a fork that runs `child`; 128 + n when signal n killed it.
int InChild(const std::function<int()>& child) {
  const pid_t pid = fork();
  if (pid == 0) _exit(child());
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Tests of one process share its fork guard, so this is the first (see also CMakeLists.txt: each
// runs alone).
TEST(Fork, BeforeTheFirstObjectTheChildMayUseItsOwn) {
  EXPECT_EQ(InChild([] {
              FakeSource::Install();
              Buffer buffer(4096);
              return buffer.data() != nullptr && !IsForkedChild() ? 0 : 1;
            }),
            0);
}

TEST(Fork, UseInTheChildIsAnErrorThatNamesBoth) {
  FakeSource::Install();
  { Buffer idle(4096); }
  const std::string parent = std::to_string(getpid());
  EXPECT_EQ(InChild([&] {
              try {
                Buffer buffer(4096);
              } catch (const Forked& error) {
                const std::string expected = "created in pid " + parent + ", used in its fork " +
                                             std::to_string(getpid()) +
                                             "; do: multiprocessing.set_start_method(\"spawn\"), "
                                             "DataLoader(multiprocessing_context=\"spawn\")";
                return error.what() == expected && error.code() == ErrorCode::kForked ? 0 : 1;
              }
              return 2;
            }),
            0);
}

TEST(Fork, InheritedObjectsRefuseTheirPointerAndDieQuietly) {
  FakeSource& daemon = FakeSource::Install();
  std::optional<Buffer> buffer(4096);
  std::optional<Tensor> tensor(std::in_place, Shape{4, 4}, DataType::kF32, "HW");
  buffer->data();
  EXPECT_EQ(InChild([&] {
              try {
                tensor->data();
                return 1;
              } catch (const Forked&) {
              }
              if (tensor->shape() != Shape({4, 4})) return 2;
              Tensor copy = *tensor;
              tensor.reset();  // the table is not mapped here: a CAS would be SIGSEGV
              buffer.reset();
              return 0;
            }),
            0);
  EXPECT_EQ(daemon.Books().in_use, 2);
  buffer.reset();
  EXPECT_EQ(daemon.Books().idle, 1);
}

TEST(Fork, AForkOfAForkNamesTheFirst) {
  FakeSource::Install();
  { Buffer idle(4096); }
  const std::string parent = "created in pid " + std::to_string(getpid());
  EXPECT_EQ(InChild([&] {
              return InChild([&] {
                try {
                  Buffer buffer(4096);
                } catch (const Forked& error) {
                  return std::string(error.what()).find(parent) == 0 ? 0 : 1;
                }
                return 2;
              });
            }),
            0);
}

TEST(Fork, ExitWithLiveObjectsIsQuiet) {
  FakeSource::Install();
  static std::optional<Buffer> forever;  // destroyed by exit(), in parent and child alike
  forever.emplace(4096);
  const pid_t pid = fork();
  if (pid == 0) exit(0);
  int status = 1;
  waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace nvcv_cached::client
