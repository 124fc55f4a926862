#include "chat/store_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "store/meta.h"
#include "store/store_lmdb.h"

namespace perch::chat {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class StoreFolderTest : public testing::Test {
 protected:
  StoreFolderTest() : path_(testing::TempDir() + "store_folder_test." + std::to_string(getpid())) {
    std::filesystem::create_directory(path_);
    limits_.map_bytes = limits_.table_map_bytes = 8 << 20;
  }
  ~StoreFolderTest() override { std::filesystem::remove_all(path_); }
  // Opens the store and closes it again.
  std::string open() {
    StoreFolder folder;
    const std::string problem = folder.lock(path_);
    return problem.empty() ? folder.open(limits_, *random_) : problem;
  }
  const std::string path_;
  Limits limits_;
  std::unique_ptr<Random> random_ = system_random();
};

TEST_F(StoreFolderTest, OpensAgainWhatItMade) {
  EXPECT_EQ(open(), "");
  EXPECT_EQ(open(), "");
}

TEST_F(StoreFolderTest, IsHeldByOne) {
  StoreFolder first;
  ASSERT_EQ(first.lock(path_), "");
  EXPECT_EQ(open(), "data: " + path_ + ": another perchd uses this folder; stop it, or name another folder");
}

TEST_F(StoreFolderTest, NamesAStoreOfANewerPerch) {
  ASSERT_EQ(open(), "");
  {
    auto journal = store::open_lmdb(path_ + "/journal", store::kJournalTableNames, limits_.map_bytes);
    ASSERT_TRUE(journal.ok());
    ASSERT_TRUE((*journal)->begin().ok());
    ASSERT_TRUE(store::put_meta(**journal, store::kJournalMetaTable, store::MetaKey::kFormat, 7).ok());
    ASSERT_TRUE((*journal)->commit().ok());
  }
  EXPECT_EQ(open(), "data: " + path_ + ": this store has format 7, written by a newer Perch; upgrade perchd");
}

TEST_F(StoreFolderTest, NamesAFolderThatIsNotThereAndAFileThatIsNoStore) {
  StoreFolder folder;
  EXPECT_THAT(folder.lock(path_ + "/none"), HasSubstr("cannot be written to: No such file"));
  std::filesystem::create_directory(path_ + "/journal");
  std::ofstream(path_ + "/journal/data.mdb") << std::string(8192, 'x');
  EXPECT_THAT(open(), StartsWith("data: " + path_ + ": cannot open the journal: "));
}

}  // namespace
}  // namespace perch::chat
