#include "store/folder_lock.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "tests/unit/temp_folder.h"

namespace perch::store {
namespace {

TEST(FolderLockTest, OneHoldsItUntilItLetsGo) {
  const TempFolder folder;
  {
    const Result<FolderLock> first = FolderLock::take(folder.path());
    ASSERT_TRUE(first.ok());
    const Result<FolderLock> second = FolderLock::take(folder.path());
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, Errc::kBusy);
  }
  EXPECT_TRUE(FolderLock::take(folder.path()).ok());
}

TEST(FolderLockTest, AMovedLockIsHeldOnce) {
  const TempFolder folder;
  FolderLock kept;
  {
    Result<FolderLock> taken = FolderLock::take(folder.path());
    ASSERT_TRUE(taken.ok());
    kept = std::move(*taken);
  }
  EXPECT_FALSE(FolderLock::take(folder.path()).ok());
  kept = FolderLock();
  EXPECT_TRUE(FolderLock::take(folder.path()).ok());
}

TEST(FolderLockTest, SaysWhatTheSystemSaid) {
  const TempFolder folder;
  const Result<FolderLock> none = FolderLock::take(folder.path() + "/none");
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error(), (Error{Errc::kSystem, ENOENT}));
}

}  // namespace
}  // namespace perch::store
