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

}  // namespace
}  // namespace perch::store
