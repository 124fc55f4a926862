#include "store/journal_index.h"

#include <gtest/gtest.h>

namespace perch::store {
namespace {

constexpr UserId kAnn = 7, kBob = 8;
constexpr uint64_t kGranuleMs = 10;

Record accept(uint64_t time_ms, bool own_copy = false) {
  Record record;
  record.kind = RecordKind::kAccept;
  record.id = {kAnn, 1, 99, time_ms};
  record.to = kBob;
  record.taken_ms = time_ms;
  record.waiting[record.num_waiting++] = {kBob, 2, {1, 2}};
  if (own_copy) record.waiting[record.num_waiting++] = {kAnn, 1, {2}};
  return record;
}

Record confirm(JournalPos target, UserId user, DeviceNo device) {
  Record record;
  record.kind = RecordKind::kConfirm;
  record.target = target;
  record.who = {user, 1, {device}};
  return record;
}

Record receipt(RecordKind kind, Seq up_to) {
  Record record;
  record.kind = kind;
  record.receipt_key = {kAnn, 1, kBob, 1, 99};
  record.up_to = up_to;
  return record;
}

TEST(JournalIndexTest, ARecordIsHeldUntilAllItsDevicesHaveConfirmed) {
  JournalIndex index(kGranuleMs);
  index.apply(1, accept(100, true));
  ASSERT_NE(index.find(1, kBob), nullptr);
  EXPECT_TRUE(index.find(1, kBob)->recipient);
  EXPECT_FALSE(index.find(1, kAnn)->recipient);
  index.apply(2, confirm(1, kBob, 1));
  EXPECT_TRUE(index.find(1, kBob)->reported) << "a confirmation is written only with its receipt safe";
  EXPECT_FALSE(index.find(1, kBob)->waiting.has(1));
  index.apply(3, confirm(1, kBob, 2));
  EXPECT_EQ(index.find(1, kBob), nullptr);
  EXPECT_NE(index.find(1, kAnn), nullptr);
  index.apply(4, confirm(1, kAnn, 2));
  EXPECT_TRUE(index.held().empty());
}

TEST(JournalIndexTest, WhatIsDoneIsSweptThoughAnOldOneWaits) {
  JournalIndex index(kGranuleMs);
  index.apply(1, accept(100));
  for (JournalPos pos = 2; pos < 10'000; ++pos) {
    index.apply(pos, accept(100));
    index.remove(pos, {kBob, 2, {1, 2}}, true);
  }
  EXPECT_LT(index.held().size(), 2'100u);
  EXPECT_NE(index.find(1, kBob), nullptr);
}

TEST(JournalIndexTest, ReceiptsOfTwoRunsAreTwo) {
  JournalIndex index(kGranuleMs);
  index.apply(1, receipt(RecordKind::kReceipt, 5));
  Record second = receipt(RecordKind::kReceipt, 9);
  second.receipt_key.first = 7;
  index.apply(2, second);
  EXPECT_EQ(index.receipts().size(), 2u);
}

TEST(JournalIndexTest, TheLargestReceiptCountsUntilItIsTold) {
  JournalIndex index(kGranuleMs);
  index.apply(1, receipt(RecordKind::kReceipt, 5));
  index.apply(2, receipt(RecordKind::kReceipt, 3));
  ASSERT_EQ(index.receipts().size(), 1u);
  EXPECT_EQ(index.receipts().begin()->second.up_to, 5u);
  EXPECT_EQ(index.receipts().begin()->second.pos, 1u);
  index.apply(3, receipt(RecordKind::kReceiptAck, 4));
  EXPECT_EQ(index.receipts().size(), 1u);
  index.apply(4, receipt(RecordKind::kReceiptAck, 5));
  EXPECT_TRUE(index.receipts().empty());
}

TEST(JournalIndexTest, OldEndIsWhereTheFirstYoungStretchBegins) {
  JournalIndex index(kGranuleMs);
  EXPECT_EQ(index.old_end(1'000, 0, 9), 0u);
  index.apply(1, accept(100));
  index.apply(2, accept(105));
  index.apply(3, accept(120));
  EXPECT_EQ(index.old_end(1'000, 1'000 - 104, 9), 0u) << "the first stretch has something younger";
  EXPECT_EQ(index.old_end(1'000, 1'000 - 105, 9), 3u);
  EXPECT_EQ(index.old_end(1'000, 1'000 - 120, 9), 9u);
  index.trim(3);
  EXPECT_EQ(index.find(1, kBob), nullptr);
  EXPECT_NE(index.find(3, kBob), nullptr);
  EXPECT_EQ(index.old_end(1'000, 1'000 - 119, 9), 0u);
}

TEST(JournalIndexTest, WhatIsFromLaterThanNowIsFromNow) {
  JournalIndex index(kGranuleMs);
  index.apply(1, accept(1'000'000));
  index.apply(2, accept(95));
  EXPECT_EQ(index.old_end(100, 50, 9), 0u);
  index.apply(3, accept(105));
  index.apply(4, accept(120));
  EXPECT_EQ(index.old_end(149, 50, 9), 0u);
  EXPECT_EQ(index.old_end(155, 50, 9), 4u);
  EXPECT_EQ(index.old_end(170, 50, 9), 9u);
}

}  // namespace
}  // namespace perch::store
