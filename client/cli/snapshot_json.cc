#include "client/cli/snapshot_json.h"

#include <map>
#include <utility>

#include "client/cli/stats_json.h"
#include "client/cli/table.h"

namespace nvcv_cached::cli {

namespace {

using Json = nlohmann::ordered_json;

Json ToJson(const v1::SessionInfo& s) {
  return {{"id", s.id()},
          {"pid", s.pid()},
          {"uid", s.uid()},
          {"name", Escaped(s.name())},
          {"state", s.state()},
          {"process_state", s.process_state()},
          {"age_seconds", s.age_seconds()},
          {"last_seen_seconds", s.last_seen_seconds()},
          {"in_use_bytes", s.in_use_bytes()},
          {"idle_bytes", s.idle_bytes()},
          {"quarantined_bytes", s.quarantined_bytes()},
          {"cache_bytes", s.cache_bytes()},
          {"leases", s.leases()},
          {"hits", s.hits()},
          {"misses", s.misses()},
          {"domain", Escaped(s.domain())}};
}

using Place = std::pair<uint64_t, uint64_t>;  // slab, offset

// With the lease that the extent belongs to; read a little later, it may be another one by now.
Json ToJson(const v1::SlabInfo& slab, const std::map<Place, const v1::LeaseInfo*>& leases) {
  Json extents = Json::array();
  for (const v1::SlabExtent& e : slab.extents()) {
    Json extent{{"offset", e.offset()}, {"size_bytes", e.size_bytes()}, {"state", e.state()}};
    if (e.session() != 0) {
      extent["session"] = e.session();
      extent["asked_bytes"] = e.asked_bytes();
    }
    const auto found = leases.find({slab.id(), e.offset()});
    if (found != leases.end() && found->second->session() == e.session() &&
        found->second->size_bytes() == e.asked_bytes()) {
      const v1::LeaseInfo& lease = *found->second;
      extent["slot"] = lease.slot();
      extent["spec"] = Escaped(lease.spec());
      extent["idle_seconds"] = lease.idle_seconds() < 0 ? Json() : Json(lease.idle_seconds());
      extent["cached"] = lease.cached();
    }
    extents.push_back(std::move(extent));
  }
  return {{"id", slab.id()},
          {"size_bytes", slab.size_bytes()},
          {"domain", Escaped(slab.domain())},
          {"size_class", slab.size_class()},
          {"state", slab.state()},
          {"mapped_by", slab.mapped_by()},
          {"extents", std::move(extents)}};
}

}  // namespace

Json ToJson(const v1::Snapshot& snapshot) {
  std::map<Place, const v1::LeaseInfo*> leases;
  for (const v1::LeaseInfo& lease : snapshot.leases()) {
    leases[{lease.slab(), lease.offset()}] = &lease;
  }
  Json sessions = Json::array(), slabs = Json::array();
  for (const v1::SessionInfo& session : snapshot.sessions()) sessions.push_back(ToJson(session));
  for (const v1::SlabInfo& slab : snapshot.slabs()) slabs.push_back(ToJson(slab, leases));
  return {{"snapshot", kSnapshotSchema},
          {"stats", ToJson(snapshot.stats())},
          {"sessions", std::move(sessions)},
          {"slabs", std::move(slabs)}};
}

}  // namespace nvcv_cached::cli
