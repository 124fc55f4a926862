#include "client/terminal/screen/update.h"

#include <gtest/gtest.h>

namespace perch::client::screen {
namespace {

using Kind = Key::Kind;
using Ask = Intent::Kind;
using Intents = std::vector<Intent>;

class Update : public testing::Test {
 protected:
  Update() {
    for (const char* name : {"ann", "bob", "cem"}) {
      Contact contact;
      contact.to = contact.name = name;
      state_.contacts.push_back(contact);
    }
    show(state_, "bob");
    state_.all_loaded = true;
  }
  Intents press(Kind kind, const std::string& text = "") {
    return on_key(state_, {kind, text}, layout(state_, {80, 24}));
  }
  void type(const std::string& text) {
    for (const char letter : text) press(Kind::kText, std::string(1, letter));
  }
  void add_entries(int count) {
    for (int i = 0; i < count; ++i) {
      Entry entry;
      entry.key = std::to_string(state_.entries.size());
      entry.who = "bob";
      entry.text = "text";
      state_.entries.push_back(entry);
    }
  }
  State state_;
};

TEST_F(Update, WhatIsWrittenIsSent) {
  EXPECT_EQ(press(Kind::kEnter), Intents()) << "nothing is no message";
  type("hi");
  press(Kind::kAltEnter);
  type("all");
  EXPECT_EQ(press(Kind::kEnter), (Intents{{.kind = Ask::kSend, .to = "bob", .text = "hi\nall"}}));
  EXPECT_TRUE(state_.editor.empty());
}

TEST_F(Update, ConversationsGoRound) {
  EXPECT_EQ(press(Kind::kTab), (Intents{{.kind = Ask::kOpen, .to = "cem"}}));
  show(state_, "cem");
  EXPECT_EQ(press(Kind::kTab), (Intents{{.kind = Ask::kOpen, .to = "ann"}}));
  show(state_, "ann");
  EXPECT_EQ(press(Kind::kBackTab), (Intents{{.kind = Ask::kOpen, .to = "cem"}}));
  EXPECT_EQ(press(Kind::kAlt, "2"), (Intents{{.kind = Ask::kOpen, .to = "bob"}}));
  EXPECT_EQ(press(Kind::kAlt, "9"), Intents());
}

TEST_F(Update, EveryConversationHasItsDraft) {
  type("for bob");
  show(state_, "ann");
  EXPECT_TRUE(state_.editor.empty());
  type("for ann");
  show(state_, "bob");
  EXPECT_EQ(state_.editor.text(), "for bob");
  show(state_, "ann");
  EXPECT_EQ(state_.editor.text(), "for ann");
}

TEST_F(Update, TheListIsChosenFrom) {
  press(Kind::kF2);
  EXPECT_EQ(state_.picked, 1u);
  press(Kind::kDown);
  press(Kind::kDown);
  EXPECT_EQ(press(Kind::kEnter), (Intents{{.kind = Ask::kOpen, .to = "cem"}}));
  press(Kind::kEscape);
  EXPECT_EQ(state_.mode, Mode::kChat);
}

TEST_F(Update, WithoutAConversationOneIsInTheList) {
  state_ = State();
  EXPECT_EQ(state_.mode, Mode::kList);
  EXPECT_EQ(press(Kind::kEnter), Intents());
  press(Kind::kF1);
  EXPECT_EQ(state_.mode, Mode::kHelp);
  press(Kind::kText, "?");
  EXPECT_EQ(state_.mode, Mode::kList);
  press(Kind::kCtrl, "t");
  EXPECT_EQ(state_.mode, Mode::kNew);
  press(Kind::kEscape);
  EXPECT_EQ(state_.mode, Mode::kList);
  press(Kind::kCtrl, "t");
  type("@dan");
  EXPECT_EQ(press(Kind::kEnter), (Intents{{.kind = Ask::kOpen, .to = "dan"}}));
  show(state_, "dan");
  EXPECT_EQ(state_.mode, Mode::kChat);
  EXPECT_EQ(state_.contacts.front().to, "dan");
}

TEST_F(Update, HelpIsAskedForByAQuestionMark) {
  press(Kind::kText, "?");
  EXPECT_EQ(state_.mode, Mode::kHelp);
  press(Kind::kDown);
  EXPECT_EQ(state_.help_row, 1u);
  press(Kind::kUp);
  press(Kind::kUp);
  EXPECT_EQ(state_.help_row, 0u);
  press(Kind::kText, "?");
  EXPECT_EQ(state_.editor.text(), "?") << "twice writes it";
  press(Kind::kText, "?");
  EXPECT_EQ(state_.editor.text(), "??");
}

TEST_F(Update, ScrollsByPages) {
  add_entries(100);  // and a day
  const View before = layout(state_, {80, 24});
  EXPECT_EQ(before.page, 19);
  EXPECT_EQ(press(Kind::kPageUp), Intents());
  EXPECT_EQ(layout(state_, {80, 24}).bottom, 100u - 18);
  press(Kind::kPageDown);
  EXPECT_FALSE(state_.bottom) << "at the end one stays there, whatever comes";
  for (int i = 0; i < 10; ++i) press(Kind::kPageUp);
  EXPECT_EQ(layout(state_, {80, 24}).bottom, 18u) << "the first page is full";
  press(Kind::kEscape);
  EXPECT_FALSE(state_.bottom);
}

TEST_F(Update, AtTheTopMoreIsLoaded) {
  add_entries(30);
  state_.all_loaded = false;
  EXPECT_EQ(press(Kind::kPageUp), (Intents{{.kind = Ask::kOlder}}));
}

TEST_F(Update, FarFromTheEndMoreIsLoadedBelowToo) {
  add_entries(30);
  state_.end_loaded = false;
  state_.bottom = Anchor{"25", 0};
  EXPECT_EQ(press(Kind::kPageDown), (Intents{{.kind = Ask::kNewer}}));
  EXPECT_EQ(state_.bottom, (Anchor{"29", 0})) << "one stays where one is";
  EXPECT_EQ(press(Kind::kEscape), (Intents{{.kind = Ask::kLatest}}));
}

TEST_F(Update, SearchIsAskedForAndChosenFrom) {
  press(Kind::kCtrl, "f");
  EXPECT_EQ(state_.mode, Mode::kFind);
  press(Kind::kPaste, "two\nlines\n");
  EXPECT_EQ(press(Kind::kEnter), (Intents{{.kind = Ask::kFind, .text = "twolines"}}));
  state_.mode = Mode::kHits;
  EXPECT_EQ(press(Kind::kEnter), Intents()) << "nothing was found";
  state_.hits.resize(2);
  press(Kind::kDown);
  press(Kind::kDown);
  EXPECT_EQ(state_.picked, 1u);
  EXPECT_EQ(press(Kind::kEnter), (Intents{{.kind = Ask::kGoTo}}));
}

TEST_F(Update, AMessageThatIsChosenMayBeLongerThanThePage) {
  add_entries(1);
  state_.entries[0].text = std::string(100, '\n');
  press(Kind::kCtrl, "s");
  const size_t bottom = layout(state_, {80, 24}).bottom;
  press(Kind::kPageDown);
  EXPECT_GT(layout(state_, {80, 24}).bottom, bottom);
  EXPECT_EQ(state_.mode, Mode::kSelect);
  press(Kind::kPageUp);
  EXPECT_EQ(layout(state_, {80, 24}).bottom, bottom);
}

TEST_F(Update, AMessageIsChosen) {
  add_entries(60);
  press(Kind::kCtrl, "s");
  EXPECT_EQ(state_.mode, Mode::kSelect);
  EXPECT_EQ(state_.selected, "59") << "of those that are shown the latest";
  press(Kind::kDown);
  EXPECT_EQ(state_.selected, "59");
  for (int i = 0; i < 30; ++i) press(Kind::kUp);
  EXPECT_EQ(state_.selected, "29");
  View view = layout(state_, {80, 24});
  EXPECT_EQ(view.rows[view.bottom].at.key, "47") << "it is shown, at the top";
  press(Kind::kEscape);
  EXPECT_EQ(state_.mode, Mode::kChat);
  press(Kind::kCtrl, "s");
  EXPECT_EQ(state_.selected, "47");
  press(Kind::kDown);
  view = layout(state_, {80, 24});
  EXPECT_EQ(view.rows[view.bottom].at.key, "48") << "it is shown, at the bottom";
}

TEST_F(Update, AMessageIsAnswered) {
  add_entries(2);
  type("draft");
  press(Kind::kCtrl, "s");
  press(Kind::kText, "a");
  EXPECT_EQ(state_.editor.text(), "draft") << "what was written may be the answer";
  EXPECT_EQ(press(Kind::kEnter), (Intents{{.kind = Ask::kAnswer, .to = "bob", .text = "draft", .key = "1"}}));
  type("next");
  EXPECT_EQ(press(Kind::kEnter), (Intents{{.kind = Ask::kSend, .to = "bob", .text = "next"}}));
}

TEST_F(Update, AMessageIsEdited) {
  add_entries(1);
  state_.entries[0].mine = true;
  type("draft");
  press(Kind::kCtrl, "s");
  press(Kind::kText, "e");
  EXPECT_EQ(state_.editor.text(), "text");
  type("s");
  EXPECT_EQ(press(Kind::kEnter), (Intents{{.kind = Ask::kEdit, .to = "bob", .text = "texts", .key = "0"}}));
  EXPECT_EQ(state_.editor.text(), "draft") << "what was written before is there again";
  press(Kind::kCtrl, "s");
  press(Kind::kText, "e");
  press(Kind::kEscape);
  EXPECT_EQ(state_.editor.text(), "draft");
  EXPECT_EQ(state_.purpose, Purpose::kMessage);
  press(Kind::kCtrl, "s");
  press(Kind::kText, "e");
  show(state_, "ann");
  show(state_, "bob");
  EXPECT_EQ(state_.editor.text(), "draft");
  EXPECT_EQ(state_.purpose, Purpose::kMessage);
}

TEST_F(Update, AMessageIsDeletedByWhoMeansIt) {
  add_entries(1);
  state_.entries[0].mine = true;
  press(Kind::kCtrl, "s");
  press(Kind::kText, "d");
  EXPECT_EQ(press(Kind::kEnter), Intents());
  press(Kind::kCtrl, "s");
  press(Kind::kText, "d");
  EXPECT_EQ(press(Kind::kText, "y"), (Intents{{.kind = Ask::kDelete, .key = "0"}}));
  EXPECT_EQ(state_.mode, Mode::kChat);
}

TEST_F(Update, AMessageIsReactedTo) {
  add_entries(1);
  press(Kind::kCtrl, "s");
  press(Kind::kText, "r");
  press(Kind::kText, "👍");
  EXPECT_EQ(press(Kind::kEnter), (Intents{{.kind = Ask::kReact, .text = "👍", .key = "0"}}));
  press(Kind::kCtrl, "s");
  press(Kind::kText, "r");
  EXPECT_EQ(press(Kind::kEnter), (Intents{{.kind = Ask::kReact, .text = "", .key = "0"}})) << "taken back";
}

TEST_F(Update, WhatOthersWroteIsNotOnesOwn) {
  add_entries(1);
  for (const char* key : {"e", "d"}) {
    press(Kind::kCtrl, "s");
    press(Kind::kText, key);
    EXPECT_EQ(state_.notice, "only what you wrote");
  }
  state_.entries[0].mine = state_.entries[0].is_gone = true;
  for (const char* key : {"e", "d", "a", "r"}) {
    press(Kind::kCtrl, "s");
    press(Kind::kText, key);
    EXPECT_EQ(state_.mode, Mode::kSelect) << key;
    press(Kind::kEscape);
  }
}

TEST_F(Update, MessagesDisappearAfterATime) {
  press(Kind::kCtrl, "y");
  type("1h");
  EXPECT_EQ(press(Kind::kEnter), (Intents{{.kind = Ask::kTimer, .to = "bob", .text = "1h"}}));
}

TEST_F(Update, SomeKeysMeanTheSameEverywhere) {
  for (const Mode mode :
       {Mode::kChat, Mode::kList, Mode::kNew, Mode::kFind, Mode::kHits, Mode::kHelp, Mode::kLogin}) {
    state_.mode = mode;
    EXPECT_EQ(press(Kind::kCtrl, "c"), (Intents{{.kind = Ask::kQuit}}));
    EXPECT_EQ(press(Kind::kCtrl, "z"), (Intents{{.kind = Ask::kSuspend}}));
    EXPECT_EQ(press(Kind::kCtrl, "l"), (Intents{{.kind = Ask::kRedraw}}));
    EXPECT_EQ(state_.mode, mode);
  }
}

TEST_F(Update, ALoginNeedsAServerAndAToken) {
  state_ = State();
  state_.mode = Mode::kLogin;
  type("host:1");
  EXPECT_EQ(press(Kind::kEnter), Intents());
  EXPECT_TRUE(state_.login.at_token);
  EXPECT_EQ(press(Kind::kEnter), Intents());
  press(Kind::kPaste, "token\n");
  EXPECT_EQ(press(Kind::kEnter), (Intents{{.kind = Ask::kLogin}}));
  EXPECT_EQ(state_.login.server.text(), "host:1");
  EXPECT_EQ(state_.login.token.text(), "token");
  state_.login.trying = true;
  type("x");
  EXPECT_EQ(state_.login.token.text(), "token");
  EXPECT_EQ(press(Kind::kEscape), (Intents{{.kind = Ask::kGiveUp}}));
  state_.login.trying = false;
  state_.login.server.clear();
  EXPECT_EQ(press(Kind::kEnter), Intents());
  EXPECT_FALSE(state_.login.at_token) << "a server is missing";
}

TEST_F(Update, AnAccountThatNeedsAnotherTokenCanBeRead) {
  state_.mode = Mode::kLogin;
  press(Kind::kEscape);
  EXPECT_EQ(state_.mode, Mode::kLogin);
  state_.login.again = true;
  press(Kind::kEscape);
  EXPECT_EQ(state_.mode, Mode::kChat);
}

}  // namespace
}  // namespace perch::client::screen
