#include "client/cli/top_view.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "client/cli/setting.h"
#include "client/cli/slab_map.h"
#include "client/cli/stats_json.h"
#include "client/cli/table.h"
#include "proto/units.h"

namespace nvcv_cached::cli {

namespace {

constexpr size_t kBarCells = 28, kSessionBarCells = 12, kNameColumns = 16;
constexpr std::chrono::seconds kSilent{3};

// "184k/s"
std::string PerSecond(double rate) {
  char text[32];
  if (rate >= 1e6) {
    std::snprintf(text, sizeof(text), "%.3gM/s", rate / 1e6);
  } else if (rate >= 1e3) {
    std::snprintf(text, sizeof(text), "%.3gk/s", rate / 1e3);
  } else {
    std::snprintf(text, sizeof(text), "%.0f/s", rate);
  }
  return text;
}

std::string PercentText(double part, double whole) {
  if (whole <= 0) return "-";
  char text[16];
  std::snprintf(text, sizeof(text), "%.2f%%", 100 * part / whole);
  return text;
}

std::string Padded(std::string text, size_t columns) {
  text.resize(std::max(text.size(), columns), ' ');
  return text;
}

std::string RightAligned(const std::string& text, size_t columns) {
  return std::string(columns - std::min(columns, text.size()), ' ') + text;
}

class View {
 public:
  View(const TopState& state, const TopFrame& frame, TopTime now)
      : state_(state), frame_(frame), now_(now) {}

  std::vector<TopLine> Draw() {
    for (const auto& [socket, daemon] : state_.daemons()) Daemon(socket, daemon);
    if (frame_.keys) {
      switch (state_.view()) {
        case TopView::kLeases:
          Leases();
          break;
        case TopView::kMap:
          Map();
          break;
        case TopView::kHelp:
          Help();
          break;
        case TopView::kSessions:
          break;
      }
      Footer();
    }
    if (frame_.width) {
      for (TopLine& line : lines_) Cut(line, *frame_.width);
    }
    return std::move(lines_);
  }

 private:
  void Add(TopLine line) { lines_.push_back(std::move(line)); }

  std::string Repeated(size_t count, const char* utf8, char ascii) const {
    if (!frame_.utf8) return std::string(count, ascii);
    std::string text;
    for (size_t i = 0; i < count; ++i) text += utf8;
    return text;
  }

  // Parts of a whole: in use, then idle, then the rest.
  std::string Bar(size_t cells, uint64_t full, uint64_t light, uint64_t whole) const {
    const auto to_cells = [&](uint64_t part) {
      if (whole == 0) return size_t{0};
      const double share = static_cast<double>(part) / static_cast<double>(whole);
      const auto filled = static_cast<size_t>(std::lround(share * static_cast<double>(cells)));
      return std::min(cells, part > 0 ? std::max<size_t>(filled, 1) : 0);
    };
    const size_t first = to_cells(full);
    const size_t second = std::min(cells - first, to_cells(light));
    return "[" + Repeated(first, "\u2588", '#') + Repeated(second, "\u2592", '+') +
           Repeated(cells - first - second, "\u00b7", '.') + "]";
  }

  // A character for each of the last 60 seconds, as high as its rate.
  std::string Sparkline(const TopDaemon& daemon) const {
    constexpr std::array<const char*, 8> kBlocks{"\u2581", "\u2582", "\u2583", "\u2584",
                                                 "\u2585", "\u2586", "\u2587", "\u2588"};
    constexpr char kAscii[] = "_.:-=+*#";
    const auto history = daemon.History(state_.paused() ? daemon.last_time() : now_);
    double most = 0;
    for (const auto& second : history) most = std::max(most, second.value_or(0));
    std::string text;
    for (const auto& second : history) {
      if (!second) {
        text += ' ';
        continue;
      }
      const auto level = static_cast<size_t>(most > 0 ? *second / most * 7 : 0);
      text += frame_.utf8 ? kBlocks[level] : std::string(1, kAscii[level]);
    }
    return text;
  }

