// A connection that is not served as it asks: counted by its reason, and said in the log with who
// asked and why. Thread-safe.
#pragma once

#include "absl/status/status.h"
#include "server/rpc/broker.h"
#include "server/rpc/peer.h"

namespace nvcv_cached::server {

// "permission", as metrics and log call it.
const char* ConnectionRefusalName(ConnectionRefusal reason);

void RefuseConnection(Broker& broker, ConnectionRefusal reason, const Peer& peer,
                      const absl::Status& why);

}  // namespace nvcv_cached::server
