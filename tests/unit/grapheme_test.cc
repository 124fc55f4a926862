#include "client/terminal/screen/grapheme.h"

#include <gtest/gtest.h>

namespace perch::client::screen {
namespace {

struct Example {
  const char* what;
  const char* text;
  int width;
  bool exact;
};

// One cluster each.
constexpr Example kExamples[] = {
    {"a letter", "a", 1, true},
    {"a letter of Latin-1", "ü", 1, true},
    {"a letter and a combining accent", "e\u0301", 1, false},
    {"Greek", "α", 1, false},
    {"an ideograph", "漢", 2, true},
    {"kana", "あ", 2, true},
    {"a Hangul syllable", "한", 2, true},
    {"a Hangul syllable of its letters", "\u1112\u1161\u11ab", 2, false},
    {"a full-width letter", "Ａ", 2, false},
    {"a half-width kana", "ｱ", 1, false},
    {"Devanagari with a vowel sign", "\u0915\u0941", 1, false},
    {"a smile", "😀", 2, false},
    {"a thumb with a skin tone", "👍🏽", 2, false},
    {"a family", "👨\u200d👩\u200d👧\u200d👦", 2, false},
    {"a kiss with skin tones", "👩🏽\u200d❤\ufe0f\u200d💋\u200d👨🏿", 2, false},
    {"a flag", "🇩🇪", 2, false},
    {"the flag of a region", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", 2, false},
    {"a heart as text", "❤", 1, false},
    {"a heart as emoji", "❤\ufe0f", 2, false},
    {"a watch, wide by itself", "⌚", 2, false},
    {"a keycap", "1\ufe0f\u20e3", 2, false},
    {"a letter that has no emoji", "x\ufe0f", 1, false},
    {"a tick", "✓", 1, false},
    {"a box", "│", 1, false},
    {"private use", "\ue000", 1, false},
};

TEST(Grapheme, AClusterIsWhatAPersonSees) {
  for (const Example& example : kExamples) {
    const std::string text = std::string(example.text) + "z";
    const Cluster cluster = cluster_at(text, 0);
    EXPECT_EQ(cluster.text, example.text) << example.what;
    EXPECT_EQ(cluster.width, example.width) << example.what;
    EXPECT_EQ(cluster.exact, example.exact) << example.what;
    EXPECT_TRUE(cluster.drawable) << example.what;
    EXPECT_EQ(cluster_before(text, text.size() - 1), 0u) << example.what;
    EXPECT_EQ(harmless(example.text), example.text) << example.what;
  }
}

TEST(Grapheme, FlagsAreCountedFromTheBeginningOfTheLine) {
  const std::string text = "\n🇩🇪🇫🇷🇯🇵";
  EXPECT_EQ(width_of(std::string_view(text).substr(1)), 6);
  EXPECT_EQ(cluster_before(text, text.size()), 1u + 16);
  EXPECT_EQ(cluster_before(text, 17), 9u);
  EXPECT_EQ(cluster_before(text, 1), 0u);
}

TEST(Grapheme, WhatCannotBeDrawnIsSaid) {
  for (const char* text : {"\x1b", "\x07", "\x7f", "\xc2\x9b", "\xff", "\u0301", "\u200d", "\u2028"}) {
    EXPECT_FALSE(cluster_at(text, 0).drawable) << text;
    EXPECT_EQ(cluster_at(text, 0).width, 1) << text;
  }
}

TEST(Grapheme, TextFitsByColumns) {
  EXPECT_EQ(fitting("漢字漢字", 5), "漢字");
  EXPECT_EQ(fitting("abc", 5), "abc");
  EXPECT_EQ(fitting("abc", 0), "");
  EXPECT_EQ(shortened("abcdef", 4), "abc…");
  EXPECT_EQ(shortened("abcd", 4), "abcd");
  EXPECT_EQ(shortened("漢字漢", 4), "漢…");
  EXPECT_EQ(shortened("abc", 0), "");
}

TEST(Grapheme, RowsBreakAtBlanks) {
  using Rows = std::vector<std::string_view>;
  EXPECT_EQ(wrapped("the quick brown fox", 10), (Rows{"the quick", "brown fox"}));
  EXPECT_EQ(wrapped("abcdefghij", 4), (Rows{"abcd", "efgh", "ij"}));
  EXPECT_EQ(wrapped("a abcdefgh", 4), (Rows{"a", "abcd", "efgh"}));
  EXPECT_EQ(wrapped("    four", 6), (Rows{"    fo", "ur"}))
      << "what stands before a line is no place to break";
  EXPECT_EQ(wrapped("four   ", 4), (Rows{"four"}));
  EXPECT_EQ(wrapped("漢字漢字漢", 5), (Rows{"漢字", "漢字", "漢"}));
  EXPECT_EQ(wrapped("", 5), (Rows{""}));
  EXPECT_EQ(wrapped("👨\u200d👩\u200d👧👨\u200d👩\u200d👧", 2), (Rows{"👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"}));
}

TEST(Grapheme, TextsOfPeersDriveNothing) {
  EXPECT_EQ(harmless_lines("one\r\ntwo\n"), (std::vector<std::string>{"one", "two", ""}));
  EXPECT_EQ(harmless_lines("one\rtwo\r\r"), (std::vector<std::string>{"one", "two", "", ""}));
  EXPECT_EQ(harmless("x\U000e0073\U000e0065\U000e0063"), "x") << "tags hide text but in flags";
  EXPECT_EQ(harmless("\x1b]0;title\x07\x1b[2J"), "�]0;title��[2J");
  EXPECT_EQ(harmless("a\tb"), "a    b");
  EXPECT_EQ(harmless("user\u202egpj.exe"), "usergpj.exe") << "turns the direction";
  EXPECT_EQ(harmless("\u2066x\u2069\u200bz\ufeff"), "xz");
  EXPECT_EQ(harmless("a\u2028b"), "a b");
  EXPECT_EQ(harmless("می\u200cخواهم"), "می\u200cخواهم") << "a joiner that a language needs";
}

TEST(Grapheme, ACharacterHasAnEnd) {
  std::string tower = "a";
  for (int i = 0; i < 1000; ++i) tower += "\u0301";
  EXPECT_EQ(harmless(tower + "b").size(), 1u + 15 * 2 + 1);
}

}  // namespace
}  // namespace perch::client::screen
