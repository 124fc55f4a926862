// What perchctl reads out of the server's metrics: the text is the one that core/metrics.h makes.
#include "ctl/readings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/metrics.h"

namespace perch::ctl {
namespace {

using ::testing::ElementsAre;

class ReadingsTest : public ::testing::Test {
 protected:
  Readings read() {
    const MetricsPage* pages[] = {&first, &second, &store, &main};
    Result<Readings> readings = Readings::parse(metrics_text(pages));
    EXPECT_TRUE(readings.ok());
    return readings ? *std::move(readings) : Readings();
  }
  MetricsPage first{MetricScope::kReactor, 0}, second{MetricScope::kReactor, 1}, store{MetricScope::kStore},
      main{MetricScope::kMain};
};

TEST_F(ReadingsTest, AddsUpByNameAndByCore) {
  first.add(Metric::kHeldRate, 2);
  first.add(Metric::kHeldBusy, 3);
  second.add(Metric::kHeldRate, 10);
  store.set(Metric::kHopsWaiting, 7);
  store.set_ratio(Metric::kTablesFill, 0.25);
  const Readings readings = read();
  EXPECT_EQ(readings.sum("perch_held_total"), 15);
  EXPECT_EQ(readings.sum("perch_held_total", "0"), 5);
  EXPECT_EQ(readings.sum("perch_hops_waiting", "store"), 7);
  EXPECT_EQ(readings.sum("perch_held"), 0);
  EXPECT_EQ(readings.with("perch_held_total", "reason", "rate"), 12);
  EXPECT_EQ(readings.with("perch_store_fill_ratio", "map", "tables"), 0.25);
  EXPECT_THAT(readings.reactors(), ElementsAre("0", "1"));
}

TEST_F(ReadingsTest, QuantilesAreOfThePeriodAlone) {
  for (int i = 0; i < 1000; ++i) store.observe(Histogram::kCommitUs, 1 << 20);  // before: it does not count
  const Readings before = read();
  EXPECT_EQ(quantile_between(before, before, "perch_store_commit_seconds", 0.5), 0);
  for (int i = 0; i < 98; ++i) store.observe(Histogram::kCommitUs, 1000);
  store.observe(Histogram::kCommitUs, 5000);
  store.observe(Histogram::kCommitUs, 1u << 25);
  const Readings after = read();
  EXPECT_DOUBLE_EQ(quantile_between(before, after, "perch_store_commit_seconds", 0.5), 0.001024);
  EXPECT_DOUBLE_EQ(quantile_between(before, after, "perch_store_commit_seconds", 0.99), 0.008192);
  EXPECT_TRUE(std::isinf(quantile_between(before, after, "perch_store_commit_seconds", 1)));
}

TEST_F(ReadingsTest, SaysWhichLineIsNoSample) {
  EXPECT_EQ(Readings::parse("# HELP a\na 1\nb{c=\"d\",e=\"\"} 0.5\n\n")->samples().size(), 2u);
  for (const char* line : {"a", "a ", "a one", " 1", "a{ 1", "a{b} 1", "a{b=\"} 1", "a{b=\"c\" 1"})
    EXPECT_EQ(Readings::parse(std::string("ok 1\n") + line + "\n").error(), (Error{Errc::kInvalid, 2}))
        << line;
}

}  // namespace
}  // namespace perch::ctl
