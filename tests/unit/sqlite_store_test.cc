#include "client/sqlite_store.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <tuple>

#include "tests/unit/temp_folder.h"

namespace perch::client {
namespace {

// Which had no items.
#define PERCH_WITHOUT_COLUMNS_OF_ITEMS(table)                           \
  "ALTER TABLE " table " DROP COLUMN item; ALTER TABLE " table          \
  " DROP COLUMN target_user;"                                           \
  "ALTER TABLE " table " DROP COLUMN target_device; ALTER TABLE " table \
  " DROP COLUMN target_origin;"                                         \
  "ALTER TABLE " table " DROP COLUMN target_seq; ALTER TABLE " table    \
  " DROP COLUMN timer_s;"                                               \
  "ALTER TABLE " table " DROP COLUMN ends_ms; ALTER TABLE " table " DROP COLUMN gone;"
#define PERCH_BACK_TO_VERSION_4                                                                             \
  "DROP INDEX outbox_numbers; DROP INDEX outbox_order; DROP INDEX inbox_order; DROP INDEX outbox_remarks; " \
  "DROP INDEX inbox_remarks;"  \
  "DROP INDEX outbox_settings; DROP INDEX inbox_settings; DROP INDEX outbox_ends; DROP INDEX inbox_ends;"  \
  PERCH_WITHOUT_COLUMNS_OF_ITEMS("outbox") PERCH_WITHOUT_COLUMNS_OF_ITEMS("inbox")                         \
  "CREATE INDEX outbox_order ON outbox (to_user, row) WHERE kind = 0;"                                     \
  "CREATE INDEX inbox_peer ON inbox (peer, number); PRAGMA user_version=4;"

// Which had fewer indexes.
constexpr const char* kBackToVersion2 = PERCH_BACK_TO_VERSION_4
    "DROP INDEX outbox_accepted; DROP INDEX outbox_unread; DROP INDEX outbox_delivered;"
    "DROP INDEX outbox_unsent_reads; DROP INDEX inbox_unread; DROP INDEX inbox_untold;"
    "DROP INDEX outbox_order; CREATE INDEX inbox_unread ON inbox (user) WHERE read = 0; PRAGMA "
    "user_version=2";

class SqliteStoreTest : public testing::Test {
 protected:
  std::unique_ptr<SqliteStore> open(bool connect = true) {
    auto store = SqliteStore::open(dir_ + "/me", *random_, connect);
    EXPECT_TRUE(store.ok());
    return store.ok() ? std::move(store).value() : nullptr;
  }
  static RowId add(SqliteStore& store, UserId to, std::string_view text, std::string_view handle = "") {
    NewRow row;
    row.to = to;
    row.handle = handle;
    row.body.assign(text.begin(), text.end());
    return store.add_row(row);
  }
  static InboxMessage message(Seq seq, Number number, std::string_view text) {
    InboxMessage in;
    in.id = {7, 1, 0x8000000000000001u, seq};
    in.peer = 7;
    in.number = number;
    in.body.assign(text.begin(), text.end());
    return in;
  }

