#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "core/random.h"
#include "store/checksum.h"
#include "store/keyspace.h"
#include "store/meta.h"
#include "store/mover.h"
#include "store/store_lmdb.h"
#include "store/writer.h"

namespace perch::store {
namespace {

Bytes bytes_of(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

std::vector<uint8_t> pattern(size_t size, uint8_t seed) {
  std::vector<uint8_t> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(i * 31 + i / 251 + seed);
  return bytes;
}

Waiting waiting_of(UserId user, std::initializer_list<DeviceNo> devices) {
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

constexpr uint64_t kNow = 1'000'000;  // wall clock of the messages
constexpr UserId kAnn = 7, kBob = 8;

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "perch_store_XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    limits_.map_bytes = 64u << 20;
    limits_.table_map_bytes = 64u << 20;
  }
  void TearDown() override {
    close();
    std::filesystem::remove_all(directory_);
  }
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
    auto writer = Writer::open(*journal_, *tables_, limits_, *random_);
    if (!writer) return writer.error().code;
    writer_ = std::move(*writer);
    found_ = {};
    auto recovered = writer_->recover(found_);
    if (!recovered) return recovered.error().code;
    reader_ = writer_->make_reader();
    return Errc{};
  }
  void open() { ASSERT_EQ(try_open(), Errc{}); }