  void Daemon(const std::string& socket, const TopDaemon& daemon) {
    if (!lines_.empty()) Add({});
    if (!daemon.last()) {
      Add({{daemon.lost().empty() ? socket + ": asking" : daemon.lost(), TopStyle::kNotice}});
      return;
    }
    const v1::Stats& s = daemon.last()->stats;
    Title(s, daemon);
    if (!daemon.lost().empty()) {
      Add({{daemon.lost() + "; shown is its last answer, looking for it", TopStyle::kAlarm}});
    } else if (!state_.paused() && frame_.keys && now_ - daemon.last_time() > kSilent) {
      Add({{"no answer since " +
                Seconds(std::chrono::duration<double>(now_ - daemon.last_time()).count()).text,
            TopStyle::kAlarm}});
    }
    Add({{"pool   "},
         {Bar(kBarCells, s.pool_bytes(), 0, s.capacity_bytes())},
         {"  " + FormatSize(s.pool_bytes()) + " / " + FormatSize(s.capacity_bytes())},
         {s.foreign_bytes() > 0 ? "   foreign " + FormatSize(s.foreign_bytes()) : "",
          TopStyle::kNotice},
         {s.quarantined_bytes() > 0 ? "   quarantined " + FormatSize(s.quarantined_bytes()) : "",
          TopStyle::kAlarm}});
    const uint64_t idle = std::min(s.idle_bytes(), s.cache_bytes());
    Add({{"cached "},
         {Bar(kBarCells, s.cache_bytes() - idle, idle, s.limit_bytes())},
         {"  " + FormatSize(s.cache_bytes()) + " / " + FormatSize(s.limit_bytes()) + "   in use " +
          FormatSize(s.in_use_bytes()) + "  idle " + FormatSize(s.idle_bytes())}});
    Add({{"hits/s "}, {"[" + Sparkline(daemon) + "]", TopStyle::kQuiet}, {" 60 s"}});
    SessionRows(socket, daemon);
  }

  void Title(const v1::Stats& s, const TopDaemon& daemon) {
    const bool host = s.device().index() < 0;
    TopLine line{
        {host ? Escaped(s.device().id())
              : "cuda:" + std::to_string(s.device().index()) + " " + Escaped(s.device().name()),
         TopStyle::kBold},
        {"  "},
        {StateName(s.state()), s.state() == v1::SERVING ? TopStyle::kPlain : TopStyle::kAlarm},
        {" " + Seconds(s.uptime_seconds()).text + "  " +
         Escaped(SettingNamed(s, "policy").value())}};
    const auto hits = static_cast<double>(Hits(s.totals()));
    const auto misses = static_cast<double>(Misses(s.totals()));
    if (daemon.rates()) {
      const TopRates& rates = *daemon.rates();
      line.push_back({"      hits " + PerSecond(rates.hits) + "  miss " + PerSecond(rates.misses) +
                      "  evict " + PerSecond(rates.evictions)});
    }
    line.push_back({"  " + PercentText(hits, hits + misses)});
    if (state_.paused()) line.push_back({"  paused", TopStyle::kNotice});
    Add(std::move(line));
  }

  // As many as there is room for: below them stand the view that was asked for and the footer.
  size_t Room() const {
    if (!frame_.height) return SIZE_MAX;
    const size_t below = state_.view() == TopView::kSessions ? 2 : *frame_.height / 2;
    const size_t used = lines_.size() + below;
    return *frame_.height > used ? *frame_.height - used : 1;
  }

  void SessionRows(const std::string& socket, const TopDaemon& daemon) {
    const std::vector<v1::SessionInfo> sessions = state_.Sessions(socket);
    uint64_t most = 1;
    for (const v1::SessionInfo& s : sessions) {
      most = std::max(most, s.in_use_bytes() + s.idle_bytes());
    }
    const std::optional<TopChoice> chosen = state_.chosen();
    const auto is_chosen = [&](const v1::SessionInfo& s) {
      return frame_.keys && chosen == TopChoice{socket, s.id()};
    };
    // The chosen one is always seen.
    const size_t room = Room();
    const auto at = std::find_if(sessions.begin(), sessions.end(), is_chosen) - sessions.begin();
    const auto row = static_cast<size_t>(at);
    const size_t first = row < sessions.size() && row >= room ? row - room + 1 : 0;
    for (size_t i = first; i < sessions.size() && i - first < room; ++i) {
      const v1::SessionInfo& s = sessions[i];
      const auto hits = static_cast<double>(s.hits());
      std::string name = Escaped(s.name());
      if (frame_.width) name = name.substr(0, kNameColumns);
      TopLine line{
          {RightAligned(std::to_string(s.id()), 3) + " " +
               RightAligned(std::to_string(s.pid()), 7) + "  " + Padded(name, kNameColumns) + " ",
           is_chosen(s) ? TopStyle::kChosen : TopStyle::kPlain},
          {Bar(kSessionBarCells, s.in_use_bytes(), s.idle_bytes(), most)},
          {" " + RightAligned(FormatSize(s.in_use_bytes()), 7) + "  idle " +
           RightAligned(FormatSize(s.idle_bytes()), 7) + "  " +
           RightAligned(PercentText(hits, hits + static_cast<double>(s.misses())), 7) + "  miss " +
           PerSecond(daemon.SessionMisses(s.id()))}};
      if (s.process_state() == "T") line.push_back({"  stopped", TopStyle::kNotice});
      if (s.state() != "attached") line.push_back({"  " + Escaped(s.state()), TopStyle::kAlarm});
      Add(std::move(line));
    }
    if (sessions.empty()) Add({{"no sessions", TopStyle::kQuiet}});
  }

