#include "server/config/live_settings.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/config/keys.h"

namespace nvcv_cached::server {
namespace {

const SettingText* Find(const DaemonSettings& settings, const std::string& key) {
  auto found = std::find_if(settings.texts.begin(), settings.texts.end(),
                            [&](const SettingText& text) { return text.key == key; });
  return found == settings.texts.end() ? nullptr : &*found;
}

}  // namespace

void NoteRuntime(DaemonSettings& settings, SettingText text) {
  text.origin = Origin::kRuntime;
  for (SettingText& known : settings.texts) {
    if (known.key != text.key) continue;
    known = std::move(text);
    return;
  }
}

Reloaded PlanReload(const DaemonSettings& old, DaemonSettings now) {
  Reloaded result;
  result.settings = old;
  DaemonSettings& in_force = result.settings;
  for (SettingText& text : in_force.texts) {
    const SettingText* read = Find(now, text.key);
    const Key* key = FindKey(text.key);
    if (read == nullptr || key == nullptr) continue;
    const bool takes_effect =
        key->reload == Reload::kYes ||
        (key->reload == Reload::kUpwards && now.capacity_bytes >= old.capacity_bytes);
    if (read->value != text.value) {
      if (takes_effect) {
        result.changed.push_back(absl::StrCat(text.key, "=", read->shown));
      } else {
        result.needs_restart.push_back(text.key);
      }
    }
    if (takes_effect || read->value == text.value) text = *read;
  }
  in_force.capacity_bytes = std::max(old.capacity_bytes, now.capacity_bytes);
  in_force.limit_bytes = now.limit_bytes;
  in_force.policy = now.policy;
  in_force.quota_bytes = now.quota_bytes;
  in_force.trim_after = now.trim_after;
  in_force.idle_exit = now.idle_exit;
  in_force.drain_timeout = now.drain_timeout;
  in_force.max_sessions = now.max_sessions;
  in_force.log_level = now.log_level;
  in_force.log_format = now.log_format;
  in_force.warnings = std::move(now.warnings);
  return result;
}

}  // namespace nvcv_cached::server
