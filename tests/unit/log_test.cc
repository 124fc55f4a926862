// Lines of the log: their form, what is escaped and cut, and that a reactor never waits for them.
#include "core/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "tests/unit/fake_clock.h"

namespace perch {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

class LogTest : public ::testing::Test {
 protected:
  LogTest() { clock.ms = 1'000'000'000'123; }  // 2001-09-09T01:46:40.123Z
  FakeClock clock;
  MetricsPage metrics{MetricScope::kReactor, 3};
  Log log{clock, metrics};
  std::string next() {
    const LogLine* line = log.front();
    if (line == nullptr) return "(none)";
    const std::string text = text_of(*line);
    log.pop();
    return text;
  }
  std::string value(std::string_view text) {
    log.write(LogLevel::kInfo, "m", {{"v", text}});
    const std::string line = next();
    return line.substr(line.find(" v=") + 3, line.size() - line.find(" v=") - 4);
  }
};

TEST_F(LogTest, WritesKeysAndValues) {
  log.write(LogLevel::kWarn, "device overflowed", {{"user", 17}, {"why", "full"}});
  EXPECT_EQ(next(),
            "ts=2001-09-09T01:46:40.123Z level=warn core=3 msg=\"device overflowed\" user=17 why=full\n");
  EXPECT_EQ(next(), "(none)");
}

TEST_F(LogTest, NamesTheStoreThreadAndNotTheMainThread) {
  MetricsPage store(MetricScope::kStore), main(MetricScope::kMain);
  Log of_store(clock, store), of_main(clock, main);
  of_store.write(LogLevel::kError, "x");
  of_main.write(LogLevel::kInfo, "x");
  EXPECT_THAT(text_of(*of_store.front()), EndsWith("Z level=error core=store msg=x\n"));
  EXPECT_THAT(text_of(*of_main.front()), EndsWith("Z level=info msg=x\n"));
}

TEST_F(LogTest, EscapesWhatAPeerMaySend) {
  EXPECT_EQ(value("plain-1.2:3/x"), "plain-1.2:3/x");
  EXPECT_EQ(value(""), "\"\"");
  EXPECT_EQ(value("two words"), "\"two words\"");
  EXPECT_EQ(value("a=b"), "\"a=b\"");
  EXPECT_EQ(value("say \"x\\\""), "\"say \\\"x\\\\\\\"\"");
  EXPECT_EQ(value(std::string_view("\n\r\t\0\x7f\x1b[2J", 9)), "\"\\x0a\\x0d\\x09\\x00\\x7f\\x1b[2J\"");
  EXPECT_EQ(value("caf\xc3\xa9"), "\"caf\\xc3\\xa9\"");
}

TEST_F(LogTest, CutsLongValuesAndLongLines) {
  EXPECT_EQ(value(std::string(kLogValueBytesMax, 'x')), std::string(kLogValueBytesMax, 'x'));
  EXPECT_EQ(value(std::string(kLogValueBytesMax + 1, 'x')),
            "\"" + std::string(kLogValueBytesMax, 'x') + "...\"");
  const std::string hostile(100'000, '\n');
  log.write(LogLevel::kInfo, hostile, {{"a", hostile}, {"b", hostile}, {"c", hostile}});
  const std::string line = next();
  EXPECT_THAT(line, EndsWith("...\n"));
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_LT(line.size(), kLogLineBytesMax + 64);
}

TEST_F(LogTest, DropsAndCountsWhatTheQueueHasNoRoomFor) {
  for (uint32_t i = 0; i < kLogLinesMax + 3; ++i) log.write(LogLevel::kInfo, "m", {{"i", i}});
  EXPECT_EQ(metrics.value(Metric::kLogDropped), 3u);
  EXPECT_THAT(next(), HasSubstr(" i=0\n"));
  log.write(LogLevel::kInfo, "again");
  EXPECT_EQ(metrics.value(Metric::kLogDropped), 3u);
}

TEST_F(LogTest, LimitsRefusalsByReason) {
  const auto refuse = [this](Metric row) { log.refused(row, "refused", {{"user", 1}}); };
  for (int i = 0; i < 100; ++i) refuse(Metric::kErrorTokenInvalid);
  refuse(Metric::kErrorWindow);  // another reason has its own lines
  for (uint32_t i = 0; i < kRefusalsPerSecond; ++i) EXPECT_THAT(next(), EndsWith("msg=refused user=1\n"));
  EXPECT_THAT(next(), EndsWith("msg=refused user=1\n"));
  EXPECT_EQ(next(), "(none)");
  clock.ms += 1'000;
  refuse(Metric::kErrorTokenInvalid);
  refuse(Metric::kErrorTokenInvalid);
  EXPECT_THAT(next(), EndsWith(" user=1 suppressed=95\n"));
  EXPECT_THAT(next(), EndsWith(" user=1\n"));
  log.refused(Metric::kOverflowed, "device overflowed", {}, LogLevel::kWarn);
  EXPECT_THAT(next(), HasSubstr("level=warn "));
}

TEST_F(LogTest, MakesLinesForDebuggingOnlyIfWantedAndNotTooMany) {
  const auto begin = [this] { log.debug(Metric::kLogins, "session begins", {{"user", 1}}); };
  begin();
  EXPECT_EQ(next(), "(none)");
  log.set_level(LogLevel::kDebug);
  EXPECT_TRUE(log.wants_debug());
  for (uint32_t i = 0; i < kDebugPerSecond + 7; ++i) begin();
  for (uint32_t i = 0; i < kDebugPerSecond; ++i)
    EXPECT_THAT(next(), HasSubstr("level=debug core=3 msg=\"session begins\" user=1\n"));
  EXPECT_EQ(next(), "(none)");
  clock.ms += 1'000;
  begin();
  EXPECT_THAT(next(), EndsWith(" suppressed=7\n"));
}

class LogWriterTest : public LogTest {
 protected:
  LogWriterTest() { EXPECT_EQ(pipe2(ends, O_NONBLOCK), 0); }
  ~LogWriterTest() override {
    close(ends[0]);
    close(ends[1]);
  }
  std::string read_all() {
    std::string all;
    char part[65536];
    for (ssize_t got; (got = read(ends[0], part, sizeof(part))) > 0;)
      all.append(part, static_cast<size_t>(got));
    return all;
  }
  int ends[2];
};

TEST_F(LogWriterTest, WritesTheLinesOfAllThreads) {
  MetricsPage store(MetricScope::kStore);
  Log other(clock, store);
  LogWriter writer(ends[1]);
  Log* const logs[] = {&log, &other};
  log.write(LogLevel::kInfo, "first");
  other.write(LogLevel::kInfo, "second");
  writer.drain(logs);
  EXPECT_THAT(read_all(), testing::ContainsRegex("^ts=.*core=3 msg=first\nts=.*core=store msg=second\n$"));
}

TEST_F(LogWriterTest, PutsTheThreadsInOrderOfTime) {
  MetricsPage store(MetricScope::kStore);
  Log other(clock, store);
  LogWriter writer(ends[1]);
  Log* const logs[] = {&log, &other};
  for (int i = 0; i < 4; ++i) {
    (i % 2 == 0 ? other : log).write(LogLevel::kInfo, std::to_string(i));
    ++clock.ms;
  }
  writer.drain(logs);
  EXPECT_THAT(read_all(), testing::ContainsRegex("msg=0\n.*msg=1\n.*msg=2\n.*msg=3\n"));
}

TEST_F(LogWriterTest, IsNotStoppedByAReaderThatIs) {
  LogWriter writer(ends[1]);
  Log* const logs[] = {&log};
  int num_written = 0;
  for (; metrics.value(Metric::kLogDropped) == 0; ++num_written) {
    ASSERT_LT(num_written, 100'000);
    log.write(LogLevel::kInfo, "m", {{"i", static_cast<uint64_t>(num_written)}});
    writer.drain(logs);
  }
  std::string all;
  for (int quiet = 0; quiet < 100; ++quiet) {
    all += read_all();
    writer.drain(logs);
  }
  all += read_all();
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), num_written - 1) << "all but the one that was dropped";
}

TEST_F(LogWriterTest, TwoThreadsShareALog) {
  LogWriter writer(ends[1]);
  Log* const logs[] = {&log};
  constexpr int kLines = 20'000;
  std::thread reactor([this] {
    for (int i = 0; i < kLines; ++i) log.write(LogLevel::kInfo, "line");
  });
  uint64_t num = 0;
  while (num + metrics.value(Metric::kLogDropped) < kLines) {
    writer.drain(logs);
    const std::string part = read_all();
    num += static_cast<uint64_t>(std::count(part.begin(), part.end(), '\n'));
  }
  reactor.join();
  EXPECT_EQ(num + metrics.value(Metric::kLogDropped), static_cast<uint64_t>(kLines));
  EXPECT_GT(num, 0u);
}

class JsonLogTest : public LogTest {
 protected:
  Log json{clock, metrics, LogFormat::kJson};
  std::string line(std::initializer_list<LogField> fields) {
    json.write(LogLevel::kWarn, "m", fields);
    std::string text = text_of(*json.front());
    json.pop();
    return text;
  }
  const std::string head = R"({"ts":"2001-09-09T01:46:40.123Z","level":"warn","core":3,"msg":"m")";
};

TEST_F(JsonLogTest, WritesAnObjectALine) {
  EXPECT_EQ(line({}), head + "}\n");
  EXPECT_EQ(line({{"user", 17}, {"why", "two words"}}), head + R"(,"user":17,"why":"two words"})"
                                                               "\n");
  EXPECT_EQ(line({{"v", "\"\\\n\xff"}}), head + R"(,"v":"\"\\\u000a\u00ff"})"
                                                "\n");
}

