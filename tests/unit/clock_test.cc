#include "core/clock.h"

#include <gtest/gtest.h>

#include <ctime>

namespace perch {
namespace {

struct Fixed : Clock {
  uint64_t mono_ns() override { return 12'345'678'901; }
  uint64_t wall_ms() override { return 0; }
};

TEST(Clock, MillisecondsAreWholeOnes) {
  Fixed clock;
  EXPECT_EQ(clock.mono_ms(), 12'345u);
}

TEST(Clock, TheSystemsNeverGoesBack) {
  Clock& clock = system_clock();
  uint64_t last = clock.mono_ns();
  EXPECT_GT(last, 0u);
  for (int i = 0; i < 10'000; ++i) {
    const uint64_t now = clock.mono_ns();
    ASSERT_GE(now, last);
    last = now;
  }
  EXPECT_EQ(&system_clock(), &clock);
}

TEST(Clock, TheWallIsTheWorldsAndTheOtherIsNot) {
  const auto before = static_cast<uint64_t>(time(nullptr));
  const uint64_t wall_ms = system_clock().wall_ms();
  EXPECT_GE(wall_ms / 1000 + 1, before) << "a coarser clock may be a tick behind";
  EXPECT_LE(wall_ms / 1000, static_cast<uint64_t>(time(nullptr)) + 1);
  timespec mono{};
  clock_gettime(CLOCK_MONOTONIC, &mono);
  EXPECT_LE(system_clock().mono_ns() / 1'000'000'000, static_cast<uint64_t>(mono.tv_sec) + 1);
}

}  // namespace
}  // namespace perch
