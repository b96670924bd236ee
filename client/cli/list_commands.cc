// sessions, slabs, leases: who holds what; misses: which shapes the cache did not have.
#include <algorithm>

#include "client/cli/commands.h"
#include "client/cli/daemons.h"
#include "client/cli/print.h"
#include "client/cli/slab_map.h"
#include "client/cli/table.h"
#include "client/src/daemon_socket.h"
#include "proto/units.h"

namespace nvcv_cached::cli {

namespace {

using Json = nlohmann::ordered_json;

// A stopped process, or one that is gone and whose memory is not back.
Tone ToneOf(const v1::SessionInfo& session) {
  if (session.state() == "dead" || session.process_state() == "Z") return Tone::kAlarm;
  return session.process_state() == "T" ? Tone::kNotice : Tone::kPlain;
}

// Whose the rows are, where there are several daemons: ids are each one's own.
Column DeviceColumn(const std::vector<Daemon>& daemons) {
  return {"DEVICE", "device", /*right=*/false, /*wide=*/daemons.size() < 2};
}

// All daemons' rows in one table.
void Show(Table& table, const GlobalOptions& options) {
  table.Arrange(options);
  if (options.output == Output::kJson) return Print(std::vector<Json>{table.ToJson()});
  Print(table.ToText(options));
}

void Sessions(const GlobalOptions& options) {
  const std::vector<Daemon> daemons = DaemonsToRead(options);
  Table table({DeviceColumn(daemons),
               {"ID", "id", true},
               {"PID", "pid", true},
               {"USER", "user"},
               {"NAME", "name"},
               {"S", "process_state"},
               {"AGE", "age_seconds"},
               {"IN-USE", "in_use_bytes", true},
               {"IDLE", "idle_bytes", true},
               {"LEASES", "leases", true},
               {"HIT%", "hit_percent", true},
               {"LAST", "last_seen_seconds"},
               {"STATE", "state", false, true},
               {"CACHED", "cache_bytes", true, true},
               {"QUARANTINED", "quarantined_bytes", true, true},
               {"DOMAIN", "domain", false, true}});
  for (const Daemon& daemon : daemons) {
    const auto reply = daemon.Call(&v1::Admin::Stub::ListSessions, v1::ListSessionsRequest());
    for (const v1::SessionInfo& s : reply.sessions()) {
      Json extra{{"uid", s.uid()},
                 {"hits", s.hits()},
                 {"misses", s.misses()},
                 {"quota_bytes", s.quota_bytes() == 0 ? Json() : Json(s.quota_bytes())},
                 {"limit_bytes", s.has_limit_bytes() ? Json(s.limit_bytes()) : Json()},
                 {"socket", daemon.socket()}};
      table.Add(
          {Text(daemon.device()), Number(s.id()), Number(static_cast<uint64_t>(s.pid())),
           Text(client::UserName(s.uid())), Text(s.name()), Text(s.process_state(), ToneOf(s)),
           Seconds(s.age_seconds()), Bytes(s.in_use_bytes()), Bytes(s.idle_bytes()),
           Number(s.leases()), Percent(s.hits(), s.hits() + s.misses()),
           Seconds(s.last_seen_seconds()), Text(s.state()), Bytes(s.cache_bytes()),
           Bytes(s.quarantined_bytes()), Text(s.domain())},
          std::move(extra));
    }
  }
  Show(table, options);
}

void Slabs(const GlobalOptions& options) {
  const std::vector<Daemon> daemons = DaemonsToRead(options);
  Table table({DeviceColumn(daemons),
               {"SLAB", "name"},
               {"SIZE", "size_bytes", true},
               {"DOMAIN", "domain"},
               {"CLASS", "size_class", false, true},
               {"STATE", "state", false, true},
               {"MAPPED-BY", "mapped_by", true},
               {"MAP", ""}});
  for (const Daemon& daemon : daemons) {
    const auto reply = daemon.Call(&v1::Admin::Stub::ListSlabs, v1::ListSlabsRequest());
    for (const v1::SlabInfo& s : reply.slabs()) {
      Json extents = Json::array();
      for (const v1::SlabExtent& e : s.extents()) {
        extents.push_back({{"offset", e.offset()},
                           {"size_bytes", e.size_bytes()},
                           {"state", e.state()},
                           {"session", e.session()}});
      }
      table.Add({Text(daemon.device()), Text("s" + std::to_string(s.id())), Bytes(s.size_bytes()),
                 Text(s.domain()), Text(s.size_class()), Text(s.state()), Number(s.mapped_by()),
                 Text("[" + SlabMap(s, 32) + "]")},
                {{"id", s.id()}, {"extents", extents}, {"socket", daemon.socket()}});
    }
  }
  Show(table, options);
}

void Leases(const GlobalOptions& options, uint64_t session, const std::string& state) {
  const std::vector<Daemon> daemons = DaemonsToRead(options);
  Table table({DeviceColumn(daemons),
               {"ID", "lease"},
               {"SESSION", "session_name"},
               {"STATE", "state"},
               {"BYTES", "size_bytes", true},
               {"BLOCK", "block_bytes", true},
               {"SPEC", "spec"},
               {"IDLE", "idle_seconds"},
               {"SLAB+OFFSET", ""}});
  v1::ListLeasesRequest request;
  request.set_session(session);
  std::string wanted = state;
  std::replace(wanted.begin(), wanted.end(), '-', '_');
  request.set_state(wanted);
  for (const Daemon& daemon : daemons) {
    const auto reply = daemon.Call(&v1::Admin::Stub::ListLeases, request);
    for (const v1::LeaseInfo& l : reply.leases()) {
      std::string shown = l.state();
      std::replace(shown.begin(), shown.end(), '_', '-');
      const std::string offset = l.offset() == 0 ? "0" : FormatSize(l.offset());
      table.Add({Text(daemon.device()),
                 Text(std::to_string(l.session()) + ":" + std::to_string(l.slot())),
                 Text(l.session_name()), Cell{.text = shown, .value = l.state()},
                 Bytes(l.size_bytes()), Bytes(l.block_bytes()), Text(l.spec()),
                 Seconds(l.idle_seconds()), Text("s" + std::to_string(l.slab()) + "+" + offset)},
                {{"session", l.session()},
                 {"slot", l.slot()},
                 {"slab", l.slab()},
                 {"offset", l.offset()},
                 {"cached", l.cached()},
                 {"socket", daemon.socket()}});
    }
  }
  Show(table, options);
}

void Misses(const GlobalOptions& options, uint64_t session) {
  const std::vector<Daemon> daemons = DaemonsToRead(options);
  Table table({DeviceColumn(daemons),
               {"SPEC", "spec"},
               {"BYTES", "size_bytes", true},
               {"MISSES", "misses", true},
               {"POOL", "pool", true},
               {"RECLAIM", "reclaim", true},
               {"GROW", "grow", true},
               {"REFUSED", "refused", true}});
  v1::ListMissesRequest request;
  request.set_session(session);
  for (const Daemon& daemon : daemons) {
    const auto reply = daemon.Call(&v1::Admin::Stub::ListMisses, request);
    for (const v1::SpecMisses& m : reply.specs()) {
      const uint64_t sum =
          m.misses_pool() + m.misses_reclaim() + m.misses_grow() + m.misses_refused();
      Cell spec = Text(m.spec());
      if (m.spec().empty()) spec.text = "(others)";
      table.Add(
          {Text(daemon.device()), spec, Bytes(m.size_bytes()), Number(sum), Number(m.misses_pool()),
           Number(m.misses_reclaim()), Number(m.misses_grow()), Number(m.misses_refused())},
          {{"socket", daemon.socket()}});
    }
  }
  Show(table, options);
}

}  // namespace

void AddListCommands(CLI::App& app, const GlobalOptions& options) {
  app.add_subcommand("sessions", "Who borrows: processes with what they hold")
      ->callback([&options] { Sessions(options); });
  app.add_subcommand("slabs",
                     "The memory's map: # in use, + idle, ~ draining, ! quarantined, . free")
      ->callback([&options] { Slabs(options); });
  CLI::App* leases = app.add_subcommand("leases", "Every object with its holder, spec and age");
  auto session = std::make_shared<uint64_t>(0);
  auto state = std::make_shared<std::string>();
  leases->add_option("--session", *session, "Of one session only")
      ->check(CLI::PositiveNumber)
      ->option_text("ID");
  leases->add_option("--state", *state, "In one state only")
      ->check(CLI::IsMember({"in-use", "idle", "draining", "quarantined"}))
      ->option_text("in-use|idle|draining|quarantined");
  leases->callback([&options, session, state] { Leases(options, *session, *state); });

  CLI::App* misses =
      app.add_subcommand("misses", "Which shapes miss, and what it took to serve them");
  misses->footer(
      "POOL a free block served; RECLAIM idle objects were taken first; GROW a new slab was made;\n"
      "REFUSED there was no room. (others): the rare ones that the daemon keeps no row for.");
  auto of = std::make_shared<uint64_t>(0);
  misses->add_option("--session", *of, "Of one session only")
      ->check(CLI::PositiveNumber)
      ->option_text("ID");
  misses->callback([&options, of] { Misses(options, *of); });
}

}  // namespace nvcv_cached::cli