  TempFolder temp_;
  const std::string& dir_ = temp_.path();
  std::unique_ptr<Random> random_ = seeded_random(1);
  const std::vector<uint8_t> frame_ = {1, 2, 3};
};

TEST_F(SqliteStoreTest, ReopenKeepsRowsAndDrawsAnOrigin) {
  Origin first = 0;
  RowId row = 0;
  {
    auto store = open();
    EXPECT_TRUE(store->owner());
    first = store->identity().origin;
    EXPECT_NE(first, 0u);
    EXPECT_EQ(store->identity().previous_origin, 0u);
    store->begin();
    row = add(*store, 7, "hello");
    store->bind_row(row, 7, store->take_seq(), frame_);
    store->set_login(5, 2, 77, "alice");
    store->raise_after(1024);
    ASSERT_TRUE(store->commit().ok());
  }
  auto store = open();
  EXPECT_NE(store->identity().origin, first);
  EXPECT_EQ(store->identity().previous_origin, first);
  EXPECT_EQ(store->identity().user, 5u);
  EXPECT_EQ(store->identity().after, 1024u);
  EXPECT_EQ(store->identity().next_seq, 2u);
  const auto open_rows = *store->open_rows(0, 10);
  ASSERT_EQ(open_rows.size(), 1u);
  EXPECT_EQ(open_rows[0].row, row);
  EXPECT_EQ(open_rows[0].origin, first) << "a row keeps the id it was given";
  EXPECT_EQ(open_rows[0].frame, frame_);
  EXPECT_EQ(store->lowest_open(), 1u);
}

TEST_F(SqliteStoreTest, AnUnfinishedTransactionKeepsNothing) {
  auto store = open();
  store->begin();
  InboxMessage in = message(1, 10, "one");
  EXPECT_EQ(store->insert_message(in), Insert::kNew);
  const RowId row = add(*store, 7, "hello");
  store->bind_row(row, 7, store->take_seq(), frame_);
  store->raise_after(5000);
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open((dir_ + "/me/profile.db").c_str(), &other), SQLITE_OK);
  int rows = -1;
  sqlite3_exec(
      other, "SELECT count(*) FROM inbox",
      [](void* out, int, char** text, char**) {
        *static_cast<int*>(out) = atoi(text[0]);
        return 0;
      },
      &rows, nullptr);
  EXPECT_EQ(rows, 0) << "nothing is visible before commit()";
  sqlite3_close(other);
  store.reset();  // the process dies before its commit
  store = open();
  EXPECT_EQ(store->lowest_open(), 0u);
  EXPECT_EQ(store->identity().after, 0u);
  EXPECT_EQ(store->identity().next_seq, 1u);
  EXPECT_EQ(store->status(row).error().code, Errc::kNotFound);
}

// It never had a place in the order, so it stands where it was written.
TEST_F(SqliteStoreTest, WhatWasRejectedWithoutANumberStandsWhereItWasWritten) {
  auto store = open();
  const Origin origin = store->identity().origin;
  const auto sent = [&](std::string_view text, uint64_t time_ms) {
    NewRow row;
    row.to = 7;
    row.body.assign(text.begin(), text.end());
    row.time_ms = time_ms;
    const RowId id = store->add_row(row);
    const Seq seq = store->take_seq();
    store->bind_row(id, 7, seq, frame_);
    return seq;
  };
  const auto came = [&](Seq seq, Number number, std::string_view text, uint64_t time_ms) {
    InboxMessage in = message(seq, number, text);
    in.time_ms = time_ms;
    store->insert_message(in);
  };
  const auto bodies = [&](size_t limit) {
    std::vector<std::string> out;
    const auto lines = store->history(7, "", limit);
    for (const HistoryLine& line : *lines) out.emplace_back(line.body.begin(), line.body.end());
    return out;
  };
  store->begin();
  store->close_row(origin, sent("unsent at first", 90), Mark::kRejected, 2, 0, 0);
  came(1, 1024, "early", 100);
  store->close_row(origin, sent("mine", 200), Mark::kAccepted, 0, 2048, 200);
  store->close_row(origin, sent("too large", 250), Mark::kRejected, 2, 0, 0);
  store->close_row(origin, sent("by a clock that was put back", 10), Mark::kRejected, 2, 0, 0);
  came(2, 3072, "answer", 300);
  store->close_row(origin, sent("mine again", 400), Mark::kAccepted, 0, 4096, 400);
  store->close_row(origin, sent("by a clock that is fast", 900), Mark::kRejected, 2, 0, 0);
  store->close_row(origin, sent("last of mine", 500), Mark::kAccepted, 0, 5120, 500);
  came(3, 6144, "late", 600);
  sent("open", 700);
  ASSERT_TRUE(store->commit().ok());
  EXPECT_EQ(bodies(20),
            (std::vector<std::string>{"unsent at first", "early", "mine", "too large",
                                      "by a clock that was put back", "answer", "mine again",
                                      "by a clock that is fast", "last of mine", "late", "open"}));
  EXPECT_EQ(bodies(2), (std::vector<std::string>{"late", "open"}));
}

TEST_F(SqliteStoreTest, OtherBytesUnderAKnownIdAreShownApart) {
  auto store = open();
  store->begin();
  Number number = 10;
  for (const char* text : {"one", "two", "three"}) {
    InboxMessage in = message(1, number++, text);
    store->insert_message(in);
  }
  InboxMessage renumbered = message(1, 20, "one");
  EXPECT_EQ(store->insert_message(renumbered), Insert::kRenumbered);
  ASSERT_TRUE(store->commit().ok());
  const auto history = *store->history(7, "", 10);
  ASSERT_EQ(history.size(), 3u);
  EXPECT_EQ(history[1].variant, 2u);
  EXPECT_EQ(history[2].variant, 0u);
  EXPECT_EQ(history[2].number, 20u);
  EXPECT_EQ(history[2].id.origin, 0x8000000000000001u);
  const auto arrivals = *store->arrivals(1, 10);
  ASSERT_EQ(arrivals.size(), 2u);
  EXPECT_EQ(arrivals[0].message.variant, 1u);
}

TEST_F(SqliteStoreTest, OneProcessOwnsOthersAdd) {
  auto owner = open();
  auto adder = open();
  EXPECT_FALSE(adder->owner());
  EXPECT_EQ(adder->identity().origin, owner->identity().origin);
  const uint64_t version = owner->data_version();
  adder->begin();
  const RowId row = add(*adder, 0, "hello", "bob");
  ASSERT_TRUE(adder->commit().ok());
  EXPECT_NE(owner->data_version(), version);
  EXPECT_EQ(*owner->unresolved_handles(), std::vector<std::string>{"bob"});
  EXPECT_TRUE(owner->bindable_rows(10)->empty());
  EXPECT_EQ(owner->lowest_open(), 0u) << "a row without an id holds nothing back";
  owner->begin();
  owner->set_handle("bob", 9);
  const auto rows = *owner->bindable_rows(10);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].row, row);
  EXPECT_EQ(rows[0].to, 9u);
  owner->bind_row(row, 9, owner->take_seq(), frame_);
  ASSERT_TRUE(owner->commit().ok());
  ASSERT_TRUE(adder->status(row));
  EXPECT_EQ(adder->status(row)->seq, 1u);
  owner.reset();
  EXPECT_TRUE(open()->owner());
}

