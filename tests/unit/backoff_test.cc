#include "client/protocol/backoff.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace perch::client {
namespace {

TEST(Backoff, FullJitterWithinDoublingCeilings) {
  const auto random = seeded_random(3);
  for (uint32_t failures = 0; failures < 20; ++failures) {
    const uint64_t ceiling = std::min<uint64_t>(60'000, 500ull << std::min(failures, 7u));
    uint64_t largest = 0;
    for (int i = 0; i < 200; ++i) {
      const uint64_t wait_ms = backoff_ms(failures, *random);
      EXPECT_GE(wait_ms, 1u);
      EXPECT_LE(wait_ms, ceiling);
      largest = std::max(largest, wait_ms);
    }
    EXPECT_GT(largest, ceiling / 2);
  }
}

}  // namespace
}  // namespace perch::client
