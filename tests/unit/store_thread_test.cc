// What the store thread promises beyond the writer's transactions.
#include "chat/store_thread.h"

#include "tests/unit/core_fixture.h"

namespace perch::chat {
namespace {

class StoreThreadTest : public CoreTest {};

// The disk fills, and somebody makes room between two batches of one conversation (delivery.md H8).
TEST_F(StoreThreadTest, WhatComesBehindAMessageWithoutRoomWaitsForIt) {
  limits_.batch_ops_max = 1;
  start();
  Peer gone = login(bob(), "b");
  leave(gone);
  Peer ann = login(kAnn, "a");
  run();
  ann.say(message(bob(), 1));
  ann.say(message(bob(), 2));
  for (int i = 0; i < 10; ++i)
    for (auto& each : node_->cores) each->turn(0);
  disk_.full = true;
  turn_store();
  disk_.full = false;
  ASSERT_EQ(node_->pages.back()->value(Metric::kStoreRefused), 1u);
  turn_store();
  EXPECT_EQ(num_records(), 0u);
  ann.say(message(bob(), 3));  // taken before its core hears of the refusal …
  for (int i = 0; i < 10; ++i)
    for (auto& each : node_->cores) each->turn(0);  // … of 1, and 2 is not back yet
  run();
  pass_ms(1'000);
  for (Seq seq = 1; seq <= 3; ++seq) ann.expect_result(seq, wire::Tick::Accepted);
  EXPECT_EQ(num_records(), 3u);
}

}  // namespace
}  // namespace perch::chat
