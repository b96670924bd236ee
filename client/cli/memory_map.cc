#include "client/cli/memory_map.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "client/cli/snapshot_json.h"
#include "client/cli/table.h"
#include "proto/units.h"

namespace nvcv_cached::cli {

namespace {

using Json = nlohmann::ordered_json;

// A saved file may say anything: text is escaped again.
std::string TextOf(const Json& json, const char* key) {
  return Escaped(json.at(key).get<std::string>());
}

MapBlock ReadBlock(const Json& json) {
  MapBlock block{.offset = json.at("offset"),
                 .size_bytes = json.at("size_bytes"),
                 .asked_bytes = 0,
                 .state = TextOf(json, "state"),
                 .spec = {},
                 .idle_seconds = std::nullopt};
  if (!json.contains("session")) {
    block.asked_bytes = block.size_bytes;
    return block;
  }
  block.session = json.at("session");
  block.asked_bytes = std::min(json.at("asked_bytes").get<uint64_t>(), block.size_bytes);
  if (!json.contains("spec")) {  // the lease went before its text was read
    block.spec = "(gone meanwhile)";
    return block;
  }
  block.spec = TextOf(json, "spec");
  if (!json.at("idle_seconds").is_null()) {
    block.idle_seconds = json.at("idle_seconds").get<double>();
  }
  block.cached = json.at("cached");
  return block;
}

MapSlab ReadSlab(const Json& json) {
  MapSlab slab{.id = json.at("id"),
               .size_bytes = json.at("size_bytes"),
               .mapped_by = json.at("mapped_by"),
               .domain = TextOf(json, "domain"),
               .state = TextOf(json, "state"),
               .blocks = {}};
  for (const Json& extent : json.at("extents")) slab.blocks.push_back(ReadBlock(extent));
  return slab;
}

MapSession ReadSession(const Json& json) {
  return {.id = json.at("id"),
          .pid = json.at("pid"),
          .name = TextOf(json, "name"),
          .process_state = TextOf(json, "process_state"),
          .state = TextOf(json, "state"),
          .age_seconds = json.at("age_seconds"),
          .in_use_bytes = json.at("in_use_bytes"),
          .idle_bytes = json.at("idle_bytes"),
          .quarantined_bytes = json.at("quarantined_bytes"),
          .hits = json.at("hits"),
          .misses = json.at("misses")};
}

}  // namespace

MemoryMap ReadMemoryMap(const Json& snapshot) {
  MemoryMap map;
  const Json& stats = snapshot.at("stats");
  const Json& device = stats.at("device");
  map.device =
      device.at("index").get<int>() >= 0
          ? "cuda:" + std::to_string(device.at("index").get<int>()) + " " + TextOf(device, "name")
          : TextOf(device, "id");
  map.state = TextOf(stats, "state");
  map.time = TextOf(stats, "time");
  map.policy = TextOf(stats.at("settings").at("policy"), "value");
  map.uptime_seconds = stats.at("uptime_seconds");
  const Json& pool = stats.at("pool");
  map.pool_bytes = pool.at("pool_bytes");
  map.capacity_bytes = pool.at("capacity_bytes");
  map.cache_bytes = stats.at("cache").at("bytes");
  map.limit_bytes = stats.at("cache").at("limit_bytes");
  for (const char* state : {"in_use", "idle", "draining", "quarantined", "free", "slack"}) {
    map.parts.push_back({state, pool.at("bytes").at(state).get<uint64_t>()});
  }
  for (const Json& slab : snapshot.at("slabs")) map.slabs.push_back(ReadSlab(slab));
  std::map<uint64_t, uint64_t> draining;  // by session
  for (const MapSlab& slab : map.slabs) {
    for (const MapBlock& block : slab.blocks) {
      if (block.state == "draining") draining[block.session] += block.asked_bytes;
    }
  }
  for (const Json& json : snapshot.at("sessions")) {
    MapSession session = ReadSession(json);
    session.draining_bytes = draining[session.id];
    map.sessions.push_back(std::move(session));
  }
  std::stable_sort(
      map.sessions.begin(), map.sessions.end(),
      [](const MapSession& a, const MapSession& b) { return a.held_bytes() > b.held_bytes(); });
  return map;
}

std::string Ago(double seconds) {
  const auto whole = std::chrono::seconds(static_cast<int64_t>(std::clamp(seconds, 0.0, 1e12)));
  return whole.count() == 0 ? "0s" : FormatDuration(whole);
}

std::string ShownState(std::string state) {
  std::replace(state.begin(), state.end(), '_', ' ');
  return state;
}

std::string Describe(const MapBlock& block, const MemoryMap& map) {
  if (block.session == 0) return FormatSize(block.size_bytes) + " free";
  std::string text = block.count > 1 ? std::to_string(block.count) + " objects" : block.spec;
  text += "\n" + FormatSize(block.asked_bytes) + " " + ShownState(block.state);
  if (block.size_bytes > block.asked_bytes) {
    text += ", " + FormatSize(block.size_bytes - block.asked_bytes) + " slack";
  }
  text += "\nheld by session " + std::to_string(block.session);
  for (const MapSession& session : map.sessions) {
    if (session.id == block.session) {
      text += ": " + session.name + ", pid " + std::to_string(session.pid) + ", there for " +
              Ago(session.age_seconds);
    }
  }
  if (block.count > 1) return text;
  if (block.idle_seconds) text += "\nidle for " + Ago(*block.idle_seconds);
  if (!block.cached && block.state != "draining") text += "\nnot counted toward the limit";
  return text;
}

std::string XmlText(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

}  // namespace nvcv_cached::cli
