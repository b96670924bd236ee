// The drawing: sizes are in the SVG's own units, which are pixels until somebody zooms.
#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

#include "client/cli/memory_map.h"
#include "proto/units.h"

namespace nvcv_cached::cli {

namespace {

constexpr double kWidth = 1200, kLeft = 190, kMapWidth = kWidth - kLeft - 20;
constexpr double kRow = 20, kPitch = 26, kLegendPitch = 170;
constexpr double kNarrow = 1.5;  // blocks below this are drawn together

// Okabe and Ito's colours: told apart with any colour vision. Outlines repeat after eight sessions
// and are dashed then.
constexpr std::array<const char*, 8> kOutlines{"#000000", "#d55e00", "#009e73", "#cc79a7",
                                               "#56b4e9", "#e69f00", "#0072b2", "#f0e442"};

constexpr char kStyle[] = R"(
  .map { font: 12px system-ui, sans-serif; }
  .map text { fill: #222; }
  .map .title { font-size: 15px; font-weight: 600; }
  .map .quiet { fill: #666; }
  .free { fill: #f4f4f4; stroke: #ddd; stroke-width: .5; }
  .in_use { fill: #0072b2; }
  .idle { fill: #a6d5f2; }
  .draining { fill: url(#draining); }
  .quarantined { fill: url(#quarantined); }
  .slack { fill: #bbb; }
  .block { stroke-width: 1.4; }
  .dashed { stroke-dasharray: 3 2; }
)";

// Hatched: states that want to be looked at are told by more than their colour.
constexpr char kPatterns[] = R"svg(<defs>
<pattern id="draining" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<rect width="6" height="6" fill="#f0e442"/><rect width="2" height="6" fill="#8a8200"/></pattern>
<pattern id="quarantined" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)">
<rect width="6" height="6" fill="#d55e00"/><rect width="2" height="6" fill="#5a2700"/></pattern>
</defs>
)svg";

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f", value);
  std::string number = text;
  number.erase(number.find_last_not_of('0') + 1);
  if (number.back() == '.') number.pop_back();
  return number;
}

std::string Text(double x, double y, const std::string& text, std::string_view style = "") {
  return "<text x=\"" + Number(x) + "\" y=\"" + Number(y) + "\"" +
         (style.empty() ? "" : " class=\"" + std::string(style) + "\"") + ">" + XmlText(text) +
         "</text>\n";
}

class Drawing {
 public:
  std::string Finish() {
    return "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"map\" role=\"img\" viewBox=\"0 0 " +
           Number(kWidth) + " " + Number(y_ + 10) + "\" width=\"" + Number(kWidth) +
           "\" height=\"" + Number(y_ + 10) +
           "\">\n<title>nvcv-cached memory map</title>\n<style>" + kStyle + "</style>\n" +
           kPatterns + "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n" + body_ +
           "</svg>\n";
  }

  void Draw(const MemoryMap& map) {
    body_ += "<g class=\"device\">\n";  // sessions of two devices may have the same number
    Head(map);
    y_ += 30;
    body_ +=
        Text(10, y_, "by slab", "title") + Text(kLeft, y_, "to scale; outline = session", "quiet");
    y_ += 10;
    uint64_t largest = 1;
    for (const MapSlab& slab : map.slabs) largest = std::max(largest, slab.size_bytes);
    for (const MapSlab& slab : map.slabs) Slab(slab, map, kMapWidth / static_cast<double>(largest));
    if (map.slabs.empty()) {
      y_ += 20;
      body_ += Text(kLeft, y_, "no slabs", "quiet");
    }
    y_ += 30;
    body_ += Text(10, y_, "by session", "title");
    y_ += 10;
    uint64_t most = 1;
    for (const MapSession& session : map.sessions) most = std::max(most, session.held_bytes());
    for (const MapSession& session : map.sessions) {
      Session(session, (kMapWidth - 220) / static_cast<double>(most));
    }
    y_ += 20;
    body_ += "</g>\n";
  }

 private:
  void Head(const MemoryMap& map) {
    y_ += 26;
    body_ += Text(10, y_, map.device + "  " + map.state + "  " + map.policy, "title");
    body_ += Text(kLeft + kMapWidth - 160, y_, map.time, "quiet");
    y_ += 20;
    body_ +=
        Text(10, y_,
             "pool " + FormatSize(map.pool_bytes) + " of " + FormatSize(map.capacity_bytes) +
                 ", cached " + FormatSize(map.cache_bytes) + " of " + FormatSize(map.limit_bytes));
    y_ += 10;
    double x = 10;
    for (const MemoryMap::Part& part : map.parts) {
      body_ += "<g class=\"total\" data-state=\"" + XmlText(part.state) + "\" data-bytes=\"" +
               std::to_string(part.bytes) + "\"><rect class=\"" + XmlText(part.state) + "\" x=\"" +
               Number(x) + "\" y=\"" + Number(y_) + "\" width=\"14\" height=\"14\"/>" +
               Text(x + 19, y_ + 12, ShownState(part.state) + " " + FormatSize(part.bytes)) +
               "</g>\n";
      x += kLegendPitch;
    }
    y_ += 14;
  }

  // The outline of a session: a colour and, after eight of them, a dash.
  static std::string Outline(uint64_t session) {
    const uint64_t turn = session / kOutlines.size();
    return std::string("stroke=\"") + kOutlines[session % kOutlines.size()] + "\" class=\"block" +
           (turn % 2 == 1 ? " dashed " : " ");
  }

  static std::string OfSession(uint64_t session) {
    return " data-session=\"" + std::to_string(session) + "\"";
  }

  void Block(const MapBlock& block, const MemoryMap& map, double x, double scale) {
    const double width = static_cast<double>(block.size_bytes) * scale;
    const uint64_t slack = block.size_bytes - block.asked_bytes;
    const double slack_width = static_cast<double>(slack) * scale;
    const std::string place = "y=\"" + Number(y_) + "\" height=\"" + Number(kRow) + "\"";
    body_ += "<g" + (block.session == 0 ? "" : OfSession(block.session)) + "><title>" +
             XmlText(Describe(block, map)) + "</title><rect x=\"" + Number(x) + "\" width=\"" +
             Number(std::max(width, 0.2)) + "\" " + place + " ";
    body_ += block.session == 0 ? "class=\"free\""
                                : Outline(block.session) + XmlText(block.state) + "\"";
    body_ += " data-state=\"" + XmlText(block.state) + "\" data-bytes=\"" +
             std::to_string(block.asked_bytes) + "\" data-slack=\"" + std::to_string(slack) +
             "\" data-count=\"" + std::to_string(block.count) + "\"/>";
    if (slack_width >= kNarrow) {
      body_ += "<rect class=\"slack\" x=\"" + Number(x + width - slack_width) + "\" width=\"" +
               Number(slack_width) + "\" " + place + "/>";
    }
    body_ += "</g>\n";
  }

  void Slab(const MapSlab& slab, const MemoryMap& map, double scale) {
    std::string name =
        "s" + std::to_string(slab.id) + " " + FormatSize(slab.size_bytes) + " " + slab.domain;
    if (slab.state != "serving") name += " " + slab.state;
    body_ += Text(10, y_ + 14, name);
    for (size_t i = 0; i < slab.blocks.size();) {
      MapBlock together = slab.blocks[i++];
      // Neighbours of one state and one session, until there is something to see.
      while (i < slab.blocks.size() && slab.blocks[i].state == together.state &&
             slab.blocks[i].session == together.session &&
             static_cast<double>(together.size_bytes) * scale < kNarrow &&
             static_cast<double>(slab.blocks[i].size_bytes) * scale < kNarrow) {
        together.size_bytes += slab.blocks[i].size_bytes;
        together.asked_bytes += slab.blocks[i].asked_bytes;
        together.count += 1;
        ++i;
      }
      Block(together, map, kLeft + static_cast<double>(together.offset) * scale, scale);
    }
    y_ += kPitch;
  }

  void Session(const MapSession& session, double scale) {
    body_ += "<g class=\"session\"" + OfSession(session.id) + ">" +
             Text(10, y_ + 14, std::to_string(session.id) + " " + session.name.substr(0, 24));
    double x = kLeft;
    const std::array<std::pair<const char*, uint64_t>, 4> parts{
        {{"in_use", session.in_use_bytes},
         {"idle", session.idle_bytes},
         {"draining", session.draining_bytes},
         {"quarantined", session.quarantined_bytes}}};
    for (const auto& [state, bytes] : parts) {
      if (bytes == 0) continue;
      const double width = static_cast<double>(bytes) * scale;
      body_ += "<rect " + Outline(session.id) + state + "\" x=\"" + Number(x) + "\" y=\"" +
               Number(y_) + "\" width=\"" + Number(std::max(width, 0.2)) + "\" height=\"" +
               Number(kRow) + "\" data-state=\"" + state + "\" data-bytes=\"" +
               std::to_string(bytes) + "\"><title>" +
               XmlText(FormatSize(bytes) + " " + ShownState(state) + "\n" + session.name +
                       ", pid " + std::to_string(session.pid)) +
               "</title></rect>\n";
      x += width;
    }
    std::string said = FormatSize(session.held_bytes()) + ", pid " + std::to_string(session.pid);
    if (session.hits + session.misses > 0) {
      char percent[16];
      std::snprintf(percent, sizeof(percent), ", %.1f%% hits",
                    100.0 * static_cast<double>(session.hits) /
                        static_cast<double>(session.hits + session.misses));
      said += percent;
    }
    if (session.process_state == "T") said += ", stopped";
    if (session.state != "attached") said += ", " + session.state;
    body_ += Text(x + 8, y_ + 14, said, "quiet") + "</g>\n";
    y_ += kPitch;
  }

  std::string body_;
  double y_ = 0;
};

}  // namespace

std::string ToSvg(const std::vector<MemoryMap>& maps) {
  Drawing drawing;
  for (const MemoryMap& map : maps) drawing.Draw(map);
  return drawing.Finish();
}

}  // namespace nvcv_cached::cli
