// What a reload may change while the daemon runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "server/config/live_settings.h"

namespace nvcv_cached::server::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

DaemonSettings Parse(const std::string& key, const std::string& text) {
  DeviceInfo device;
  device.kind = device.id = "host";
  device.total_bytes = uint64_t{16} << 30;
  const Source source{{key, {.text = text, .origin = Origin::kFile, .where = "file:1"}}};
  return *ParseSettings(source, device, Scope::kUser);
}

Origin OriginOf(const DaemonSettings& settings, const std::string& key) {
  return std::find_if(settings.texts.begin(), settings.texts.end(),
                      [&](const SettingText& text) { return text.key == key; })
      ->origin;
}

TEST(Reload, ChangesWhatMayChange) {
  const DaemonSettings old = Parse("limit", "8GiB");
  const std::pair<const char*, const char*> reloadable[] = {
      {"limit", "4GiB"},     {"policy", "clear"},    {"quota", "1GiB"},
      {"trim-after", "1s"},  {"idle-exit", "5m"},    {"drain-timeout", "1s"},
      {"max-sessions", "7"}, {"log-level", "debug"}, {"log-format", "json"},
  };
  for (const auto& [key, text] : reloadable) {
    const Reloaded reloaded = PlanReload(old, Parse(key, text));
    EXPECT_THAT(reloaded.needs_restart, IsEmpty()) << key;
    EXPECT_FALSE(reloaded.changed.empty()) << key;
    EXPECT_EQ(OriginOf(reloaded.settings, key), Origin::kFile) << key;
  }
  EXPECT_EQ(PlanReload(old, Parse("max-sessions", "7")).settings.max_sessions, 7u);
  EXPECT_EQ(PlanReload(old, Parse("log-level", "debug")).settings.log_level, "debug");
}

TEST(Reload, KeepsWhatNeedsARestartAndSaysSo) {
  const DaemonSettings old = Parse("domain", "uid");
  const std::pair<const char*, const char*> fixed[] = {
      {"domain", "shared"}, {"slab-size", "1MiB"}, {"mode", "0666"}, {"socket", "/tmp/other.sock"}};
  for (const auto& [key, text] : fixed) {
    const Reloaded reloaded = PlanReload(old, Parse(key, text));
    EXPECT_THAT(reloaded.needs_restart, ElementsAre(key));
    EXPECT_EQ(reloaded.settings.domain, old.domain);
    EXPECT_EQ(reloaded.settings.slab_bytes, old.slab_bytes);
    EXPECT_EQ(reloaded.settings.socket, old.socket);
  }
}

TEST(Reload, CapacityOnlyGrows) {
  const DaemonSettings old = Parse("capacity", "4GiB");
  const Reloaded smaller = PlanReload(old, Parse("capacity", "2GiB"));
  EXPECT_EQ(smaller.settings.capacity_bytes, uint64_t{4} << 30);
  EXPECT_THAT(smaller.needs_restart, ElementsAre("capacity"));
  const Reloaded larger = PlanReload(old, Parse("capacity", "6GiB"));
  EXPECT_EQ(larger.settings.capacity_bytes, uint64_t{6} << 30);
  EXPECT_THAT(larger.needs_restart, IsEmpty());
}

TEST(Reload, EndsWhatTheOperatorChanged) {
  DaemonSettings settings = Parse("limit", "8GiB");
  settings.limit_bytes = 1;
  NoteRuntime(settings, SizeText("limit", 1, Origin::kRuntime));
  EXPECT_EQ(OriginOf(settings, "limit"), Origin::kRuntime);
  const Reloaded reloaded = PlanReload(settings, Parse("limit", "8GiB"));
  EXPECT_EQ(reloaded.settings.limit_bytes, uint64_t{8} << 30);
  EXPECT_EQ(OriginOf(reloaded.settings, "limit"), Origin::kFile);
}

TEST(Reload, OfTheSameFileChangesNothing) {
  const DaemonSettings old = Parse("limit", "8GiB");
  const Reloaded reloaded = PlanReload(old, Parse("limit", "8GiB"));
  EXPECT_THAT(reloaded.changed, IsEmpty());
  EXPECT_THAT(reloaded.needs_restart, IsEmpty());
}

}  // namespace
}  // namespace nvcv_cached::server::testing
