#include "store/meta.h"

#include "store_fixture.h"

namespace perch::store {
namespace {

using MetaTest = StoreTest;

TEST_F(MetaTest, OtherFormatsAreRefused) {
  for (const bool in_journal : {true, false}) {
    for (const bool newer : {true, false}) {
      open();
      const uint64_t base = writer_->ceiling();
      const uint64_t format = newer ? kFormatVersion + 1 : kFormatVersion - 1;
      Kv& kv = in_journal ? *journal_ : *tables_;
      const Table table = in_journal ? kJournalMetaTable : kTablesMetaTable;
      ASSERT_TRUE(kv.begin());
      ASSERT_TRUE(put_meta(kv, table, MetaKey::kFormat, format));
      ASSERT_TRUE(kv.commit());
      const Errc refused = newer ? Errc::kNewerFormat : Errc::kUnsupported;
      EXPECT_EQ(try_open(), refused);
      if (in_journal) {
        EXPECT_EQ(Writer::mark_restored(*journal_, 0, *random_).error().code, refused);
      }
      Kv& again = in_journal ? *journal_ : *tables_;
      ASSERT_TRUE(again.begin());
      ASSERT_TRUE(put_meta(again, table, MetaKey::kFormat, kFormatVersion));
      ASSERT_TRUE(again.commit());
      open();
      EXPECT_EQ(writer_->base(), base) << "a refused start changes nothing";
    }
  }
}

TEST_F(MetaTest, TablesOfAnotherStoreAreRefused) {
  open();
  close();
  std::filesystem::remove_all(directory_ + "/journal");
  EXPECT_EQ(try_open(), Errc::kCorrupt);
}

TEST_F(MetaTest, MissingTablesAreNewOnesOnlyBeforeTheFirstMove) {
  const auto lose_tables = [&] {
    close();
    std::filesystem::remove_all(directory_ + "/tables");
  };
  open();
  accept(10, bytes_of("ten"));
  lose_tables();
  open();
  EXPECT_EQ(found_.items.size(), 2u);
  Mover mover(*writer_);
  move_all(mover);
  const uint64_t base = writer_->ceiling();
  std::filesystem::copy(directory_ + "/tables", directory_ + "/copy");
  lose_tables();
  EXPECT_EQ(try_open(), Errc::kCorrupt);
  EXPECT_EQ(try_open(), Errc::kCorrupt) << "the refused start has made none";
  lose_tables();
  std::filesystem::rename(directory_ + "/copy", directory_ + "/tables");
  open();
  EXPECT_EQ(found_.items.size(), 2u);
  EXPECT_EQ(writer_->base(), base) << "a refused start changes nothing";
}

TEST_F(MetaTest, CeilingNeverRepeats) {
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
  ASSERT_TRUE(Writer::mark_restored(*journal_, 0, *random_));
  open();
  EXPECT_GE(writer_->base(), 1ull << 45);
  EXPECT_NE(writer_->incarnation(), incarnation);
  writer_.reset();
  ASSERT_TRUE(Writer::mark_restored(*journal_, 7ull << 45, *random_));
  open();
  EXPECT_GE(writer_->base(), 8ull << 45) << "above what ran last, which the copy does not know";
}

}  // namespace
}  // namespace perch::store
