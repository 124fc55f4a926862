#include "store/ceiling_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace perch::store {
namespace {

class CeilingFileTest : public testing::Test {
 protected:
  CeilingFileTest() : folder_(testing::TempDir() + "ceiling_file_test." + std::to_string(getpid())) {
    std::filesystem::create_directory(folder_);
  }
  ~CeilingFileTest() override { std::filesystem::remove_all(folder_); }
  void write(std::string_view text) { std::ofstream(folder_ + "/ceiling") << text; }
  const std::string folder_;
};

TEST_F(CeilingFileTest, KeepsTheLast) {
  EXPECT_EQ(read_ceiling_file(folder_).error().code, Errc::kNotFound);
  for (const uint64_t ceiling : {uint64_t{0}, UINT64_MAX, uint64_t{7}}) {
    ASSERT_TRUE(write_ceiling_file(folder_, ceiling).ok());
    EXPECT_EQ(*read_ceiling_file(folder_), ceiling);
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/ceiling.new"));
}

TEST_F(CeilingFileTest, TakesNothingElseForANumber) {
  for (const char* text : {"", "\n", "7", "7\n\n", "-7\n", "7 \n", "0x7\n", "18446744073709551616\n"}) {
    write(text);
    EXPECT_EQ(read_ceiling_file(folder_).error().code, Errc::kCorrupt) << text;
  }
}

TEST_F(CeilingFileTest, SaysWhatTheSystemSaid) {
  const Result<void> wrote = write_ceiling_file(folder_ + "/none", 7);
  ASSERT_FALSE(wrote.ok());
  EXPECT_EQ(wrote.error().code, Errc::kSystem);
  EXPECT_EQ(wrote.error().detail, ENOENT);
}

}  // namespace
}  // namespace perch::store
