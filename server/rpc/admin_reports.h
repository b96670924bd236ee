// What the books say, as the messages of admin.proto. Pure conversions; thread-safe.
#pragma once

#include <vector>

#include "nvcv_cached/v1/admin.pb.h"
#include "server/core/report.h"
#include "server/rpc/broker.h"

namespace nvcv_cached::server {

void Fill(const Totals& totals, v1::Stats* message);  // the histograms too
void Fill(const PoolReport& pool, v1::Stats* message);
void Fill(const SlabReport& slab, v1::SlabInfo* message);
void Fill(const LeaseReport& lease, v1::LeaseInfo* message);
void Fill(const MissReport& misses, v1::SpecMisses* message);

// The sessions, with what the kernel says of their processes and the broker of their streams.
std::vector<v1::SessionInfo> Sessions(Broker& broker);  // as they are now
std::vector<v1::SessionInfo> Sessions(Broker& broker, const std::vector<SessionReport>& reports);

v1::DaemonState ToMessage(ServingState state);

}  // namespace nvcv_cached::server
