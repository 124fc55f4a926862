// What the store thread promises beyond the writer's transactions.
#include "chat/store_thread.h"

#include <gmock/gmock.h>

#include "tests/unit/core_fixture.h"

namespace perch::chat {
namespace {

using testing::HasSubstr;
using testing::Not;

class StoreThreadTest : public CoreTest {};

// The disk fills, and somebody makes room between two batches of one conversation (DELIVERY.md H8).
TEST_F(StoreThreadTest, WhatComesBehindAMessageWithoutRoomWaitsForIt) {
  limits_.batch_ops_max = 1;
  start();
  Peer gone = login(bob(), "b");
  leave(gone);
  Peer ann = login(kAnn, "a");
  run();
  ann.say(message(bob(), 1));
  ann.say(message(bob(), 2));
  ann.say(message(bob(), 3));
  for (int i = 0; i < 10; ++i)
    for (auto& each : node_->cores) each->turn(0);
  disk_.full = true;
  turn_store();
  disk_.full = false;
  for (int i = 0; i < 5; ++i) turn_store();
  EXPECT_EQ(num_records(), 0u);
  clock_.advance_ns(200'000'000);
  turn_store();
  ASSERT_EQ(num_records(), 1u);
  restart();
  gone = login(bob(), "b");
  gone.expect_message(1);
}

// Somebody makes room for one message after the other, never for all that wait.
TEST_F(StoreThreadTest, MessagesThatWaitForRoomTakeWhatThereIs) {
  start();
  Peer gone = login(bob(), "b");
  leave(gone);
  Peer ann = login(kAnn, "a");
  for (Seq seq = 1; seq <= 5; ++seq) ann.say(message(bob(), seq));
  disk_.full = true;
  run();
  disk_.full = false;
  ann.say(message(bob(), 6));
  run();
  ann.expect_hold(wire::HoldReason::StoreFull);
  for (size_t num = 1; num <= 5; ++num) {
    disk_.operations_to_refusal = 4;  // a record of one is an operation, its commit another
    pass_ms(200);
    EXPECT_EQ(num_records(), num);
    ann.expect_result(num, wire::Tick::Accepted);
  }
  disk_.operations_to_refusal = 0;
  ann.say(message(bob(), 6));
  run();
  ann.expect_result(6, wire::Tick::Accepted);
}

// Its end must not be written first: then nothing would ever end it.
TEST_F(StoreThreadTest, AReceiptWithoutRoomIsWrittenBeforeItsEnd) {
  start();
  Peer ann = ann_sends_to_absent_bob();
  ann.say(codec::confirm(0, 2));
  run();
  leave(ann);
  Peer bo = login(bob(), "b");
  bo.expect_message(1);
  disk_.full = true;
  bo.say(codec::confirm(1, 1));
  run();
  ann = login(kAnn, "a");
  ann.expect_receipt(1);
  disk_.full = false;
  ann.say(codec::confirm(1, 2));
  run();
  pass_ms(1'000);
  EXPECT_EQ(num_waiting_after_restart(), 0u);
}

// As the core does that finds it at hand-over. The journal would fill behind it, and nobody would know why.
TEST_F(StoreThreadTest, AnUnreadableRecordThatIsToBeMovedStopsTheNodeAndSaysWhich) {
  start();
  Peer gone = login(bob(), "b");
  leave(gone);
  Peer ann = login(kAnn, "a");
  ann.say(message(bob(), 1));
  run();
  const auto& [key, value] = *journal_.committed(store::kJournalTable).begin();
  const JournalPos pos = store::unpack_journal_key(key)->pos;
  std::vector<uint8_t> turned = value;
  turned.back() ^= 1;
  ASSERT_TRUE(journal_.begin());
  ASSERT_TRUE(journal_.put(store::kJournalTable, store::pack_key(store::JournalKey{pos, 0}), turned));
  ASSERT_TRUE(journal_.commit());
  pass_ms(2 * limits_.move_after_ms, 1'000);
  EXPECT_TRUE(home(kAnn).store_failed());
  EXPECT_EQ(node_->pages.back()->value(Metric::kStorePoisoned), 1u);
  std::string said;
  Log& log = *node_->logs.back();
  for (; log.front() != nullptr; log.pop()) said += text_of(*log.front());
  EXPECT_THAT(said, HasSubstr("a stored message cannot be read back; stopping"));
  EXPECT_THAT(said, HasSubstr("position=" + std::to_string(pos) + " error=corrupt"));
  EXPECT_THAT(said, Not(HasSubstr("commit")));
}

// It would cover what they say.
TEST_F(StoreThreadTest, ARowWithoutRoomIsWrittenBeforeLaterOnes) {
  start();
  Peer known = login(kAnn, "known");
  disk_.full = true;
  known = say_hello(token(kAnn, "known"), 78, 1, 77);  // a new opening, to be noted
  known.take(wire::Payload::Welcome);
  disk_.full = false;
  Peer other = say_hello(token(kAnn, "b"), 78);
  other.expect_error(wire::ErrorCode::Busy);  // behind it
  pass_ms(1'000);
  login(kAnn, "b", nullptr, 78);
  restart();
  Heard welcome{{}};
  login(kAnn, "b", &welcome, 78);
  EXPECT_EQ(welcome.frame().payload_as_Welcome()->device(), 2);
}

}  // namespace
}  // namespace perch::chat
