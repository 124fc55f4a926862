#include "core/spsc_queue.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>

namespace perch {
namespace {

TEST(SpscQueue, CapacityIsRoundedUpAndBounded) {
  SpscQueue<int> queue(5);
  EXPECT_EQ(queue.capacity(), 8u);
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(queue.push(i));
  EXPECT_FALSE(queue.push(8));
  SpscQueue<int> one(1);
  EXPECT_TRUE(one.push(1));
  EXPECT_FALSE(one.push(2));
}

TEST(SpscQueue, PushedIsInvisibleUntilPublishAndRoomUntilRelease) {
  SpscQueue<int> queue(2);
  EXPECT_TRUE(queue.push(1));
  EXPECT_TRUE(queue.push(2));
  EXPECT_EQ(queue.front(), nullptr);
  queue.publish();
  ASSERT_NE(queue.front(), nullptr);
  EXPECT_EQ(*queue.front(), 1);
  queue.pop();
  EXPECT_FALSE(queue.push(3));
  queue.release();
  EXPECT_TRUE(queue.push(3));
  EXPECT_EQ(*queue.front(), 2);
  queue.pop();
  EXPECT_EQ(queue.front(), nullptr);
}

TEST(SpscQueue, AMillionItemsInOrderBetweenTwoThreads) {
  constexpr uint64_t kNum = 1'000'000;
  struct Item {
    std::array<uint64_t, 4> words;
  };
  SpscQueue<Item> queue(256);
  std::thread producer([&] {
    for (uint64_t i = 0; i < kNum;) {
      uint64_t num = 0;  // batches of every size up to the whole queue
      while (i < kNum && num < 1 + i % 256 && queue.push(Item{{i, i + 1, i + 2, i + 3}})) ++i, ++num;
      queue.publish();
      if (num == 0) std::this_thread::yield();
    }
  });
  uint64_t expected = 0;
  uint64_t torn = 0;
  while (expected < kNum) {
    bool any = false;
    while (const Item* item = queue.front()) {
      for (uint64_t word = 0; word < 4; ++word) torn += item->words[word] != expected + word;
      queue.pop();
      ++expected;
      any = true;
      if (expected % 64 == 0) queue.release();
    }
    queue.release();
    if (!any) std::this_thread::yield();
  }
  producer.join();
  EXPECT_EQ(torn, 0u);
  EXPECT_EQ(queue.front(), nullptr);
}

}  // namespace
}  // namespace perch
