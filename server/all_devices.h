// --device all: one daemon for each GPU, for each instance of one that MIG divides, as children of
// this process; for containers, where nobody else starts one for each.
//
// Signals go on to all. A child that fails is started again, later each time; one that cannot work
// (exit 2 to 5) or was asked to stop is not. It ends when no child is left. A child whose parent
// is killed drains and leaves. Precondition: the process has no second thread of ours yet.
#pragma once

#include "server/config/settings_reader.h"

namespace nvcv_cached::server {

// The process's exit code: 0, or the first one of a child that was not; 4: there is no GPU.
int RunOnAllDevices(const SettingsReader& reader, int argc, char** argv);

}  // namespace nvcv_cached::server
