#include "core/types.h"

#include <gtest/gtest.h>

namespace perch {
namespace {

// Stores look up all messages of one user, of one of its devices, of one opening as a range of ids.
TEST(MessageId, SortsByUserDeviceOriginSeq) {
  const MessageId sorted[] = {
      {}, {0, 0, 0, 9}, {0, 0, 9, 0}, {0, 9, 0, 0}, {9, 0, 0, 0}, {9, 0, 0, 1}, {9, 0, 1, 0}, {9, 1, 0, 0},
  };
  for (size_t i = 0; i + 1 < std::size(sorted); ++i) EXPECT_LT(sorted[i], sorted[i + 1]) << i;
  EXPECT_EQ(sorted[5], (MessageId{9, 0, 0, 1}));
  EXPECT_NE(sorted[5], (MessageId{9, 0, 0, 2}));
}

}  // namespace
}  // namespace perch
