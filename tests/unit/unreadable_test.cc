// A user's row that the disk has changed is not a user who is gone: what waits to be told, and what waits for
// him, is kept until the row can be read again.
#include "core_fixture.h"

namespace perch::chat {
namespace {

class UnreadableTest : public CoreTest {
 protected:
  UnreadableTest() { limits_.expiry_ms = 86'400'000; }
  // One bit of Ann's row, there and back, while the node is down.
  void restart_with_row_turned() {
    kill();
    const auto key = store::pack_key(kAnn);
    ASSERT_TRUE(journal_.begin());
    std::vector<uint8_t> value;
    {
      const auto row = journal_.get(store::kUsersTable, key);
      ASSERT_TRUE(row);
      value.assign(row->begin(), row->end());
    }
    value.back() ^= 1;
    ASSERT_TRUE(journal_.put(store::kUsersTable, key, value));
    ASSERT_TRUE(journal_.commit());
    start();
    run();
  }
  // Ann has sent Bob, who is away, a message, and is gone.
  void begin() {
    start();
    Peer ann = ann_sends_to_absent_bob();
    leave(ann);
  }
  void bob_fetches() {
    Peer bo = login(bob(), "b");
    bo.expect_message(1);
    bo.say(codec::confirm(1, 1));
    run();
    leave(bo);
  }
  void two_days() {
    for (int hour = 0; hour < 48; ++hour) clock_.advance_ns(3'600'000'000'000), run(2);
  }
};

TEST_F(UnreadableTest, AStoredReceiptIsKept) {
  begin();
  bob_fetches();
  restart_with_row_turned();
  restart_with_row_turned();
  login(kAnn, "a").expect_receipt(1);
}

TEST_F(UnreadableTest, AReceiptThatComesMeanwhileIsStored) {
  begin();
  restart_with_row_turned();
  bob_fetches();
  Peer bo = login(bob(), "b");
  EXPECT_TRUE(bo.heard().empty()) << "its confirmation does not wait";
  restart_with_row_turned();
  login(kAnn, "a").expect_receipt(1);
  bo = login(bob(), "b");
  EXPECT_TRUE(bo.heard().empty()) << "and is on the disk";
}

TEST_F(UnreadableTest, AStoredExpiryIsKept) {
  begin();
  two_days();
  restart_with_row_turned();
  restart_with_row_turned();
  login(kAnn, "a").take(wire::Payload::Expired);
}

TEST_F(UnreadableTest, AnExpiryThatComesMeanwhileIsKept) {
  begin();
  restart_with_row_turned();
  two_days();
  restart_with_row_turned();
  login(kAnn, "a").take(wire::Payload::Expired);
}

// The store has lost it. One made anew by this number would get the message: its devices begin at 1 again.
TEST_F(UnreadableTest, WhatWaitsForAUserWhoIsNoneIsDropped) {
  begin();
  kill();
  ASSERT_TRUE(journal_.begin());
  ASSERT_TRUE(journal_.erase(store::kUsersTable, store::pack_key(bob())));
  ASSERT_TRUE(journal_.commit());
  start();
  run();
  Peer bo = login(bob(), "b");
  EXPECT_TRUE(bo.heard().empty());
  Peer ann = login(kAnn, "a");
  ann.take(wire::Payload::Expired);
  ann.say(codec::confirm(1, 2));
  run();
  EXPECT_EQ(num_waiting_after_restart(), 0u);
}

}  // namespace
}  // namespace perch::chat
