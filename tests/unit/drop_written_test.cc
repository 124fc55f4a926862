#include "client/drop_written.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace perch::client {
namespace {

TEST(DropWritten, HalfOrMoreGoes) {
  std::vector<uint8_t> output = {1, 2, 3, 4, 5};
  size_t written = 2;
  drop_written(output, written);
  EXPECT_EQ(written, 2u);
  EXPECT_EQ(output.size(), 5u);
  written = 3;
  drop_written(output, written);
  EXPECT_EQ(written, 0u);
  EXPECT_EQ(output, (std::vector<uint8_t>{4, 5}));
  written = 2;
  drop_written(output, written);
  EXPECT_TRUE(output.empty());
  EXPECT_EQ(written, 0u);
  drop_written(output, written);
}

TEST(DropWritten, ASteadyFlowStaysSmallAndInOrder) {
  std::vector<uint8_t> output;
  size_t written = 0, most = 0;
  uint8_t next = 0, expected = 0;
  for (int i = 0; i < 100; ++i) output.push_back(next++);
  for (int turn = 0; turn < 10'000; ++turn) {  // a hundred bytes are left after every write
    for (int i = 0; i < 10; ++i) output.push_back(next++);
    for (int i = 0; i < 10; ++i) ASSERT_EQ(output[written++], expected++);
    drop_written(output, written);
    most = std::max(most, output.size());
  }
  EXPECT_LE(most, 300u);
}

}  // namespace
}  // namespace perch::client
