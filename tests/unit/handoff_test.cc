// The reader sees whole values, newer ones only, and the last; none is leaked (asan) and none is raced for
// (tsan).
#include "core/handoff.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace perch {
namespace {

TEST(HandoffTest, HandsOverTheNewest) {
  Handoff<int> handoff;
  EXPECT_EQ(handoff.take(), nullptr);
  handoff.offer(std::make_unique<int>(1));
  handoff.offer(std::make_unique<int>(2));
  EXPECT_EQ(*handoff.take(), 2);
  EXPECT_EQ(handoff.take(), nullptr);
  handoff.offer(std::make_unique<int>(3));  // and nobody takes it
}

TEST(HandoffTest, BetweenThreads) {
  constexpr size_t kLast = 20'000;
  Handoff<std::vector<size_t>> handoff;
  std::thread writer([&] {
    for (size_t i = 1; i <= kLast; ++i) handoff.offer(std::make_unique<std::vector<size_t>>(8, i));
  });
  for (size_t newest = 0; newest < kLast;) {
    const auto taken = handoff.take();
    if (taken == nullptr) continue;
    ASSERT_GT(taken->front(), newest);
    ASSERT_EQ(*taken, std::vector<size_t>(8, taken->front()));
    newest = taken->front();
  }
  writer.join();
}

}  // namespace
}  // namespace perch
