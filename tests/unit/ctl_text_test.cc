#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctl/text.h"

namespace perch::ctl {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(CtlTextTest, DurationsAreSaidInTheTwoLargestUnits) {
  EXPECT_EQ(duration_text(0), "0s");
  EXPECT_EQ(duration_text(59), "59s");
  EXPECT_EQ(duration_text(60), "1m 0s");
  EXPECT_EQ(duration_text(3'599), "59m 59s");
  EXPECT_EQ(duration_text(86'399), "23h 59m");
  EXPECT_EQ(duration_text(30 * 86'400 + 3'600), "30d 1h");
}

TEST(CtlTextTest, BytesAreSaidInAUnitThatSuits) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(1023), "1023 B");
  EXPECT_EQ(bytes_text(1536), "1.5 KiB");
  EXPECT_EQ(bytes_text(3ull << 30), "3.0 GiB");
  EXPECT_EQ(bytes_text(5000ull << 40), "5000.0 TiB");
}

TEST(CtlTextTest, LinesWithoutEmptyOnes) {
  EXPECT_THAT(lines_of(""), IsEmpty());
  EXPECT_THAT(lines_of("\n\n"), IsEmpty());
  EXPECT_THAT(lines_of("a\n\nb c\nd"), ElementsAre("a", "b c", "d"));
}

TEST(CtlTextTest, AWordHasNoBlankAndNothingThatEndsALine) {
  for (const char* word : {"a", "17", "ada.l_2-x", "\xc3\xa4"}) EXPECT_TRUE(is_word(word)) << word;
  for (const char* other : {"", " ", "a b", "a\n", "\tb", "a\x7f"}) EXPECT_FALSE(is_word(other)) << other;
}

}  // namespace
}  // namespace perch::ctl