TEST_F(JsonLogTest, ANumberThatADoubleCannotHoldIsAString) {
  EXPECT_EQ(line({{"n", uint64_t{1} << 53}}), head + R"(,"n":9007199254740992})"
                                                     "\n");
  EXPECT_EQ(line({{"n", (uint64_t{1} << 53) + 1}}), head + R"(,"n":"9007199254740993"})"
                                                           "\n");
}

TEST_F(JsonLogTest, IsAnObjectWhateverHasNoRoom) {
  const std::string long_text(1000, 'x');
  EXPECT_EQ(line({{"v", long_text}}), head + R"(,"v":")" + std::string(kLogValueBytesMax, 'x') +
                                          R"(..."})"
                                          "\n");
  for (size_t size = 0; size <= kLogValueBytesMax; ++size) {
    const std::string quotes(size, '"');
    const std::string text = line({{"a", quotes}, {"b", quotes}, {"n", 1}});
    const auto shown = [&](const char* key) {
      return text.find(std::string("\"") + key + "\":") != text.npos;
    };
    EXPECT_TRUE(text.ends_with(shown("cut") ? R"(,"cut":true})"
                                              "\n"
                                            : "}\n"))
        << text;
    EXPECT_EQ(shown("a") && shown("b") && shown("n"), !shown("cut")) << text;
  }
  EXPECT_THAT(line({{"a", std::string(160, '"')}, {"b", std::string(160, '"')}, {"n", 1}}),
              EndsWith(R"(\"","n":1,"cut":true})"
                       "\n"));
}

