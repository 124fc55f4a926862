#include "client/terminal/item_text.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/temp_folder.h"

namespace perch::client {
namespace {

constexpr UserId kMe = 5, kBob = 7;

HistoryLine line_with(std::string text) {
  HistoryLine line;
  line.id = {kBob, 1, 0xab, 3};
  line.text = std::move(text);
  return line;
}

TEST(ItemTextTest, ALineHasAllThatBelongsToIt) {
  HistoryLine line = line_with("hello\x1b[2J");
  EXPECT_EQ(shown_whole(line, kMe, "bob"), "hello�[2J");
  EXPECT_EQ(plain_text(line), "hello\x1b[2J") << "for programs, as it is";
  line.edited = true;
  line.reactions = {{kBob, "+\n"}, {kMe, "!"}};
  line.answers = Quote{.id = line.id, .here = true, .shown = Shown::kText, .text = "question?"};
  EXPECT_EQ(shown_whole(line, kMe, "bob"), "(to \"question?\") hello�[2J (edited) [+  bob] [! you]");
  line.answers->here = false;
  EXPECT_EQ(shown_whole(line, kMe, "bob").substr(0, 30), "(to a message that is not here");
  line.answers =
      Quote{.id = line.id, .here = true, .shown = Shown::kText, .text = std::string(39, 'x') + "é"};
  EXPECT_EQ(shown_whole(line, kMe, "bob").substr(0, 48), "(to \"" + std::string(39, 'x') + "…\"")
      << "never half a character";
}

TEST(ItemTextTest, WhatIsNoTextIsSaid) {
  std::set<std::string> all;
  for (const Shown what : {Shown::kBytes, Shown::kDeleted, Shown::kUnreadable, Shown::kNewer}) {
    HistoryLine line = line_with("");
    line.shown = what;
    line.content = 9;
    line.body = {1, 2};
    EXPECT_EQ(shown(line).front(), '[');
    EXPECT_TRUE(all.insert(shown(line)).second);
    EXPECT_TRUE(all.insert(shown_text(line)).second);
    EXPECT_EQ(plain_text(line), what == Shown::kBytes ? "\x01\x02" : "");
  }
}

TEST(ItemTextTest, TimesGoBothWays) {
  for (const auto& [text, seconds] :
       std::initializer_list<std::pair<const char*, uint32_t>>{{"off", 0},
                                                               {"30s", 30},
                                                               {"5m", 300},
                                                               {"12h", 43'200},
                                                               {"7d", 604'800},
                                                               {"365d", kTimerSecondsMax}}) {
    EXPECT_EQ(seconds_of(text), std::optional(seconds)) << text;
  }
  for (const char* text : {"", "5", "m", "0s", "366d", "53w", "5mm", "-5m", "5 m", "99999999999s"}) {
    EXPECT_EQ(seconds_of(text), std::nullopt) << text;
  }
  EXPECT_EQ(time_text(0), "off");
  EXPECT_EQ(time_text(90), "90 s");
  EXPECT_EQ(time_text(3600), "1 h");
  EXPECT_EQ(time_text(1'209'600), "2 w");
}

class ItemTextOfAProfileTest : public testing::Test {
 protected:
  ItemTextOfAProfileTest() {
    auto opened = Client::open({.profile_path = folder_.path() + "/me", .connect = false}, events_);
    EXPECT_TRUE(opened.ok());
    client_ = std::move(opened).value();
  }
  std::string told_of(uint8_t content, std::vector<uint8_t> body) {
    InboxMessage in;
    in.id = {kBob, 1, 0xab, 9};
    in.peer = kBob;
    in.content = content;
    in.body = std::move(body);
    EXPECT_FALSE(std::string(kind_text(in)).empty());
    return told(*client_, in, "bob");
  }
  std::string told_of(const Item& item) { return told_of(kContentItem, *encode_item(item)); }

  TempFolder folder_;
  DeviceEvents events_;
  std::unique_ptr<Client> client_;
};

TEST_F(ItemTextOfAProfileTest, WhatCameIsToldInOneHarmlessLine) {
  const MessageId target = {kMe, 1, 0xcd, 4};
  EXPECT_EQ(told_of(0, {'h', 'i', '\n', 0x1b}), "bob: hi �");
  EXPECT_EQ(told_of(9, {1, 2}), "bob: [content 9, 2 bytes]");
  EXPECT_EQ(told_of(1, {1, 2}), "bob: [a message that cannot be read]");
  EXPECT_EQ(told_of({.text = "hi\x1b"}), "bob: hi�");
  EXPECT_EQ(told_of({.kind = ItemKind::kEdit, .text = "ho\x1b", .target = target}),
            "* bob edited a message: ho�");
  EXPECT_EQ(told_of({.kind = ItemKind::kDelete, .target = target}), "* bob deleted a message");
  EXPECT_EQ(told_of({.kind = ItemKind::kReaction, .text = "+\x1b", .target = target}),
            "* bob reacted +� to a message");
  EXPECT_EQ(told_of({.kind = ItemKind::kReaction, .target = target}),
            "* bob took back a reaction to a message");
  EXPECT_EQ(told_of({.kind = ItemKind::kTimer, .timer_s = 60}),
            "* bob let messages disappear 1 m after they are read");
  EXPECT_EQ(told_of({.kind = ItemKind::kTimer}), "* bob let messages stay from now on");
  EXPECT_EQ(told_of({.kind = ItemKind::kProfile, .text = "Bob\x1b", .about = "\x1b!"}),
            "* bob says to be Bob�: �!");
}

TEST_F(ItemTextOfAProfileTest, AMessageIsNamedByItsPlaceOrItsId) {
  ASSERT_TRUE(client_->send("carol", "one").ok() && client_->send("carol", "two").ok());
  const auto lines = *client_->history("carol", 9);
  EXPECT_EQ(line_of(*client_, lines, "1")->text, "two");
  EXPECT_EQ(line_of(*client_, lines, "2")->text, "one");
  EXPECT_EQ(line_of(*client_, lines, "3").error().code, Errc::kNotFound);
  EXPECT_EQ(line_of(*client_, lines, id_text({kBob, 1, 0xab, 3})).error().code, Errc::kNotFound);
  for (const char* name : {"", "0", "-1", "x", "1.2", "1.2.3", "1.2.3.4.5", "1.2.zz.4", "1x"})
    EXPECT_EQ(line_of(*client_, lines, name).error().code, Errc::kInvalid) << name;
  EXPECT_EQ(id_text({kBob, 1, 0xab, 3}), "7.1.00000000000000ab.3");
  EXPECT_EQ(id_json({}), "null");
}

}  // namespace
}  // namespace perch::client
