// One stream of Admin.FollowEvents: the lines that the daemon remembers, then each that comes.
//
// One write is under way at a time, so a reader that is slow holds up nobody: it falls behind in
// the ring, and hears how many lines it lost. Owned by its stream; ends with it. Thread-safety:
// thread-safe.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <atomic>

#include "nvcv_cached/v1/admin.pb.h"
#include "server/log/event_ring.h"
#include "server/rpc/admin_worker.h"

namespace nvcv_cached::server {

// All outlive it; `count` is of the streams that are open.
grpc::ServerWriteReactor<v1::LogEvent>* FollowEvents(EventRing& events, AdminWorker& worker,
                                                     std::atomic<int>& count,
                                                     const v1::FollowEventsRequest& request);

}  // namespace nvcv_cached::server
