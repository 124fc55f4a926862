#include "store/backup_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/meta.h"
#include "tests/sim/store_sim.h"
#include "tests/unit/backup_fixture.h"

namespace perch::store {
namespace {

using testing::HasSubstr;

// A stream that is right in itself, of a store that is wrong as a test wants it.
class WrongStoreTest : public BackupTest {
 protected:
  WrongStoreTest() {
    EXPECT_TRUE(transact(sim_journal_, [&] {
      EXPECT_TRUE(put_meta(sim_journal_, kJournalMetaTable, MetaKey::kFormat, kFormatVersion));
      EXPECT_TRUE(put_meta(sim_journal_, kJournalMetaTable, MetaKey::kPair, 9));
      EXPECT_TRUE(put_meta(sim_journal_, kJournalMetaTable, MetaKey::kIncarnation, 7));
      return put_meta(sim_journal_, kJournalMetaTable, MetaKey::kCeiling, 1);
    }));
    EXPECT_TRUE(transact(sim_tables_, [&] {
      EXPECT_TRUE(put_meta(sim_tables_, kTablesMetaTable, MetaKey::kFormat, kFormatVersion));
      return put_meta(sim_tables_, kTablesMetaTable, MetaKey::kPair, 9);
    }));
  }
  // What the reader says of it.
  std::string problem() {
    Cut cut{sim_journal_.snapshot(), sim_tables_.snapshot()};
    const Stream stream = stream_of(cut);
    EXPECT_TRUE(written_);
    BackupReader reader(source_of(stream));
    if (reader.read()) return "";
    return reader.problem();
  }
  void put(sim::SimKv& kv, Table table, Bytes key, const Value& value) {
    ASSERT_TRUE(transact(kv, [&] { return kv.put(table, key, value.bytes()); }));
  }
  sim::SimDisk disk_;
  sim::SimKv sim_journal_{disk_, kJournalTableNames.size()}, sim_tables_{disk_, kMailboxTableNames.size()};
};

TEST_F(BackupTest, CountsWhatIsThere) {
  fill();
  const Stream stream = stream_now();
  BackupReader reader(source_of(stream));
  const Result<BackupSummary> summary = reader.read();
  ASSERT_TRUE(summary.ok()) << reader.problem();
  EXPECT_EQ(summary->bytes, stream.size());
  EXPECT_EQ(summary->num_users, 1u);
  EXPECT_EQ(summary->num_messages, 2u + 6u);  // records, and rows for each of two users
  EXPECT_EQ(summary->incarnation, writer_->incarnation());
  EXPECT_EQ(summary->ceiling, writer_->ceiling());
  EXPECT_EQ(reader.bytes_about(), 4711u);
}

TEST_F(BackupTest, EveryBrokenByteIsFound) {
  fill();
  const Stream stream = stream_now();
  for (size_t at = 0; at < stream.size(); ++at) {
    Stream broken = stream;
    broken[at] ^= 1 << at % 8;
    BackupReader reader(source_of(broken));
    const Result<BackupSummary> summary = reader.read();
    ASSERT_FALSE(summary.ok()) << at;
    ASSERT_FALSE(reader.problem().empty()) << at;
  }
}

TEST_F(BackupTest, EveryMissingEndIsFound) {
  fill();
  const Stream stream = stream_now();
  for (size_t size = 0; size < stream.size(); size += 7) {
    BackupReader reader(source_of(Bytes(stream).first(size)));
    ASSERT_FALSE(reader.read().ok()) << size;
    ASSERT_THAT(reader.problem(), size < 8 ? HasSubstr("no backup") : HasSubstr("it ends here")) << size;
  }
}

// Each block is whole, but they are not the blocks that were written.
TEST_F(BackupTest, BlocksCannotChangePlacesOrBeMissing) {
  fill();
  const Stream stream = stream_now();
  std::vector<Bytes> blocks;
  for (Bytes rest = Bytes(stream).subspan(8); !rest.empty();) {
    const size_t size = kBackupHeaderBytes + (size_t{rest[1]} << 24 | rest[2] << 16 | rest[3] << 8 | rest[4]);
    blocks.push_back(rest.first(size));
    rest = rest.subspan(size);
  }
  ASSERT_GT(blocks.size(), 10u);
  for (size_t at = 0; at + 1 < blocks.size(); ++at) {
    for (const bool swap : {false, true}) {
      Stream other(stream.begin(), stream.begin() + 8);
      for (size_t i = 0; i < blocks.size(); ++i) {
        const size_t from = swap && i == at ? at + 1 : swap && i == at + 1 ? at : i;
        if (!swap && i == at) continue;
        other.insert(other.end(), blocks[from].begin(), blocks[from].end());
      }
      BackupReader reader(source_of(other));
      EXPECT_FALSE(reader.read().ok()) << at;
    }
  }
}

TEST_F(BackupTest, AnErrorOfTheSourceOrTheVisitorIsPassedOn) {
  fill();
  const Stream stream = stream_now();
  BackupReader unread([](MutableBytes) { return Result<size_t>(Error{Errc::kSystem, 5}); });
  EXPECT_EQ(unread.read().error(), (Error{Errc::kSystem, 5}));
  EXPECT_EQ(unread.problem(), "");
  BackupReader unwanted(source_of(stream), [](bool, Table, Bytes, Bytes) {
    return Result<void>(Error{Errc::kFull, 6});
  });
  EXPECT_EQ(unwanted.read().error(), (Error{Errc::kFull, 6}));
  EXPECT_EQ(unwanted.problem(), "");
}

TEST_F(WrongStoreTest, TheSmallestStoreIsGood) { EXPECT_EQ(problem(), ""); }

TEST_F(WrongStoreTest, JournalAndTablesBelongTogether) {
  ASSERT_TRUE(
      transact(sim_tables_, [&] { return put_meta(sim_tables_, kTablesMetaTable, MetaKey::kPair, 8); }));
  EXPECT_THAT(problem(), HasSubstr("of different stores"));
}

TEST_F(WrongStoreTest, AnotherFormatIsSaid) {
  ASSERT_TRUE(transact(sim_journal_, [&] {
    return put_meta(sim_journal_, kJournalMetaTable, MetaKey::kFormat, kFormatVersion + 1);
  }));
  EXPECT_THAT(problem(), HasSubstr("of a store of format " + std::to_string(kFormatVersion + 1)));
}

TEST_F(WrongStoreTest, AStoreThatWasNeverStarted) {
  const std::array<uint8_t, 1> key{static_cast<uint8_t>(MetaKey::kIncarnation)};
  ASSERT_TRUE(transact(sim_journal_, [&] { return sim_journal_.erase(kJournalMetaTable, key); }));
  EXPECT_THAT(problem(), HasSubstr("never started"));
}

TEST_F(WrongStoreTest, RecordsThatNoStartCouldRead) {
  Value value;
  const auto part = pack_key(JournalKey{5, 1});
  pack_chunk(part, pattern(10, 1), value);
  put(sim_journal_, kJournalTable, part, value);
  EXPECT_EQ(problem(), "");  // what the mover has begun to drop
  const auto before = pack_key(JournalKey{4, 0});
  Record other;
  other.kind = RecordKind::kConfirm;
  other.who = waiting_of(kBob, {1});
  pack_record(before, other, {}, value);
  put(sim_journal_, kJournalTable, before, value);
  EXPECT_THAT(problem(), HasSubstr("in table journal/journal: a part of no message"));
  const auto head = pack_key(JournalKey{5, 0});
  Record record;
  record.kind = RecordKind::kAccept;
  record.num_chunks = 3;
  pack_record(head, record, pattern(10, 1), value);
  put(sim_journal_, kJournalTable, head, value);
  EXPECT_THAT(problem(), HasSubstr("a message is cut off"));
  const auto last = pack_key(JournalKey{5, 2});
  pack_chunk(last, pattern(10, 1), value);
  put(sim_journal_, kJournalTable, last, value);
  EXPECT_EQ(problem(), "");
  pack_number(pack_key(kBob), 1, value);
  put(sim_journal_, kUsersTable, pack_key(kBob), value);
  EXPECT_THAT(problem(), HasSubstr("in table journal/users: a user cannot be read"));
}

TEST_F(WrongStoreTest, RowsThatNoStartCouldRead) {
  Value value;
  const auto key = pack_key(RowKey{kBob, 5, 0});
  Row row;
  row.waiting = waiting_of(kBob, {1});
  pack_row(key, row, pattern(10, 1), value);
  const Table table = mailbox_table(kBob);
  put(sim_tables_, static_cast<Table>((table + 1) % kNumMailboxTables), key, value);
  EXPECT_THAT(problem(), HasSubstr("a row is in another's table"));
}

}  // namespace
}  // namespace perch::store
