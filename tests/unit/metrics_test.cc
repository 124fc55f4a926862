// The page, its text line by line, and that every limit names a metric which exists.
#include "core/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

#include "codec/frame.h"
#include "net/net.h"

namespace perch {
namespace {

using ::testing::HasSubstr;

// Matches a text with a line that begins so.
auto HasLine(const std::string& begin) { return HasSubstr(std::string(1, '\n').append(begin)); }

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

class MetricsTest : public ::testing::Test {
 protected:
  MetricsPage first{MetricScope::kReactor, 0}, second{MetricScope::kReactor, 1}, store{MetricScope::kStore},
      main{MetricScope::kMain};
  std::string text() const {
    const MetricsPage* pages[] = {&first, &second, &store, &main};
    return metrics_text(pages);
  }
};

TEST_F(MetricsTest, CountsByThread) {
  first.add(Metric::kTaken);
  first.add(Metric::kTaken, 4);
  second.set(Metric::kConnections, 7);
  store.set(Metric::kRingEnters, 3);
  EXPECT_EQ(first.value(Metric::kTaken), 5u);
  EXPECT_THAT(text(), HasSubstr("\nperch_messages_taken_total{core=\"0\"} 5\n"
                                "perch_messages_taken_total{core=\"1\"} 0\n"));
  EXPECT_THAT(text(), HasSubstr("\nperch_connections{core=\"1\"} 7\n"));
  EXPECT_THAT(text(), HasSubstr("\nperch_ring_enters_total{core=\"store\"} 3\n"));
}

TEST_F(MetricsTest, KeepsRatiosInMillionths) {
  store.set_ratio(Metric::kJournalFill, 0.125);
  EXPECT_THAT(text(), HasSubstr("\nperch_store_fill_ratio{map=\"journal\"} 0.125\n"));
}

TEST_F(MetricsTest, HistogramBucketsAreCumulativeAndInclusive) {
  for (const uint64_t us : {1ull, 64ull, 65ull, 128ull, 1ull << 24, 1ull << 40})
    store.observe(Histogram::kCommitUs, us);
  const std::string all = text();
  EXPECT_THAT(all, HasSubstr("\nperch_store_commit_seconds_bucket{le=\"6.4e-05\"} 2\n"
                             "perch_store_commit_seconds_bucket{le=\"0.000128\"} 4\n"));
  EXPECT_THAT(all, HasSubstr("\nperch_store_commit_seconds_bucket{le=\"16.777216\"} 5\n"
                             "perch_store_commit_seconds_bucket{le=\"+Inf\"} 6\n"));
  EXPECT_THAT(all, HasSubstr("\nperch_store_commit_seconds_count 6\n"));
  EXPECT_EQ(store.sum(Histogram::kCommitUs), 258 + (1ull << 24) + (1ull << 40));
}

// A reader on another thread sees whole values that only grow.
TEST_F(MetricsTest, IsReadWhileItIsWritten) {
  constexpr uint64_t kMost = 200'000;
  std::thread writer([this] {
    for (uint64_t i = 0; i < kMost; ++i) first.add(Metric::kFramesIn);
  });
  uint64_t last = 0;
  while (last < kMost) {
    const uint64_t now = first.value(Metric::kFramesIn);
    ASSERT_GE(now, last);
    last = now;
  }
  writer.join();
}

// The exposition format: every sample belongs to the family announced above it, every family is announced
// once, no series comes twice, and names follow the conventions for counters.
TEST_F(MetricsTest, TextIsWellFormed) {
  const std::regex help("# HELP (perch_[a-z_]+) ([^\\\\\n]+)"),
      type("# TYPE (perch_[a-z_]+) (counter|gauge|histogram)"),
      sample("(perch_[a-z_]+)(\\{[a-z]+=\"[^\"\\\\]*\"(,[a-z]+=\"[^\"\\\\]*\")*\\})? ([0-9.e+-]+)");
  std::string family, kind;
  std::set<std::string> families, series;
  bool helped = false;
  for (const std::string& line : lines_of(text())) {
    std::smatch match;
    if (std::regex_match(line, match, help)) {
      family = match[1];
      ASSERT_TRUE(families.insert(family).second) << line;
      helped = true;
    } else if (std::regex_match(line, match, type)) {
      ASSERT_TRUE(helped && match[1] == family) << line;
      kind = match[2];
      EXPECT_EQ(kind == "counter", family.ends_with("_total")) << line;
      helped = false;
    } else {
      ASSERT_TRUE(std::regex_match(line, match, sample)) << line;
      std::string name = match[1];
      if (kind == "histogram") name = std::regex_replace(name, std::regex("_(bucket|sum|count)$"), "");
      ASSERT_EQ(name, family) << line;
      ASSERT_TRUE(series.insert(line.substr(0, line.rfind(' '))).second) << "twice: " << line;
    }
  }
  EXPECT_GT(families.size(), 40u);
  EXPECT_TRUE(text().ends_with('\n'));
}

std::string snake(std::string_view camel) {
  std::string out;
  for (const char c : camel) {
    if (std::isupper(static_cast<unsigned char>(c)) && !out.empty()) out += '_';
    out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

// Rows that stand for an enumerator are found by their distance from the first: order and spelling must
// agree.
TEST_F(MetricsTest, RowsFollowTheEnumerationsOfTheWire) {
  const auto expect = [this](Metric family, unsigned distance, const std::string& series) {
    MetricsPage page(MetricScope::kReactor, 0);
    page.add(metric_at(family, distance));
    const MetricsPage* pages[] = {&page};
    EXPECT_THAT(metrics_text(pages), HasLine(series + ",core=\"0\"} 1\n"));
  };
  for (const wire::ErrorCode code : wire::EnumValuesErrorCode()) {
    if (code == wire::ErrorCode::None) continue;
    expect(Metric::kErrorMalformed, static_cast<unsigned>(code) - 1,
           "perch_errors_sent_total{code=\"" + snake(wire::EnumNameErrorCode(code)) + "\"");
  }
  for (const wire::HoldReason reason : wire::EnumValuesHoldReason())
    expect(Metric::kHeldRate, static_cast<unsigned>(reason) - 1,
           "perch_held_total{reason=\"" + snake(wire::EnumNameHoldReason(reason)) + "\"");
  for (const wire::RejectReason reason : wire::EnumValuesRejectReason())
    expect(Metric::kRejectedNotFound, static_cast<unsigned>(reason) - 1,
           "perch_rejected_total{reason=\"" + snake(wire::EnumNameRejectReason(reason)) + "\"");
}

// core/limits.h: each field's comment ends with the metric that shows the limit reached.
TEST_F(MetricsTest, EveryLimitNamesItsMetric) {
  std::ifstream in(PERCH_SOURCE_DIR "/core/limits.h");
  ASSERT_TRUE(in.is_open());
  const std::string all = text();
  const std::regex field("^  u?int[0-9]+_t ([a-z_]+) = .*"), metric("perch_[a-z_]+(\\{[a-z]+=\"[a-z_]+\")?");
  std::map<std::string, std::string> comments;  // field, all that is said of it
  std::string name;
  for (std::string line; std::getline(in, line);) {
    std::smatch match;
    if (std::regex_match(line, match, field)) name = match[1];
    if (line.find_first_not_of(" /-") == std::string::npos || line.starts_with("  // ---") ||
        line.starts_with("}"))
      name.clear();
    if (!name.empty()) comments[name] += line + "\n";
  }
  EXPECT_GE(comments.size(), 30u);
  for (const auto& [limit, said] : comments) {
    const auto begin = std::sregex_iterator(said.begin(), said.end(), metric);
    EXPECT_NE(begin, std::sregex_iterator()) << limit << " names no metric";
    for (auto at = begin; at != std::sregex_iterator(); ++at)
      EXPECT_THAT(all, HasLine(at->str())) << limit << " names a metric that is not there";
  }
}

}  // namespace
}  // namespace perch
