// Where settings come from: environment and file, and which of them wins.
#include "server/config/sources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "server/config/command_line.h"
#include "server/config/keys.h"

namespace nvcv_cached::server::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FileTest : public ::testing::Test {
 protected:
  FileTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "nvcv-config-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    path_ = directory_ + "/settings.toml";
  }
  ~FileTest() override { std::filesystem::remove_all(directory_); }

  absl::StatusOr<ConfigFile> Read(const std::string& text) {
    std::ofstream(path_) << text;
    return ReadConfigFile(path_);
  }
  std::string ErrorOf(const std::string& text) {
    return std::string(Read(text).status().message());
  }

  std::string directory_, path_;
};

TEST_F(FileTest, EveryKeyButConfigMayStandInIt) {
  for (const Key& key : Keys()) {
    const auto file = Read(std::string(key.name) + " = \"1\"\n");
    EXPECT_EQ(file.ok(), std::string(key.name) != "config") << key.name << ": " << file.status();
  }
}

TEST_F(FileTest, TextsNumbersAndTheirLines) {
  const auto file = Read("# a comment\nlimit = \"8GiB\"\n\nmax-sessions = 12\n");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->top.at("limit").text, "8GiB");
  EXPECT_EQ(file->top.at("limit").origin, Origin::kFile);
  EXPECT_EQ(file->top.at("limit").where, path_ + ":2");
  EXPECT_EQ(file->top.at("max-sessions").text, "12");
  EXPECT_EQ(file->top.at("max-sessions").where, path_ + ":4");
}

TEST_F(FileTest, SectionsOfDevices) {
  const auto file = Read("limit = \"1GiB\"\n[device.\"GPU-12\"]\nlimit = \"2GiB\"\n");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->top.at("limit").text, "1GiB");
  EXPECT_EQ(file->devices.at("GPU-12").at("limit").text, "2GiB");
}

TEST_F(FileTest, ErrorsNameFileAndLine) {
  EXPECT_THAT(ErrorOf("policy = \"lru\"\nlimmit = \"1GiB\"\n"),
              HasSubstr(path_ + ":2: unknown key limmit; did you mean limit?"));
  EXPECT_THAT(ErrorOf("\n\nlimit = true\n"), HasSubstr(path_ + ":3: limit is neither"));
  EXPECT_THAT(ErrorOf("limit = \n"), HasSubstr(path_ + ":1"));
  EXPECT_THAT(ErrorOf("[device.\"GPU-1\"]\nlimitt = 1\n"), HasSubstr(path_ + ":2"));
  EXPECT_THAT(ErrorOf("[device.\"GPU-1\"]\ndevice = \"host\"\n"), HasSubstr(path_ + ":2"));
  EXPECT_THAT(ErrorOf("[device]\nhost = 1\n"), HasSubstr(path_ + ":2"));
}

TEST_F(FileTest, AbsentIsNotEmpty) {
  EXPECT_EQ(ReadConfigFile(path_).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(Read("").ok()) << Read("").status();
  EXPECT_EQ(ReadConfigFile(directory_).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Environment, KeysClientsAndTheUnknown) {
  char limit[] = "NVCV_CACHED_LIMIT=8GiB", slab[] = "NVCV_CACHED_SLAB_SIZE=1MiB",
       empty[] = "NVCV_CACHED_QUOTA=", client[] = "NVCV_CACHED_AUTOSTART=0",
       test[] = "NVCV_CACHED_TEST_NO_PEERPIDFD=1", wrong[] = "NVCV_CACHED_LIMITS=1",
       other[] = "PATH=/bin";
  char* variables[] = {limit, slab, empty, client, test, wrong, other, nullptr};
  const Environment environment = ReadEnvironment(variables);
  ASSERT_EQ(environment.keys.size(), 2u);
  EXPECT_EQ(environment.keys.at("limit").text, "8GiB");
  EXPECT_EQ(environment.keys.at("slab-size").where, "NVCV_CACHED_SLAB_SIZE");
  EXPECT_THAT(environment.unknown, ElementsAre("NVCV_CACHED_LIMITS"));
}

TEST(Merge, TheLaterWin) {
  const Source file{{"limit", {.text = "1", .origin = Origin::kFile, .where = ""}},
                    {"quota", {.text = "2", .origin = Origin::kFile, .where = ""}}};
  const Source flags{{"limit", {.text = "3", .origin = Origin::kFlag, .where = ""}}};
  const Source merged = Merge({&file, &flags});
  EXPECT_EQ(merged.at("limit").text, "3");
  EXPECT_EQ(merged.at("quota").text, "2");
}

absl::StatusOr<std::variant<CommandLine, Information>> Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "nvcv-cached");
  return ParseCommandLine(static_cast<int>(arguments.size()), arguments.data());
}

TEST(CommandLine, EveryKeyIsAFlag) {
  for (const Key& key : Keys()) {
    const std::string flag = std::string("--") + key.name;
    const auto joined = Parse({(flag + "=value").c_str()});
    ASSERT_TRUE(joined.ok()) << joined.status();
    const Sourced& found = std::get<CommandLine>(*joined).flags.at(key.name);
    EXPECT_EQ(found.text, "value");
    EXPECT_EQ(found.where, flag);
    EXPECT_EQ(found.origin, Origin::kFlag);
  }
}

TEST(CommandLine, UnknownFlagsSayWhatWasMeant) {
  EXPECT_THAT(std::string(Parse({"--limmit=1"}).status().message()),
              HasSubstr("unknown flag --limmit; did you mean limit?"));
  EXPECT_FALSE(Parse({"serve"}).ok());
}

TEST(CommandLine, HelpAndVersionAreTexts) {
  EXPECT_THAT(std::get<Information>(*Parse({"--version"})), HasSubstr("protocol 1-1"));
  const Information help = std::get<Information>(*Parse({"--help"}));
  for (const Key& key : Keys()) EXPECT_THAT(help, HasSubstr(std::string("--") + key.name));
  EXPECT_THAT(help, HasSubstr("Examples:"));
}

}  // namespace
}  // namespace nvcv_cached::server::testing
