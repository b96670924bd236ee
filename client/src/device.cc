#include "nvcv_cached/device.h"

#include <utility>

#include "client/src/errors.h"
#include "client/src/fork_guard.h"
#include "client/src/process_connection.h"

namespace nvcv_cached {

Device::Device(std::string kind, std::string id, std::string name, std::uint64_t total_bytes)
    : kind_(std::move(kind)),
      id_(std::move(id)),
      name_(std::move(name)),
      total_bytes_(total_bytes) {}
Device::~Device() = default;
Device::Device(const Device&) = default;
Device& Device::operator=(const Device&) = default;

void connect(const Options& options) {
  client::RefuseInForkedChild();
  client::ThrowUnlessOk(client::ConnectThread(options));
}

Device device() {
  client::RefuseInForkedChild();
  return client::ValueOrThrow(client::ValueOrThrow(client::ThreadConnection())->CurrentDevice());
}

}  // namespace nvcv_cached
