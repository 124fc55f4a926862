#include "client/profile_folder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/seen_fsync.h"
#include "tests/unit/temp_folder.h"

namespace {

int flock_error = 0;  // what flock() says instead of locking

}  // namespace

// The linker prefers this, too. Beside a struct of that name.
extern "C" int seen_flock(int fd, int operation) asm("flock");
int seen_flock(int fd, int operation) {
  if (flock_error == 0) return static_cast<int>(syscall(SYS_flock, fd, operation));
  errno = std::exchange(flock_error, flock_error == EINTR ? 0 : flock_error);
  return -1;
}

namespace perch::client {
namespace {

class ProfileFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    synced.clear();
    fsync_error = flock_error = 0;
  }
  TempFolder temp_;
  const std::string& dir_ = temp_.path();
};

TEST_F(ProfileFolderTest, EveryNameThatWasMadeIsFlushed) {
  ASSERT_TRUE(make_profile_folder(dir_ + "/a/b/c/").ok());
  EXPECT_EQ(synced, (std::vector<std::string>{dir_, dir_ + "/a", dir_ + "/a/b"}));
  struct stat is {};
  ASSERT_EQ(stat((dir_ + "/a/b/c").c_str(), &is), 0);
  EXPECT_EQ(is.st_mode & 0777, 0700u);
  synced.clear();
  ASSERT_TRUE(make_profile_folder(dir_ + "/a/b/c").ok());
  EXPECT_EQ(synced, (std::vector<std::string>{dir_ + "/a/b"}))
      << "who made it may have been killed before that";
  const std::string file = dir_ + "/file";
  ::close(::open(file.c_str(), O_CREAT | O_WRONLY, 0600));
  EXPECT_EQ(make_profile_folder(file + "/x").error(), (Error{Errc::kSystem, ENOTDIR}));
}

TEST_F(ProfileFolderTest, AParentThatCannotBeFlushedHoldsNoNewFolder) {
  fsync_error = EROFS;
  EXPECT_EQ(make_profile_folder(dir_ + "/me").error(), (Error{Errc::kSystem, EROFS}));
  EXPECT_TRUE(make_profile_folder(dir_ + "/me").ok()) << "it was there";
  fsync_error = EIO;
  EXPECT_EQ(make_profile_folder(dir_ + "/me").error(), (Error{Errc::kSystem, EIO}));
}

TEST_F(ProfileFolderTest, OneAtATimeHoldsTheLock) {
  ProfileLock second;
  {
    ProfileLock first;
    ASSERT_TRUE(first.open(dir_).ok());
    ASSERT_TRUE(second.open(dir_).ok());
    EXPECT_TRUE(*first.try_take());
    EXPECT_TRUE(*first.try_take()) << "it has it";
    EXPECT_FALSE(*second.try_take());
    EXPECT_FALSE(second.held());
  }
  EXPECT_TRUE(*second.try_take());
  EXPECT_TRUE(second.held());
}

TEST_F(ProfileFolderTest, WhatIsNoOtherProcessIsAnError) {
  ProfileLock lock;
  EXPECT_EQ(lock.open(dir_ + "/none").error(), (Error{Errc::kSystem, ENOENT}));
  ASSERT_TRUE(lock.open(dir_).ok());
  flock_error = ENOLCK;
  EXPECT_EQ(lock.try_take().error(), (Error{Errc::kSystem, ENOLCK}));
  EXPECT_FALSE(lock.held());
  flock_error = EINTR;
  EXPECT_TRUE(*lock.try_take()) << "a signal came in between";
}

}  // namespace
}  // namespace perch::client