// POSIX locks are the process's: closing any descriptor of a file drops those of all its connections, and who
// comes next then takes the database for unused and removes what the first one writes into.
TEST_F(SqliteStoreTest, AnotherOpeningInThisProcessKeepsTheLocksOfTheFirst) {
  const auto rows_seen_by_another_process = [this] {
    const std::string command =
        "/usr/bin/python3 -c \"import sqlite3; db = sqlite3.connect('" + dir_ +
        "/me/profile.db'); n = db.execute('SELECT count(*) FROM outbox').fetchone()[0]; "
        "db.close(); exit(n)\"";
    const int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  auto first = open();
  auto second = open();
  first->begin();
  add(*first, 7, "one");
  ASSERT_TRUE(first->commit().ok());
  EXPECT_EQ(rows_seen_by_another_process(), 1);
  EXPECT_TRUE(std::filesystem::exists(dir_ + "/me/profile.db-wal"));
  first->begin();
  add(*first, 7, "two");
  ASSERT_TRUE(first->commit().ok());
  EXPECT_EQ(rows_seen_by_another_process(), 2);
}

TEST_F(SqliteStoreTest, AReadThatFailsIsNoEmptyAnswer) {
  auto store = open();
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open((dir_ + "/me/profile.db").c_str(), &other), SQLITE_OK);
  ASSERT_EQ(
      sqlite3_exec(
          other,
          "ALTER TABLE outbox RENAME TO gone; DROP TABLE inbox; DROP TABLE handles; DROP TABLE settings",
          nullptr, nullptr, nullptr),
      SQLITE_OK);
  EXPECT_EQ(store->open_rows(0, 10).error().code, Errc::kCorrupt);
  EXPECT_EQ(store->bindable_rows(10).error().code, Errc::kCorrupt);
  EXPECT_EQ(store->unresolved_handles().error().code, Errc::kCorrupt);
  EXPECT_EQ(store->unread(7).error().code, Errc::kCorrupt);
  EXPECT_EQ(store->status(1).error().code, Errc::kCorrupt) << "not kNotFound";
  EXPECT_EQ(store->user_of("bob").error().code, Errc::kCorrupt);
  EXPECT_EQ(store->handle_of(7).error().code, Errc::kCorrupt);
  EXPECT_EQ(store->setting("seen").error().code, Errc::kCorrupt);
  EXPECT_EQ(store->arrivals(0, 10).error().code, Errc::kCorrupt);
  EXPECT_EQ(store->history(7, "", 10).error().code, Errc::kCorrupt);
  EXPECT_EQ(store->lowest_open(), 1u) << "nothing is said to be closed";
  store->begin();
  (void)store->bindable_rows(10);
  EXPECT_EQ(store->commit().error().code, Errc::kCorrupt) << "in a transaction it fails that too";
  ASSERT_EQ(sqlite3_exec(other, "ALTER TABLE gone RENAME TO outbox", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(other);
  EXPECT_TRUE(store->open_rows(0, 10)->empty());
  EXPECT_EQ(store->history(7, "", 10).error().code, Errc::kCorrupt) << "its other half";
}

TEST_F(SqliteStoreTest, ConversationsAreThoseWithEverybodyTheLatestFirst) {
  auto store = open();
  EXPECT_TRUE(store->conversations()->empty());
  const auto came = [&](UserId peer, Seq seq, Number number, std::string_view text, uint64_t time_ms) {
    InboxMessage in = message(seq, number, text);
    in.id.user = in.peer = peer;
    in.time_ms = time_ms;
    store->insert_message(in);
  };
  const auto sent = [&](UserId to, std::string_view handle, uint64_t time_ms) {
    NewRow row;
    row.to = to;
    row.handle = handle;
    row.body = {'m', 'e'};
    row.time_ms = time_ms;
    return store->add_row(row);
  };
  const auto closed = [&](RowId row, UserId to, Number number) {
    const Seq seq = store->take_seq();
    store->bind_row(row, to, seq, frame_);
    store->close_row(store->identity().origin, seq, Mark::kAccepted, 0, number, 0);
  };
  store->begin();
  store->set_handle("bob", 7);
  came(7, 1, 1024, "hello", 100);
  came(7, 2, 2048, "bob", 200);
  closed(sent(8, "", 300), 8, 3072);
  came(8, 3, 4096, "answer", 250);  // later by number
  closed(sent(9, "", 260), 9, 5120);
  came(9, 1, 4097, "before", 400);
  sent(10, "", 500);  // open
  sent(0, "carol", 50);
  ASSERT_TRUE(store->commit().ok());
  std::vector<std::tuple<UserId, std::string, uint64_t, std::string>> got;
  const auto all = *store->conversations();
  for (const Conversation& each : all)
    got.emplace_back(each.peer, each.handle, each.num_unread,
                     std::string(each.last.body.begin(), each.last.body.end()));
  EXPECT_EQ(got, (decltype(got){{10, "", 0, "me"},
                                {9, "", 1, "me"},
                                {8, "", 1, "answer"},
                                {7, "bob", 2, "bob"},
                                {0, "carol", 0, "me"}}));
  store->begin();
  store->mark_inbox_read(7, {1, 0x8000000000000001u, 1});
  ASSERT_TRUE(store->commit().ok());
  EXPECT_EQ(store->conversations()->at(3).num_unread, 1u);
}

TEST_F(SqliteStoreTest, SearchFindsTheLatestTextsThatContainIt) {
  auto store = open();
  store->begin();
  const auto came = [&](UserId peer, Seq seq, std::string_view text, uint8_t content = 0) {
    InboxMessage in = message(seq, seq, text);
    in.id.user = in.peer = peer;
    in.time_ms = seq;
    in.content = content;
    store->insert_message(in);
  };
  came(7, 10, "The Forest of Arden");
  came(8, 20, "100 % of it");
  came(7, 30, "a forest", 1);  // no text
  NewRow row;
  row.to = 8;
  row.body = {'f', 'o', 'r', 'e', 's', 't'};
  row.time_ms = 15;
  store->add_row(row);
  ASSERT_TRUE(store->commit().ok());
  const auto found = [&](std::string_view text, UserId peer, size_t limit) {
    std::vector<std::pair<UserId, std::string>> out;
    const auto all = *store->search(text, peer, limit);
    for (const Found& each : all)
      out.emplace_back(each.peer, std::string(each.line.body.begin(), each.line.body.end()));
    return out;
  };
  using Expected = std::vector<std::pair<UserId, std::string>>;
  EXPECT_EQ(found("forest", 0, 9), (Expected{{7, "The Forest of Arden"}, {8, "forest"}}));
  EXPECT_EQ(found("forest", 0, 1), (Expected{{8, "forest"}}));
  EXPECT_EQ(found("forest", 7, 9), (Expected{{7, "The Forest of Arden"}}));
  EXPECT_EQ(found("0 %", 0, 9), (Expected{{8, "100 % of it"}}));
  EXPECT_EQ(found("1%t", 0, 9), Expected{}) << "what LIKE takes for a pattern is text here";
  EXPECT_EQ(found("_orest", 0, 9), Expected{});
}

// As version 1 left it: nothing said which rows were read but not delivered.
TEST_F(SqliteStoreTest, TheFirstSchemaIsBroughtUpToDate) {
  RowId row = 0;
  {
    auto store = open();
    store->begin();
    row = add(*store, 7, "x");
    store->bind_row(row, 7, store->take_seq(), frame_);
    store->close_row(store->identity().origin, 1, Mark::kRead, 0, 1024, 5);
    ASSERT_TRUE(store->commit().ok());
  }
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((dir_ + "/me/profile.db").c_str(), &db), SQLITE_OK);
  for (const char* sql : {kBackToVersion2, "ALTER TABLE outbox DROP COLUMN read; PRAGMA user_version=1"}) {
    ASSERT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK);
  }
  sqlite3_close(db);
  for (int i = 0; i < 2; ++i) {
    auto store = open();
    EXPECT_EQ(store->status(row)->mark, Mark::kRead);
    EXPECT_TRUE(store->status(row)->read);
  }
}