  StoreOp accept_op(Number number, Bytes frame) {
    StoreOp op;
    op.kind = OpKind::kAccept;
    op.id = {kAnn, 1, 99, number};
    op.to = kBob;
    op.number = number;
    op.time_ms = kNow;
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
  std::vector<Moved> copy(Mover& mover) {
    auto moved = mover.copy(kNow + 2 * limits_.move_after_ms);
    EXPECT_TRUE(moved);
    return moved ? *moved : std::vector<Moved>{};
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

  std::string directory_;
  Limits limits_;
  std::unique_ptr<Random> random_ = seeded_random(1);
  std::unique_ptr<Kv> journal_, tables_;
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<Reader> reader_;
  Collected found_;
};

TEST(Checksum, MatchesThePublishedVector) {
  EXPECT_EQ(crc32c(0, bytes_of("123456789")), 0xe3069283u);
  EXPECT_EQ(crc32c(crc32c(0, bytes_of("1234")), bytes_of("56789")), 0xe3069283u);
}

TEST(Keyspace, KeysSortAsNumbersDo) {
  const auto low = pack_key(JournalKey{0x00ff, 65535}), high = pack_key(JournalKey{0x0100, 0});
  EXPECT_LT(low, high);
  EXPECT_LT(pack_key(RowKey{1, 2, 9}), pack_key(RowKey{1, 3, 0}));
  EXPECT_EQ(*unpack_journal_key(low), (JournalKey{0x00ff, 65535}));
  const RowKey row{UINT64_MAX, 5, 6};
  EXPECT_EQ(*unpack_row_key(pack_key(row)), row);
  EXPECT_EQ(unpack_row_key(low).error().code, Errc::kCorrupt);
}

TEST(Keyspace, ValuesRoundTripAndEveryFlippedBitIsSeen) {
  Record record;
  record.kind = RecordKind::kAccept;
  record.delivered = true;
  record.frame_bytes = 3;
  record.id = {1, 2, 3, 4};
  record.to = 5;
  record.number = 6;
  record.time_ms = 7;
  record.waiting = {waiting_of(5, {1, 2, 3, 4, 5, 6, 7, 8}), waiting_of(1, {9, 10, 11, 12, 13, 14, 15, 16})};
  record.num_waiting = 2;
  const auto key = pack_key(JournalKey{1, 0});
  const auto largest = pattern(kChunkBytesMax, 1);
  Value value;
  pack_record(key, record, largest, value);
  EXPECT_EQ(value.size, kValueBytesMax);
  Bytes part;
  auto read = unpack_record(key, value.bytes(), &part);
  ASSERT_TRUE(read);
  EXPECT_TRUE(std::ranges::equal(part, largest));
  EXPECT_TRUE(read->delivered);
  EXPECT_EQ(read->id, record.id);
  EXPECT_EQ(read->waiting[1].devices, record.waiting[1].devices);
  for (size_t bit = 0; bit < value.size * 8; ++bit) {
    value.data[bit / 8] ^= 1 << bit % 8;
    ASSERT_FALSE(unpack_record(key, value.bytes(), nullptr)) << bit;
    value.data[bit / 8] ^= 1 << bit % 8;
  }
  EXPECT_FALSE(unpack_record(pack_key(JournalKey{2, 0}), value.bytes(), nullptr)) << "another record's value";
}

TEST_F(StoreTest, AcceptAndConfirmAcrossReopen) {
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

TEST_F(StoreTest, LargeFramesAreCutAndComeBackWhole) {
  open();
  for (size_t size : {size_t{0}, kChunkBytesMax, kChunkBytesMax + 1, size_t{64 * 1024}, size_t{66 * 1024}}) {
    const auto bytes = pattern(size, static_cast<uint8_t>(size));
    const Place place = accept(size + 1, bytes);
    EXPECT_EQ(frame(kBob, size + 1, place), bytes) << size;
  }
  open();
  EXPECT_EQ(found_.items.size(), 10u);
}

TEST_F(StoreTest, CorruptionIsSeenByReaderAndAtStart) {
  open();
  const Place place = accept(10, pattern(5000, 3));
  const auto key = pack_key(JournalKey{place.pos, 1});
  ASSERT_TRUE(journal_->begin());
  auto stored = journal_->get(kJournalTable, key);
  ASSERT_TRUE(stored);
  std::vector<uint8_t> copy(stored->begin(), stored->end());
  copy[100] ^= 1;
  ASSERT_TRUE(journal_->put(kJournalTable, key, copy));
  ASSERT_TRUE(journal_->commit());
  std::vector<uint8_t> out{1, 2};
  reader_->release();
  EXPECT_EQ(reader_->frame(kBob, 10, place, out).error().code, Errc::kCorrupt);
  EXPECT_EQ(out.size(), 2u);
  EXPECT_EQ(try_open(), Errc::kCorrupt);
}

TEST_F(StoreTest, Accounts) {
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
  open();
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
  EXPECT_TRUE(reader_->user(4711));
}

TEST_F(StoreTest, ReceiptsLastUntilTold) {
  open();
  StoreOp op;
  op.kind = OpKind::kReceipt;
  op.receipt_key = {kAnn, 1, kBob, 1, 99};
  op.up_to = 5;
  EXPECT_EQ(apply(op), Status::kDone);
  op.up_to = 9;
  EXPECT_EQ(apply(op), Status::kDone);
  op.up_to = 7;  // an older one that comes late
  EXPECT_EQ(apply(op), Status::kDone);
  op.kind = OpKind::kReceiptAck;
  EXPECT_EQ(apply(op), Status::kDone);
  open();
  ASSERT_EQ(found_.receipts.size(), 1u);
  EXPECT_EQ(found_.receipts[0].up_to, 9u);
  EXPECT_EQ(found_.receipts[0].key, op.receipt_key);
  op.up_to = 9;
  EXPECT_EQ(apply(op), Status::kDone);
  open();
  EXPECT_TRUE(found_.receipts.empty());
}

TEST_F(StoreTest, ExpiredLastsUntilAllDevicesKnow) {
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

TEST_F(StoreTest, CeilingNeverRepeats) {
  open();
  EXPECT_EQ(writer_->base(), 0u);
  EXPECT_EQ(writer_->ceiling(), 1ull << 32);
  StoreOp op;
  op.kind = OpKind::kCeiling;
  op.amount = 1000;
  EXPECT_EQ(apply(op), Status::kDone);
  EXPECT_EQ(op.ceiling, (1ull << 32) + 1000);
  const uint64_t incarnation = writer_->incarnation();
  open();
  EXPECT_EQ(writer_->base(), (1ull << 32) + 1000);
  EXPECT_EQ(writer_->incarnation(), incarnation);
  writer_.reset();
  ASSERT_TRUE(Writer::mark_restored(*journal_, *random_));
  open();
  EXPECT_GE(writer_->base(), 1ull << 45);
  EXPECT_NE(writer_->incarnation(), incarnation);
}

TEST_F(StoreTest, FullMapRefusesMessagesAndStillTakesConfirmations) {
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
  EXPECT_GT(writer_->fill(), 0.8);
  // A batch that has no room at all: messages that were not reserved go, the rest stays.
  StoreOp reserved = accept_op(number + 1, bytes);
  reserved.reserved = true;
  StoreOp plain = accept_op(number + 2, bytes);
  StoreOp confirmed;
  confirmed.kind = OpKind::kConfirm;
  confirmed.place = places[0].first;
  confirmed.number = places[0].second;
  confirmed.who = waiting_of(kBob, {1, 2});
  StoreOp* batch[] = {&plain, &reserved, &confirmed};
  writer_->apply(batch);
  EXPECT_EQ(plain.status, Status::kFull);
  EXPECT_EQ(reserved.status, Status::kDone);
  EXPECT_EQ(confirmed.status, Status::kDone);
  EXPECT_FALSE(writer_->poisoned());
  for (auto& [place, each] : places) {
    ASSERT_EQ(confirm(place, each, waiting_of(kBob, {1, 2})), Status::kDone);
    ASSERT_EQ(confirm(place, each, waiting_of(kAnn, {2})), Status::kDone);
  }
  ASSERT_EQ(confirm(reserved.place, number + 1, waiting_of(kBob, {1, 2})), Status::kDone);
  Mover mover(*writer_);
  move_all(mover);
  EXPECT_LT(writer_->fill(), 0.5);
  StoreOp again = accept_op(number + 3, bytes);
  EXPECT_EQ(apply(again), Status::kDone);
}

TEST_F(StoreTest, MapFullInsideTheTransactionRepeatsWithoutMessages) {
  limits_.map_bytes = 1u << 20;
  open();
  const Place place = accept(1, bytes_of("x"));
  limits_.map_bytes = 64u << 20;  // the writer believes in room that the map has not
  writer_.reset();
  auto writer = Writer::open(*journal_, *tables_, limits_, *random_);
  ASSERT_TRUE(writer);
  writer_ = std::move(*writer);
  ASSERT_TRUE(writer_->recover(found_));
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
  writer_->apply(batch);
  EXPECT_EQ(confirmed.status, Status::kDone);
  for (const StoreOp& op : ops) EXPECT_EQ(op.status, Status::kFull);
  EXPECT_FALSE(writer_->poisoned());
  open();
  EXPECT_EQ(found_.items.size(), 2u);
  EXPECT_EQ(item_of(kBob, 1)->waiting.num, 1);
}

TEST_F(StoreTest, NewerFormatIsRefused) {
  for (const bool in_journal : {true, false}) {
    open();
    const uint64_t base = writer_->ceiling();
    Kv& kv = in_journal ? *journal_ : *tables_;
    const Table table = in_journal ? kJournalMetaTable : kTablesMetaTable;
    ASSERT_TRUE(kv.begin());
    ASSERT_TRUE(put_meta(kv, table, MetaKey::kFormat, kFormatVersion + 1));
    ASSERT_TRUE(kv.commit());
    EXPECT_EQ(try_open(), Errc::kNewerFormat);
    Kv& again = in_journal ? *journal_ : *tables_;
    ASSERT_TRUE(again.begin());
    ASSERT_TRUE(put_meta(again, table, MetaKey::kFormat, kFormatVersion));
    ASSERT_TRUE(again.commit());
    open();
    EXPECT_EQ(writer_->base(), base) << "a refused start changes nothing";
  }
}

TEST_F(StoreTest, TablesOfAnotherStoreAreRefused) {
  open();
  close();
  std::filesystem::remove_all(directory_ + "/journal");
  EXPECT_EQ(try_open(), Errc::kCorrupt);
}

TEST_F(StoreTest, OneProcessOnly) {
  open();
  auto second = open_lmdb(directory_ + "/journal", kJournalTableNames, limits_.map_bytes);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kBusy);
}

TEST_F(StoreTest, PoisonRefusesWritesAndReadsGoOn) {
  open();
  const Place place = accept(1, bytes_of("x"));
  writer_->poison();
  EXPECT_EQ(confirm(place, 1, waiting_of(kBob, {1})), Status::kFailed);
  EXPECT_EQ(frame(kBob, 1, place), std::vector<uint8_t>({'x'}));
  Mover mover(*writer_);
  EXPECT_EQ(mover.copy(kNow * 9).error().code, Errc::kPoisoned);
}

// ---- the mover

TEST_F(StoreTest, MoverTakesOnlyWhatIsOld) {
  open();
  accept(10, bytes_of("young"));
  Mover mover(*writer_);
  auto moved = mover.copy(kNow + limits_.move_after_ms - 1);
  ASSERT_TRUE(moved);
  EXPECT_TRUE(moved->empty());
  EXPECT_FALSE(mover.pending());
}

TEST_F(StoreTest, MovedMessagesAreReadConfirmedAndRecoveredFromTheTables) {
  open();
  const auto bytes = pattern(64 * 1024, 9);
  const Place large = accept(10, bytes);
  const Place small = accept(11, bytes_of("small"));
  ASSERT_EQ(confirm(large, 10, waiting_of(kBob, {1})), Status::kDone);
  Mover mover(*writer_);
  const auto moved = copy(mover);
  ASSERT_EQ(moved.size(), 4u);
  EXPECT_EQ(moved[0].user, kBob);
  EXPECT_EQ(moved[0].number, 10u);
  EXPECT_EQ(moved[0].pos, large.pos);
  EXPECT_EQ(moved[0].waiting.num, 1);
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
  EXPECT_EQ(item->time_ms, kNow);
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

TEST_F(StoreTest, StopAfterCopyCountsOnce) {
  open();
  const Place place = accept(10, bytes_of("ten"));
  {
    Mover mover(*writer_);
    EXPECT_EQ(copy(mover).size(), 2u);
  }
  open();
  EXPECT_EQ(found_.items.size(), 2u);
  EXPECT_TRUE(item_of(kBob, 10));  // checks that it is there once
  EXPECT_TRUE(item_of(kAnn, 10));
  Mover mover(*writer_);
  EXPECT_EQ(copy(mover).size(), 2u) << "repeating the first step is harmless";
  finish(mover);
  open();
  EXPECT_EQ(found_.items.size(), 2u);
  EXPECT_EQ(frame(kBob, 10, {place.pos, true}), std::vector<uint8_t>({'t', 'e', 'n'}));
}

TEST_F(StoreTest, ConfirmationBetweenTheStepsSurvivesAStop) {
  for (const bool told : {false, true}) {  // does the home core know the new place?
    open();
    const Number number = told ? 20 : 10;
    const Place place = accept(number, bytes_of("ten"));
    {
      Mover mover(*writer_);
      EXPECT_EQ(copy(mover).size(), 2u);
      EXPECT_EQ(confirm({place.pos, told}, number, waiting_of(kBob, {1})), Status::kDone);
      EXPECT_EQ(confirm({place.pos, told}, number, waiting_of(kAnn, {2})), Status::kDone);
    }
    open();
    ASSERT_EQ(found_.items.size(), 1u);
    ASSERT_TRUE(item_of(kBob, number));
    EXPECT_EQ(item_of(kBob, number)->waiting.num, 1);
    EXPECT_TRUE(item_of(kBob, number)->reported);
    Mover mover(*writer_);
    EXPECT_EQ(copy(mover).size(), 1u);
    finish(mover);
    EXPECT_EQ(num_row_values(), 1u) << "no row waits for nobody";
    EXPECT_EQ(confirm({place.pos, false}, number, waiting_of(kBob, {2})), Status::kDone);
    EXPECT_EQ(num_row_values(), 0u) << "a confirmation that names the old place finds the row";
  }
}

TEST_F(StoreTest, ConfirmationOfTheOldPlaceReachesTheRow) {
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

TEST_F(StoreTest, StopBetweenTheCommitsOfOneConfirmation) {
  open();
  const Place place = accept(10, bytes_of("ten"));
  {
    Mover mover(*writer_);
    copy(mover);
  }
  // The journal's commit happened, the tables' did not.
  ASSERT_TRUE(journal_->begin());
  Record record;
  record.kind = RecordKind::kConfirm;
  record.target = place.pos;
  record.who = waiting_of(kBob, {1, 2});
  const auto key = pack_key(JournalKey{place.pos + 1, 0});
  Value value;
  pack_record(key, record, {}, value);
  ASSERT_TRUE(journal_->append(kJournalTable, key, value.bytes()));
  ASSERT_TRUE(journal_->commit());
  EXPECT_EQ(num_row_values(), 2u);
  open();
  EXPECT_FALSE(item_of(kBob, 10));
  EXPECT_TRUE(item_of(kAnn, 10));
  EXPECT_EQ(num_row_values(), 1u) << "the row of the confirmed one is dropped at start";
}

TEST_F(StoreTest, StatusesToTellOutliveTheTrim) {
  open();
  StoreOp receipt;
  receipt.kind = OpKind::kReceipt;
  receipt.receipt_key = {kAnn, 1, kBob, 1, 99};
  receipt.up_to = 5;
  ASSERT_EQ(apply(receipt), Status::kDone);
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

TEST_F(StoreTest, PositionsAreNeverReused) {
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

TEST_F(StoreTest, SmallStepsMoveEverythingToo) {
  open();
  for (Number number = 1; number <= 50; ++number) accept(number, pattern(number * 100, 1));
  auto mover = std::make_unique<Mover>(*writer_, 7, 5);
  size_t num_moved = 0, num_steps = 0;
  for (;; ++num_steps) {
    num_moved += copy(*mover).size();
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
