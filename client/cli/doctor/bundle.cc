#include "client/cli/doctor/bundle.h"

#include <google/protobuf/util/json_util.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>

#include "client/cli/stats_json.h"
#include "client/cli/table.h"
#include "proto/version.h"

namespace nvcv_cached::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::chrono::seconds kEventsTimeout{5};

// Lists are for people here: protobuf's own mapping will do, where `stats` has a schema.
template <class Message>
Json Mapped(const Message& message) {
  std::string text;
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) return nullptr;
  return Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

// The log lines that the daemon remembers, oldest first.
Json Events(const Daemon& daemon) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kEventsTimeout);
  v1::FollowEventsRequest request;
  request.set_past_only(true);
  const auto reader = daemon.stub().FollowEvents(&context, request);
  Json events = Json::array();
  for (v1::LogEvent event; reader->Read(&event);) events.push_back(Mapped(event));
  const grpc::Status status = reader->Finish();
  if (!status.ok()) throw Failure::Of(status, daemon.socket());
  return events;
}

Json OfDaemon(const Daemon& daemon) {
  Json json{{"socket", daemon.socket()}};
  try {
    json["stats"] = ToJson(daemon.Stats());
    json["sessions"] =
        Mapped(daemon.Call(&v1::Admin::Stub::ListSessions, v1::ListSessionsRequest()))["sessions"];
    json["slabs"] =
        Mapped(daemon.Call(&v1::Admin::Stub::ListSlabs, v1::ListSlabsRequest()))["slabs"];
    json["leases"] =
        Mapped(daemon.Call(&v1::Admin::Stub::ListLeases, v1::ListLeasesRequest()))["leases"];
    json["misses"] =
        Mapped(daemon.Call(&v1::Admin::Stub::ListMisses, v1::ListMissesRequest()))["specs"];
    json["events"] = Events(daemon);
  } catch (const Failure& failure) {
    json["error"] = {{"code", failure.name()}, {"message", failure.what()}};
  }
  return json;
}

Json Variables() {
  Json variables = Json::object();
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t at = text.find('=');
    for (const char* prefix : {"NVCV_CACHED_", "CUDA_", "NVIDIA_", "XDG_RUNTIME_DIR"}) {
      if (text.rfind(prefix, 0) == 0) variables[text.substr(0, at)] = Escaped(text.substr(at + 1));
    }
  }
  return variables;
}

Json MachineFiles(const Machine& machine) {
  Json files = Json::object();
  for (const char* path : {"/proc/version", "/proc/meminfo", "/proc/self/cgroup",
                           "/proc/self/limits", "/proc/driver/nvidia/version"}) {
    files[path] = machine.Read(path);
  }
  return files;
}

}  // namespace

void WriteBundle(const std::string& path, const Json& findings, const std::vector<Daemon>& daemons,
                 const Machine& machine) {
  Json bundle{{"client", kVersion},       {"protocol", kProtocolMax},
              {"uid", ::geteuid()},       {"findings", findings},
              {"variables", Variables()}, {"machine", MachineFiles(machine)},
              {"daemons", Json::array()}};
  for (const Daemon& daemon : daemons) bundle["daemons"].push_back(OfDaemon(daemon));
  std::ofstream file(path);
  file << bundle.dump(1, ' ', false, Json::error_handler_t::replace) << "\n";
  file.close();
  if (file) return;
  throw Failure(ExitCode::kFailed, "write_failed", path + ": " + std::strerror(errno),
                "name a file that you may write");
}

}  // namespace nvcv_cached::cli
