// A thread that stands still is seen, whichever it is, and one that goes on again is forgiven.
#include "chat/progress.h"

#include <gtest/gtest.h>

namespace perch::chat {
namespace {

TEST(ProgressTest, TellsForHowLongTheSlowestHasStoodStill) {
  std::vector<std::unique_ptr<MetricsPage>> pages;
  pages.push_back(std::make_unique<MetricsPage>(MetricScope::kReactor, 0));
  pages.push_back(std::make_unique<MetricsPage>(MetricScope::kReactor, 1));
  pages.push_back(std::make_unique<MetricsPage>(MetricScope::kStore));
  pages.push_back(std::make_unique<MetricsPage>(MetricScope::kMain));  // looks itself
  for (size_t stuck = 0; stuck < 3; ++stuck) {
    Progress progress(pages, 1000);
    EXPECT_EQ(progress.look(1500), 500u);
    const auto turn = [&](bool all) {
      for (size_t i = 0; i < 3; ++i)
        if (all || i != stuck) pages[i]->add(Metric::kTurns);
    };
    turn(true);
    EXPECT_EQ(progress.look(2000), 0u);
    turn(false);
    EXPECT_EQ(progress.look(2500), 500u) << stuck;
    turn(false);
    EXPECT_EQ(progress.look(9000), 7000u) << stuck;
    turn(true);
    EXPECT_EQ(progress.look(9100), 0u) << stuck;
  }
}

}  // namespace
}  // namespace perch::chat
