#include "client/terminal/screen/entries.h"

#include <gtest/gtest.h>

namespace perch::client::screen {
namespace {

HistoryLine line(bool mine, bool own_device, Mark mark) {
  HistoryLine out;
  out.mine = mine;
  out.own_device = own_device;
  out.mark = mark;
  out.row.row = 7;
  out.arrival = 8;
  out.time_ms = 9;
  out.text = "hi";
  return out;
}

TEST(Entries, TicksSayHowFarItGot) {
  const std::pair<Mark, const char*> marks[] = {
      {Mark::kQueued, "…"},     {Mark::kAccepted, "✓"},      {Mark::kDelivered, "✓✓"},
      {Mark::kRead, "✓✓ read"}, {Mark::kExpired, "expired"},
  };
  for (const auto& [mark, text] : marks) {
    const Entry entry = entry_of(line(true, true, mark), "bob");
    EXPECT_EQ(entry.mark, text);
    EXPECT_EQ(entry.is_read, mark == Mark::kRead);
    EXPECT_EQ(entry.is_lost, mark == Mark::kExpired);
  }
  EXPECT_EQ(entry_of(line(true, false, Mark::kQueued), "bob").mark, "✓") << "another device of mine sent it";
  HistoryLine rejected = line(true, true, Mark::kRejected);
  rejected.row.reason = 1;
  EXPECT_EQ(entry_of(rejected, "bob").mark, "rejected: no such user");
}

TEST(Entries, OfTheOtherThereAreNoTicks) {
  const Entry entry = entry_of(line(false, false, Mark::kQueued), "bob");
  EXPECT_EQ(entry.mark, "");
  EXPECT_EQ(entry.who, "bob");
  EXPECT_EQ(entry.text, "hi");
  EXPECT_EQ(entry.time_ms, 9u);
  EXPECT_NE(entry.key, entry_of(line(true, true, Mark::kQueued), "bob").key);
}

TEST(Entries, OfWhatIsNoTextItIsSaidWhatItIs) {
  HistoryLine other = line(false, false, Mark::kQueued);
  other.content = 5;
  other.shown = Shown::kBytes;
  other.body = {1, 2};
  EXPECT_EQ(entry_of(other, "bob").text, "[content 5, 2 bytes]");
  EXPECT_TRUE(entry_of(other, "bob").is_gone);
}

TEST(Entries, WhatWasSaidAboutAMessageStandsWithIt) {
  HistoryLine changed = line(true, true, Mark::kRead);
  changed.edited = true;
  changed.timer_s = 3600;
  changed.answers = Quote{.id = {}, .here = true, .shown = Shown::kText, .text = "when?"};
  changed.reactions = {{1, "👍"}, {2, "🎉"}, {3, "👍"}};
  Entry entry = entry_of(changed, "bob");
  EXPECT_EQ(entry.quote, "when?");
  EXPECT_EQ(entry.reactions, "👍 2  🎉");
  EXPECT_EQ(entry.mark, "edited, gone in 1 h  ✓✓ read");
  changed.mine = false;
  changed.answers = Quote{};
  entry = entry_of(changed, "bob");
  EXPECT_EQ(entry.mark, "edited, gone in 1 h");
  EXPECT_EQ(entry.quote, "a message that is not here");
}

TEST(Entries, AConversationIsCalledByItsHandle) {
  Conversation conversation;
  conversation.peer = 42;
  conversation.num_unread = 3;
  conversation.last = line(true, true, Mark::kQueued);
  EXPECT_EQ(contact_of(conversation).to, "42");
  conversation.handle = "bob";
  const Contact contact = contact_of(conversation);
  EXPECT_EQ(contact.to, "bob");
  EXPECT_EQ(contact.preview, "you: hi");
  EXPECT_EQ(contact.num_unread, 3u);
  EXPECT_EQ(contact.peer, 42u);
}

TEST(Entries, WhatIsUnreadBeginsSomewhere) {
  std::vector<Entry> entries(5);
  for (size_t i = 0; i < entries.size(); ++i) entries[i].key = std::to_string(i);
  entries[3].mine = true;
  EXPECT_EQ(first_unread(entries, 0), "");
  EXPECT_EQ(first_unread(entries, 1), "4");
  EXPECT_EQ(first_unread(entries, 2), "2");
  EXPECT_EQ(first_unread(entries, 9), "0") << "more than are loaded";
}

}  // namespace
}  // namespace perch::client::screen
