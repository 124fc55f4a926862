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
  std::string open(bool restored = false) {
    StoreFolder folder;
    std::string problem = folder.lock(path_);
    if (problem.empty()) problem = folder.open(limits_, *random_, restored);
    if (problem.empty()) incarnation_ = folder.writer().incarnation();
    return problem;
  }
  const std::string path_;
  Limits limits_;
  uint64_t incarnation_ = 0;
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

TEST_F(StoreFolderTest, NamesAStoreOfAnotherPerch) {
  ASSERT_EQ(open(), "");
  const auto open_with_format = [&](uint64_t format) {
    {
      auto journal = store::open_lmdb(path_ + "/journal", store::kJournalTableNames, limits_.map_bytes);
      EXPECT_TRUE(journal.ok() && (*journal)->begin().ok());
      EXPECT_TRUE(store::put_meta(**journal, store::kJournalMetaTable, store::MetaKey::kFormat, format).ok());
      EXPECT_TRUE((*journal)->commit().ok());
    }
    return open();
  };
  EXPECT_EQ(open_with_format(7),
            "data: " + path_ + ": this store has format 7, written by a newer Perch; upgrade perchd");
  EXPECT_EQ(open_with_format(1),
            "data: " + path_ +
                ": this store has format 1, written by an older Perch, which this perchd "
                "does not read; start the perchd that wrote it, or name another folder");
}

// A copy put back may lack what was accepted since, so somebody must say so (DELIVERY.md H28).
TEST_F(StoreFolderTest, AnOlderStoreIsTakenOnlyAsARestoredOne) {
  namespace fs = std::filesystem;
  ASSERT_EQ(open(), "");
  const std::string backup = path_ + "/backup";
  fs::create_directory(backup);
  for (const char* part : {"/journal", "/tables"})
    fs::copy(path_ + part, backup + part, fs::copy_options::recursive);
  ASSERT_EQ(open(), "");
  const uint64_t before = incarnation_;
  for (const char* part : {"/journal", "/tables"}) {
    fs::remove_all(path_ + part);
    fs::copy(backup + part, path_ + part, fs::copy_options::recursive);
  }
  EXPECT_THAT(open(), HasSubstr("put back from a copy. Start perchd once with --restored"));
  EXPECT_EQ(open(/*restored=*/true), "");
  EXPECT_NE(incarnation_, before);
  const uint64_t after = incarnation_;
  EXPECT_EQ(open(), "");
  EXPECT_EQ(incarnation_, after);
  // The same copy in a new place, and a file that says nothing.
  fs::remove(path_ + "/ceiling");
  EXPECT_THAT(open(), HasSubstr("--restored"));
  std::ofstream(path_ + "/ceiling") << "many\n";
  EXPECT_THAT(open(), HasSubstr("--restored"));
  EXPECT_EQ(open(/*restored=*/true), "");
}

// Killed in its first start before the journal was made, or in a later one before the file was written.
TEST_F(StoreFolderTest, AStartThatWasKilledIsNoRestoredStore) {
  std::ofstream(path_ + "/ceiling") << "0\n";
  EXPECT_EQ(open(), "");
  std::ofstream(path_ + "/ceiling") << "0\n";
  EXPECT_EQ(open(), "");
}

TEST_F(StoreFolderTest, AJournalPutBackWithoutItsTablesIsRefused) {
  ASSERT_EQ(open(), "");
  {
    auto journal = store::open_lmdb(path_ + "/journal", store::kJournalTableNames, limits_.map_bytes);
    ASSERT_TRUE(journal.ok());
    ASSERT_TRUE((*journal)->begin().ok());
    ASSERT_TRUE(store::put_meta(**journal, store::kJournalMetaTable, store::MetaKey::kMovedBelow, 7).ok());
    ASSERT_TRUE((*journal)->commit().ok());
  }
  std::filesystem::remove_all(path_ + "/tables");
  const std::string missing =
      "data: " + path_ +
      ": the mailbox tables are missing: what waited longest is in them. Put back the "
      "folder tables as well, from the same copy as the journal";
  EXPECT_EQ(open(), missing);
  EXPECT_EQ(open(/*restored=*/true), missing);
}

TEST_F(StoreFolderTest, RestoresNoEmptyFolder) {
  EXPECT_THAT(open(/*restored=*/true), HasSubstr("there is no store"));
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
