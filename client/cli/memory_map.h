// The memory map: a row for each slab to scale, then a bar for each session, as SVG or as a page
// around it. One file without references to anything outside; the SVG stands alone.
//
// Colour is the block's state (told apart by the colour-blind, and hatched where it is a warning),
// outline its session, and hovering says spec, holder, the holder's age and idle time. Each rectangle carries
// data-state, data-bytes (as asked) and data-slack, and their sums are the statistics'. Blocks that
// are narrower than a pixel are drawn together. Thread-safety: plain data and pure functions.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace nvcv_cached::cli {

struct MapBlock {
  uint64_t offset = 0, size_bytes = 0, asked_bytes = 0;
  std::string state;     // free in_use idle draining quarantined
  uint64_t session = 0;  // 0: free
  std::string spec;
  std::optional<double> idle_seconds;
  bool cached = false;
  uint64_t count = 1;  // blocks drawn together
};

struct MapSlab {
  uint64_t id = 0, size_bytes = 0, mapped_by = 0;
  std::string domain, state;
  std::vector<MapBlock> blocks;  // in order of offset, gapless
};

struct MapSession {
  uint64_t id = 0;
  int64_t pid = 0;
  std::string name, process_state, state;
  double age_seconds = 0;
  uint64_t in_use_bytes = 0, idle_bytes = 0, draining_bytes = 0, quarantined_bytes = 0;
  uint64_t hits = 0, misses = 0;
  uint64_t held_bytes() const {
    return in_use_bytes + idle_bytes + draining_bytes + quarantined_bytes;
  }
};

struct MemoryMap {
  std::string device, state, time, policy;
  double uptime_seconds = 0;
  uint64_t pool_bytes = 0, capacity_bytes = 0, cache_bytes = 0, limit_bytes = 0;
  struct Part {
    std::string state;
    uint64_t bytes;
  };
  std::vector<Part> parts;           // by state, as the statistics say; they sum to pool_bytes
  std::vector<MapSession> sessions;  // most bytes first
  std::vector<MapSlab> slabs;
};

// Of the JSON of snapshot_json.h. Throws nlohmann's exception when it is another.
MemoryMap ReadMemoryMap(const nlohmann::ordered_json& snapshot);

std::string ToSvg(const std::vector<MemoryMap>& maps);
std::string ToHtml(const std::vector<MemoryMap>& maps);

// What a person is shown of a block, line by line; of times and states; and text made safe for XML.
std::string Describe(const MapBlock& block, const MemoryMap& map);
std::string Ago(double seconds);
std::string ShownState(std::string state);  // "in use"
std::string XmlText(const std::string& text);

}  // namespace nvcv_cached::cli
