#include "client/utf8.h"

#include <gtest/gtest.h>

namespace perch::client {
namespace {

TEST(Utf8Test, KnowsWhatIsASequence) {
  for (const std::string_view text :
       {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "caf\xc3\xa9 \xf0\x9f\x91\x8d"})
    EXPECT_TRUE(is_utf8(text)) << text;
  EXPECT_TRUE(is_utf8(std::string_view("\0", 1)));
}

TEST(Utf8Test, RefusesWhatDecodersHaveBeenFooledBy) {
  for (const std::string_view text : {
           "\x80", "\xbf", "\xff", "\xfe",               // no first byte
           "\xc0\xaf", "\xc1\xbf",                       // overlong, two bytes
           "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf",           // overlong, three and four
           "\xed\xa0\x80", "\xed\xbf\xbf",               // surrogates
           "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",       // above U+10FFFF
           "\xc3", "\xe2\x82", "\xf0\x9f\x91", "a\xc3",  // cut off
           "\xe2\x28\xa1", "\xc3\x28",                   // no continuation
       })
    EXPECT_FALSE(is_utf8(text)) << text;
}

TEST(Utf8Test, TellsTheLengthOfEach) {
  const std::string_view text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x91\x8d\xff";
  EXPECT_EQ(utf8_sequence_len(text, 0), 1u);
  EXPECT_EQ(utf8_sequence_len(text, 1), 2u);
  EXPECT_EQ(utf8_sequence_len(text, 3), 3u);
  EXPECT_EQ(utf8_sequence_len(text, 6), 4u);
  EXPECT_EQ(utf8_sequence_len(text, 10), 0u);
  EXPECT_EQ(utf8_sequence_len(text, 2), 0u);  // in the middle of one
}

TEST(Utf8Test, AHeadEndsBetweenSequences) {
  EXPECT_EQ(utf8_head("a\u00fcb", 5), "a\u00fcb");
  EXPECT_EQ(utf8_head("a\u00fcb", 4), "a\u00fcb");
  EXPECT_EQ(utf8_head("a\u00fcb", 3), "a\u00fc");
  EXPECT_EQ(utf8_head("a\u00fcb", 2), "a");
  EXPECT_EQ(utf8_head("\U0001f642", 3), "");
}

}  // namespace
}  // namespace perch::client
