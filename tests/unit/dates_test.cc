#include "client/terminal/screen/dates.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace perch::client::screen {
namespace {

constexpr uint64_t kMinute = 60'000, kHour = 60 * kMinute, kDay = 24 * kHour;
constexpr uint64_t kNoon = 1'772'366'400'000;  // 2026-03-01 12:00 UTC, a Sunday

class Dates : public testing::Test {
 protected:
  void SetUp() override { set_zone("UTC"); }
  static void set_zone(const char* zone) {
    setenv("TZ", zone, 1);
    tzset();
  }
};

TEST_F(Dates, ADayHasAName) {
  EXPECT_EQ(day_text(kNoon, kNoon + kHour), "Today");
  EXPECT_EQ(day_text(kNoon - kDay, kNoon), "Yesterday");
  EXPECT_EQ(day_text(kNoon - 2 * kDay, kNoon), "Friday, 27 February");
  EXPECT_EQ(day_text(kNoon - 60 * kDay, kNoon), "Wednesday, 31 December 2025");
  EXPECT_EQ(day_text(kNoon + kDay, kNoon), "Monday, 2 March") << "the other's clock is wrong, or this one";
}

TEST_F(Dates, MidnightIsTheLocalOne) {
  EXPECT_TRUE(same_day(kNoon, kNoon + 11 * kHour));
  EXPECT_FALSE(same_day(kNoon, kNoon + 12 * kHour));
  set_zone("EST5");
  EXPECT_TRUE(same_day(kNoon, kNoon + 12 * kHour));
  EXPECT_EQ(hour_text(kNoon + 5 * kMinute), "07:05");
}

TEST_F(Dates, YesterdayIsNoMatterOfHours) {
  set_zone("CET-1CEST,M3.5.0,M10.5.0/3");
  const uint64_t long_day = 1'792'879'200'000;  // 2026-10-25 00:00 there, a day of 25 hours
  EXPECT_EQ(day_text(long_day, long_day + 25 * kHour), "Yesterday");
  EXPECT_EQ(day_text(long_day, long_day + 25 * kHour - 1), "Today");
  const uint64_t short_day = 1'774'738'800'000;  // 2026-03-29 00:00 there, of 23 hours
  EXPECT_EQ(day_text(short_day, short_day + 23 * kHour + kMinute), "Yesterday");
}

TEST_F(Dates, AColumnOfTimesIsNarrow) {
  EXPECT_EQ(short_text(kNoon, kNoon), "12:00");
  EXPECT_EQ(short_text(kNoon - kDay, kNoon), "28 Feb");
}

}  // namespace
}  // namespace perch::client::screen
