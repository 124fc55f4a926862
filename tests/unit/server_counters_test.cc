// What the benchmark reads out of a server's metrics.
#include "bench/server_counters.h"

#include <gtest/gtest.h>

#include "core/metrics.h"

namespace perch::bench {
namespace {

TEST(ServerCounters, SumsOverThreads) {
  MetricsPage first(MetricScope::kReactor, 0), second(MetricScope::kReactor, 1), store(MetricScope::kStore);
  first.set(Metric::kRingEnters, 1);
  second.set(Metric::kRingEnters, 20);
  store.set(Metric::kRingEnters, 300);
  first.add(Metric::kFramesIn, 4'000);
  second.add(Metric::kFramesOut, 50'000);
  const MetricsPage* pages[] = {&first, &second, &store};
  const auto counters = parse_counters(metrics_text(pages));
  ASSERT_TRUE(counters.has_value());
  EXPECT_EQ(counters->num_enters, 321u);
  EXPECT_EQ(counters->num_frames, 54'000u);
}

TEST(ServerCounters, SaysNothingOfATextThatLacksASeries) {
  EXPECT_FALSE(parse_counters("").has_value());
  EXPECT_FALSE(parse_counters("error: no such request\n").has_value());
  const std::string two = "perch_ring_enters_total 1\nperch_frames_received_total 2\n";
  EXPECT_FALSE(parse_counters(two + "perch_frames_sent_totals 3\n").has_value());
  EXPECT_TRUE(parse_counters(two + "perch_frames_sent_total 3").has_value());
}

TEST(ServerCounters, ReadsNobody) {
  CountersWindow nobody(""), gone("/tmp/perch-no-server-runs-here");
  for (CountersWindow* window : {&nobody, &gone}) {
    window->begin();
    EXPECT_FALSE(window->end().has_value());
  }
}

}  // namespace
}  // namespace perch::bench