TEST_F(LogTest, NamesOfLevelsAndFormats) {
  EXPECT_EQ(log_level_of("info"), LogLevel::kInfo);
  EXPECT_EQ(log_level_of("error"), LogLevel::kError);
  EXPECT_EQ(log_level_of("debug"), LogLevel::kDebug);
  EXPECT_EQ(log_level_of("trace"), std::nullopt);
  EXPECT_EQ(log_format_of("json"), LogFormat::kJson);
  EXPECT_EQ(log_format_of("xml"), std::nullopt);
}

TEST_F(LogTest, WritesNothingBelowItsLevel) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  LogWriter writer(ends[1]);
  writer.set_level(LogLevel::kWarn);
  log.write(LogLevel::kInfo, "one");
  log.write(LogLevel::kWarn, "two");
  log.write(LogLevel::kError, "three");
  Log* all[] = {&log};
  writer.drain(all);
  writer.set_level(LogLevel::kInfo);
  log.write(LogLevel::kInfo, "four");
  writer.drain(all);
  close(ends[1]);
  std::string text(4096, 0);
  text.resize(static_cast<size_t>(read(ends[0], text.data(), text.size())));
  close(ends[0]);
  EXPECT_THAT(text, Not(HasSubstr("msg=one")));
  for (const char* word : {"msg=two\n", "msg=three\n", "msg=four\n"}) EXPECT_THAT(text, HasSubstr(word));
}

}  // namespace
}  // namespace perch
