#include "store/keyspace.h"

#include <algorithm>

#include "store_fixture.h"

namespace perch::store {
namespace {

TEST(KeyspaceTest, KeysSortAsNumbersDo) {
  const auto low = pack_key(JournalKey{0x00ff, 65535}), high = pack_key(JournalKey{0x0100, 0});
  EXPECT_LT(low, high);
  EXPECT_LT(pack_key(RowKey{1, 2, 9}), pack_key(RowKey{1, 3, 0}));
  EXPECT_EQ(*unpack_journal_key(low), (JournalKey{0x00ff, 65535}));
  const RowKey row{UINT64_MAX, 5, 6};
  EXPECT_EQ(*unpack_row_key(pack_key(row)), row);
  EXPECT_EQ(unpack_row_key(low).error().code, Errc::kCorrupt);
}

TEST(KeyspaceTest, ValuesRoundTripAndEveryFlippedBitIsSeen) {
  Record record;
  record.kind = RecordKind::kAccept;
  record.delivered = true;
  record.frame_bytes = 3;
  record.id = {1, 2, 3, 4};
  record.to = 5;
  record.number = 6;
  record.taken_ms = 7;
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

}  // namespace
}  // namespace perch::store
