#include "core/check.h"

#include <gtest/gtest.h>

namespace perch {
namespace {

TEST(Check, ATrueConditionIsLookedAtOnce) {
  int looks = 0;
  PERCH_CHECK(++looks == 1);
  EXPECT_EQ(looks, 1);
}

TEST(Check, IsOneStatement) {
  bool other = false;
  if (other)
    PERCH_CHECK(other);
  else
    other = true;
  EXPECT_TRUE(other);
}

TEST(CheckDeathTest, AFalseOneSaysWhereAndWhatAndAborts) {
  const int answer = 41;
  EXPECT_EXIT(PERCH_CHECK(answer == 42), ::testing::KilledBySignal(SIGABRT),
              "check_test\\.cc:[0-9]+: this must be true and is not: answer == 42");
}

TEST(CheckDeathTest, DcheckIsForDebugBuildsOnly) {
  int looks = 0;
  [[maybe_unused]] const auto look = [&looks] { return ++looks > 0; };
  PERCH_DCHECK(look());
#ifdef NDEBUG
  EXPECT_EQ(looks, 0) << "too dear for release";
  PERCH_DCHECK(false);
#else
  EXPECT_EQ(looks, 1);
  EXPECT_DEATH(PERCH_DCHECK(false), "must be true");
#endif
}

}  // namespace
}  // namespace perch
