#include "core/text_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

namespace perch {
namespace {

TEST(TextFileTest, ReadsUpToItsLimitAndSaysWhoElseMay) {
  const std::string path = testing::TempDir() + "text_file_test." + std::to_string(getpid());
  std::ofstream(path) << "four";
  ASSERT_EQ(chmod(path.c_str(), 0600), 0);
  Result<TextFile> file = read_text_file(path, 4);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->text, "four");
  EXPECT_FALSE(file->others_read);
  ASSERT_EQ(chmod(path.c_str(), 0604), 0);
  EXPECT_TRUE(read_text_file(path, 100)->others_read);
  file = read_text_file(path, 3);
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error(), (Error{Errc::kTooLarge, 3}));
  unlink(path.c_str());
  file = read_text_file(path, 4);
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error(), (Error{Errc::kSystem, ENOENT}));
}

TEST(TextFileTest, WhatIsNoFile) {
  EXPECT_EQ(read_text_file("/", 10).error(), (Error{Errc::kSystem, EISDIR}));
  EXPECT_EQ(read_text_file("/dev/zero", 10).error(), (Error{Errc::kTooLarge, 10}));
  const Result<TextFile> empty = read_text_file("/dev/null", 10);
  ASSERT_TRUE(empty.ok());
  EXPECT_EQ(empty.value().text, "");
  EXPECT_FALSE(empty.value().others_read);  // it is everybody's, but holds nothing to hide
}

}  // namespace
}  // namespace perch
