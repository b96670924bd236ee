// What the books say, as the messages of admin.proto: text for people is made here, without the lock
// of the books. Thread-safe.
#pragma once

#include <functional>
#include <vector>

#include "nvcv_cached/v1/admin.pb.h"
#include "server/core/report.h"
#include "server/rpc/broker.h"

namespace nvcv_cached::server {

void Fill(const Totals& totals, v1::Stats* message);  // the histograms too
void Fill(const PoolReport& pool, v1::Stats* message);
void Fill(const SlabReport& slab, v1::SlabInfo* message);
void Fill(const MissReport& misses, v1::SpecMisses* message);

// The sessions, with what the kernel says of their processes and the broker of their streams.
std::vector<v1::SessionInfo> Sessions(Broker& broker);  // as they are now
std::vector<v1::SessionInfo> Sessions(Broker& broker, const std::vector<SessionReport>& reports);

// The session's leases, a page of them at a time, so that others get at the books in between.
void ForEachLease(Broker& broker, SessionId session,
                  const std::function<void(v1::LeaseInfo)>& take);

v1::DaemonState ToMessage(ServingState state);

}  // namespace nvcv_cached::server
