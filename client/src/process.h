// What this process borrows through: the one place where the hot path meets the connection below
// it.
//
// The objects need a LeaseSource and nothing else of the connection. Source() does not connect; its
// first Acquire or Traits does. It lives as long as the process and is never destroyed (objects may
// outlive main()). Thread-safety: Source is thread-safe; InstallSource is for tests, before the
// first object.
#pragma once

#include "client/src/lease_source.h"

namespace nvcv_cached::client {

LeaseSource& Source();

// Objects borrow from `source` from here on; nullptr puts the connection back. Not owned.
void InstallSource(LeaseSource* source);

}  // namespace nvcv_cached::client
