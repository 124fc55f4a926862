#include "client/terminal/screen/layout.h"

#include <gtest/gtest.h>

#include "client/terminal/screen/update.h"

namespace perch::client::screen {
namespace {

constexpr uint64_t kNow = 1'772'366'400'000;

std::string text_of(const View& view) {
  std::string out;
  for (int row = 0; row < view.grid.size().rows; ++row) out += view.grid.text(row) + "\n";
  return out;
}

class LayoutTest : public testing::Test {
 protected:
  LayoutTest() {
    state_.now_ms = kNow;
    state_.account = "me";
    state_.link = "online";
    state_.linked = true;
    for (int i = 0; i < 30; ++i) {
      Contact contact;
      contact.to = contact.name = "friend" + std::to_string(i);
      contact.preview = "preview" + std::to_string(i);
      contact.time_ms = kNow;
      contact.num_unread = i == 3 ? 12 : 0;
      state_.contacts.push_back(contact);
    }
  }
  View at(Size size) const { return layout(state_, size); }
  bool shows(Size size, const std::string& text) const {
    return text_of(at(size)).find(text) != std::string::npos;
  }
  State state_;
};

TEST_F(LayoutTest, EverySizeCanBeDrawn) {
  Entry entry;
  entry.key = "1";
  entry.who = "friend1";
  entry.text = "漢字 👨\u200d👩\u200d👧 and a long text that has to be wrapped somewhere";
  for (int i = 0; i < 50; ++i) state_.entries.push_back(entry);
  state_.hits.resize(60);
  show(state_, "friend1");
  state_.editor.insert("a\nb\nc\nd\ne\nf\ng 漢字");
  for (const Mode mode :
       {Mode::kChat, Mode::kList, Mode::kNew, Mode::kFind, Mode::kHits, Mode::kHelp, Mode::kLogin}) {
    state_.mode = mode;
    for (int columns = 1; columns < 130; columns += 7) {
      for (int rows = 1; rows < 50; rows += 3) {
        const View view = at({columns, rows});
        if (!view.cursor) continue;
        EXPECT_LT(view.cursor->row, rows);
        EXPECT_LT(view.cursor->column, columns);
        EXPECT_GE(view.cursor->row, 0);
        EXPECT_GE(view.cursor->column, 0);
      }
    }
  }
}

TEST_F(LayoutTest, TheListFollowsWhatIsChosen) {
  EXPECT_TRUE(shows({80, 24}, "friend0"));
  EXPECT_FALSE(shows({80, 24}, "friend20"));
  state_.picked = 20;
  EXPECT_TRUE(shows({80, 24}, "friend20"));
  EXPECT_TRUE(shows({80, 24}, "preview20"));
  EXPECT_FALSE(shows({80, 12}, "preview20")) << "there is no room for what was said";
}

TEST_F(LayoutTest, UnreadMessagesAreCounted) {
  EXPECT_TRUE(shows({80, 24}, "preview3       12"));
  EXPECT_TRUE(shows({80, 12}, "friend3        12"));
  show(state_, "friend1");
  EXPECT_TRUE(shows({40, 12}, "12 unread"));
  show(state_, "friend3");
  EXPECT_FALSE(shows({40, 12}, "12 unread")) << "those of the conversation one is in";
}

TEST_F(LayoutTest, AScreenThatIsNarrowShowsOneThing) {
  show(state_, "friend1");
  EXPECT_TRUE(shows({80, 24}, "friend2"));
  EXPECT_FALSE(shows({40, 24}, "friend2"));
  state_.mode = Mode::kList;
  EXPECT_TRUE(shows({40, 24}, "friend2"));
}

TEST_F(LayoutTest, WhatIsWrongIsSaid) {
  state_.trouble = "offline: trying again";
  EXPECT_TRUE(shows({80, 24}, "offline: trying again"));
  state_.notice = "not sent";
  EXPECT_TRUE(shows({80, 24}, "not sent"));
  EXPECT_EQ(at({80, 24}).grid.row(0)[0].style, Style::kTitle);
  state_.linked = false;
  EXPECT_EQ(at({80, 24}).grid.row(0)[0].style, Style::kWarning);
}

TEST_F(LayoutTest, TheCursorIsWhereOneWrites) {
  show(state_, "friend1");
  state_.editor.insert("漢字");
  EXPECT_EQ(at({80, 24}).cursor, (Position{22, 22 + 2 + 4}));
  state_.editor.insert(std::string(100, 'x'));
  EXPECT_EQ(at({80, 24}).cursor->row, 22);
  state_.mode = Mode::kHelp;
  EXPECT_FALSE(at({80, 24}).cursor);
}

TEST_F(LayoutTest, ATokenIsNotShown) {
  state_.mode = Mode::kLogin;
  state_.login.at_token = true;
  state_.login.token.insert("secret");
  EXPECT_FALSE(shows({80, 24}, "secret"));
  EXPECT_TRUE(shows({80, 24}, "(6 characters)"));
}

TEST_F(LayoutTest, NothingOfAPeerDrivesTheTerminal) {
  const std::string hostile = "\x1b[2J\x07\xc2\x9b\xff";
  for (Contact& contact : state_.contacts) contact.name = contact.preview = hostile;
  state_.account = state_.notice = state_.trouble = state_.link = state_.sought = hostile;
  Entry entry;
  entry.key = "1";
  entry.who = entry.text = entry.mark = hostile;
  state_.entries = {entry};
  state_.hits = {{.to = hostile, .name = hostile, .entry = entry, .number = 1}};
  state_.login.why = hostile;
  show(state_, "friend1");
  state_.entries = {entry};
  for (const Mode mode : {Mode::kChat, Mode::kList, Mode::kHits, Mode::kLogin}) {
    state_.mode = mode;
    for (const char byte : text_of(at({80, 24})))
      EXPECT_TRUE(byte == '\n' || static_cast<uint8_t>(byte) >= 0x20);
  }
}

}  // namespace
}  // namespace perch::client::screen
