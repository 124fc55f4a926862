#include "store/store_lmdb.h"

#include "store_fixture.h"

namespace perch::store {
namespace {

using LmdbTest = StoreTest;

TEST_F(LmdbTest, OneProcessOnly) {
  open();
  auto second = open_lmdb(directory_ + "/journal", kJournalTableNames, limits_.map_bytes);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kBusy);
}

// A page that was freed and is taken again moves nothing that LMDB tells for nothing.
TEST_F(LmdbTest, FillRisesWithWhatIsWrittenOverFreedPages) {
  constexpr uint64_t kMapBytes = 256u << 20, kBatchBytes = 2u << 20;
  constexpr std::array<std::string_view, 2> kNames{"appended", "put"};
  const auto value = pattern(1'300, 1);
  std::unique_ptr<Kv> kv;
  const auto reopen = [&] {
    kv.reset();
    auto opened = open_lmdb(directory_ + "/recycled", kNames, kMapBytes);
    ASSERT_TRUE(opened);
    kv = std::move(*opened);
  };
  reopen();
  uint64_t next = 0;
  const auto write = [&](Table table, uint64_t key) {
    const auto bytes = pack_key(UserId{key});
    return table == 0 ? kv->append(table, bytes, value) : kv->put(table, bytes, value);
  };
  for (const Table table : {Table{0}, Table{1}}) {
    const uint64_t first = next;
    for (int batch = 0; batch < 2 * 12; ++batch) {
      // Twelve that are erased and make free pages, then as many that take them.
      if (batch == 12) {
        ASSERT_TRUE(kv->begin());
        for (uint64_t key = first; key < next; ++key)
          ASSERT_TRUE(kv->erase(table, pack_key(UserId{table == 0 ? key : key * 0x9e3779b97f4a7c15u})));
        ASSERT_TRUE(kv->commit());
        reopen();
        EXPECT_LT(kv->fill(), 0.02);
      }
      ASSERT_TRUE(kv->begin());
      for (uint64_t bytes = 0; bytes < kBatchBytes; bytes += value.size(), ++next)
        ASSERT_TRUE(write(table, table == 0 ? next : next * 0x9e3779b97f4a7c15u));
      ASSERT_TRUE(kv->commit());
      const double least = static_cast<double>((batch % 12 + 1) * kBatchBytes) / kMapBytes;
      EXPECT_GT(kv->fill(), least) << "after batch " << batch;
    }
    const double told = kv->fill();
    reopen();
    EXPECT_GE(told, kv->fill());
    EXPECT_LT(told, kv->fill() + 0.011);
    // And it falls again, without being asked more often.
    const double full = kv->fill();
    ASSERT_TRUE(kv->begin());
    for (uint64_t key = first; key < next; ++key)
      ASSERT_TRUE(kv->erase(table, pack_key(UserId{table == 0 ? key : key * 0x9e3779b97f4a7c15u})));
    ASSERT_TRUE(kv->commit());
    EXPECT_LT(kv->fill(), full / 2);
  }
}

}  // namespace
}  // namespace perch::store
