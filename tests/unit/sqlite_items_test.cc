// What the messages of a profile contain, as history, search and the file itself have it (PROTOCOL.md, 10).
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "client/sqlite_store.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/temp_folder.h"

namespace perch::client {
namespace {

constexpr UserId kMe = 5, kBob = 7, kEve = 8;
constexpr DeviceNo kMyDevice = 1;
constexpr Origin kBobOrigin = 0x8000000000000001, kMyOtherOrigin = 0x8000000000000002;

class SqliteItemsTest : public testing::Test {
 protected:
  SqliteItemsTest() {
    reopen();
    store_->begin();
    store_->set_login(kMe, kMyDevice, 1, "me");
    EXPECT_TRUE(store_->commit().ok());
  }
  void reopen() {
    store_.reset();
    auto store = SqliteStore::open(folder_.path() + "/me", *random_, true, SqliteStore::kBusyMs, clock_);
    ASSERT_TRUE(store.ok());
    store_ = std::move(store).value();
  }

  static std::vector<uint8_t> body_of(const Item& item) {
    auto body = encode_item(item);
    EXPECT_TRUE(body.ok());
    return body.ok() ? std::move(body).value() : std::vector<uint8_t>();
  }
  // What came, from one device of each user.
  static MessageId id_of(UserId from, Seq seq) {
    return {from, 2, from == kMe ? kMyOtherOrigin : kBobOrigin, seq};
  }
  Insert came(UserId from, Seq seq, Number number, uint8_t content, std::vector<uint8_t> body,
              UserId peer = kBob) {
    InboxMessage in;
    in.id = id_of(from, seq);
    in.peer = from == kMe ? peer : from;
    in.number = number;
    in.content = content;
    in.body = std::move(body);
    in.time_ms = number;
    store_->begin();
    const Insert out = store_->insert_message(in);
    EXPECT_TRUE(store_->commit().ok());
    return out;
  }
  Insert came(UserId from, Seq seq, Number number, const Item& item, UserId peer = kBob) {
    return came(from, seq, number, kContentItem, body_of(item), peer);
  }
  Insert text_came(UserId from, Seq seq, Number number, std::string_view text) {
    return came(from, seq, number, kContentText, {text.begin(), text.end()});
  }
  // What this device sends; returns the id.
  MessageId sent(const Item& item, UserId to = kBob, std::string_view handle = "") {
    NewRow row;
    row.to = to;
    row.handle = handle;
    row.content = kContentItem;
    row.body = body_of(item);
    row.time_ms = clock_.ms;
    store_->begin();
    last_row_ = store_->add_row(row);
    MessageId id;
    if (to != 0) {
      id = {kMe, kMyDevice, store_->identity().origin, store_->take_seq()};
      store_->bind_row(last_row_, to, id.seq, row.body);  // the frame holds the body
    }
    EXPECT_TRUE(store_->commit().ok());
    return id;
  }
  void result(const MessageId& id, Mark mark, Number number) {
    store_->begin();
    store_->close_row(id.origin, id.seq, mark, 1, number, number);
    EXPECT_TRUE(store_->commit().ok());
  }
  void delivered(const MessageId& id) {
    store_->begin();
    EXPECT_EQ(store_->rows_delivered(kBob, id.origin, 0, id.seq).size(), 1u);
    EXPECT_TRUE(store_->commit().ok());
  }
  void read(UserId peer, Seq up_to) {
    store_->begin();
    store_->mark_inbox_read(peer, {2, kBobOrigin, up_to});
    EXPECT_TRUE(store_->commit().ok());
  }

