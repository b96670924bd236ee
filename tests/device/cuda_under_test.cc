#include "tests/device/cuda_under_test.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/escaping.h"
#include "tests/device/importer.h"

extern char** environ;

namespace nvcv_cached::server::testing {
namespace {

class Importer final : public SlabView {
 public:
  Importer(const std::string& gpu, const std::string& handle) {
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0) std::abort();
    const std::string program =
        std::filesystem::read_symlink("/proc/self/exe").parent_path() / "device_importer";
    std::string hex = absl::BytesToHexString(handle);
    std::array<char*, 4> argv{const_cast<char*>(program.c_str()), const_cast<char*>(gpu.c_str()),
                              hex.data(), nullptr};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    const int error =
        ::posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    to_.reset(in[1]);
    from_.reset(out[0]);
    ::close(in[0]);
    ::close(out[1]);
    EXPECT_EQ(error, 0) << program;
    std::array<char, 3> answer{};
    const bool mapped = ReadAll(from_.get(), answer.data(), answer.size());
    EXPECT_TRUE(mapped && answer == (std::array{'o', 'k', '\n'})) << "the importer could not map";
  }
  ~Importer() override {
    to_.reset();
    ::waitpid(pid_, nullptr, 0);
  }
  void Write(uint64_t offset, const std::vector<uint8_t>& bytes) override {
    Send({.op = 'w', .offset = offset, .count = bytes.size()});
    EXPECT_TRUE(WriteAll(to_.get(), bytes.data(), bytes.size()));
    Receive(1);
  }
  std::vector<uint8_t> Read(uint64_t offset, uint64_t count) override {
    Send({.op = 'r', .offset = offset, .count = count});
    return Receive(count);
  }

 private:
  void Send(const ImporterFrame& frame) { EXPECT_TRUE(WriteAll(to_.get(), &frame, sizeof(frame))); }
  std::vector<uint8_t> Receive(uint64_t count) {
    std::vector<uint8_t> bytes(count, 0xee);
    EXPECT_TRUE(ReadAll(from_.get(), bytes.data(), count)) << "the importer has ended";
    return bytes;
  }

  pid_t pid_ = -1;
  UniqueFd to_;
  UniqueFd from_;
};

TestGpu Look() {
  ::signal(SIGPIPE, SIG_IGN);
  TestGpu result;
  PrepareCudaEnvironment("cuda:0");
  const auto driver = CudaDriver::Load();
  if (!driver.ok()) {
    result.why_not = std::string(driver.status().message());
    return result;
  }
  auto gpu = FindGpu(**driver, "cuda:0");
  if (!gpu.ok()) {
    result.why_not = std::string(gpu.status().message());
    return result;
  }
  result.driver = *driver;
  result.gpu = *std::move(gpu);
  return result;
}

}  // namespace

const TestGpu& TheGpu() {
  static const TestGpu gpu = Look();
  return gpu;
}

std::unique_ptr<SlabView> MapElsewhere(const SlabHandle& handle, uint64_t) {
  return std::make_unique<Importer>(TheGpu().gpu.info.id, handle.cuda_ipc);
}

DeviceUnderTest MakeCuda() {
  DeviceUnderTest result;
  result.name = "cuda";
  result.map = MapElsewhere;
  result.too_large = uint64_t{1} << 50;
  if (TheGpu().driver == nullptr) {
    result.why_not = TheGpu().why_not;
    return result;
  }
  auto device = CudaDevice::Open(*TheGpu().driver, TheGpu().gpu, {});
  EXPECT_TRUE(device.ok()) << device.status();
  if (device.ok()) result.device = *std::move(device);
  return result;
}

}  // namespace nvcv_cached::server::testing
