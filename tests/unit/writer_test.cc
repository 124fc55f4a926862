#include "store/writer.h"

#include <string>
#include <vector>

#include "store_fixture.h"
#include "tests/sim/store_sim.h"

namespace perch::store {
namespace {

using WriterTest = StoreTest;

TEST_F(WriterTest, AcceptAndConfirmAcrossReopen) {
  open();
  EXPECT_TRUE(found_.items.empty());
  const Place first = accept(10, bytes_of("one"));
  const Place second = accept(11, bytes_of("two"));
  EXPECT_GT(second.pos, first.pos);
  EXPECT_EQ(frame(kBob, 10, first), std::vector<uint8_t>({'o', 'n', 'e'}));
  EXPECT_EQ(confirm(first, 10, waiting_of(kBob, {1})), Status::kDone);
  EXPECT_EQ(confirm(second, 11, waiting_of(kBob, {1, 2})), Status::kDone);
  EXPECT_EQ(confirm(second, 11, waiting_of(kAnn, {2})), Status::kDone);
  open();
  ASSERT_EQ(found_.items.size(), 2u);
  const RecoveredItem* item = item_of(kBob, 10);
  ASSERT_TRUE(item);
  EXPECT_EQ(item->waiting.num, 1);
  EXPECT_TRUE(item->waiting.has(2));
  EXPECT_TRUE(item->reported);
  EXPECT_EQ(item->frame_bytes, 3u);
  EXPECT_EQ(item->place.pos, first.pos);
  EXPECT_TRUE(item_of(kAnn, 10));
  ASSERT_EQ(found_.marks.size(), 2u);
  EXPECT_TRUE(found_.marks[0].delivered);
  EXPECT_EQ(frame(kAnn, 10, item->place), std::vector<uint8_t>({'o', 'n', 'e'}));
}

TEST_F(WriterTest, Accounts) {
  open();
  StoreOp op;
  op.kind = OpKind::kAccount;
  op.handle = "ann";
  EXPECT_EQ(apply(op), Status::kNotFound);
  op.create = true;
  EXPECT_EQ(apply(op), Status::kDone);
  const UserId ann = op.user_row.id;
  EXPECT_NE(ann, 0u);
  EXPECT_EQ(ann >> 63, 0u);
  // The same handle twice in one batch is one user.
  StoreOp bob1, bob2;
  bob1.kind = bob2.kind = OpKind::kAccount;
  bob1.handle = bob2.handle = "bob";
  bob1.create = bob2.create = true;
  StoreOp* both[] = {&bob1, &bob2};
  writer_->apply(both);
  EXPECT_EQ(bob1.user_row.id, bob2.user_row.id);
  EXPECT_NE(bob1.user_row.id, ann);

  StoreOp write;
  write.kind = OpKind::kUser;
  write.user_row = op.user_row;
  write.user_row.next_device = 2;
  write.user_row.devices.push_back({1, std::string(64, 'd'), 123, 456, true});
  EXPECT_EQ(apply(write), Status::kDone);
  StoreOp by_id;
  by_id.kind = OpKind::kAccount;
  by_id.user_row.id = 4711;
  EXPECT_EQ(apply(by_id), Status::kNotFound);
  by_id.create = true;
  EXPECT_EQ(apply(by_id), Status::kDone);
  // An id with a handle is that id: it gets the handle if that is free, and is never taken for its owner.
  for (const auto& [id, handle] : {std::pair<UserId, std::string>{4712, "cid"}, {4713, "ann"}}) {
    StoreOp both_named;
    both_named.kind = OpKind::kAccount;
    both_named.user_row.id = id;
    both_named.handle = handle;
    both_named.create = true;
    EXPECT_EQ(apply(both_named), Status::kDone);
    EXPECT_EQ(both_named.user_row.id, id);
  }
  // A user without a handle gets the one it is named with later, once; who still writes the user as it was
  // before takes nothing away.
  for (const std::string handle : {"dan", "eric"}) {
    StoreOp named;
    named.kind = OpKind::kAccount;
    named.user_row.id = 4711;
    named.handle = handle;
    EXPECT_EQ(apply(named), Status::kDone);
    EXPECT_EQ(named.user_row.handle, "dan");
  }
  by_id.kind = OpKind::kUser;
  by_id.user_row.handle.clear();
  by_id.user_row.next_device = 3;
  EXPECT_EQ(apply(by_id), Status::kDone);
  open();
  EXPECT_EQ(*reader_->handle("dan"), 4711u);
  EXPECT_EQ(reader_->user(4711)->handle, "dan");
  EXPECT_EQ(reader_->user(4711)->next_device, 3);
  EXPECT_EQ(reader_->handle("eric").error().code, Errc::kNotFound);
  EXPECT_EQ(*reader_->handle("cid"), 4712u);
  EXPECT_EQ(reader_->user(4713)->handle, "");
  EXPECT_EQ(*reader_->handle("ann"), ann);
  EXPECT_EQ(reader_->handle("eve").error().code, Errc::kNotFound);
  auto row = reader_->user(ann);
  ASSERT_TRUE(row);
  EXPECT_EQ(row->handle, "ann");
  EXPECT_EQ(row->next_device, 2);
  ASSERT_EQ(row->devices.size(), 1u);
  EXPECT_EQ(row->devices[0].name, std::string(64, 'd'));
  EXPECT_EQ(row->devices[0].origin, 456u);
  EXPECT_TRUE(row->devices[0].overflowed);
}

TEST_F(WriterTest, ReceiptsLastUntilTold) {
  open();
  EXPECT_EQ(receipt(OpKind::kReceipt, 5), Status::kDone);
  EXPECT_EQ(receipt(OpKind::kReceipt, 9), Status::kDone);
  EXPECT_EQ(receipt(OpKind::kReceipt, 7), Status::kDone);  // an older one that comes late
  EXPECT_EQ(receipt(OpKind::kReceiptAck, 7), Status::kDone);
  open();
  ASSERT_EQ(found_.receipts.size(), 1u);
  EXPECT_EQ(found_.receipts[0].up_to, 9u);
  EXPECT_EQ(found_.receipts[0].key, kReceiptKey);
  EXPECT_EQ(receipt(OpKind::kReceiptAck, 9), Status::kDone);
  open();
  EXPECT_TRUE(found_.receipts.empty());
}

TEST_F(WriterTest, ExpiredLastsUntilAllDevicesKnow) {
  open();
  StoreOp op;
  op.kind = OpKind::kExpire;
  op.place = accept(10, bytes_of("old"));
  op.id = {kAnn, 1, 99, 10};
  op.to = kBob;
  op.number = 10;
  op.who = waiting_of(kBob, {1, 2});
  op.expired_for = waiting_of(kAnn, {1, 2});
  EXPECT_EQ(apply(op), Status::kDone);
  StoreOp ack;
  ack.kind = OpKind::kExpiredAck;
  ack.id = op.id;
  ack.expired_for = waiting_of(kAnn, {2});
  EXPECT_EQ(apply(ack), Status::kDone);
  open();
  EXPECT_FALSE(item_of(kBob, 10));
  EXPECT_TRUE(item_of(kAnn, 10));
  ASSERT_EQ(found_.marks.size(), 1u);
  EXPECT_FALSE(found_.marks[0].delivered) << "expired is not delivered";
  ASSERT_EQ(found_.expireds.size(), 1u);
  EXPECT_EQ(found_.expireds[0].id, op.id);
  EXPECT_EQ(found_.expireds[0].tell.num, 1);
  EXPECT_TRUE(found_.expireds[0].tell.has(1));
  ack.expired_for = waiting_of(kAnn, {1});
  EXPECT_EQ(apply(ack), Status::kDone);
  open();
  EXPECT_TRUE(found_.expireds.empty());
}

TEST_F(WriterTest, FullMapRefusesMessagesAndStillTakesConfirmations) {
  limits_.map_bytes = 1u << 20;
  open();
  const auto bytes = pattern(8000, 1);
  std::vector<std::pair<Place, Number>> places;
  Number number = 1;
  for (;; ++number) {
    ASSERT_LT(number, 1000u);
    StoreOp op = accept_op(number, bytes);
    const Status status = apply(op);
    if (status == Status::kFull) break;
    ASSERT_EQ(status, Status::kDone);
    places.emplace_back(op.place, number);
  }
  EXPECT_GT(places.size(), 50u);
  EXPECT_GT(writer_->journal_room().fill, 0.8);
  EXPECT_LT(writer_->journal_room().fill, 0.96);
  // Only the messages of a batch wait.
  StoreOp message = accept_op(number + 1, bytes);
  StoreOp confirmed;
  confirmed.kind = OpKind::kConfirm;
  confirmed.place = places[0].first;
  confirmed.number = places[0].second;
  confirmed.who = waiting_of(kBob, {1, 2});
  StoreOp* batch[] = {&message, &confirmed};
  writer_->apply(batch);
  EXPECT_EQ(message.status, Status::kFull);
  EXPECT_EQ(confirmed.status, Status::kDone);
  EXPECT_FALSE(writer_->poisoned());
  for (auto& [place, each] : places) {
    ASSERT_EQ(confirm(place, each, waiting_of(kBob, {1, 2})), Status::kDone);
    ASSERT_EQ(confirm(place, each, waiting_of(kAnn, {2})), Status::kDone);
  }
  Mover mover(*writer_);
  move_all(mover);
  EXPECT_LT(writer_->journal_room().fill, 0.5);
  EXPECT_EQ(apply(message), Status::kDone);
}

// What it deletes from the tables needs nothing of the journal.
TEST_F(WriterTest, WithoutRoomInTheJournalRowsAreDeletedAllTheSame) {
  sim::SimDisk disk, disk_of_tables;
  sim::SimKv journal(disk, kJournalTableNames.size());
  sim::SimKv tables(disk_of_tables, kMailboxTableNames.size());
  ASSERT_EQ(try_open_over(journal, tables), Errc{});
  const Place moved = accept(1, bytes_of("moved"));
  Mover mover(*writer_);
  move_all(mover);
  const Place young = accept(2, bytes_of("young"));
  StoreOp message = accept_op(3, bytes_of("new"));
  StoreOp row, record;
  row.kind = record.kind = OpKind::kConfirm;
  row.who = record.who = waiting_of(kBob, {1, 2});
  row.place = moved;
  row.number = 1;
  record.place = young;
  record.number = 2;
  StoreOp* batch[] = {&message, &record, &row};
  disk.full = true;
  writer_->apply(batch);
  EXPECT_EQ(row.status, Status::kDone);
  EXPECT_EQ(record.status, Status::kFull);
  EXPECT_EQ(message.status, Status::kFull);
  EXPECT_EQ(tables.committed(mailbox_table(kBob)).size(), 0u);
  disk.full = false;
  writer_->apply(batch);
  for (const StoreOp* op : batch) EXPECT_EQ(op->status, Status::kDone);
  writer_.reset();
}

// The disk has less room than the map may have, so each message takes more of it.
TEST_F(WriterTest, MessagesOverWhatTheDiskHasWait) {
  sim::SimDisk disk;
  sim::SimKv journal(disk, kJournalTableNames.size()), tables(disk, kMailboxTableNames.size());
  ASSERT_EQ(try_open_over(journal, tables), Errc{});
  disk.fill = 0.9;
  disk.capacity_bytes = 1 << 20;  // of it a twentieth is left to messages: 52,428 bytes
  const auto bytes = pattern(8000, 1);
  std::vector<StoreOp> ops(8);
  std::vector<StoreOp*> batch;
  for (size_t i = 0; i < ops.size(); ++i) {
    ops[i] = accept_op(i + 1, bytes);
    batch.push_back(&ops[i]);
  }
  writer_->apply(batch);
  for (size_t i = 0; i < ops.size(); ++i)
    EXPECT_EQ(ops[i].status, i < 5 ? Status::kDone : Status::kFull) << i;
  writer_.reset();
}

TEST_F(WriterTest, NoRoomInsideTheTransactionRepeatsWithoutMessages) {
  sim::SimDisk disk;
  sim::SimKv journal(disk, kJournalTableNames.size()), tables(disk, kMailboxTableNames.size());
  ASSERT_EQ(try_open_over(journal, tables), Errc{});
  const Place place = accept(1, bytes_of("x"));
  const auto bytes = pattern(60'000, 1);
  std::vector<StoreOp> ops(40);
  std::vector<StoreOp*> batch;
  for (size_t i = 0; i < ops.size(); ++i) {
    ops[i] = accept_op(100 + i, bytes);
    batch.push_back(&ops[i]);
  }
  StoreOp confirmed;
  confirmed.kind = OpKind::kConfirm;
  confirmed.place = place;
  confirmed.number = 1;
  confirmed.who = waiting_of(kBob, {1});
  batch.push_back(&confirmed);
  disk.operations_to_refusal = 100;  // in the middle of them
  writer_->apply(batch);
  EXPECT_EQ(disk.num_refusals, 1u);
  EXPECT_EQ(confirmed.status, Status::kDone);
  for (const StoreOp& op : ops) EXPECT_EQ(op.status, Status::kFull);
  EXPECT_FALSE(writer_->poisoned());
  ASSERT_EQ(try_open_over(journal, tables), Errc{});
  EXPECT_EQ(found_.items.size(), 2u);
  EXPECT_EQ(item_of(kBob, 1)->waiting.num, 1);
  writer_.reset();
}

TEST_F(WriterTest, PoisonRefusesWritesAndReadsGoOn) {
  open();
  const Place place = accept(1, bytes_of("x"));
  writer_->poison();
  EXPECT_EQ(confirm(place, 1, waiting_of(kBob, {1})), Status::kFailed);
  EXPECT_EQ(frame(kBob, 1, place), std::vector<uint8_t>({'x'}));
  Mover mover(*writer_);
  EXPECT_EQ(mover.copy(kNow * 9).error().code, Errc::kPoisoned);
}

TEST_F(WriterTest, ReadingWhatWaitsCanBeBrokenOff) {
  struct Some final : RecoveryVisitor {
    int num_looks = 0;
    void item(const RecoveredItem&) override { ADD_FAILURE() << "before all is known"; }
    void mark(const RecoveredMark&) override {}
    void receipt(const RecoveredReceipt&) override {}
    void expired(const RecoveredExpired&) override {}
    bool stopped() override { return ++num_looks == 3; }
  } some;
  open();
  for (Number number = 10; number < 20; ++number) accept(number, bytes_of("waits"));
  reader_.reset();
  auto writer = Writer::open(*journal_, *tables_, limits_, *random_);
  ASSERT_TRUE(writer);
  const auto read = (*writer)->recover(some);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Errc::kStopped);
  EXPECT_EQ(some.num_looks, 3);
  writer->reset();
  open();
  EXPECT_EQ(found_.items.size(), 20u);
}

TEST_F(WriterTest, ARowThatCannotBeReadDoesNotPoison) {
  open();
  StoreOp make;
  make.kind = OpKind::kAccount;
  make.user_row.id = kBob;
  make.create = true;
  ASSERT_EQ(apply(make), Status::kDone);
  const auto key = pack_key(kBob);
  ASSERT_TRUE(journal_->begin());
  ASSERT_TRUE(journal_->put(kUsersTable, key, bytes_of("no row of a user")));
  ASSERT_TRUE(journal_->commit());
  StoreOp find;
  find.kind = OpKind::kAccount;
  find.user_row.id = kBob;
  find.create = true;
  EXPECT_EQ(apply(find), Status::kCorrupt);
  EXPECT_FALSE(writer_->poisoned());
  EXPECT_EQ(reader_->user(kBob).error().code, Errc::kCorrupt) << "what is left of it is kept";
}

}  // namespace
}  // namespace perch::store
