#include "net/send_queue.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace perch::net {
namespace {

class SendQueueTest : public ::testing::Test {
 protected:
  ~SendQueueTest() override {
    queue.clear(pool);
    EXPECT_EQ(frames.bytes_held(), 0u) << "somebody still holds a frame";
  }
  void push(const std::string& bytes) {
    queue.push(pool, frames.make({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}));
  }
  static std::string bytes_of(const iovec* parts, size_t num) {
    std::string out;
    for (size_t i = 0; i < num; ++i) out.append(static_cast<char*>(parts[i].iov_base), parts[i].iov_len);
    return out;
  }
  static std::string left_of(const SendOperation& operation) {
    return bytes_of(operation.message.msg_iov, operation.message.msg_iovlen);
  }

  FramePool frames{0};
  SendPool pool;
  SendQueue queue;
};

TEST_F(SendQueueTest, FirstInFirstOut) {
  EXPECT_TRUE(queue.empty());
  for (int round = 0; round < 3; ++round) {
    for (const char* text : {"a", "bb", "ccc"}) push(text);
    EXPECT_EQ(queue.size(), 3u);
    for (const uint32_t size : {1u, 2u, 3u}) EXPECT_EQ(queue.pop(pool).size(), size);
    EXPECT_TRUE(queue.empty());
    EXPECT_EQ(queue.size(), 0u);
  }
}

TEST_F(SendQueueTest, ClearLetsGoOfTheFrames) {
  for (int i = 0; i < 100; ++i) push("frame");
  EXPECT_GT(frames.bytes_held(), 0u);
  queue.clear(pool);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(frames.bytes_held(), 0u);
}

TEST_F(SendQueueTest, AnOperationTakesSoManyFrames) {
  std::string all;
  for (uint32_t i = 0; i < kSendFramesMax + 3; ++i) {
    push(std::string(1, static_cast<char>('a' + i)));
    all += static_cast<char>('a' + i);
  }
  SendOperation* first = queue.take_operation(pool);
  EXPECT_EQ(first->num_frames, kSendFramesMax);
  EXPECT_EQ(left_of(*first), all.substr(0, kSendFramesMax));
  EXPECT_EQ(queue.size(), 3u);
  SendOperation* second = queue.take_operation(pool);
  EXPECT_NE(first, second);
  EXPECT_EQ(left_of(*second), all.substr(kSendFramesMax));
  EXPECT_TRUE(queue.empty());
  pool.give_back(first);
  pool.give_back(second);
}

TEST_F(SendQueueTest, NoFrameJoinsAnOperationThatIsLargeAlready) {
  push(std::string(kSendBytesMax - 1, 'a'));
  push("b");
  push("c");
  SendOperation* operation = queue.take_operation(pool);
  EXPECT_EQ(operation->num_frames, 2u);
  pool.give_back(operation);
}

TEST_F(SendQueueTest, AdvanceByAnyNumberOfBytes) {
  const std::string all = "abbccc";
  for (size_t step = 1; step <= all.size(); ++step) {
    for (const char* text : {"a", "bb", "ccc"}) push(text);
    SendOperation* operation = queue.take_operation(pool);
    size_t sent = 0;
    while (true) {
      ASSERT_EQ(left_of(*operation), all.substr(sent)) << "step " << step;
      const size_t bytes = std::min(step, all.size() - sent);
      sent += bytes;
      if (operation->advance(bytes)) break;
    }
    EXPECT_EQ(sent, all.size());
    EXPECT_EQ(frames.bytes_held(), 0u) << "what is sent is let go";
    pool.give_back(operation);
  }
}

TEST_F(SendQueueTest, WhatIsSentIsLetGoAtOnce) {
  for (int i = 0; i < 2; ++i) push("abcd");
  const uint64_t both = frames.bytes_held();
  SendOperation* operation = queue.take_operation(pool);
  EXPECT_FALSE(operation->advance(4));
  EXPECT_EQ(frames.bytes_held(), both / 2);
  pool.give_back(operation);
  EXPECT_EQ(frames.bytes_held(), 0u) << "an operation given back lets go of the rest";
}

TEST(BlockPool, GrowsByBlocksAndReuses) {
  BlockPool<SendNode> pool;
  std::set<SendNode*> all;
  std::vector<SendNode*> taken;
  for (int i = 0; i < 5000; ++i) {
    taken.push_back(pool.take());
    EXPECT_TRUE(all.insert(taken.back()).second) << "given out twice";
  }
  for (SendNode* node : taken) pool.give_back(node);
  for (int i = 0; i < 5000; ++i) EXPECT_EQ(all.count(pool.take()), 1u) << "grew without need";
}

}  // namespace
}  // namespace perch::net
