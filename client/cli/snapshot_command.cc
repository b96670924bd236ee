// snapshot: the memory map of a moment, as a page, a picture or the data of both.
#include <fstream>
#include <iterator>

#include "client/cli/commands.h"
#include "client/cli/daemons.h"
#include "client/cli/memory_map.h"
#include "client/cli/print.h"
#include "client/cli/snapshot_json.h"

namespace nvcv_cached::cli {

namespace {

using Json = nlohmann::ordered_json;

std::vector<Json> Take(const GlobalOptions& options) {
  std::vector<Json> taken;
  for (const Daemon& daemon : DaemonsToRead(options)) {
    taken.push_back(ToJson(daemon.Call(&v1::Admin::Stub::GetSnapshot, v1::GetSnapshotRequest())));
  }
  return taken;
}

[[noreturn]] void NoSnapshot(const std::string& path, const std::string& found) {
  throw Failure(ExitCode::kUsage, "invalid_argument", "--from " + path + ": " + found,
                "give it a file that `nvcv-cachectl snapshot -o json` wrote");
}

std::vector<Json> Load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) NoSnapshot(path, "cannot be read");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  Json json = Json::parse(text, nullptr, false);
  std::vector<Json> saved;
  if (json.is_array()) {
    saved.assign(json.begin(), json.end());
  } else {
    saved.push_back(std::move(json));
  }
  for (const Json& snapshot : saved) {
    if (!snapshot.is_object() || !snapshot.contains("snapshot")) NoSnapshot(path, "no snapshot");
    if (snapshot["snapshot"] != kSnapshotSchema) {
      NoSnapshot(path, "of schema " + snapshot["snapshot"].dump() + ", this program reads " +
                           std::to_string(kSnapshotSchema));
    }
  }
  return saved;
}

void Snapshot(const GlobalOptions& options, const std::string& format, const std::string& from) {
  std::vector<Json> snapshots = from.empty() ? Take(options) : Load(from);
  std::vector<MemoryMap> maps;
  try {
    for (const Json& snapshot : snapshots) maps.push_back(ReadMemoryMap(snapshot));
  } catch (const Json::exception& error) {
    NoSnapshot(from, error.what());
  }
  if (format == "json") return Print(std::move(snapshots));
  Print(format == "svg" ? ToSvg(maps) : ToHtml(maps));
}

}  // namespace

void AddSnapshotCommand(CLI::App& app, const GlobalOptions& options) {
  CLI::App* snapshot = app.add_subcommand("snapshot", "The memory map of this moment, one file");
  snapshot->footer(
      "Examples:\n"
      "  nvcv-cachectl snapshot >memory.html\n"
      "  nvcv-cachectl snapshot -o json >then.json; nvcv-cachectl snapshot --from then.json -o svg "
      ">then.svg");
  auto format = std::make_shared<std::string>();
  auto from = std::make_shared<std::string>();
  snapshot->add_option("-o,--output", *format, "A page, a picture, or the data of both (html)")
      ->check(CLI::IsMember({"html", "svg", "json"}))
      ->option_text("html|svg|json");
  snapshot->add_option("--from", *from, "Of a file that -o json wrote, not of a daemon")
      ->option_text("FILE");
  snapshot->callback([&options, format, from] {
    // -o json may stand before the command too.
    const std::string usual = options.output == Output::kJson ? "json" : "html";
    Snapshot(options, format->empty() ? usual : *format, *from);
  });
}

}  // namespace nvcv_cached::cli
