#include "core/fifo.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>

namespace perch {
namespace {

TEST(Fifo, AgreesWithADequeOverRandomSteps) {
  uint32_t state = 7;
  const auto random = [&state] { return (state = state * 1664525 + 1013904223) >> 16; };
  Fifo<int> fifo;
  std::deque<int> deque;
  for (int step = 0; step < 200'000; ++step) {
    // Phases of growth and of decay, so that the block doubles, wraps around and is let go.
    const bool grows = (step / 1000) % 2 == 0;
    if (random() % 10 < (grows ? 6u : 4u)) {
      fifo.push_back(step);
      deque.push_back(step);
    } else if (!deque.empty()) {
      ASSERT_EQ(fifo.pop_front(), deque.front());
      deque.pop_front();
    }
    ASSERT_EQ(fifo.size(), deque.size());
    ASSERT_EQ(fifo.empty(), deque.empty());
    if (deque.empty()) continue;
    ASSERT_EQ(fifo.front(), deque.front());
    const size_t i = random() % deque.size();
    ASSERT_EQ(fifo[i], deque[i]);
  }
}

TEST(Fifo, LetsGoOfWhatItPoppedAndCleared) {
  Fifo<std::shared_ptr<int>> fifo;
  auto first = std::make_shared<int>(1), second = std::make_shared<int>(2);
  fifo.push_back(first);
  fifo.push_back(second);
  EXPECT_EQ(first.use_count(), 2);
  fifo.pop_front();
  EXPECT_EQ(first.use_count(), 1);
  Fifo<std::shared_ptr<int>> moved = std::move(fifo);
  EXPECT_TRUE(fifo.empty());  // NOLINT: a moved-from Fifo is empty
  EXPECT_EQ(moved.size(), 1u);
  moved.clear();
  EXPECT_EQ(second.use_count(), 1);
  moved.push_back(first);
  EXPECT_EQ(moved.front(), first);
}

TEST(FifoDeathTest, ReadingPastTheEndIsOurOwnBug) {
  Fifo<int> fifo;
  fifo.push_back(1);
  EXPECT_DEATH((void)fifo[1], "");
}

}  // namespace
}  // namespace perch
