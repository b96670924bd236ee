// The GPU's driver, its device nodes, and how the GPU is shared.
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string>
#include <vector>

#include "client/cli/doctor/checks.h"
#include "client/src/cuda/gpu_choice.h"
#include "client/src/errors.h"
#include "proto/cuda_driver.h"

namespace nvcv_cached::cli {

namespace {

constexpr char kKernelDriver[] = "/proc/driver/nvidia/version";

std::string Text(const absl::Status& status) { return std::string(status.message()); }

// Those that this process sees; none without a driver.
std::vector<client::SeenGpu> SeenGpus() {
  std::vector<client::SeenGpu> gpus;
  const absl::StatusOr<int> count = client::CountGpus();
  for (int ordinal = 0; count.ok() && ordinal < *count; ++ordinal) {
    absl::StatusOr<client::SeenGpu> gpu = client::FindGpu("cuda:" + std::to_string(ordinal));
    if (gpu.ok()) gpus.push_back(*std::move(gpu));
  }
  return gpus;
}

// Only of GPUs that were seen: there is a driver then.
int Attribute(const client::SeenGpu& gpu, CUdevice_attribute attribute) {
  int value = 0;
  const absl::StatusOr<const CudaDriver*> driver = CudaDriver::Load();
  if (!driver.ok()) return 0;
  return (*driver)->DeviceGetAttribute(&value, attribute, gpu.device) == CUDA_SUCCESS ? value : 0;
}

bool IsGpuNode(const std::string& name) {
  constexpr std::string_view kPrefix = "nvidia";
  return name.size() > kPrefix.size() && name.rfind(kPrefix, 0) == 0 &&
         std::all_of(name.begin() + kPrefix.size(), name.end(),
                     [](unsigned char c) { return std::isdigit(c) != 0; });
}

}  // namespace

void CheckDriver(const Machine& machine, Report& report) {
  const absl::StatusOr<const CudaDriver*> driver = CudaDriver::Load();
  if (!driver.ok() && !absl::IsNotFound(driver.status())) {
    return report.Fail("driver", Text(driver.status()), "run nvidia-smi to see what is wrong");
  }
  if (!driver.ok() && !CudaDriver::IsInstalled() && machine.Has(kKernelDriver)) {
    return report.Fail("driver",
                       "the kernel has NVIDIA's driver, and libcuda.so.1 is not to be found here",
                       "install libcuda1, or give the container the NVIDIA runtime");
  }
  if (!driver.ok()) return report.Ok("driver", Text(driver.status()) + "; the host device serves");
  const int version = (*driver)->version;
  std::string text = "CUDA " + std::to_string(version / 1000) + "." +
                     std::to_string(version % 1000 / 10) + ", cuInit succeeds;";
  for (const client::SeenGpu& gpu : SeenGpus()) {
    text += " cuda:" + std::to_string(gpu.ordinal) + " " + gpu.name + " " + gpu.uuid;
  }
  report.Ok("driver", text);
}

void CheckDeviceNodes(const Machine& machine, Report& report) {
  if (!machine.Has(kKernelDriver)) {
    return report.Ok("device-nodes", "none are needed: the kernel has no NVIDIA driver");
  }
  std::vector<std::string> nodes = {"nvidiactl", "nvidia-uvm"};
  for (const std::string& name : machine.Names("/dev")) {
    if (IsGpuNode(name)) nodes.push_back(name);
  }
  if (nodes.size() == 2) nodes.push_back("nvidia0");
  bool well = true;
  for (const std::string& node : nodes) {
    const std::string path = "/dev/" + node;
    if (machine.MayReadAndWrite(path)) continue;
    well = false;
    if (machine.Has(path)) {
      report.Fail("device-nodes", path + " may not be read and written by this user",
                  "look at ls -l " + path + " and at the container's device rules");
    } else if (node == "nvidia-uvm") {
      report.Fail("device-nodes", path + " is not there, and CUDA does not start without it",
                  "sudo nvidia-modprobe -u -c 0, or start nvidia-persistenced before the daemon");
    } else {
      report.Fail("device-nodes", path + " is not there",
                  "sudo nvidia-modprobe -c 0, or give the container the NVIDIA runtime");
    }
  }
  if (well) report.Ok("device-nodes", std::to_string(nodes.size()) + " below /dev, all usable");
}

void CheckComputeMode(const Machine&, Report& report) {
  bool well = true;
  for (const client::SeenGpu& gpu : SeenGpus()) {
    if (Attribute(gpu, CU_DEVICE_ATTRIBUTE_COMPUTE_MODE) == CU_COMPUTEMODE_DEFAULT) continue;
    well = false;
    report.Fail("compute-mode",
                gpu.uuid + " is for one process alone (EXCLUSIVE_PROCESS), or for none",
                "sudo nvidia-smi -c DEFAULT");
  }
  if (well) report.Ok("compute-mode", "no GPU is kept for one process");
}

void CheckMps(const Machine& machine, Report& report) {
  const char* named = std::getenv("CUDA_MPS_PIPE_DIRECTORY");
  const std::string folder = named != nullptr && *named != '\0' ? named : "/tmp/nvidia-mps";
  bool well = true;
  for (const client::SeenGpu& gpu : SeenGpus()) {
    if (Attribute(gpu, kMpsEnabled) == 0) continue;
    well = false;
    report.Fail("mps",
                gpu.uuid +
                    " is under MPS, where memory cannot change hands safely: a killed "
                    "process's kernels may go on, and one process's fault ends others",
                "echo quit | nvidia-cuda-mps-control");
  }
  if (well && machine.Has(folder + "/control")) {
    well = false;
    report.Warn("mps", "an MPS control daemon has left its pipe in " + folder,
                "if it runs: echo quit | nvidia-cuda-mps-control; else remove the folder");
  }
  if (well) report.Ok("mps", "not in use");
}

void CheckMig(const Machine& machine, Report& report) {
  const std::string gpus = "/proc/driver/nvidia/capabilities";
  std::string divided;
  for (const std::string& gpu : machine.Names(gpus)) {
    for (const std::string& name : machine.Names(gpus + "/" + gpu + "/mig")) {
      if (name.rfind("gi", 0) != 0) continue;
      divided += (divided.empty() ? "" : ", ") + gpu;
      break;
    }
  }
  if (divided.empty()) return report.Ok("mig", "no GPU is divided");
  report.Warn("mig", divided + " is divided by MIG: a process sees one instance at a time",
              "run a daemon for each instance, --device MIG-uuid (nvidia-smi -L names them)");
}

void CheckWsl2(const Machine& machine, Report& report) {
  std::string release = machine.Read("/proc/sys/kernel/osrelease");
  std::transform(release.begin(), release.end(), release.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (release.find("microsoft") == std::string::npos) {
    return report.Ok("wsl2", "this is Linux on its own");
  }
  report.Fail("wsl2", "this is WSL2, where a GPU's memory cannot be shared between processes",
              "use --device host here, or Linux without Windows");
}

}  // namespace nvcv_cached::cli
