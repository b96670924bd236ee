// Which GPU cuda:N is where no daemon of it answers: sockets, and what daemons leave behind, are
// named by UUID.
//
// The driver knows, if this machine has one; else the statistics that the GPU's last daemon left.
// Asking the driver starts it (cuInit) with nvidia-smi's numbering, whatever the environment says.
// Not thread-safe before the first call has returned.
#pragma once

#include <string>

namespace nvcv_cached::cli {

// The id of the device that a socket is named after.
std::string DeviceOf(const std::string& socket);

// -d NAME means the device with this id, whose daemon listened on `socket` and may have left.
bool NamesAbsent(const std::string& name, const std::string& device, const std::string& socket);

// What a search for NAME was for, in an error: "cuda:0, which is GPU-...".
std::string SoughtAs(const std::string& name);

// Where it looked: "/run/nvcv-cached, /run/user/1000/nvcv-cached".
std::string SocketDirectories();

}  // namespace nvcv_cached::cli
