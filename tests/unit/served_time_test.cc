#include "core/served_time.h"

#include <gtest/gtest.h>

namespace perch {
namespace {

TEST(ServedTime, GoesOnWhereTheLastRunEnded) {
  constexpr ServedTime kSecondRun{.before_ms = 5'000, .started_ms = 1'000'000};
  EXPECT_EQ(kSecondRun.at(1'000'000), 5'000u);
  EXPECT_EQ(kSecondRun.at(1'000'250), 5'250u);
}

}  // namespace
}  // namespace perch
