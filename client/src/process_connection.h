// The process's own Connection: made at the first use of the library, never destroyed (objects may
// outlive main()), left with a goodbye at exit. A forked child neither uses nor leaves it.
// Thread-safe.
#pragma once

#include "client/src/connection.h"

namespace nvcv_cached::client {

Connection& ProcessConnection();

}  // namespace nvcv_cached::client
