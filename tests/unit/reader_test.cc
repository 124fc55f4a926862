#include "store/reader.h"

#include <vector>

#include "store_fixture.h"

namespace perch::store {
namespace {

using ReaderTest = StoreTest;

TEST_F(ReaderTest, LargeFramesAreCutAndComeBackWhole) {
  open();
  for (size_t size : {size_t{0}, kChunkBytesMax, kChunkBytesMax + 1, size_t{64 * 1024}, size_t{66 * 1024}}) {
    const auto bytes = pattern(size, static_cast<uint8_t>(size));
    const Place place = accept(size + 1, bytes);
    EXPECT_EQ(frame(kBob, size + 1, place), bytes) << size;
  }
  open();
  EXPECT_EQ(found_.items.size(), 10u);
}

TEST_F(ReaderTest, CorruptionIsSeenByReaderAndAtStart) {
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

}  // namespace
}  // namespace perch::store