TEST_F(SqliteStoreTest, AnyPlaceOfAConversationIsRead) {
  // Numbers 10, 20 … 400: every fifth is this device's. One of its rows was rejected without a number.
  auto store = open();
  store->begin();
  for (Seq seq = 1; seq <= 40; ++seq) {
    if (seq % 5 == 0) {
      const RowId row = add(*store, 7, "own " + std::to_string(seq * 10));
      const Seq own = store->take_seq();
      store->bind_row(row, 7, own, frame_);
      store->close_row(store->identity().origin, own, Mark::kAccepted, 0, seq * 10, seq);
      if (seq != 20) continue;
      const RowId rejected = add(*store, 7, "rejected");
      const Seq none = store->take_seq();
      store->bind_row(rejected, 7, none, frame_);
      store->close_row(store->identity().origin, none, Mark::kRejected, 1, 0, 0);
    } else {
      InboxMessage in = message(seq, seq * 10, "came " + std::to_string(seq * 10));
      in.time_ms = seq;
      store->insert_message(in);
    }
  }
  add(*store, 7, "open");
  add(*store, 8, "to another");
  ASSERT_TRUE(store->commit().ok());
  const auto around = [&](Number number, size_t before, size_t after) {
    std::string out;
    const auto lines = store->history_around(7, number, before, after);
    for (const HistoryLine& line : *lines) {
      if (!out.empty()) out += ", ";
      out += line.text;
    }
    return out;
  };
  EXPECT_EQ(around(130, 2, 3), "came 110, came 120, came 130, came 140, own 150");
  EXPECT_EQ(around(125, 1, 1), "came 120, came 130");
  EXPECT_EQ(around(20, 5, 1), "came 10, came 20");
  EXPECT_EQ(around(390, 1, 9), "came 380, came 390, own 400") << "what is open has no place";
  EXPECT_EQ(around(200, 1, 6), "came 190, own 200, rejected, came 210, came 220, came 230, came 240, own 250")
      << "what has no number stands between its neighbours";
  EXPECT_EQ(around(1000, 2, 2), "came 390, own 400");
  EXPECT_EQ(store->history_around(9, 200, 5, 5)->size(), 0u);
  EXPECT_EQ(store->history_around(0, 200, 5, 5)->size(), 0u);
}