  // One word for each line: the text, "*" if edited, "<quote>", reactions; or what it is instead of a text.
  static std::string shown(Shown what, const std::string& text) {
    switch (what) {
      case Shown::kText:
        return text;
      case Shown::kBytes:
        return "(bytes)";
      case Shown::kDeleted:
        return "(deleted)";
      case Shown::kUnreadable:
        return "(unreadable)";
      case Shown::kNewer:
        return "(newer)";
    }
    return "?";
  }
  static std::string said(const HistoryLine& line) {
    std::string out = shown(line.shown, line.text) + (line.edited ? "*" : "");
    if (line.answers) {
      out += line.answers->here ? "<" + shown(line.answers->shown, line.answers->text) + ">" : "<not here>";
    }
    for (const Reaction& each : line.reactions) out += " " + std::to_string(each.user) + each.emoji;
    return out;
  }
  std::string history(UserId peer = kBob) {
    EXPECT_TRUE(store_->forget_ended().ok());
    const auto lines = store_->history(peer, "", 100);
    EXPECT_TRUE(lines.ok());
    std::string out;
    for (const HistoryLine& line : *lines) out += (out.empty() ? "" : " | ") + said(line);
    return out;
  }
  std::string found(std::string_view text) {
    const auto lines = store_->search(text, 0, 100);
    EXPECT_TRUE(lines.ok());
    std::string out;
    for (const Found& each : *lines) out += (out.empty() ? "" : " | ") + said(each.line);
    return out;
  }
  uint64_t num_unread() {
    const auto all = store_->conversations();
    EXPECT_TRUE(all.ok());
    return all->empty() ? 0 : all->front().num_unread;
  }
  // Whether the words are anywhere in the files of the profile.
  bool on_disk(std::string_view words) {
    for (const char* name : {"/me/profile.db", "/me/profile.db-wal"}) {
      std::ifstream file(folder_.path() + name, std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(file), {}};
      if (bytes.find(words) != std::string::npos) return true;
    }
    return false;
  }

