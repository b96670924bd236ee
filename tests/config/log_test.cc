// The log: one event a line, printable whatever was logged, bounded by event.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "nlohmann/json.hpp"
#include "server/log/event_ring.h"
#include "server/log/log_sink.h"
#include "server/log/logfmt.h"
#include "spdlog/spdlog.h"

namespace nvcv_cached::server::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::Pair;

TEST(Logfmt, QuotesWhatMustBeQuoted) {
  EXPECT_EQ(Event("start").With("pid", 42).With("name", "NVIDIA H200").With("empty", "").text(),
            "start pid=42 name=\"NVIDIA H200\" empty=\"\"");
}

TEST(Logfmt, TextOfClientsIsEscapedAndCut) {
  EXPECT_EQ(Event("e").With("name", "\x1b[31m\n\"x\"=\xe2\x80\xae").text(),
            "e name=\"\\x1b[31m\\n\\\"x\\\"=\\xe2\\x80\\xae\"");
  const std::string text = Event("e").With("name", std::string(100'000, 'n')).text();
  EXPECT_LT(text.size(), kMaxValueBytes + 20);
  EXPECT_THAT(text, ::testing::EndsWith("..\""));
}

TEST(Logfmt, IsReadBack) {
  const ParsedEvent parsed =
      ParseEvent(Event("e").With("a", 1).With("b", "x \"y\" =z\n").With("c", "").text());
  EXPECT_EQ(parsed.name, "e");
  EXPECT_THAT(parsed.fields, ElementsAre(Pair("a", "1"), Pair("b", "x \"y\" =z\n"), Pair("c", "")));
  EXPECT_THAT(ParseEvent("e loose words a=1 \"").fields,
              ElementsAre(Pair("a", "1"), Pair("text", "loose words \"")));
  for (const char* odd : {"", " ", "=", "a=", "a=\"", "a=\"\\", "a =b"}) ParseEvent(odd);
}

class LogTest : public ::testing::Test {
 protected:
  void Install(LogFormat format = LogFormat::kText, bool journal = false) {
    InstallLog({.format = format,
                .journal = journal,
                .write = [this](std::string_view line) { lines_.emplace_back(line); }},
               "info");
  }
  ~LogTest() override { InstallLog({}, "info"); }

  std::vector<std::string> lines_;
};

TEST_F(LogTest, ALineHasTimeLevelAndEvent) {
  Install();
  LogInfo(Event("ready").With("socket", "/run/x.sock"));
  LogWarning(Event("foreign"));
  ASSERT_EQ(lines_.size(), 2u);
  EXPECT_THAT(lines_[0], MatchesRegex("[0-9-]+T[0-9:.]+Z INFO  ready socket=/run/x.sock\n"));
  EXPECT_THAT(lines_[1], HasSubstr(" WARN  foreign\n"));
}

TEST_F(LogTest, UnderTheJournalAPriorityStandsForTheTime) {
  Install(LogFormat::kText, true);
  LogInfo(Event("ready"));
  LogError(Event("gone"));
  EXPECT_THAT(lines_, ElementsAre("<6>INFO  ready\n", "<3>ERROR gone\n"));
}

TEST_F(LogTest, JsonHasTheFieldsAndNumbersAsNumbers) {
  Install(LogFormat::kJson);
  LogInfo(Event("session").With("id", 7).With("name", "a \"b\"\n"));
  const auto line = nlohmann::json::parse(lines_.at(0));
  EXPECT_EQ(line["level"], "info");
  EXPECT_EQ(line["event"], "session");
  EXPECT_EQ(line["id"], 7);
  EXPECT_EQ(line["name"], "a \"b\"\n");
  EXPECT_TRUE(line.contains("ts"));
}

TEST_F(LogTest, WhateverIsLoggedALineIsPrintable) {
  Install();
  spdlog::info("raw \x1b]0;owned\x07\nsecond line \xff");
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_THAT(lines_[0], HasSubstr("raw \\x1b]0;owned\\x07\\x0asecond line \\xff\n"));
}

TEST_F(LogTest, EachEventHasTenLinesASecond) {
  Install();
  for (int i = 0; i < 100; ++i) LogWarning(Event("flood").With("i", i));
  LogWarning(Event("other"));
  // A slow machine may see a second begin meanwhile.
  EXPECT_GE(lines_.size(), kPerSecond + 1);
  EXPECT_LE(lines_.size(), 4 * kPerSecond + 1);
  EXPECT_THAT(lines_.back(), HasSubstr("other"));
}

TEST_F(LogTest, WhatWasHeldBackIsCounted) {
  LogSink sink({.write = [this](std::string_view line) { lines_.emplace_back(line); }});
  const auto begin = spdlog::log_clock::now();
  auto log = [&](int milliseconds) {
    spdlog::details::log_msg message(begin + std::chrono::milliseconds(milliseconds), {}, "",
                                     spdlog::level::info, "flood i=1");
    sink.log(message);
  };
  for (int i = 0; i < 35; ++i) log(i);
  EXPECT_EQ(lines_.size(), kPerSecond);
  log(1500);
  log(1501);
  ASSERT_EQ(lines_.size(), kPerSecond + 2);
  EXPECT_THAT(lines_[kPerSecond], HasSubstr("flood i=1 suppressed=25\n"));
  EXPECT_THAT(lines_[kPerSecond + 1], Not(HasSubstr("suppressed")));
}

TEST_F(LogTest, ASnapshotIsNeverHeldBack) {
  Install();
  for (int i = 0; i < 100; ++i) LogInfo(Event("snapshot-session").With("id", i));
  EXPECT_EQ(lines_.size(), 100u);
}

TEST_F(LogTest, LevelsBelowTheAskedOneAreSilent) {
  Install();
  SetLogLevel("error");
  LogInfo(Event("quiet"));
  LogWarning(Event("quiet"));
  LogError(Event("loud"));
  EXPECT_EQ(lines_.size(), 1u);
}

TEST_F(LogTest, WhatIsWrittenIsRemembered) {
  const auto sink = InstallLog({.write = [](std::string_view) {}}, "warn");
  LogInfo(Event("quiet"));
  LogWarning(Event("loud").With("a", "b c"));
  const auto line = sink->events().Next(0);
  ASSERT_TRUE(line.has_value());
  EXPECT_EQ(line->number, 1u);
  EXPECT_EQ(line->level, "warn");
  EXPECT_EQ(line->text, "loud a=\"b c\"");
  EXPECT_FALSE(sink->events().Next(2).has_value());
}

TEST(EventRing, KeepsTheNewestAndTheirNumbersTellWhatIsGone) {
  EventRing ring;
  EXPECT_FALSE(ring.Next(0).has_value());
  constexpr uint64_t kAll = EventRing::kMaxLines + 10;
  for (uint64_t i = 1; i <= kAll; ++i) ring.Add(0, "info", std::to_string(i));
  EXPECT_EQ(ring.Next(1)->number, 11u);
  EXPECT_EQ(ring.Next(1)->text, "11");
  EXPECT_EQ(ring.Next(500)->text, "500");
  EXPECT_EQ(ring.Next(kAll)->number, kAll);
  EXPECT_FALSE(ring.Next(kAll + 1).has_value());
}

TEST(EventRing, IsBoundedInBytesToo) {
  EventRing ring;
  for (int i = 0; i < 10; ++i) ring.Add(0, "info", std::string(EventRing::kMaxBytes / 4, 'x'));
  EXPECT_EQ(ring.Next(0)->number, 7u);
  ring.Add(0, "info", std::string(2 * EventRing::kMaxBytes, 'x'));
  EXPECT_EQ(ring.Next(0)->number, 11u) << "the newest stays, whatever its size";
}

TEST(EventRing, CallsItsWatchesUntilTheyAreTakenAway) {
  EventRing ring;
  int lines = 0;
  const uint64_t watch = ring.Watch([&] { ++lines; });
  ring.Add(0, "info", "a");
  ring.Add(0, "info", "b");
  ring.Unwatch(watch);
  ring.Add(0, "info", "c");
  EXPECT_EQ(lines, 2);
}

}  // namespace
}  // namespace nvcv_cached::server::testing
