#include "store/backup_writer.h"

#include <gtest/gtest.h>

#include "tests/unit/backup_fixture.h"

namespace perch::store {
namespace {

TEST_F(BackupTest, WhatIsReadBackIsTheStore) {
  fill();
  const Stream stream = stream_now();
  ASSERT_TRUE(written_);
  const uint64_t base = writer_->base();
  load(stream);
  EXPECT_GT(writer_->base(), base);
  for (Number number = 1; number <= 5; ++number) {
    const RecoveredItem* item = item_of(kBob, number);
    ASSERT_NE(item, nullptr) << number;
    EXPECT_EQ(item->place.in_table, number <= 3);
    EXPECT_EQ(frame(kBob, number, item->place), number <= 3   ? pattern(number * 1'500, 1)
                                                : number == 4 ? pattern(10, 4)
                                                              : pattern(5'000, 5));
  }
  EXPECT_EQ(reader_->user(kBob)->devices.size(), 2u);
  EXPECT_EQ(*reader_->handle("bob"), kBob);
}

// The cut falls between the two steps of a move, and everything that follows changes both environments.
TEST_F(BackupTest, ACutIsWhatAStopWouldLeave) {
  open();
  std::vector<Place> places;
  for (Number number = 1; number <= 4; ++number) places.push_back(accept(number, pattern(100, 1)));
  Mover mover(*writer_);
  ASSERT_EQ(copy(mover), 8u);  // each for two users
  ASSERT_EQ(confirm(places[0], 1, waiting_of(kBob, {1})), Status::kDone);
  Result<Cut> cut = writer_->cut();
  ASSERT_TRUE(cut.ok());
  for (Number number = 1; number <= 4; ++number) {
    ASSERT_EQ(confirm(places[number - 1], number, waiting_of(kBob, {1, 2})), Status::kDone);
    ASSERT_EQ(confirm(places[number - 1], number, waiting_of(kAnn, {2})), Status::kDone);
  }
  finish(mover);
  accept(5, pattern(100, 5));
  ASSERT_EQ(num_row_values(), 0u);
  load(stream_of(*cut));
  EXPECT_EQ(found_.items.size(), 8u);
  for (Number number = 1; number <= 4; ++number) {
    ASSERT_NE(item_of(kBob, number), nullptr);
    EXPECT_EQ(item_of(kBob, number)->waiting.num, number == 1 ? 1 : 2);
    ASSERT_NE(item_of(kAnn, number), nullptr);
  }
  EXPECT_EQ(item_of(kBob, 5), nullptr);
}

TEST_F(BackupTest, ACutHoldsRowsThatGoAfterIt) {
  open();
  const Place place = accept(1, pattern(100, 1));
  Mover mover(*writer_);
  move_all(mover);
  Result<Cut> cut = writer_->cut();
  ASSERT_TRUE(cut.ok());
  ASSERT_EQ(confirm(place, 1, waiting_of(kBob, {1, 2})), Status::kDone);
  ASSERT_EQ(confirm(place, 1, waiting_of(kAnn, {2})), Status::kDone);
  ASSERT_EQ(num_row_values(), 0u);
  load(stream_of(*cut));
  EXPECT_EQ(found_.items.size(), 2u);
}

TEST_F(BackupTest, ADamagedValueIsNotCopied) {
  fill();
  ASSERT_TRUE(journal_->begin());
  const auto key = pack_key(kBob);
  ASSERT_TRUE(journal_->put(kUsersTable, key, pattern(40, 1)));
  ASSERT_TRUE(journal_->commit());
  const Stream stream = stream_now();
  ASSERT_FALSE(written_);
  EXPECT_EQ(written_.error().code, Errc::kCorrupt);
  BackupReader reader(source_of(stream));
  EXPECT_EQ(reader.read().error().code, Errc::kStopped);
  EXPECT_EQ(reader.problem(), "a value of table journal/users is damaged, that of key 0000000000000008");
}

TEST_F(BackupTest, ASinkThatTakesNoMoreEndsIt) {
  fill();
  Result<Cut> cut = writer_->cut();
  ASSERT_TRUE(cut.ok());
  for (size_t most : {0u, 1u, 3u, 8u}) {
    size_t num = 0;
    BackupWriter writer([&](Bytes) { return num++ < most ? Result<void>() : Error{Errc::kFull, 7}; });
    EXPECT_EQ(writer.write(*cut, 0).error(), (Error{Errc::kFull, 7}));
    EXPECT_EQ(num, most + 1);
  }
}

}  // namespace
}  // namespace perch::store