  TempFolder folder_;
  FakeClock clock_;
  std::unique_ptr<Random> random_ = seeded_random(1);
  std::unique_ptr<SqliteStore> store_;
  RowId last_row_ = 0;
};

Item edit(const MessageId& target, std::string text) {
  return {.kind = ItemKind::kEdit, .text = std::move(text), .target = target};
}
Item deletion(const MessageId& target) { return {.kind = ItemKind::kDelete, .target = target}; }
Item reaction(const MessageId& target, std::string emoji) {
  return {.kind = ItemKind::kReaction, .text = std::move(emoji), .target = target};
}

TEST_F(SqliteItemsTest, HistoryShowsAMessageAsItStandsNow) {
  text_came(kBob, 1, 10, "one");
  const MessageId mine = sent({.text = "two", .target = id_of(kBob, 1)});
  result(mine, Mark::kAccepted, 20);
  EXPECT_EQ(history(), "one | two<one>");
  came(kBob, 2, 30, edit(id_of(kBob, 1), "uno"));
  came(kBob, 3, 31, reaction(mine, "+"));
  sent(reaction(id_of(kBob, 1), "!"));
  EXPECT_EQ(history(), "uno* 5! | two<uno> 7+");
  came(kBob, 4, 40, deletion(id_of(kBob, 1)));
  EXPECT_EQ(history(), "(deleted) | two<(deleted)> 7+");
  came(kMe, 1, 50, deletion(mine));  // from another device of this user
  EXPECT_EQ(history(), "(deleted) | (deleted)");
  EXPECT_EQ(store_->message(mine)->line.shown, Shown::kDeleted);
  EXPECT_EQ(store_->message(id_of(kBob, 3)).error().code, Errc::kNotFound) << "a reaction is no message";
  EXPECT_EQ(store_->take_changed(), std::set<UserId>{kBob});
  EXPECT_EQ(store_->take_changed(), std::set<UserId>{});
}

TEST_F(SqliteItemsTest, WhoIsNotTheAuthorChangesNothing) {
  text_came(kBob, 1, 10, "one");
  sent(edit(id_of(kBob, 1), "by me"));
  sent(deletion(id_of(kBob, 1)));
  came(kEve, 1, 20, edit(id_of(kBob, 1), "by eve"));
  came(kEve, 2, 21, deletion(id_of(kBob, 1)));
  came(kEve, 3, 22, reaction(id_of(kBob, 1), "+"));
  EXPECT_EQ(history(), "one") << "of another conversation, too";
  const MessageId mine = sent({.text = "mine"});
  came(kBob, 2, 30, edit(mine, "by bob"));
  came(kBob, 3, 31, deletion(mine));
  came(kBob, 4, 32, deletion(id_of(kMe, 5)));  // before the copy of it
  text_came(kMe, 5, 40, "from my other device");
  EXPECT_EQ(history(), "one | from my other device | mine");
  EXPECT_EQ(history(kEve), "");
}

TEST_F(SqliteItemsTest, WhatComesBeforeItsTargetWaitsForIt) {
  came(kBob, 2, 20, edit(id_of(kBob, 1), "edited"));
  came(kBob, 3, 30, reaction(id_of(kBob, 1), "+"));
  EXPECT_EQ(history(), "");
  EXPECT_EQ(store_->conversations()->size(), 0u);
  text_came(kBob, 1, 10, "one");
  EXPECT_EQ(history(), "edited* 7+");

  came(kBob, 6, 60, deletion(id_of(kBob, 5)));
  EXPECT_EQ(text_came(kBob, 5, 50, "never seen"), Insert::kKnown) << "it is told to nobody";
  EXPECT_EQ(came(kBob, 7, 70, edit(id_of(kBob, 5), "nor this")), Insert::kKnown);
  EXPECT_EQ(came(kBob, 8, 80, edit(id_of(kBob, 9), "nor that")), Insert::kNew);
  EXPECT_EQ(came(kEve, 4, 81, deletion(id_of(kBob, 9))), Insert::kNew);
  EXPECT_EQ(came(kBob, 10, 82, deletion(id_of(kBob, 9))), Insert::kNew);
  text_came(kBob, 9, 79, "nor that one");
  EXPECT_EQ(history(), "edited* 7+ | (deleted) | (deleted)");
  EXPECT_EQ(num_unread(), 1u);
  EXPECT_TRUE(store_->scrub());
  for (const char* text : {"never seen", "nor this", "nor that"}) EXPECT_FALSE(on_disk(text)) << text;
}

TEST_F(SqliteItemsTest, TheOrderIsThatOfTheConversation) {
  text_came(kBob, 1, 10, "one");
  came(kBob, 3, 30, edit(id_of(kBob, 1), "later"));
  came(kBob, 2, 20, edit(id_of(kBob, 1), "earlier"));
  EXPECT_EQ(history(), "later*");
  const MessageId mine = sent(reaction(id_of(kBob, 1), "here"));
  came(kMe, 1, 40, reaction(id_of(kBob, 1), "elsewhere"));
  EXPECT_EQ(history(), "later* 5here") << "own open rows are last";
  result(mine, Mark::kAccepted, 35);
  EXPECT_EQ(history(), "later* 5elsewhere");
}

TEST_F(SqliteItemsTest, WhatWasRejectedDoesNotCount) {
  const MessageId mine = sent({.text = "one"});
  result(mine, Mark::kAccepted, 10);
  const MessageId change = sent(edit(mine, "two"));
  EXPECT_EQ(history(), "two*");
  store_->take_changed();
  result(change, Mark::kRejected, 20);
  EXPECT_EQ(history(), "one");
  EXPECT_EQ(store_->take_changed(), std::set<UserId>{kBob});
  const MessageId third = sent(edit(mine, "three"));
  result(third, Mark::kAccepted, 30);
  store_->begin();
  EXPECT_TRUE(store_->expire_row(kBob, third.origin, third.seq));
  ASSERT_TRUE(store_->commit().ok());
  EXPECT_EQ(history(), "one");
}

TEST_F(SqliteItemsTest, OnlyWhatIsShownIsUnread) {
  text_came(kBob, 1, 10, "one");
  EXPECT_EQ(num_unread(), 1u);
  came(kBob, 2, 20, edit(id_of(kBob, 1), "two"));
  came(kBob, 3, 21, reaction(id_of(kBob, 1), "+"));
  came(kBob, 4, 22, {.kind = ItemKind::kTimer, .timer_s = 60});
  came(kBob, 5, 23, {.kind = ItemKind::kProfile, .text = "Bob"});
  EXPECT_EQ(num_unread(), 1u);
  EXPECT_EQ(store_->unread(kBob)->front().up_to, 1u);
  came(kBob, 6, 24, {.text = "three"});
  EXPECT_EQ(num_unread(), 2u);
  came(kBob, 7, 25, deletion(id_of(kBob, 6)));
  EXPECT_EQ(num_unread(), 1u) << "nobody has to read what is deleted";
  EXPECT_EQ(store_->conversations()->front().last.shown, Shown::kDeleted);
}

TEST_F(SqliteItemsTest, WhatCannotBeReadIsShownAsSuch) {
  const std::string nonsense = "no item";
  came(kBob, 1, 10, kContentItem, {nonsense.begin(), nonsense.end()});
  came(kBob, 2, 20, 7, {1, 2, 3});
  std::vector<uint8_t> newer = body_of({.kind = ItemKind::kTimer, .timer_s = 77});
  std::ranges::replace(newer, uint8_t{5}, uint8_t{200});
  ASSERT_EQ(decode_item(newer)->kind, ItemKind::kUnknown);
  came(kBob, 3, 30, kContentItem, newer);
  came(kBob, 4, 40, edit(id_of(kBob, 1), "x"));
  came(kBob, 5, 41, edit(id_of(kBob, 2), "x"));
  came(kBob, 6, 42, reaction(id_of(kBob, 2), "+"));
  EXPECT_EQ(history(), "(unreadable) | (bytes) 7+ | (newer)");
  EXPECT_EQ(num_unread(), 3u);
  EXPECT_EQ(found("x"), "");
}

TEST_F(SqliteItemsTest, SearchFindsWhatIsSaidNow) {
  text_came(kBob, 1, 10, "apples");
  text_came(kBob, 2, 11, "oranges");
  const MessageId mine = sent({.text = "Pears", .timer_s = 60});
  came(kBob, 3, 20, edit(id_of(kBob, 1), "Plums"));
  EXPECT_EQ(found("appl"), "");
  EXPECT_EQ(found("PLUM"), "Plums*");
  EXPECT_EQ(found("pear"), "Pears");
  sent(edit(mine, "grapes"));
  EXPECT_EQ(found("pear"), "");
  EXPECT_EQ(found("grap"), "grapes*");
  came(kBob, 4, 30, deletion(id_of(kBob, 2)));
  EXPECT_EQ(found("oran"), "");
}

TEST_F(SqliteItemsTest, ADeletedMessageIsNoMoreOnTheDisk) {
  const std::string secret(9000, 's');  // over several pages
  text_came(kBob, 1, 10, "a short secret");
  text_came(kBob, 2, 20, secret);
  came(kBob, 3, 30, edit(id_of(kBob, 1), "an edited secret"));
  sent(reaction(id_of(kBob, 1), "a reaction"));
  ASSERT_TRUE(store_->scrub());
  ASSERT_TRUE(on_disk("a short secret") && on_disk("an edited secret") && on_disk("a reaction"));
  came(kBob, 4, 40, deletion(id_of(kBob, 1)));
  came(kBob, 5, 50, deletion(id_of(kBob, 2)));
  EXPECT_TRUE(store_->wants_scrub());
  EXPECT_TRUE(store_->scrub());
  EXPECT_FALSE(store_->wants_scrub());
  EXPECT_FALSE(on_disk("a short secret"));
  EXPECT_FALSE(on_disk("an edited secret"));
  EXPECT_FALSE(on_disk(secret.substr(0, 500)));
  EXPECT_EQ(text_came(kBob, 1, 99, "a short secret"), Insert::kRenumbered) << "a copy brings nothing back";
  EXPECT_EQ(text_came(kBob, 1, 5, "another under that id"), Insert::kKnown);
  EXPECT_EQ(history(), "(deleted) | (deleted)");
}

TEST_F(SqliteItemsTest, WhatTheOutboxOwesGoesOnceItIsNotOwedAnyMore) {
  const MessageId mine = sent({.text = "owed until it is delivered"});
  sent(deletion(mine));
  EXPECT_EQ(history(), "(deleted)");
  ASSERT_EQ(store_->open_rows(0, 9)->size(), 2u);
  EXPECT_FALSE(store_->open_rows(0, 9)->front().frame.empty()) << "it is sent as it was";
  result(mine, Mark::kAccepted, 10);
  EXPECT_TRUE(on_disk("owed until it is delivered")) << "a restored server may need it again";
  delivered(mine);
  EXPECT_TRUE(store_->scrub());
  EXPECT_FALSE(on_disk("owed until it is delivered"));

  const MessageId other = sent({.text = "owed until it expires"});
  result(other, Mark::kAccepted, 20);
  sent(deletion(other));
  store_->begin();
  EXPECT_TRUE(store_->expire_row(kBob, other.origin, other.seq));
  ASSERT_TRUE(store_->commit().ok());
  EXPECT_TRUE(store_->scrub());
  EXPECT_FALSE(on_disk("owed until it expires"));
}

TEST_F(SqliteItemsTest, AnEditWithoutAnIdIsNotSentOnceItsMessageIsDeleted) {
  text_came(kMe, 1, 10, "from my other device");
  NewRow row;  // as a process adds it that has not the connection
  row.to = kBob;
  row.content = kContentItem;
  row.body = body_of(edit(id_of(kMe, 1), "edited"));
  store_->begin();
  const RowId added = store_->add_row(row);
  ASSERT_TRUE(store_->commit().ok());
  EXPECT_EQ(history(), "edited*");
  came(kMe, 2, 20, deletion(id_of(kMe, 1)));
  EXPECT_EQ(history(), "(deleted)");
  EXPECT_EQ(store_->status(added).error().code, Errc::kNotFound);
  EXPECT_TRUE(store_->bindable_rows(9)->empty());
}

TEST_F(SqliteItemsTest, ARowWithoutAnIdIsChangedItself) {
  sent({.text = "one", .timer_s = 60}, 0, "carol");
  const RowId row = last_row_;
  store_->begin();
  EXPECT_TRUE(store_->change_unnamed(row, "two"));
  ASSERT_TRUE(store_->commit().ok());
  const auto lines = store_->history(0, "carol", 9);
  ASSERT_EQ(lines->size(), 1u);
  EXPECT_EQ(said(lines->front()), "two");
  EXPECT_EQ(lines->front().timer_s, 60u);
  store_->begin();
  EXPECT_TRUE(store_->withdraw_unnamed(row));
  EXPECT_FALSE(store_->withdraw_unnamed(row));
  EXPECT_FALSE(store_->change_unnamed(row, "three"));
  ASSERT_TRUE(store_->commit().ok());
  EXPECT_TRUE(store_->history(0, "carol", 9)->empty());
  sent({.text = "named"});
  store_->begin();
  EXPECT_FALSE(store_->change_unnamed(last_row_, "x"));
  EXPECT_FALSE(store_->withdraw_unnamed(last_row_));
  ASSERT_TRUE(store_->commit().ok());
}

// --- timers ------------------------------------------------------------------------------------------------

TEST_F(SqliteItemsTest, ATimerBeginsWhenItsMessageIsRead) {
  came(kBob, 1, 10, {.text = "for a minute", .timer_s = 60});
  came(kBob, 2, 20, {.text = "an answer", .target = id_of(kBob, 1)});
  came(kBob, 3, 30, reaction(id_of(kBob, 1), "a reaction"));
  clock_.ms += 1'000'000;
  EXPECT_EQ(history(), "for a minute 7a reaction | an answer<for a minute>") << "nobody has read it";
  read(kBob, 2);
  EXPECT_EQ(store_->message(id_of(kBob, 1))->line.ends_ms, clock_.ms + 60'000);
  clock_.ms += 59'999;
  read(kBob, 3);  // again: that changes nothing
  EXPECT_EQ(history(), "for a minute 7a reaction | an answer<for a minute>");
  store_->take_changed();
  clock_.ms += 1;
  EXPECT_EQ(history(), "an answer<not here>");
  EXPECT_EQ(store_->take_changed(), std::set<UserId>{kBob});
  EXPECT_EQ(found("minute"), "");
  EXPECT_TRUE(store_->arrivals(0, 9)->size() == 1u) << "nor is it told as new";
  EXPECT_EQ(store_->message(id_of(kBob, 1)).error().code, Errc::kNotFound);
  EXPECT_TRUE(store_->scrub());
  EXPECT_FALSE(on_disk("for a minute"));
  EXPECT_FALSE(on_disk("a reaction"));
  EXPECT_EQ(came(kBob, 1, 11, {.text = "for a minute", .timer_s = 60}), Insert::kRenumbered);
  EXPECT_EQ(history(), "an answer<not here>") << "a copy brings nothing back";
}

TEST_F(SqliteItemsTest, OfOnesOwnMessageItBeginsWithTheResult) {
  const MessageId mine = sent({.text = "here", .timer_s = 60});
  clock_.ms += 1'000'000;
  EXPECT_EQ(history(), "here") << "it waits";
  result(mine, Mark::kAccepted, 10);
  clock_.ms += 30'000;
  came(kMe, 1, 20, {.text = "elsewhere", .timer_s = 60});
  result(mine, Mark::kDelivered, 10);  // a further result starts nothing
  EXPECT_EQ(history(), "here | elsewhere");
  clock_.ms += 30'000;
  EXPECT_EQ(history(), "elsewhere");
  clock_.ms += 30'000;
  EXPECT_EQ(history(), "");
  EXPECT_TRUE(store_->conversations()->empty());
}

TEST_F(SqliteItemsTest, WhatEndedWhileNobodyWasRunningIsForgottenFirst) {
  came(kBob, 1, 10, {.text = "for a minute", .timer_s = 60});
  read(kBob, 1);
  clock_.ms += 60'000;
  reopen();
  EXPECT_EQ(history(), "");
  EXPECT_TRUE(store_->scrub());
  EXPECT_FALSE(on_disk("for a minute"));
}

TEST_F(SqliteItemsTest, AnEditLeavesTheTimerAlone) {
  came(kBob, 1, 10, {.text = "one", .timer_s = 60});
  read(kBob, 1);
  clock_.ms += 30'000;
  came(kBob, 2, 20, edit(id_of(kBob, 1), "two"));
  EXPECT_EQ(history(), "two*");
  clock_.ms += 30'000;
  EXPECT_EQ(history(), "");
  EXPECT_EQ(came(kBob, 3, 30, edit(id_of(kBob, 1), "three")), Insert::kKnown);
}

TEST_F(SqliteItemsTest, TheLastTimerAndProfileOfTheOrderCount) {
  const auto timer = [&](UserId peer = kBob) {
    const auto last = store_->last_item(peer, "", 0, ItemKind::kTimer);
    EXPECT_TRUE(last.ok());
    return *last ? static_cast<int>((*last)->timer_s) : -1;
  };
  EXPECT_EQ(timer(), -1);
  came(kBob, 2, 20, {.kind = ItemKind::kTimer, .timer_s = 20});
  came(kBob, 1, 10, {.kind = ItemKind::kTimer, .timer_s = 10});
  EXPECT_EQ(timer(), 20);
  const MessageId mine = sent({.kind = ItemKind::kTimer, .timer_s = 15});
  EXPECT_EQ(timer(), 15);
  result(mine, Mark::kAccepted, 15);
  EXPECT_EQ(timer(), 20);
  const MessageId refused = sent({.kind = ItemKind::kTimer, .timer_s = 30});
  result(refused, Mark::kRejected, 30);
  EXPECT_EQ(timer(), 20);
  EXPECT_EQ(timer(kEve), -1);
  sent({.kind = ItemKind::kTimer, .timer_s = 40}, 0, "carol");
  EXPECT_EQ(store_->last_item(0, "carol", 0, ItemKind::kTimer).value()->timer_s, 40u);
  EXPECT_FALSE(store_->last_item(0, "dave", 0, ItemKind::kTimer)->has_value());

  came(kBob, 3, 30, {.kind = ItemKind::kProfile, .text = "Bob"});
  sent({.kind = ItemKind::kProfile, .text = "Me"});
  EXPECT_EQ(store_->last_item(kBob, "", kBob, ItemKind::kProfile).value()->text, "Bob");
  EXPECT_EQ(store_->last_item(kBob, "", kMe, ItemKind::kProfile).value()->text, "Me");
}

TEST_F(SqliteItemsTest, RecipientsAreThoseWhoGotSomethingToRead) {
  text_came(kEve, 1, 10, "only from her");
  sent({.text = "to bob"});
  sent({.text = "to bob again"});
  sent({.text = "to oneself"}, kMe);
  sent({.text = "to carol"}, 0, "carol");
  sent({.kind = ItemKind::kTimer, .timer_s = 5}, 77);
  came(kMe, 1, 20, kContentText, {'x'}, 66);
  const MessageId refused = sent({.text = "nobody"}, 55);
  result(refused, Mark::kRejected, 30);
  std::vector<std::string> names;
  const auto all = store_->recipients();
  ASSERT_TRUE(all.ok());
  for (const Conversation& each : *all) names.push_back(std::to_string(each.peer) + each.handle);
  std::ranges::sort(names);
  EXPECT_EQ(names, (std::vector<std::string>{"0carol", "66", "7"}));
}

}  // namespace
}  // namespace perch::client
