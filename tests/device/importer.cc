// Another process with one slab of a GPU mapped, for tests: device_importer NAME HANDLE_IN_HEX.
//
// It maps the slab, writes "ok\n" (or the error) and then serves frames on stdin until it ends:
// {op, offset, count}, 'r' answers with the bytes, 'w' is followed by them and answers one byte
// when they are written.
#include "tests/device/importer.h"

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "proto/cuda_driver.h"
#include "server/device/cuda_gpu.h"

namespace nvcv_cached::server::testing {
namespace {

absl::Status Serve(const CudaDriver& driver, CUdeviceptr slab) {
  ImporterFrame frame;
  while (ReadAll(STDIN_FILENO, &frame, sizeof(frame))) {
    std::vector<uint8_t> bytes(frame.count);
    if (frame.op == 'w') {
      if (!ReadAll(STDIN_FILENO, bytes.data(), bytes.size())) break;
      if (auto done = driver.Check(
              driver.MemcpyHtoD(slab + frame.offset, bytes.data(), bytes.size()), "cuMemcpyHtoD");
          !done.ok()) {
        return done;
      }
      bytes.assign(1, 1);
    } else if (auto done =
                   driver.Check(driver.MemcpyDtoH(bytes.data(), slab + frame.offset, bytes.size()),
                                "cuMemcpyDtoH");
               !done.ok()) {
      return done;
    }
    // A copy from host memory may return before it has reached the GPU.
    if (auto done = driver.Check(driver.StreamSynchronize(nullptr), "cuStreamSynchronize");
        !done.ok()) {
      return done;
    }
    if (!WriteAll(STDOUT_FILENO, bytes.data(), bytes.size())) break;
  }
  return absl::OkStatus();
}

absl::Status Run(const std::string& name, const std::string& hex) {
  PrepareCudaEnvironment(name);
  const auto driver = CudaDriver::Load();
  if (!driver.ok()) return driver.status();
  const auto gpu = FindGpu(**driver, name);
  if (!gpu.ok()) return gpu.status();
  const std::string bytes = absl::HexStringToBytes(hex);
  CUipcMemHandle handle{};
  if (bytes.size() != sizeof(handle.reserved)) return absl::InvalidArgumentError("not a handle");
  std::copy(bytes.begin(), bytes.end(), handle.reserved);
  CUcontext context = nullptr;
  CUdeviceptr slab = 0;
  for (const absl::Status& status :
       {(*driver)->Check((*driver)->DevicePrimaryCtxRetain(&context, gpu->device), "context"),
        (*driver)->Check((*driver)->CtxSetCurrent(context), "cuCtxSetCurrent"),
        (*driver)->Check(
            (*driver)->IpcOpenMemHandle(&slab, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS),
            "cuIpcOpenMemHandle")}) {
    if (!status.ok()) return status;
  }
  if (!WriteAll(STDOUT_FILENO, "ok\n", 3)) return absl::OkStatus();
  return Serve(**driver, slab);
}

}  // namespace
}  // namespace nvcv_cached::server::testing

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const absl::Status status = nvcv_cached::server::testing::Run(argv[1], argv[2]);
  if (status.ok()) return 0;
  std::printf("%s\n", std::string(status.message()).c_str());
  return 1;
}