TEST_F(SqliteStoreTest, TheFifthSchemaIsBroughtUpToDate) {
  { open(); }
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((dir_ + "/me/profile.db").c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "DROP INDEX outbox_numbers; PRAGMA user_version=5", nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(db);
  EXPECT_TRUE(open()->history_around(7, 1, 1, 1).ok()) << "its index is there";
}

TEST_F(SqliteStoreTest, TheSecondSchemaIsBroughtUpToDate) {
  RowId row = 0;
  {
    auto store = open();
    store->begin();
    row = add(*store, 7, "x");
    store->bind_row(row, 7, store->take_seq(), frame_);
    store->close_row(store->identity().origin, 1, Mark::kAccepted, 0, 1024, 5);
    InboxMessage in = message(1, 10, "one");
    store->insert_message(in);
    ASSERT_TRUE(store->commit().ok());
  }
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((dir_ + "/me/profile.db").c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, kBackToVersion2, nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  auto store = open();
  const Origin origin = store->status(row)->origin;
  store->begin();
  EXPECT_EQ(store->rows_delivered(7, origin, 1, 1).size(), 1u);
  EXPECT_EQ(store->rows_read(7, origin, 1).size(), 1u);
  EXPECT_EQ(store->unread(7)->size(), 1u);
  store->mark_inbox_read(7, {1, 0x8000000000000001u, 1});
  EXPECT_TRUE(store->unread(7)->empty());
  ASSERT_TRUE(store->commit().ok());
}

TEST_F(SqliteStoreTest, TheFourthSchemaIsBroughtUpToDate) {
  {
    auto store = open();
    store->begin();
    add(*store, 7, "mine");
    InboxMessage in = message(1, 10, "theirs");
    store->insert_message(in);
    ASSERT_TRUE(store->commit().ok());
  }
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((dir_ + "/me/profile.db").c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, PERCH_BACK_TO_VERSION_4, nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  for (int i = 0; i < 2; ++i) {
    auto store = open();
    const auto lines = store->history(7, "", 10);
    ASSERT_TRUE(lines.ok());
    ASSERT_EQ(lines->size(), 2u);
    EXPECT_EQ((*lines)[0].text, "theirs");
    EXPECT_EQ((*lines)[1].text, "mine");
    EXPECT_EQ(store->conversations()->front().num_unread, 1u);
  }
}

// The lock that turns a database to write-ahead logging is one that SQLite does not wait for.
TEST_F(SqliteStoreTest, AProfileThatAnotherProcessIsMakingIsWaitedFor) {
  std::filesystem::create_directory(dir_ + "/me");
  std::filesystem::permissions(dir_ + "/me", std::filesystem::perms::owner_all);
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open((dir_ + "/me/profile.db").c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_EQ(SqliteStore::open(dir_ + "/me", *random_, true, 20).error().code, Errc::kBusy);
  std::thread releases([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    sqlite3_exec(other, "COMMIT", nullptr, nullptr, nullptr);
    sqlite3_close(other);
  });
  EXPECT_TRUE(SqliteStore::open(dir_ + "/me", *random_, true).ok());
  releases.join();
}

TEST_F(SqliteStoreTest, NewerSchemaIsRefused) {
  open();
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((dir_ + "/me/profile.db").c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "PRAGMA user_version=9", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  const auto store = SqliteStore::open(dir_ + "/me", *random_, true);
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error(), (Error{Errc::kNewerFormat, 9}));
}

}  // namespace
}  // namespace perch::client
