// StoreTest: a store in a folder of its own, opened, filled and opened again.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "core/random.h"
#include "store/mover.h"
#include "store/store_lmdb.h"
#include "store/writer.h"
#include "tests/unit/temp_folder.h"

namespace perch::store {

inline Bytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

inline std::vector<uint8_t> pattern(size_t size, uint8_t seed) {
  std::vector<uint8_t> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(i * 31 + i / 251 + seed);
  return bytes;
}

inline Waiting waiting_of(UserId user, std::initializer_list<DeviceNo> devices) {
  Waiting waiting;
  waiting.user = user;
  for (DeviceNo device : devices) EXPECT_TRUE(waiting.add(device));
  return waiting;
}

struct Collected final : RecoveryVisitor {
  std::vector<RecoveredItem> items;
  std::vector<RecoveredMark> marks;
  std::vector<RecoveredReceipt> receipts;
  std::vector<RecoveredExpired> expireds;
  void item(const RecoveredItem& item) override { items.push_back(item); }
  void mark(const RecoveredMark& mark) override { marks.push_back(mark); }
  void receipt(const RecoveredReceipt& receipt) override { receipts.push_back(receipt); }
  void expired(const RecoveredExpired& expired) override { expireds.push_back(expired); }
};

inline constexpr uint64_t kNow = 1'000'000;  // served time at which the messages were taken
inline constexpr UserId kAnn = 7, kBob = 8;

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    limits_.map_bytes = 64u << 20;
    limits_.table_map_bytes = 64u << 20;
  }
  void TearDown() override { close(); }
  void close() {
    reader_.reset();
    writer_.reset();
    journal_.reset();
    tables_.reset();
  }
  Errc try_open() {
    close();
    auto journal = open_lmdb(directory_ + "/journal", kJournalTableNames, limits_.map_bytes);
    auto tables = open_lmdb(directory_ + "/tables", kMailboxTableNames, limits_.table_map_bytes);
    if (!journal || !tables) {
      ADD_FAILURE() << "environment does not open";
      return Errc::kSystem;
    }
    journal_ = std::move(*journal);
    tables_ = std::move(*tables);
    const Errc opened = try_open_over(*journal_, *tables_);
    if (opened == Errc{}) reader_ = writer_->make_reader();
    return opened;
  }
  // The writer alone, over disks of the test's own. They must outlive it.
  Errc try_open_over(Kv& journal, Kv& tables) {
    auto writer = Writer::open(journal, tables, limits_, *random_);
    if (!writer) return writer.error().code;
    writer_ = std::move(*writer);
    found_ = {};
    auto recovered = writer_->recover(found_);
    return recovered ? Errc{} : recovered.error().code;
  }
  void open() { ASSERT_EQ(try_open(), Errc{}); }

  StoreOp accept_op(Number number, Bytes frame) {
    StoreOp op;
    op.kind = OpKind::kAccept;
    op.id = {kAnn, 1, 99, number};
    op.to = kBob;
    op.number = number;
    op.taken_ms = kNow;
    op.frame = frame;
    op.waiting = {waiting_of(kBob, {1, 2}), waiting_of(kAnn, {2})};
    op.num_waiting = 2;
    return op;
  }
  Status apply(StoreOp& op) {
    StoreOp* ops[] = {&op};
    writer_->apply(ops);
    return op.status;
  }
  Place accept(Number number, Bytes frame) {
    StoreOp op = accept_op(number, frame);
    EXPECT_EQ(apply(op), Status::kDone);
    return op.place;
  }
  Status confirm(Place place, Number number, Waiting who) {
    StoreOp op;
    op.kind = OpKind::kConfirm;
    op.place = place;
    op.number = number;
    op.who = who;
    return apply(op);
  }
  Status receipt(OpKind kind, Seq up_to) {
    StoreOp op;
    op.kind = kind;
    op.receipt_key = kReceiptKey;
    op.up_to = up_to;
    return apply(op);
  }
  std::vector<uint8_t> frame(UserId user, Number number, Place place) {
    std::vector<uint8_t> out;
    auto read = reader_->frame(user, number, place, out);
    EXPECT_TRUE(read) << name_of(read.error().code);
    reader_->release();
    return out;
  }
  const RecoveredItem* item_of(UserId user, Number number) {
    const RecoveredItem* found = nullptr;
    for (const RecoveredItem& item : found_.items) {
      if (item.waiting.user != user || item.number != number) continue;
      EXPECT_EQ(found, nullptr) << "counted twice";
      found = &item;
    }
    return found;
  }
  // Everything that is in the journal's record table.
  size_t num_journal_values() {
    size_t num = 0;
    auto snapshot = journal_->snapshot();
    EXPECT_TRUE(snapshot->scan(kJournalTable, {}, [&](Bytes, Bytes) { return ++num; }));
    return num;
  }
  size_t num_row_values() {
    size_t num = 0;
    auto snapshot = tables_->snapshot();
    for (Table table = 0; table < kNumMailboxTables; ++table) {
      EXPECT_TRUE(snapshot->scan(table, {}, [&](Bytes, Bytes) { return ++num; }));
    }
    return num;
  }
  size_t copy(Mover& mover) {
    auto moved = mover.copy(kNow + 2 * limits_.move_after_ms);
    EXPECT_TRUE(moved);
    return moved ? *moved : 0;
  }
  void finish(Mover& mover) {
    while (mover.pending()) ASSERT_TRUE(mover.finish());
  }
  void move_all(Mover& mover) {
    do {
      copy(mover);
      if (!mover.pending()) return;
      finish(mover);
    } while (true);
  }

  static constexpr ReceiptKey kReceiptKey{kAnn, 1, kBob, 1, 99};

  TempFolder temp_;
  const std::string& directory_ = temp_.path();
  Limits limits_;
  std::unique_ptr<Random> random_ = seeded_random(1);
  std::unique_ptr<Kv> journal_, tables_;
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<Reader> reader_;
  Collected found_;
};

}  // namespace perch::store
