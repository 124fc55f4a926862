#include "store/mover.h"

#include <vector>

#include "store_fixture.h"
#include "tests/sim/store_sim.h"

namespace perch::store {
namespace {

using MoverTest = StoreTest;

TEST_F(MoverTest, MoverTakesOnlyWhatIsOld) {
  open();
  accept(10, bytes_of("young"));
  Mover mover(*writer_);
  auto moved = mover.copy(kNow + limits_.move_after_ms - 1);
  ASSERT_TRUE(moved);
  EXPECT_EQ(*moved, 0u);
  EXPECT_FALSE(mover.pending());
}

TEST_F(MoverTest, AClockThatWasAheadStopsNothing) {
  open();
  constexpr uint64_t kYearMs = 365ull * 86'400'000;
  StoreOp ahead = accept_op(10, bytes_of("from the future"));
  ahead.taken_ms = kNow + kYearMs;
  ASSERT_EQ(apply(ahead), Status::kDone);
  uint64_t now = kNow;
  Mover mover(*writer_);
  size_t num_moved = 0;
  // While messages keep coming.
  for (Number number = 11; number < 60; ++number) {
    StoreOp op = accept_op(number, bytes_of("of today"));
    op.taken_ms = now;
    ASSERT_EQ(apply(op), Status::kDone);
    now += limits_.move_after_ms / 8;
    const auto moved = mover.copy(now);
    ASSERT_TRUE(moved);
    num_moved += *moved;
    if (mover.pending()) finish(mover);
  }
  EXPECT_GT(num_moved, 2 * 35u);
}

// A delete needs room of its own: in full tables nobody could confirm.
TEST_F(MoverTest, WhatDeletesNeedIsNotFilledByMoves) {
  limits_.table_map_bytes = 1u << 20;
  open();
  const auto body = pattern(1'500, 3);
  std::vector<std::pair<Number, Place>> messages;
  Mover mover(*writer_, 20);
  for (Number number = 10; number < 1'000; ++number) {
    messages.emplace_back(number, accept(number, body));
    const auto moved = mover.copy(kNow + limits_.move_after_ms);
    ASSERT_TRUE(moved) << name_of(moved.error().code);
    if (*moved == 0) break;
    finish(mover);
  }
  EXPECT_LT(messages.size(), 500u) << "moving has stopped";
  EXPECT_GT(writer_->tables_room().fill, 0.8);
  EXPECT_LT(writer_->tables_room().fill, 0.95);
  EXPECT_GT(num_journal_values(), 0u) << "what is not moved stays where it was";
  for (const auto& [number, place] : messages) {
    ASSERT_EQ(confirm(place, number, waiting_of(kBob, {1, 2})), Status::kDone);
    ASSERT_EQ(confirm(place, number, waiting_of(kAnn, {2})), Status::kDone);
  }
  EXPECT_EQ(num_row_values(), 0u);
  accept(1'000, body);
  const auto moved = mover.copy(kNow + limits_.move_after_ms);
  ASSERT_TRUE(moved);
  EXPECT_GT(*moved, 0u) << "and goes on when there is room";
}

// The disk has less room than the map may have.
TEST_F(MoverTest, NoMoreIsMovedThanTheDiskHasRoomFor) {
  sim::SimDisk disk, disk_of_tables;
  sim::SimKv journal(disk, kJournalTableNames.size());
  sim::SimKv tables(disk_of_tables, kMailboxTableNames.size());
  ASSERT_EQ(try_open_over(journal, tables), Errc{});
  for (Number number = 1; number <= 40; ++number) accept(number, bytes_of("waits"));
  disk_of_tables.fill = 0.8;
  disk_of_tables.capacity_bytes = 1 << 20;  // a tenth of it: 25 pages
  Mover mover(*writer_);
  EXPECT_EQ(copy(mover), 26u) << "a message's two users go together";
  writer_.reset();
}

// What is done with before the first record that still waits goes, wherever that one may not go.
TEST_F(MoverTest, WithoutRoomInTheTablesTheJournalIsCutAllTheSame) {
  sim::SimDisk disk, disk_of_tables;
  sim::SimKv journal(disk, kJournalTableNames.size());
  sim::SimKv tables(disk_of_tables, kMailboxTableNames.size());
  ASSERT_EQ(try_open_over(journal, tables), Errc{});
  Mover mover(*writer_);
  const auto first_of = [&] {
    return unpack_journal_key(journal.committed(kJournalTable).begin()->first)->pos;
  };
  std::vector<Place> places;
  for (Number number = 1; number <= 3; ++number) places.push_back(accept(number, bytes_of("waits")));
  for (const bool by_its_fill : {true, false}) {
    const Number number = by_its_fill ? 1 : 2;
    ASSERT_EQ(confirm(places[number - 1], number, waiting_of(kBob, {1, 2})), Status::kDone);
    ASSERT_EQ(confirm(places[number - 1], number, waiting_of(kAnn, {2})), Status::kDone);
    disk_of_tables.fill = by_its_fill ? 0.95 : 0.1;
    disk_of_tables.full = !by_its_fill;
    EXPECT_EQ(copy(mover), 0u);
    finish(mover);
    EXPECT_EQ(first_of(), places[number].pos);
    EXPECT_EQ(copy(mover), 0u);
    EXPECT_FALSE(mover.pending()) << "there is nothing more to cut";
  }
  disk_of_tables.full = false;
  EXPECT_EQ(copy(mover), 2u);
  finish(mover);
  EXPECT_TRUE(journal.committed(kJournalTable).empty());
  writer_.reset();
}

TEST_F(MoverTest, MovedMessagesAreReadConfirmedAndRecoveredFromTheTables) {
  open();
  const auto bytes = pattern(64 * 1024, 9);
  const Place large = accept(10, bytes);
  const Place small = accept(11, bytes_of("small"));
  ASSERT_EQ(confirm(large, 10, waiting_of(kBob, {1})), Status::kDone);
  Mover mover(*writer_);
  EXPECT_EQ(copy(mover), 4u);
  finish(mover);
  EXPECT_EQ(num_journal_values(), 0u);
  // Both what the cores know by now and what a slow one still believes.
  EXPECT_EQ(frame(kBob, 10, {large.pos, true}), bytes);
  EXPECT_EQ(frame(kBob, 10, {large.pos, false}), bytes);
  open();
  EXPECT_EQ(found_.items.size(), 4u);
  const RecoveredItem* item = item_of(kBob, 10);
  ASSERT_TRUE(item);
  EXPECT_TRUE(item->place.in_table);
  EXPECT_EQ(item->place.pos, large.pos);
  EXPECT_TRUE(item->reported);
  EXPECT_FALSE(item_of(kBob, 11)->reported);
  EXPECT_EQ(item->taken_ms, kNow);
  EXPECT_EQ(item->frame_bytes, bytes.size());
  EXPECT_EQ(confirm({large.pos, true}, 10, waiting_of(kBob, {2})), Status::kDone);
  EXPECT_EQ(confirm({large.pos, true}, 10, waiting_of(kAnn, {2})), Status::kDone);
  EXPECT_EQ(confirm({small.pos, true}, 11, waiting_of(kBob, {2})), Status::kDone);
  open();
  EXPECT_EQ(found_.items.size(), 2u);
  ASSERT_TRUE(item_of(kBob, 11));
  EXPECT_EQ(item_of(kBob, 11)->waiting.num, 1);
  EXPECT_TRUE(item_of(kBob, 11)->reported);
  EXPECT_EQ(num_row_values(), 2u) << "all chunks of the large one are gone";
}

TEST_F(MoverTest, StopAfterCopyCountsOnce) {
  open();
  const Place place = accept(10, bytes_of("ten"));
  {
    Mover mover(*writer_);
    EXPECT_EQ(copy(mover), 2u);
  }
  open();
  EXPECT_EQ(found_.items.size(), 2u);
  EXPECT_TRUE(item_of(kBob, 10));  // checks that it is there once
  EXPECT_TRUE(item_of(kAnn, 10));
  Mover mover(*writer_);
  EXPECT_EQ(copy(mover), 2u) << "repeating the first step is harmless";
  finish(mover);
  open();
  EXPECT_EQ(found_.items.size(), 2u);
  EXPECT_EQ(frame(kBob, 10, {place.pos, true}), std::vector<uint8_t>({'t', 'e', 'n'}));
}

TEST_F(MoverTest, ConfirmationBetweenTheStepsSurvivesAStop) {
  for (const bool told : {false, true}) {  // does the home core know the new place?
    open();
    const Number number = told ? 20 : 10;
    const Place place = accept(number, bytes_of("ten"));
    {
      Mover mover(*writer_);
      EXPECT_EQ(copy(mover), 2u);
      EXPECT_EQ(confirm({place.pos, told}, number, waiting_of(kBob, {1})), Status::kDone);
      EXPECT_EQ(confirm({place.pos, told}, number, waiting_of(kAnn, {2})), Status::kDone);
    }
    open();
    ASSERT_EQ(found_.items.size(), 1u);
    ASSERT_TRUE(item_of(kBob, number));
    EXPECT_EQ(item_of(kBob, number)->waiting.num, 1);
    EXPECT_TRUE(item_of(kBob, number)->reported);
    Mover mover(*writer_);
    EXPECT_EQ(copy(mover), 1u);
    finish(mover);
    EXPECT_EQ(num_row_values(), 1u) << "no row waits for nobody";
    EXPECT_EQ(confirm({place.pos, false}, number, waiting_of(kBob, {2})), Status::kDone);
    EXPECT_EQ(num_row_values(), 0u) << "a confirmation that names the old place finds the row";
  }
}

TEST_F(MoverTest, ConfirmationAfterAStopBetweenTheStepsReachesTheRow) {
  open();
  const Place place = accept(10, bytes_of("ten"));
  {
    Mover mover(*writer_);
    EXPECT_EQ(copy(mover), 2u);
  }
  open();
  EXPECT_EQ(confirm(place, 10, waiting_of(kBob, {1, 2})), Status::kDone);
  EXPECT_EQ(confirm(place, 10, waiting_of(kAnn, {2})), Status::kDone);
  Mover mover(*writer_);
  EXPECT_EQ(copy(mover), 0u);
  finish(mover);
  EXPECT_EQ(num_row_values(), 0u);
  open();
  EXPECT_TRUE(found_.items.empty());
}

TEST_F(MoverTest, ConfirmationOfTheOldPlaceReachesTheRow) {
  open();
  const Place place = accept(10, bytes_of("ten"));
  Mover mover(*writer_);
  copy(mover);
  EXPECT_EQ(confirm(place, 10, waiting_of(kBob, {1, 2})), Status::kDone);
  finish(mover);
  EXPECT_EQ(num_row_values(), 1u) << "only the one for Ann's other device";
  open();
  EXPECT_FALSE(item_of(kBob, 10));
}

TEST_F(MoverTest, ARepeatedConfirmationFindsTheRowThatTheFirstHadNoRoomToDrop) {
  open();
  const Place place = accept(10, bytes_of("ten"));
  Mover mover(*writer_);
  copy(mover);
  const auto key = pack_key(RowKey{kBob, 10, 0});
  std::vector<uint8_t> row;
  auto snapshot = tables_->snapshot();
  auto stored = snapshot->get(mailbox_table(kBob), key);
  ASSERT_TRUE(stored);
  row.assign(stored->begin(), stored->end());
  snapshot.reset();
  EXPECT_EQ(confirm(place, 10, waiting_of(kBob, {1, 2})), Status::kDone);
  ASSERT_TRUE(tables_->begin());  // as if the tables' transaction had found no room
  ASSERT_TRUE(tables_->put(mailbox_table(kBob), key, row));
  ASSERT_TRUE(tables_->commit());
  EXPECT_EQ(num_row_values(), 2u);
  EXPECT_EQ(confirm(place, 10, waiting_of(kBob, {1, 2})), Status::kDone);
  EXPECT_EQ(num_row_values(), 1u);
}

// A stop when a confirmation's record is flushed and its row is not.
TEST_F(MoverTest, StopBetweenTheCommitsOfOneConfirmation) {
  Number number = 10;
  for (const Waiting& who : {waiting_of(kBob, {1, 2}), waiting_of(kBob, {1})}) {
    open();
    const Place place = accept(number, bytes_of("ten"));
    {
      Mover mover(*writer_);
      copy(mover);
    }
    ASSERT_TRUE(journal_->begin());
    Record record;
    record.kind = RecordKind::kConfirm;
    record.target = place.pos;
    record.who = who;
    const auto key = pack_key(JournalKey{place.pos + 1, 0});
    Value value;
    pack_record(key, record, {}, value);
    ASSERT_TRUE(journal_->append(kJournalTable, key, value.bytes()));
    ASSERT_TRUE(journal_->commit());
    EXPECT_EQ(num_row_values(), 2u);
    open();
    EXPECT_EQ(item_of(kBob, number) != nullptr, who.num == 1) << "if it was one of two, the other waits";
    EXPECT_TRUE(item_of(kAnn, number));
    EXPECT_EQ(num_row_values(), who.num == 1 ? 2u : 1u) << "the row of the confirmed one is dropped at start";
    EXPECT_EQ(confirm(place, number, waiting_of(kBob, {2})), Status::kDone);
    EXPECT_EQ(confirm(place, number, waiting_of(kAnn, {2})), Status::kDone);
    EXPECT_EQ(num_row_values(), 0u);
    ++number;
  }
}

// It would stay for ever, and all behind it: the journal fills and nobody knows why.
TEST_F(MoverTest, ARecordThatCannotBeReadStopsTheStore) {
  for (const bool missing : {false, true}) {
    sim::SimDisk disk;
    sim::SimKv journal(disk, kJournalTableNames.size());
    sim::SimKv tables(disk, kMailboxTableNames.size());
    ASSERT_EQ(try_open_over(journal, tables), Errc{});
    accept(10, bytes_of("ten"));
    const JournalPos pos = accept(11, bytes_of("eleven")).pos;
    const auto key = pack_key(JournalKey{pos, 0});
    ASSERT_TRUE(journal.begin());
    if (missing)
      ASSERT_TRUE(journal.erase(kJournalTable, key));
    else
      ASSERT_TRUE(journal.put(kJournalTable, key, bytes_of("what the disk has made of it")));
    ASSERT_TRUE(journal.commit());
    Mover mover(*writer_);
    const auto moved = mover.copy(kNow + 2 * limits_.move_after_ms);
    ASSERT_FALSE(moved);
    EXPECT_EQ(moved.error(), (Error{Errc::kCorrupt, static_cast<int64_t>(pos)}));
    EXPECT_TRUE(writer_->poisoned());
    writer_.reset();
  }
}

// A stop between the commits of a confirmation, and the tables have no room at the start that finds it.
TEST_F(MoverTest, RowsThatCannotBeDroppedForWantOfRoomAtStartAreDroppedLater) {
  sim::SimDisk disk, disk_of_tables;
  sim::SimKv journal(disk, kJournalTableNames.size());
  sim::SimKv tables(disk_of_tables, kMailboxTableNames.size());
  const auto has_row = [&](UserId user) {
    const auto key = pack_key(RowKey{user, 10, 0});
    return tables.committed(mailbox_table(user)).contains({key.begin(), key.end()});
  };
  ASSERT_EQ(try_open_over(journal, tables), Errc{});
  const Place place = accept(10, bytes_of("ten"));
  {
    Mover mover(*writer_);
    EXPECT_EQ(copy(mover), 2u);
  }
  // The records are flushed, the rows are not.
  for (const Waiting& who : {waiting_of(kBob, {1, 2}), waiting_of(kAnn, {2})}) {
    disk_of_tables.full = true;
    confirm(place, 10, who);
    disk_of_tables.full = false;
  }
  EXPECT_TRUE(has_row(kBob) && has_row(kAnn));

  auto writer = Writer::open(journal, tables, limits_, *random_);
  ASSERT_TRUE(writer);
  writer_ = std::move(*writer);
  found_ = {};
  disk_of_tables.full = true;
  ASSERT_TRUE(writer_->recover(found_)) << "a full server must be able to start";
  EXPECT_TRUE(found_.items.empty());
  Mover mover(*writer_);
  EXPECT_EQ(copy(mover), 0u);
  EXPECT_FALSE(mover.pending()) << "the record is what says that the row waits for nobody";
  EXPECT_FALSE(writer_->poisoned());
  disk_of_tables.full = false;
  EXPECT_EQ(copy(mover), 0u);
  EXPECT_FALSE(has_row(kBob) || has_row(kAnn));
  finish(mover);
  EXPECT_TRUE(journal.committed(kJournalTable).empty());
  ASSERT_EQ(try_open_over(journal, tables), Errc{});
  EXPECT_TRUE(found_.items.empty());
  writer_.reset();
}

TEST_F(MoverTest, StatusesToTellOutliveTheTrim) {
  open();
  ASSERT_EQ(receipt(OpKind::kReceipt, 5), Status::kDone);
  StoreOp expire;
  expire.kind = OpKind::kExpire;
  expire.place = accept(10, bytes_of("old"));
  expire.id = {kAnn, 1, 99, 10};
  expire.to = kBob;
  expire.number = 10;
  expire.who = waiting_of(kBob, {1, 2});
  expire.expired_for = waiting_of(kAnn, {1});
  ASSERT_EQ(apply(expire), Status::kDone);
  for (int round = 0; round < 3; ++round) {
    accept(20 + round, bytes_of("more"));
    Mover mover(*writer_);
    copy(mover);
    finish(mover);
    copy(mover);
    EXPECT_FALSE(mover.pending()) << "what goes round does not go round for ever";
    open();
    ASSERT_EQ(found_.receipts.size(), 1u);
    EXPECT_EQ(found_.receipts[0].up_to, 5u);
    ASSERT_EQ(found_.expireds.size(), 1u);
    EXPECT_EQ(found_.expireds[0].id, expire.id);
    EXPECT_TRUE(found_.expireds[0].tell.has(1));
  }
}

TEST_F(MoverTest, PositionsAreNeverReused) {
  open();
  JournalPos last = 0;
  for (int round = 0; round < 4; ++round) {
    const Place place = accept(10 + round, bytes_of("x"));
    EXPECT_GT(place.pos, last);
    last = place.pos;
    Mover mover(*writer_);
    move_all(mover);
    EXPECT_EQ(num_journal_values(), 0u);
    if (round % 2) open();
  }
}

TEST_F(MoverTest, SmallStepsMoveEverythingToo) {
  open();
  for (Number number = 1; number <= 50; ++number) accept(number, pattern(number * 100, 1));
  auto mover = std::make_unique<Mover>(*writer_, 7, 5);
  size_t num_moved = 0, num_steps = 0;
  for (;; ++num_steps) {
    num_moved += copy(*mover);
    if (!mover->pending()) break;
    auto done = mover->finish();
    ASSERT_TRUE(done);
    if (num_steps == 3 && mover->pending()) {
      open();  // a stop in the middle of deleting
      mover = std::make_unique<Mover>(*writer_, 7, 5);
      num_moved = found_.items.size();
      for (const RecoveredItem& item : found_.items) num_moved -= !item.place.in_table;
    }
    finish(*mover);
  }
  EXPECT_GT(num_steps, 5u);
  EXPECT_EQ(num_moved, 100u);
  EXPECT_EQ(num_journal_values(), 0u);
  open();
  EXPECT_EQ(found_.items.size(), 100u);
  for (Number number = 1; number <= 50; ++number) {
    EXPECT_EQ(frame(kBob, number, item_of(kBob, number)->place), pattern(number * 100, 1));
  }
}

}  // namespace
}  // namespace perch::store
