#include "server/config/keys.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace nvcv_cached::server {
namespace {

constexpr std::array kKeys{
    Key{"device", "host|all|DEVICE", "the first GPU; without a driver: host", Reload::kNever, true,
        "host, cuda:N (nvidia-smi order), GPU-uuid, MIG-uuid, or all: one daemon for each of them"},
    Key{"socket", "PATH", "by device, in /run/nvcv-cached or the user's directory", Reload::kNever,
        true, "where clients connect; the descriptor socket is PATH.fd"},
    Key{"group", "NAME", "nvcv for a system daemon, else none", Reload::kNever, true,
        "group of the sockets"},
    Key{"mode", "OCTAL", "0660 for a system daemon, else 0600", Reload::kNever, true,
        "mode of the sockets: who may connect"},
    Key{"capacity", "SIZE", "90% of the device, 50% of the host", Reload::kUpwards, true,
        "the most the daemon takes from the device"},
    Key{"limit", "SIZE", "50%", Reload::kYes, true,
        "the cache's limit: what counts, in use and idle; 0 disables caching"},
    Key{"policy", "lru|clear", "lru", Reload::kYes, true,
        "at the limit: lru (oldest idle first) or clear (everything)"},
    Key{"quota", "SIZE", "none", Reload::kYes, true, "the most leased bytes of one session"},
    Key{"domain", "uid|cgroup|shared", "uid", Reload::kNever, true,
        "who may share slabs: uid, cgroup (each container apart) or shared"},
    Key{"slab-size", "SIZE", "64MiB", Reload::kNever, true, "size of one allocation of the device"},
    Key{"trim-after", "TIME", "60s", Reload::kYes, true,
        "an empty slab goes back to the device after this"},
    Key{"keep-time", "TIME", "100ms", Reload::kNever, true,
        "idle this long, a lease goes before the pool grows"},
    Key{"idle-exit", "TIME", "never", Reload::kYes, true, "leave when nobody is connected"},
    Key{"drain-timeout", "TIME", "30s", Reload::kYes, true,
        "how long a stopping daemon waits for leases in use"},
    Key{"max-sessions", "N", "2000", Reload::kYes, true, "client processes at one time"},
    Key{"log-level", "debug|info|warn|error", "info", Reload::kYes, true,
        "debug, info, warn or error"},
    Key{"log-format", "text|json", "text", Reload::kYes, true, "text (logfmt) or json"},
    Key{"config", "FILE", "/etc/nvcv-cached/nvcv-cached.toml, or the user's below ~/.config",
        Reload::kNever, false, "the settings' file"},
};

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

std::span<const Key> Keys() { return kKeys; }

const Key* FindKey(std::string_view name) {
  const auto found =
      std::find_if(kKeys.begin(), kKeys.end(), [&](const Key& key) { return key.name == name; });
  return found == kKeys.end() ? nullptr : &*found;
}

std::string VariableOf(std::string_view key) {
  return absl::StrCat("NVCV_CACHED_",
                      absl::AsciiStrToUpper(absl::StrReplaceAll(
                          absl::string_view(key.data(), key.size()), {{"-", "_"}})));
}

std::string Suggestion(std::string_view wrong) {
  if (wrong.size() > 40) return "";
  const Key* nearest = &kKeys[0];
  size_t distance = 3;
  for (const Key& key : kKeys) {
    if (const size_t found = EditDistance(wrong, key.name); found < distance) {
      distance = found;
      nearest = &key;
    }
  }
  return distance < 3 ? absl::StrCat("; did you mean ", nearest->name, "?") : "";
}

}  // namespace nvcv_cached::server