  void Leases() {
    const std::optional<TopChoice> chosen = state_.chosen();
    Add({});
    if (!chosen) return Add({{"no session to show leases of", TopStyle::kQuiet}});
    Add({{"leases of session " + std::to_string(chosen->session) + ", largest first",
          TopStyle::kBold}});
    const TopDaemon& daemon = state_.daemons().at(chosen->socket);
    if (!daemon.last() || !daemon.last()->leases) return Add({{"asking", TopStyle::kQuiet}});
    std::vector<v1::LeaseInfo> leases = *daemon.last()->leases;
    std::erase_if(leases, [&](const v1::LeaseInfo& l) { return l.session() != chosen->session; });
    std::stable_sort(leases.begin(), leases.end(),
                     [](const v1::LeaseInfo& a, const v1::LeaseInfo& b) {
                       return a.size_bytes() > b.size_bytes();
                     });
    if (leases.empty()) Add({{"none", TopStyle::kQuiet}});
    for (const v1::LeaseInfo& l : leases) {
      Add({{RightAligned(FormatSize(l.size_bytes()), 8) + "  " + Padded(Escaped(l.state()), 11) +
            "  " + Escaped(l.spec()) +
            (l.idle_seconds() >= 0 ? "  idle " + Seconds(l.idle_seconds()).text : "")}});
    }
  }

  void Map() {
    Add({});
    Add({{"memory map", TopStyle::kBold},
         {"  # in use  + idle  ~ draining  ! quarantined  . free", TopStyle::kQuiet}});
    const size_t cells = std::clamp<size_t>(frame_.width.value_or(80), 30, 200) - 20;
    for (const auto& [socket, daemon] : state_.daemons()) {
      if (!daemon.last() || !daemon.last()->slabs) {
        Add({{"asking", TopStyle::kQuiet}});
        continue;
      }
      for (const v1::SlabInfo& slab : *daemon.last()->slabs) {
        Add({{RightAligned("s" + std::to_string(slab.id()), 6) + " " +
              RightAligned(FormatSize(slab.size_bytes()), 8) + " [" + SlabMap(slab, cells) + "]"}});
      }
      if (daemon.last()->slabs->empty()) Add({{"no slabs", TopStyle::kQuiet}});
    }
  }

  void Help() {
    Add({});
    Add({{"keys", TopStyle::kBold}});
    for (const char* line :
         {"up, down, k, j  choose a session", "l  its leases, largest first",
          "m  the memory map: a row for each slab", "s  sort by bytes, idle bytes, misses, name",
          "p  pause: the picture stands still, the daemon does not", "Esc  back to the sessions",
          "q  leave"}) {
      Add({{line}});
    }
    Add({{"Bars: in use, then idle, then what is left of the bound.", TopStyle::kQuiet}});
  }

  // On the last line; what does not fit above it is not shown.
  void Footer() {
    constexpr const char* kSorts[] = {"bytes", "idle", "misses", "name"};
    const TopLine footer{{std::string("s sort (") + kSorts[static_cast<int>(state_.sort())] +
                              ")  l leases  m map  p " + (state_.paused() ? "go on" : "pause") +
                              "  ? help  q quit",
                          TopStyle::kQuiet}};
    if (frame_.height) {
      lines_.resize(*frame_.height - std::min<size_t>(*frame_.height, 1));
    }
    Add(footer);
  }

  static void Cut(TopLine& line, size_t width) {
    for (TopSpan& span : line) {
      size_t end = 0, columns = 0;
      while (end < span.text.size() && columns < width) {
        ++end;
        while (end < span.text.size() &&
               (static_cast<unsigned char>(span.text[end]) & 0xC0) == 0x80)
          ++end;
        ++columns;
      }
      span.text.resize(end);
      width -= columns;
    }
  }

  const TopState& state_;
  const TopFrame& frame_;
  const TopTime now_;
  std::vector<TopLine> lines_;
};

}  // namespace

std::vector<TopLine> DrawTop(const TopState& state, const TopFrame& frame, TopTime now) {
  return View(state, frame, now).Draw();
}

}  // namespace nvcv_cached::cli
