#include "client/terminal/screen/editor.h"

#include <gtest/gtest.h>

namespace perch::client::screen {
namespace {

using Kind = Key::Kind;

Editor with(std::string_view text) {
  Editor editor;
  editor.insert(text);
  return editor;
}
void press(Editor& editor, std::initializer_list<Kind> kinds) {
  for (const Kind kind : kinds) EXPECT_TRUE(editor.on_key({kind, ""}));
}
void press(Editor& editor, const char* control) { EXPECT_TRUE(editor.on_key({Kind::kCtrl, control})); }

TEST(Editor, StepsAndDeletesWhatAPersonSees) {
  Editor editor = with("a👨\u200d👩\u200d👧e\u0301🇩🇪");
  press(editor, {Kind::kLeft, Kind::kLeft, Kind::kLeft});
  EXPECT_EQ(editor.cursor(), 1u);
  press(editor, {Kind::kDelete});
  EXPECT_EQ(editor.text(), "ae\u0301🇩🇪");
  press(editor, {Kind::kRight, Kind::kRight, Kind::kRight, Kind::kBackspace, Kind::kBackspace,
                 Kind::kBackspace, Kind::kBackspace});
  EXPECT_EQ(editor.text(), "");
}

TEST(Editor, MovesAndDeletesByWords) {
  Editor editor = with("one two  three");
  press(editor, {Kind::kWordLeft, Kind::kWordLeft});
  EXPECT_EQ(editor.cursor(), 4u);
  press(editor, {Kind::kWordRight});
  EXPECT_EQ(editor.cursor(), 7u);
  press(editor, {Kind::kWordBackspace});
  EXPECT_EQ(editor.text(), "one   three");
  press(editor, "k");
  EXPECT_EQ(editor.text(), "one ");
  press(editor, "w");
  EXPECT_EQ(editor.text(), "");
}

TEST(Editor, HasLines) {
  Editor editor = with("first\nsecond line");
  press(editor, {Kind::kHome});
  EXPECT_EQ(editor.cursor(), 6u);
  press(editor, {Kind::kRight, Kind::kRight, Kind::kUp});
  EXPECT_EQ(editor.cursor(), 2u);
  press(editor, {Kind::kEnd});
  EXPECT_EQ(editor.cursor(), 5u);
  press(editor, {Kind::kDown});
  EXPECT_EQ(editor.cursor(), 11u);
  press(editor, "u");
  EXPECT_EQ(editor.text(), "first\nd line");
  press(editor, {Kind::kAltEnter});
  EXPECT_EQ(editor.text(), "first\n\nd line");
  press(editor, "e");
  EXPECT_EQ(editor.cursor(), 13u);
  press(editor, "a");
  EXPECT_EQ(editor.cursor(), 7u);
}

TEST(Editor, RecallsWhatWasWritten) {
  Editor editor = with("one");
  EXPECT_EQ(editor.take(), "one");
  editor.insert("two");
  EXPECT_EQ(editor.take(), "two");
  editor.insert("draft");
  press(editor, {Kind::kUp});
  EXPECT_EQ(editor.text(), "two");
  press(editor, {Kind::kUp});
  EXPECT_EQ(editor.text(), "one");
  EXPECT_FALSE(editor.on_key({Kind::kUp, ""}));
  press(editor, {Kind::kDown, Kind::kDown});
  EXPECT_EQ(editor.text(), "draft");
  EXPECT_FALSE(editor.on_key({Kind::kDown, ""}));
  for (size_t i = 0; i < 2 * Editor::kHistoryMax; ++i) {
    editor.set(std::to_string(i));
    editor.take();
  }
  size_t recalled = 0;
  while (editor.on_key({Kind::kUp, ""})) ++recalled;
  EXPECT_EQ(recalled, Editor::kHistoryMax);
}

TEST(Editor, TakesNothingThatDrivesATerminal) { EXPECT_EQ(with("a\x1b[2J\tb\r\nc").text(), "a�[2J    b\nc"); }

TEST(Editor, WhatIsTypedJoinsWhatIsThere) {
  Editor editor = with("ex");
  press(editor, {Kind::kLeft});
  editor.insert("\u0301");
  EXPECT_EQ(editor.cursor(), 3u);
  editor = with("👩");
  editor.insert("\u200d");
  editor.insert("👩");
  press(editor, {Kind::kBackspace});
  EXPECT_EQ(editor.text(), "");
  editor.insert("\u0301");
  press(editor, {Kind::kLeft});
  editor.insert("e");
  EXPECT_EQ(editor.cursor(), editor.text().size()) << "not inside of a cluster";
}

TEST(Editor, WhatIsBeingWrittenOutlivesALookBack) {
  Editor editor = with("sent");
  editor.take();
  editor.insert("draft");
  press(editor, {Kind::kUp});
  EXPECT_EQ(editor.text(), "sent");
  EXPECT_EQ(editor.draft(), "draft");
  editor.insert("!");
  EXPECT_EQ(editor.draft(), "sent!") << "changed, it is what is being written";
  press(editor, {Kind::kUp, Kind::kDown});
  EXPECT_EQ(editor.text(), "sent!");
}

TEST(Editor, HasAnEnd) {
  Editor editor;
  editor.insert(std::string(Editor::kBytesMax - 1, 'x'));
  editor.insert("漢");
  EXPECT_EQ(editor.text().size(), Editor::kBytesMax - 1) << "nothing is cut in half";
  editor.insert("yz");
  EXPECT_EQ(editor.text().size(), Editor::kBytesMax);
}

}  // namespace
}  // namespace perch::client::screen
