#include "client/terminal/screen/transcript.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace perch::client::screen {
namespace {

constexpr uint64_t kMinute = 60'000, kDay = 24 * 60 * kMinute;
constexpr uint64_t kNow = 1'772'366'400'000;  // 2026-03-01 12:00 UTC

Entry entry(const std::string& key, const std::string& who, const std::string& text) {
  Entry out;
  out.key = key;
  out.who = who;
  out.mine = who == "you";
  out.text = text;
  out.time_ms = kNow;
  return out;
}

class Transcript : public testing::Test {
 protected:
  Transcript() {
    setenv("TZ", "UTC", 1);
    tzset();
    state_.now_ms = kNow;
  }
  // As one would see them.
  std::vector<std::string> rows(int width) const {
    std::vector<std::string> out;
    for (const TranscriptRow& row : transcript(state_, width)) {
      Grid grid({width, 1});
      for (const Piece& piece : row.pieces) grid.put({0, piece.column}, piece.text, piece.style, width);
      out.push_back(grid.text(0));
    }
    return out;
  }
  State state_;
};

using Rows = std::vector<std::string>;

TEST_F(Transcript, DaysStandBetween) {
  state_.entries = {entry("1", "bob", "old"), entry("2", "bob", "older than today"),
                    entry("3", "you", "new")};
  state_.entries[0].time_ms = kNow - 5 * kDay;
  state_.entries[1].time_ms = kNow - kDay;
  EXPECT_EQ(rows(36), (Rows{"── Tuesday, 24 February ───────────", "12:00 bob  old",
                            "── Yesterday ──────────────────────", "12:00 bob  older than today",
                            "── Today ──────────────────────────", "12:00 you  new"}));
}

TEST_F(Transcript, ALongMessageIsCutUntilItIsSelected) {
  state_.entries = {entry("1", "eve", std::string(64 * 1024, '\n')),
                    entry("2", "eve", std::string(9'000, 'x'))};
  EXPECT_EQ(rows(80).size(), 1 + 51 + 51u);
  EXPECT_EQ(rows(80)[51], "           … there is more: Ctrl-S shows it");
  state_.mode = Mode::kSelect;
  state_.selected = "1";
  EXPECT_GT(rows(80).size(), 64u * 1024);
}

TEST_F(Transcript, TextIsWrappedUnderItself) {
  state_.entries = {entry("1", "bob", "one two three four\nfive")};
  EXPECT_EQ(rows(24), (Rows{"── Today ──────────────", "12:00 bob  one two", "           three four",
                            "           five"}));
}

TEST_F(Transcript, TicksStandBehindTheTextOrBelowIt) {
  state_.entries = {entry("1", "you", "short"), entry("2", "you", "it fills it")};
  state_.entries[0].mark = "✓✓ read";
  state_.entries[1].mark = "✓";
  EXPECT_EQ(rows(26),
            (Rows{"── Today ────────────────", "12:00 you  short  ✓✓ read", "12:00 you  it fills it  ✓"}));
  EXPECT_EQ(rows(25), (Rows{"── Today ───────────────", "12:00 you  short", "           ✓✓ read",
                            "12:00 you  it fills it", "           ✓"}));
}

TEST_F(Transcript, WhatIsSaidAboutAMessageStandsWithIt) {
  state_.entries = {entry("1", "bob", "noon then")};
  state_.entries[0].quote = "when and where shall we";
  state_.entries[0].reactions = "👍";
  state_.entries[0].mark = "edited";
  EXPECT_EQ(rows(32), (Rows{"── Today ──────────────────────", "12:00 bob  ▏when and where sha…",
                            "           noon then  edited", "           👍"}));
}

TEST_F(Transcript, WhatIsNewHasALine) {
  state_.entries = {entry("1", "bob", "read"), entry("2", "bob", "not")};
  state_.first_new = "2";
  EXPECT_EQ(rows(20)[2], "── new ────────────");
}

TEST_F(Transcript, LongNamesAreShortened) {
  state_.entries = {entry("1", "somebody-with-a-name", "text")};
  EXPECT_EQ(rows(60)[1], "12:00 somebody-wi…  text");
  EXPECT_EQ(rows(24)[1], "12:00 someb…  text");
}

TEST_F(Transcript, NothingOfAPeerReachesTheCellsUnseen) {
  state_.entries = {entry("1", "b\x1b[1mob", "\x1b[2J\u202etext")};
  EXPECT_EQ(rows(40)[1], "12:00 b�[1mob  �[2Jtext");
}

TEST_F(Transcript, TheLowestRowStaysWhatever) {
  for (int i = 0; i < 5; ++i) state_.entries.push_back(entry(std::to_string(i), "bob", "one two three four"));
  auto shown = transcript(state_, 24);
  ASSERT_EQ(shown.size(), 11u) << "a day, and two for each";
  EXPECT_EQ(bottom_row(state_, shown), 10u);
  state_.bottom = shown[4].at;
  EXPECT_EQ(*state_.bottom, (Anchor{"1", 1}));
  state_.entries.push_back(entry("later", "bob", "another"));
  state_.entries.insert(state_.entries.begin(), entry("earlier", "bob", "another"));
  shown = transcript(state_, 24);
  EXPECT_EQ(shown[bottom_row(state_, shown)].at, *state_.bottom);
  shown = transcript(state_, 80);  // one row each now
  EXPECT_EQ(shown[bottom_row(state_, shown)].at, (Anchor{"1", 0}));
  state_.bottom = Anchor{"gone", 0};
  EXPECT_EQ(bottom_row(state_, shown), shown.size() - 1);
  EXPECT_EQ(bottom_row(state_, {}), 0u);
}

}  // namespace
}  // namespace perch::client::screen
