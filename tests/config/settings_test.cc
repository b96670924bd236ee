// From texts to settings: defaults by device and scope, sizes, and errors that name their source.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "server/config/daemon_settings.h"
#include "server/config/keys.h"

namespace nvcv_cached::server::testing {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kGiB = uint64_t{1} << 30;

DeviceInfo Host() {
  DeviceInfo info;
  info.kind = info.id = "host";
  info.total_bytes = 16 * kGiB;
  info.slab_granularity = 4096;
  return info;
}

Source Flags(const std::string& key, const std::string& text) {
  return {{key, {.text = text, .origin = Origin::kFlag, .where = "--" + key}}};
}

DaemonSettings Parse(const Source& source, Scope scope = Scope::kUser, DeviceInfo device = Host()) {
  auto settings = ParseSettings(source, device, scope);
  EXPECT_TRUE(settings.ok()) << settings.status();
  return settings.value_or(DaemonSettings());
}

std::string ErrorOf(const std::string& key, const std::string& text) {
  return std::string(ParseSettings(Flags(key, text), Host(), Scope::kUser).status().message());
}

TEST(Settings, C4_DefaultsAreSharesOfTheDevice) {
  const DaemonSettings host = Parse({});
  EXPECT_EQ(host.limit_bytes, 8 * kGiB);
  EXPECT_EQ(host.capacity_bytes, 8 * kGiB);
  DeviceInfo gpu = Host();
  gpu.kind = "cuda";
  gpu.id = "GPU-1";
  const DaemonSettings cuda = Parse({}, Scope::kUser, gpu);
  EXPECT_EQ(cuda.limit_bytes, 8 * kGiB);
  EXPECT_EQ(cuda.capacity_bytes, static_cast<uint64_t>(0.9 * 16 * kGiB));
  EXPECT_THAT(cuda.socket, ::testing::EndsWith("/GPU-1.sock"));
}

TEST(Settings, TheScopeDecidesSocketAndMode) {
  const DaemonSettings user = Parse({}, Scope::kUser), system = Parse({}, Scope::kSystem);
  EXPECT_EQ(user.mode, 0600u);
  EXPECT_EQ(system.mode, 0660u);
  EXPECT_EQ(system.socket, "/run/nvcv-cached/host.sock");
  EXPECT_NE(user.socket, system.socket);
}

TEST(Settings, EachKeyHasATextWithItsOrigin) {
  const DaemonSettings settings = Parse(Flags("limit", "25%"));
  for (const Key& key : Keys()) {
    if (std::string(key.name) == "config") continue;
    const auto found = std::find_if(settings.texts.begin(), settings.texts.end(),
                                    [&](const SettingText& text) { return text.key == key.name; });
    ASSERT_NE(found, settings.texts.end()) << key.name;
    const bool is_limit = found->key == "limit";
    EXPECT_EQ(found->origin, is_limit ? Origin::kFlag : Origin::kDefault) << key.name;
    EXPECT_EQ(found->where, is_limit ? "--limit" : "") << key.name;
  }
}

TEST(Settings, SizesAreBytesInReportsAndReadableForPeople) {
  const DaemonSettings settings = Parse(Flags("quota", "1.5GiB"));
  for (const SettingText& text : settings.texts) {
    if (text.key != "quota") continue;
    EXPECT_EQ(text.value, "1610612736");
    EXPECT_EQ(text.shown, "1.50GiB");
  }
}

TEST(Settings, ErrorsNameTheFlagAndTheValue) {
  EXPECT_EQ(ErrorOf("limit", "8G"), "--limit: \"8G\" is ambiguous; do: write 8GiB or 8GB");
  const std::pair<const char*, const char*> wrong[] = {
      {"capacity", "much"},   {"capacity", "none"},     {"limit", "-5"},      {"limit", "101%"},
      {"policy", "fifo"},     {"quota", "-5"},          {"domain", "all"},    {"slab-size", "0"},
      {"slab-size", "none"},  {"trim-after", "soon"},   {"keep-time", "5"},   {"idle-exit", "10"},
      {"mode", "0888"},       {"mode", "0060"},         {"mode", "rw"},       {"group", "no-such"},
      {"max-sessions", "0"},  {"max-sessions", "many"}, {"log-level", "all"}, {"log-format", "xml"},
      {"socket", "relative"}, {"drain-timeout", "-1s"}, {"limit", "8EiB"},
  };
  for (const auto& [key, text] : wrong) {
    const std::string error = ErrorOf(key, text);
    EXPECT_THAT(error, ::testing::StartsWith(std::string("--") + key)) << text;
    EXPECT_THAT(error, HasSubstr(text)) << key;
  }
}

TEST(Settings, ErrorsOfAFileNameLineAndKey) {
  const Source file{{"limit", {.text = "4G", .origin = Origin::kFile, .where = "/etc/x.toml:7"}}};
  EXPECT_THAT(std::string(ParseSettings(file, Host(), Scope::kUser).status().message()),
              HasSubstr("/etc/x.toml:7: limit: \"4G\""));
}

TEST(Settings, C4_ALimitAboveTheDeviceIsAllowedWithAWarning) {
  const DaemonSettings settings = Parse(Flags("limit", "900TiB"));
  EXPECT_EQ(settings.limit_bytes, uint64_t{900} << 40);
  ASSERT_EQ(settings.warnings.size(), 1u);
  EXPECT_THAT(settings.warnings[0], HasSubstr("limit 900TiB is above the device's 16.0GiB"));
  EXPECT_TRUE(Parse({}).warnings.empty());
}

TEST(Settings, LimitZeroIsALimit) { EXPECT_EQ(Parse(Flags("limit", "0")).limit_bytes, 0u); }

TEST(Settings, SlabsAreMultiplesOfTheGranularity) {
  EXPECT_EQ(Parse(Flags("slab-size", "1048577")).slab_bytes, 1048576u + 4096u);
}

TEST(Settings, NeverIsNoTime) {
  EXPECT_EQ(Parse({}).idle_exit, std::nullopt);
  EXPECT_EQ(Parse(Flags("idle-exit", "10m")).idle_exit, std::chrono::minutes(10));
  EXPECT_EQ(Parse(Flags("trim-after", "never")).trim_after, kForever);
}

TEST(Settings, ASocketThatIsTooLongIsRefused) {
  EXPECT_THAT(ErrorOf("socket", "/tmp/" + std::string(120, 'x')), HasSubstr("--socket"));
}

TEST(Device, Names) {
  for (const char* name : {"host", "cuda:0", "cuda:12", "GPU-8932f937", "MIG-1"}) {
    EXPECT_TRUE(ChooseDevice(Flags("device", name)).ok()) << name;
  }
  for (const char* name : {"", "cpu", "cuda", "cuda:", "cuda:x", "/dev/nvidia0"}) {
    EXPECT_FALSE(ChooseDevice(Flags("device", name)).ok()) << name;
  }
  EXPECT_EQ(*ChooseDevice({}), "") << "the first GPU, or the host";
}

}  // namespace
}  // namespace nvcv_cached::server::testing
