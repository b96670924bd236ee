#include "server/rpc/refused_connections.h"

#include <string>

#include "server/log/log_sink.h"
#include "server/log/logfmt.h"

namespace nvcv_cached::server {

const char* ConnectionRefusalName(ConnectionRefusal reason) {
  switch (reason) {
    case ConnectionRefusal::kPermission:
      return "permission";
    case ConnectionRefusal::kLimit:
      return "limit";
    case ConnectionRefusal::kNamespace:
      return "namespace";
    case ConnectionRefusal::kDraining:
      return "draining";
  }
  return "?";
}

void RefuseConnection(Broker& broker, ConnectionRefusal reason, const Peer& peer,
                      const absl::Status& why) {
  broker.CountRefusedConnection(reason);
  LogWarning(Event("connection-refused")
                 .With("reason", ConnectionRefusalName(reason))
                 .With("pid", peer.pid)
                 .With("uid", peer.uid)
                 .With("error", std::string(why.message())));
}

}  // namespace nvcv_cached::server
