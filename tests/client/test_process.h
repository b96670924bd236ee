// The process's devices as tests of the hot path have them: one whose source is installed, and
// perhaps a second one, chosen by what a thread makes current.
#pragma once

#include "client/src/device_cache.h"

namespace nvcv_cached::client {

// TestDevice borrows from `source` from here on. Not owned.
void InstallSource(LeaseSource* source);

DeviceCache& TestDevice();

// From here on threads that made no object yet follow MakeCurrent: 0 is TestDevice, 1 this one.
// Null: no longer.
void AddSecondDevice(DeviceCache* device);
void MakeCurrent(int ordinal);  // on the calling thread

}  // namespace nvcv_cached::client
