// The TOML file. Apart from the other sources because toml++ is a large header.
#include <toml++/toml.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/config/keys.h"
#include "server/config/sources.h"

namespace nvcv_cached::server {
namespace {

constexpr uintmax_t kMostBytes = 1 << 20;

// What a section may be named by: what is the same on every boot. nvidia-smi's numbers are not.
bool NamesADevice(std::string_view name) {
  return name == "host" || name.rfind("GPU-", 0) == 0 || name.rfind("MIG-", 0) == 0;
}

// A file cannot have both: to TOML they are one key.
const char* HintFor(std::string_view what) {
  return what.find("cannot redefine existing string 'device.") == std::string_view::npos
             ? ""
             : "; do: leave \"device\" to --device or NVCV_CACHED_DEVICE where there are sections";
}

absl::string_view Absl(std::string_view text) { return {text.data(), text.size()}; }

class FileReader {
 public:
  explicit FileReader(std::string path) : path_(std::move(path)) {}

  absl::StatusOr<ConfigFile> Read(const toml::table& root) {
    ConfigFile file;
    for (const auto& [key, node] : root) {
      absl::Status status = key.str() == "device" && node.is_table()
                                ? ReadDevices(*node.as_table(), file)
                                : ReadKey(key, node, file.top);
      if (!status.ok()) return status;
    }
    return file;
  }

 private:
  absl::Status ReadDevices(const toml::table& devices, ConfigFile& file) {
    for (const auto& [id, section] : devices) {
      if (!NamesADevice(id.str())) {
        return Wrong(id.source(),
                     absl::StrCat("device.\"", Absl(id.str()), "\" is no device's own name",
                                  "; do: write [device.\"GPU-uuid\"], MIG-uuid or host"));
      }
      if (!section.is_table()) {
        return Wrong(id.source(), absl::StrCat("device.", Absl(id.str()), " is not a section",
                                               "; do: write [device.\"", Absl(id.str()), "\"]"));
      }
      Source& source = file.devices[std::string(id.str())];
      for (const auto& [key, node] : *section.as_table()) {
        if (key.str() == "device") {
          return Wrong(key.source(), "a section of one device cannot choose the device");
        }
        if (absl::Status status = ReadKey(key, node, source); !status.ok()) return status;
      }
    }
    return absl::OkStatus();
  }

  absl::Status ReadKey(const toml::key& key, const toml::node& node, Source& source) {
    const std::string name(key.str());
    const Key* known = FindKey(name);
    if (known == nullptr || !known->in_file) {
      return Wrong(key.source(), absl::StrCat("unknown key ", name, Suggestion(name)));
    }
    std::string text;
    if (auto as_text = node.value_exact<std::string>()) {
      text = *as_text;
    } else if (auto as_number = node.value_exact<int64_t>()) {
      text = absl::StrCat(*as_number);
    } else {
      return Wrong(key.source(), absl::StrCat(name, " is neither text nor a whole number",
                                              "; do: write ", name, " = \"...\""));
    }
    source[name] = {.text = text, .origin = Origin::kFile, .where = At(key.source())};
    return absl::OkStatus();
  }

  std::string At(const toml::source_region& region) const {
    return absl::StrCat(path_, ":", region.begin.line);
  }
  absl::Status Wrong(const toml::source_region& region, const std::string& what) const {
    return absl::InvalidArgumentError(absl::StrCat(At(region), ": ", what));
  }

  const std::string path_;
};

}  // namespace

absl::StatusOr<ConfigFile> ReadConfigFile(const std::string& path) {
  // What has no end, or does not come, would keep the daemon from starting or reloading for ever.
  std::error_code unknown;
  const auto kind = std::filesystem::status(path, unknown).type();
  if (std::filesystem::exists(std::filesystem::file_status(kind)) &&
      kind != std::filesystem::file_type::regular && path != "/dev/null") {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file"));
  }
  if (const auto size = std::filesystem::file_size(path, unknown); !unknown && size > kMostBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", size, " bytes; settings have at most ", kMostBytes));
  }
  errno = 0;
  std::ifstream stream(path);
  std::ostringstream text;
  if (!stream || !(text << stream.rdbuf())) {
    // An empty file fails the second test and is a fine one.
    if (!stream.is_open()) {
      const std::string what = absl::StrCat(path, ": ", std::strerror(errno));
      if (errno == ENOENT) return absl::NotFoundError(what);
      return errno == EACCES ? absl::PermissionDeniedError(what) : absl::InvalidArgumentError(what);
    }
    if (errno != 0)
      return absl::InvalidArgumentError(absl::StrCat(path, ": ", std::strerror(errno)));
  }
  try {
    return FileReader(path).Read(toml::parse(text.str(), path));
  } catch (const toml::parse_error& error) {
    return absl::InvalidArgumentError(absl::StrCat(path, ":", error.source().begin.line, ": ",
                                                   Absl(error.description()),
                                                   HintFor(error.description())));
  }
}

}  // namespace nvcv_cached::server
