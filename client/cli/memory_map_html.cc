// The page around the drawing: what a block is appears beside the pointer at once, a click on a
// session shows where its memory lies, and every object stands in a table by size.
#include <algorithm>

#include "client/cli/memory_map.h"
#include "proto/units.h"

namespace nvcv_cached::cli {

namespace {

constexpr size_t kRows = 200;  // of the table; `leases -o json` has them all

constexpr char kHead[] = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>nvcv-cached memory map</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<style>
  body { margin: 1rem auto; max-width: 1220px; font: 13px system-ui, sans-serif; color: #222; background: #fff; }
  svg { width: 100%; height: auto; }
  table { border-collapse: collapse; margin: .5rem 10px 1.5rem; }
  th, td { text-align: left; padding: .15rem 1rem .15rem 0; border-bottom: 1px solid #eee; }
  td.n, th.n { text-align: right; }
  .picked > [data-session]:not(.of-picked) { opacity: .15; }
  [data-session] { cursor: pointer; }
  p { margin: .5rem 10px; color: #666; }
  #tip { position: fixed; display: none; white-space: pre; pointer-events: none; background: #222; color: #fff;
         padding: .4rem .6rem; border-radius: 4px; }
  summary { cursor: pointer; margin: 0 10px; }
</style></head><body>
)";

constexpr char kScript[] = R"(<div id="tip"></div>
<script>
  const tip = document.getElementById('tip'), svg = document.querySelector('svg');
  for (const title of [...svg.querySelectorAll('g > title, rect > title')]) {
    title.parentNode.dataset.tip = title.textContent;
    title.remove();  // or the browser shows it a second time
  }
  svg.addEventListener('mousemove', event => {
    const shown = event.target.closest('[data-tip]');
    tip.style.display = shown ? 'block' : 'none';
    if (!shown) return;
    tip.textContent = shown.dataset.tip;
    tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + 'px';
    tip.style.top = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8) + 'px';
  });
  svg.addEventListener('mouseleave', () => { tip.style.display = 'none'; });
  svg.addEventListener('click', event => {
    const clicked = event.target.closest('[data-session]');
    for (const device of svg.querySelectorAll('.device')) {
      const id = clicked && device.contains(clicked) ? clicked.dataset.session : null;
      device.dataset.picked = id === null || id === device.dataset.picked ? '' : id;  // again: all
      device.classList.toggle('picked', device.dataset.picked !== '');
      for (const part of device.querySelectorAll('[data-session]')) {
        part.classList.toggle('of-picked', part.dataset.session === device.dataset.picked);
      }
    }
  });
</script>
</body></html>
)";

constexpr char kHint[] =
    "<p>Point at a block to see what it is. Click a block or a session to see where that session's "
    "memory lies; click it again to see all.</p>\n";

std::string Cell(const std::string& text) { return "<td>" + XmlText(text) + "</td>"; }
std::string NumberCell(const std::string& text) {
  return "<td class=\"n\">" + XmlText(text) + "</td>";
}

std::string NameOf(uint64_t session, const MemoryMap& map) {
  std::string name = std::to_string(session);
  for (const MapSession& known : map.sessions) {
    if (known.id == session) name += " " + known.name;
  }
  return name;
}

struct Row {
  const MapSlab* slab;
  const MapBlock* block;
};

std::string Objects(const MemoryMap& map) {
  std::vector<Row> rows;
  for (const MapSlab& slab : map.slabs) {
    for (const MapBlock& block : slab.blocks) {
      if (block.session != 0) rows.push_back({&slab, &block});
    }
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return a.block->asked_bytes > b.block->asked_bytes;
  });
  const size_t shown = std::min(rows.size(), kRows);
  std::string text = "<details><summary>" + XmlText(map.device) + ": the " + std::to_string(shown) +
                     " largest of " + std::to_string(rows.size()) +
                     " objects</summary>\n<table><tr><th class=\"n\">bytes</th><th>state</th>"
                     "<th>spec</th><th>session</th><th>idle</th><th>place</th></tr>\n";
  for (size_t i = 0; i < shown; ++i) {
    const MapBlock& block = *rows[i].block;
    text += "<tr>" + NumberCell(FormatSize(block.asked_bytes)) + Cell(ShownState(block.state)) +
            Cell(block.spec) + Cell(NameOf(block.session, map)) +
            Cell(block.idle_seconds ? Ago(*block.idle_seconds) : "-") +
            Cell("s" + std::to_string(rows[i].slab->id) + "+" + FormatSize(block.offset)) +
            "</tr>\n";
  }
  return text + "</table></details>\n";
}

}  // namespace

std::string ToHtml(const std::vector<MemoryMap>& maps) {
  std::string page = kHead + ToSvg(maps) + kHint;
  for (const MemoryMap& map : maps) page += Objects(map);
  return page + kScript;
}

}  // namespace nvcv_cached::cli
