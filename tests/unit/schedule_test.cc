#include "bench/schedule.h"

#include <gtest/gtest.h>

#include <vector>

namespace perch::bench {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

// What a generator sends that looks at the clock at `looks` only.
std::vector<uint64_t> sent(Schedule& schedule, const std::vector<uint64_t>& looks) {
  std::vector<uint64_t> moments;
  for (const uint64_t now : looks) {
    for (auto next = schedule.next_ns(); next && *next <= now; next = schedule.next_ns()) {
      moments.push_back(*next);
      schedule.take();
    }
  }
  return moments;
}

TEST(Schedule, OneMessageAtATimeAndNoneAtTheEnd) {
  Schedule schedule(7, 7 + kSecond, 4);
  EXPECT_EQ(schedule.num_left(), 4u);
  EXPECT_EQ(sent(schedule, {7, 7 + kSecond / 4}), (std::vector<uint64_t>{7, 7 + kSecond / 4}));
  EXPECT_EQ(schedule.next_ns(), 7 + kSecond / 2);
  EXPECT_EQ(schedule.num_left(), 2u);
  EXPECT_EQ(sent(schedule, {7 + kSecond}).size(), 2u);
  EXPECT_EQ(schedule.next_ns(), std::nullopt);
}

TEST(Schedule, WhoSleepsOverTheEndFindsAllThatWasMeant) {
  Schedule awake(0, 3 * kSecond, 100), asleep(0, 3 * kSecond, 100);
  std::vector<uint64_t> every_ms;
  for (uint64_t now = 0; now < 3 * kSecond; now += 1'000'000) every_ms.push_back(now);
  const std::vector<uint64_t> all = sent(awake, every_ms);
  EXPECT_EQ(all.size(), 300u);
  EXPECT_EQ(sent(asleep, {0, kSecond, 20 * kSecond}), all);
}

TEST(Schedule, CountsWhatIsMeantForAWindow) {
  const Schedule schedule(kSecond, 11 * kSecond, 333.3);
  EXPECT_EQ(schedule.num_before(kSecond), 0u);
  EXPECT_EQ(schedule.num_before(kSecond + 1), 1u);
  EXPECT_EQ(schedule.num_before(2 * kSecond), 334u) << "the first at once, the last at 333 / 333.3 s";
  EXPECT_EQ(schedule.num_left(), 3333u);
}

// Rates whose steps are no whole nanoseconds: next_ns() and num_before() must agree to the last one.
TEST(Schedule, RoundingTakesNoMessageAway) {
  for (const double rate : {0.1, 3.0, 7.0, 333.3, 99'991.0, 1e7}) {
    Schedule schedule(12'345, 12'345 + kSecond / 10, rate);
    const uint64_t left = schedule.num_left();
    for (uint64_t num = 0; num < left; ++num) {
      const uint64_t now = *schedule.next_ns();
      ASSERT_LT(now, 12'345 + kSecond / 10);
      ASSERT_EQ(schedule.num_before(now), num) << rate;
      ASSERT_EQ(schedule.num_before(now + 1), num + 1) << rate;
      schedule.take();
    }
    EXPECT_EQ(schedule.next_ns(), std::nullopt);
  }
}

}  // namespace
}  // namespace perch::bench
