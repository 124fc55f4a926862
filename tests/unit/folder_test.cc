// Names of folders outlive a power cut: the store's own, and those that perchd makes for it.
#include "core/folder.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "chat/privileges.h"
#include "store/store_lmdb.h"
#include "tests/unit/seen_fsync.h"

namespace perch {
namespace {

class FolderTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "perch_names_XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = std::filesystem::canonical(pattern);
    synced.clear();
    fsync_error = 0;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  bool was_synced(const std::string& path) { return std::ranges::find(synced, path) != synced.end(); }
  std::string dir_;
};

// Whoever was there first may have been killed before it flushed.
TEST_F(FolderTest, AreFlushedAlsoIfTheFolderWasThere) {
  constexpr std::array<std::string_view, 1> kTables{"table"};
  for (const bool was_there : {false, true}) {
    synced.clear();
    EXPECT_EQ(chat::Privileges().make_folder(dir_ + "/data"), "");
    EXPECT_TRUE(was_synced(dir_)) << was_there;
    synced.clear();
    ASSERT_TRUE(store::open_lmdb(dir_ + "/data/journal", kTables, 1 << 20));
    EXPECT_TRUE(was_synced(dir_ + "/data")) << was_there;
    EXPECT_TRUE(was_synced(dir_ + "/data/journal")) << was_there;
  }
}

// Its parent may be on a file system that cannot be flushed. Whoever makes a name there cannot keep it.
TEST_F(FolderTest, ThatSomebodyElseMadeNeedNotBeFlushed) {
  const chat::Privileges privileges;
  for (const int error : {EACCES, EPERM, EROFS, EINVAL}) {
    fsync_error = error;
    EXPECT_NE(privileges.make_folder(dir_ + "/data" + std::to_string(error)), "") << error;
    EXPECT_EQ(privileges.make_folder(dir_ + "/data" + std::to_string(error)), "") << error;
    EXPECT_EQ(flush_names(dir_).error(), (Error{Errc::kSystem, error}));
  }
  fsync_error = EIO;
  EXPECT_NE(privileges.make_folder(dir_ + "/data" + std::to_string(EINVAL)), "") << "the disk is broken";
}

// The next start leaves it as it is, and could not write to it.
TEST_F(FolderTest, IsTheUsersAlsoIfItCannotBeFlushed) {
  if (geteuid() != 0) GTEST_SKIP() << "only root gives folders away";
  chat::Privileges privileges;
  ASSERT_EQ(privileges.find("nobody"), "");
  fsync_error = EIO;
  EXPECT_NE(privileges.make_folder(dir_ + "/data"), "");
  struct stat data {};
  ASSERT_EQ(stat((dir_ + "/data").c_str(), &data), 0);
  EXPECT_NE(data.st_uid, 0u);
}

TEST_F(FolderTest, ParentsAreFound) {
  EXPECT_EQ(parent_of("a"), ".");
  EXPECT_EQ(parent_of("/a"), "/");
  EXPECT_EQ(parent_of("/a/"), "/");
  EXPECT_EQ(parent_of("a/b//"), "a");
  EXPECT_EQ(parent_of("/a/b"), "/a");
  EXPECT_EQ(flush_names(dir_ + "/none").error(), (Error{Errc::kSystem, ENOENT}));
}

}  // namespace
}  // namespace perch
