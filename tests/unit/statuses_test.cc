// What a device is told of its own messages: repeated results, receipts, EXPIRED. However much there is to
// tell, it goes within the window of the session, each thing once per session (PROTOCOL.md, Receiving).
#include <algorithm>

#include "core_fixture.h"

namespace perch::chat {
namespace {

class StatusesTest : public CoreTest {
 protected:
  StatusesTest() {
    limits_.send_queue_frames_max = 32;
    limits_.unconfirmed_frames_max = 8;
  }
  // Bob has a device, which is away; Ann sends him a message from each of `num` openings and hears the tick.
  void ann_sends(int num) {
    start();
    Peer bo = login(bob(), "b");
    leave(bo);
    Peer ann = login(kAnn, "a");
    for (int i = 1; i <= num; ++i) {
      ann.say(message(bob(), static_cast<Seq>(i), static_cast<Seq>(i), "x", 0, static_cast<Origin>(i)));
      run(8);
      ann.expect_result(static_cast<Seq>(i), wire::Tick::Accepted);
    }
    ann.say(codec::confirm(0, static_cast<Seq>(num) + 1));
    run();
    leave(ann);
  }
  // … and he fetches them all.
  void bob_fetches(int num) {
    Peer bo = login(bob(), "b");
    EXPECT_EQ(confirm_all(bo, wire::Payload::Message), num);
    leave(bo);
  }
  // Confirms what comes until nothing does; never more than the window comes at once. How many of this kind.
  int confirm_all(Peer& peer, wire::Payload kind, uint64_t confirmed = 0) {
    int num = 0;
    while (!peer.heard().empty()) {
      EXPECT_LE(peer.heard().size(), limits_.unconfirmed_frames_max);
      for (; !peer.heard().empty(); ++confirmed)
        num += kind == peer.heard().front().type(), peer.heard().pop_front();
      peer.say(codec::confirm(confirmed, 1'000'000));
      run();
    }
    EXPECT_FALSE(peer.ended());
    return num;
  }
};

TEST_F(StatusesTest, MoreReceiptsThanTheSendQueueTakesAreToldByAndBy) {
  ann_sends(100);
  bob_fetches(100);
  for (int again = 0; again < 2; ++again) {  // unconfirmed, so the next session is told from the beginning
    Peer ann = login(kAnn, "a");
    EXPECT_EQ(ann.heard().size(), limits_.unconfirmed_frames_max);
    leave(ann);
  }
  Peer ann = login(kAnn, "a");
  EXPECT_EQ(confirm_all(ann, wire::Payload::Receipt), 100);
  leave(ann);
  ann = login(kAnn, "a");
  EXPECT_TRUE(ann.heard().empty());
}

TEST_F(StatusesTest, MoreReceiptsThanTheWindowTakesWaitDuringTheSession) {
  ann_sends(100);
  Peer ann = login(kAnn, "a");
  bob_fetches(100);
  EXPECT_EQ(confirm_all(ann, wire::Payload::Receipt), 100);
}

TEST_F(StatusesTest, MoreExpiredThanTheSendQueueTakesAreToldByAndBy) {
  limits_.expiry_ms = 86'400'000;
  ann_sends(100);
  for (int hour = 0; hour < 26; ++hour) {
    clock_.advance_ns(3'600'000'000'000);
    run(2);
  }
  Peer ann = login(kAnn, "a");
  EXPECT_EQ(confirm_all(ann, wire::Payload::Expired), 100);
  leave(ann);
  ann = login(kAnn, "a");
  EXPECT_TRUE(ann.heard().empty());
}

TEST_F(StatusesTest, AReceiptRaisedAfterItWasToldIsToldAgain) {
  start();
  Peer bo = login(bob(), "b");
  leave(bo);
  Peer ann = login(kAnn, "a");
  for (Seq seq = 1; seq <= 2; ++seq) {
    ann.say(message(bob(), seq));
    run();
    ann.expect_result(seq, wire::Tick::Accepted);
  }
  bo = login(bob(), "b");
  for (Seq seq = 1; seq <= 2; ++seq) {
    bo.say(codec::confirm(seq, 1));
    run();
    ann.expect_receipt(seq);
  }
  ann.say(codec::confirm(1, 3));
  run();
  EXPECT_TRUE(ann.heard().empty());
  leave(ann);
  ann = login(kAnn, "a");
  ann.expect_receipt(2);
  EXPECT_TRUE(ann.heard().empty()) << "one mark, told once";
}

TEST_F(StatusesTest, AReceiptThatWaitsIsToldAsItStandsThen) {
  limits_.unconfirmed_frames_max = 1;
  start();
  Peer bo = login(bob(), "b");
  leave(bo);
  Peer ann = login(kAnn, "a");
  ann.say(message(bob(), 1, 1, "x", 0, 5));
  for (Seq seq = 2; seq <= 4; ++seq) ann.say(message(bob(), seq));
  run();
  ann.heard().clear();
  bo = login(bob(), "b");
  for (Seq seq = 1; seq <= 4; ++seq) {
    bo.say(codec::confirm(seq, 1));
    run();
  }
  ann.expect_receipt(1);
  EXPECT_TRUE(ann.heard().empty());
  ann.say(codec::confirm(1, 5));
  run();
  ann.expect_receipt(4);
  ann.say(codec::confirm(2, 5));
  run();
  EXPECT_TRUE(ann.heard().empty());
}

TEST_F(StatusesTest, NeitherReceiptsNorMessagesWaitForTheEndOfTheOther) {
  ann_sends(40);
  bob_fetches(40);
  Peer bo = login(bob(), "b");
  for (Seq seq = 1; seq <= 40; ++seq) {
    bo.say(message(kAnn, seq, seq));
    run(8);
  }
  Peer ann = login(kAnn, "a");
  uint64_t confirmed = 0;
  for (int window = 0; window < 5; ++window) {
    int messages = 0, receipts = 0;
    for (const Heard& heard : ann.heard()) {
      messages += heard.type() == wire::Payload::Message;
      receipts += heard.type() == wire::Payload::Receipt;
    }
    EXPECT_GT(messages, 0) << "window " << window;
    EXPECT_GT(receipts, 0) << "window " << window;
    confirmed += ann.heard().size();
    ann.heard().clear();
    ann.say(codec::confirm(confirmed, 1'000));
    run();
  }
}

// Whether it was stored by this run of the server or an earlier one.
TEST_F(StatusesTest, AReadMarkIsNotReportedBack) {
  start();
  for (Seq seq = 1; seq <= 2; ++seq) {
    Peer bo = login(bob(), "b");
    leave(bo);
    Peer ann = login(kAnn, "a");
    ann.heard().clear();  // what she has not closed
    ann.say(codec::read({bob(), 77, seq, seq, 0}, 1, 5, 9));
    run();
    ann.expect_result(seq, wire::Tick::Accepted);
    if (seq == 2) restart();
    ann = login(kAnn, "a");
    ann.heard().clear();
    bo = login(bob(), "b");
    EXPECT_EQ(bo.take(wire::Payload::Read).frame().route()->seq(), seq);
    bo.say(codec::confirm(1, 1));
    run();
    EXPECT_TRUE(ann.heard().empty()) << seq;
    leave(bo);
  }
}

// Nor if nobody fetches it in time, wherever it was found at the start.
TEST_F(StatusesTest, AReadMarkThatExpiresIsNotReported) {
  limits_.expiry_ms = 86'400'000;
  for (const bool moved : {false, true}) {
    start();
    Peer bo = login(bob(), "b");
    leave(bo);
    Peer ann = login(kAnn, "a");
    ann.heard().clear();
    ann.say(codec::read({bob(), 77, moved ? 2u : 1u, 1, 0}, 1, 5, 9));
    run();
    ann.expect_result(moved ? 2 : 1, wire::Tick::Accepted);
    if (moved) pass_ms(limits_.move_after_ms + 2'000, 1'000);
    ASSERT_EQ(num_rows(), moved ? 1u : 0u);
    restart();
    for (int hour = 0; hour < 26; ++hour) {
      clock_.advance_ns(3'600'000'000'000);
      run(2);
    }
    EXPECT_EQ(num_waiting_after_restart(), 0u);
  }
}

// The record of the first is asked for because of the second, and its confirmation crosses the tick.
TEST_F(StatusesTest, ANoteToOneselfHasNoReceipt) {
  limits_.unconfirmed_frames_max = 1;
  start();
  Peer other = login(kAnn, "other"), ann = login(kAnn, "a");
  for (Seq seq = 1; seq <= 2; ++seq) ann.say(message(kAnn, seq));
  turn(kAnn);
  turn_store();
  other.expect_message(1);
  other.say(codec::confirm(1, 1));
  turn(kAnn, 1);  // the tick; readable: the next turn receives it, before it looks at hops
  run();
  for (Seq seq = 1; seq <= 2; ++seq) ann.expect_result(seq, wire::Tick::Accepted);
  EXPECT_TRUE(ann.heard().empty());
  other.expect_message(2);
  other.say(codec::confirm(2, 1));
  run();
  EXPECT_TRUE(ann.heard().empty());
  EXPECT_EQ(num_waiting_after_restart(), 0u);
}

TEST_F(StatusesTest, AReceiptThatWasNeverOnTheDiskNeedsNoEndThere) {
  start();
  Peer ann = ann_sends_to_absent_bob();
  Peer bo = login(bob(), "b");
  bo.say(codec::confirm(1, 1));
  const size_t records = num_records();
  run();
  ann.expect_receipt(1);
  ann.say(codec::confirm(1, 2));
  run();
  EXPECT_EQ(num_records(), records + 1) << "Bob's confirmation";
}

// A client keeps "delivered" when EXPIRED comes after it, so the receipt must not be the first.
TEST_F(StatusesTest, ExpiredIsToldBeforeTheReceiptThatWouldCoverIt) {
  constexpr uint64_t kHourNs = 3'600'000'000'000;
  limits_.expiry_ms = 86'400'000;
  limits_.silence_ms_max = UINT32_MAX;
  start();
  Peer ann = ann_sends_to_absent_bob(1, "old");
  Peer fresh = login(bob(), "fresh");
  EXPECT_TRUE(fresh.heard().empty()) << "it is newer than the first message";
  for (int hour = 0; hour < 12; ++hour) clock_.advance_ns(kHourNs), run(2);
  ann.say(message(bob(), 2, 2));
  run();
  ann.expect_result(2, wire::Tick::Accepted);
  fresh.expect_message(2);
  fresh.say(codec::confirm(1, 1));
  run();
  ann.expect_receipt(2, 2);  // the first is on no device
  for (int hour = 0; hour < 11; ++hour) clock_.advance_ns(kHourNs), run(2);
  ann.say(message(bob(), 3, 3));
  run();
  ann.expect_result(3, wire::Tick::Accepted);
  for (int hour = 0; hour < 3; ++hour) clock_.advance_ns(kHourNs), run(2);
  fresh.expect_message(3);
  fresh.say(codec::confirm(2, 1));
  run();
  EXPECT_EQ(ann.take(wire::Payload::Expired).frame().payload_as_Expired()->seq(), 1u);
  ann.expect_receipt(3);
}

// Bob's old device never comes back: a message waits for it that is on no device, and it is full.
class DeadDeviceTest : public StatusesTest {
 protected:
  void begin() {
    limits_.mailbox_items_max = 1;
    start();
    Peer old = login(bob(), "old");
    leave(old);
    ann_ = std::make_unique<Peer>(login(kAnn, "a"));
    say(1);
    ann_->expect_result(1, wire::Tick::Accepted);
    fresh_ = std::make_unique<Peer>(login(bob(), "fresh"));
    EXPECT_TRUE(fresh_->heard().empty()) << "it is newer than the first message";
    say(2);  // begins the gap of the old one, and is still for it
    ann_->expect_result(2, wire::Tick::Accepted);
    fresh_->expect_message(2);
    fresh_->say(codec::confirm(1, 1));
    run();
    ann_->expect_receipt(2, 2);
    ann_->say(codec::confirm(1, 3));
    run();
  }
  void say(Seq seq) {
    ann_->say(message(bob(), seq, seq));
    run();
  }
  std::unique_ptr<Peer> ann_, fresh_;
};

// However much the live device is sent while it is away: what it has confirmed does not stay in its mailbox,
// which is full with one message.
TEST_F(DeadDeviceTest, TheLiveOneTakesMoreThanAMailbox) {
  begin();
  for (Seq seq = 3; seq <= 9; ++seq) {
    leave(*fresh_);
    say(seq);
    ann_->expect_result(seq, wire::Tick::Accepted);
    fresh_ = std::make_unique<Peer>(login(bob(), "fresh"));
    fresh_->expect_message(seq);
    fresh_->say(codec::confirm(1, 1));
    run();
    ann_->expect_receipt(seq, 2);
    ann_->say(codec::confirm(seq - 1, seq + 1));
    run();
  }
  EXPECT_EQ(num_waiting_after_restart(), 2u) << "the two that wait for the old one";
}

// All devices of Bob that it is for confirm it at once, so it is in no list any more; but the tick could not
// say so, because one of Ann's is away.
TEST_F(DeadDeviceTest, ALateReceiptDoesNotCoverWhatIsOnNoDevice) {
  begin();
  Peer other = login(kAnn, "other");
  leave(other);
  say(3);
  ann_->expect_result(3, wire::Tick::Accepted);
  fresh_->expect_message(3);
  fresh_->say(codec::confirm(2, 1));
  run();
  ann_->expect_receipt(3, 2);
}

// What Bob has confirmed counts against his mailbox until the disk may forget it. That waits for the receipt,
// and no longer than for a message: a sender that does not confirm it cannot keep his mailbox full.
TEST_F(StatusesTest, AReceiptThatNobodyConfirmsIsStoredAndThenTheMailboxIsEmpty) {
  limits_.mailbox_items_max = 2;
  start();
  Peer bo = login(bob(), "b");
  leave(bo);
  Peer ann = login(kAnn, "a"), carol = login(bob() + 1, "c");
  for (Seq seq = 1; seq <= 2; ++seq) {
    ann.say(message(bob(), seq, seq));
    run();
    ann.expect_result(seq, wire::Tick::Accepted);
  }
  bo = login(bob(), "b");
  bo.say(codec::confirm(2, 1));
  run();
  for (Seq seq = 1; seq <= 2; ++seq) ann.expect_receipt(seq);  // and says nothing
  EXPECT_TRUE(ann.heard().empty());
  const size_t records = num_records();
  carol.say(message(bob(), 1));
  run();
  carol.expect_rejected(wire::RejectReason::MailboxFull);
  pass_ms(limits_.confirm_ms_max + 200);
  EXPECT_EQ(num_records(), records + 3) << "one receipt, two confirmations";
  carol.say(message(bob(), 2, 2));
  run();
  bo.expect_message(1);
  bo.expect_message(2);
  bo.expect_message(2);
  bo.say(codec::confirm(3, 1));
  run();
  carol.expect_result(2, wire::Tick::Delivered);
  ann.say(codec::confirm(2, 3));
  run();
  EXPECT_EQ(num_waiting_after_restart(), 0u);
}

TEST_F(StatusesTest, ASlowDevicesReceiptsAreStoredAtOnceUntilItHasConfirmed) {
  start();
  Peer bo = login(bob(), "b");
  leave(bo);
  Peer ann = login(kAnn, "a");
  for (Seq seq = 1; seq <= 3; ++seq) {
    ann.say(message(bob(), seq, seq));
    run();
    ann.expect_result(seq, wire::Tick::Accepted);
  }
  bo = login(bob(), "b");
  bo.say(codec::confirm(1, 1));
  pass_ms(limits_.confirm_ms_max + 200);
  size_t records = num_records();
  bo.say(codec::confirm(2, 1));
  run();
  EXPECT_EQ(num_records(), records + 2) << "the receipt, and the confirmation that waited for it";
  for (Seq seq = 1; seq <= 2; ++seq) ann.expect_receipt(seq);
  ann.say(codec::confirm(2, 4));
  run();
  records = num_records();
  bo.say(codec::confirm(3, 1));
  run();
  ann.expect_receipt(3);
  EXPECT_EQ(num_records(), records) << "it is not slow any more";
}

// One that has a message is not held full by what others of its user still wait for.
TEST_F(StatusesTest, WhatOnlyAnotherDeviceWaitsForIsNotCounted) {
  limits_.mailbox_items_max = 2;
  start();
  Peer away = login(bob(), "away"), bo = login(bob(), "b");
  leave(away);
  Peer ann = login(kAnn, "a");
  for (Seq seq = 1; seq <= 5; ++seq) {
    ann.say(message(bob(), seq, seq));
    run();
    bo.expect_message(seq);
    bo.say(codec::confirm(seq, 1));
    run();
  }
}

TEST_F(StatusesTest, MoreUnclosedResultsThanTheSendQueueTakesAreRepeatedInOrder) {
  start();
  Peer bo = login(bob(), "b");
  leave(bo);
  Peer ann = login(kAnn, "a");
  for (Seq seq = 1; seq <= 100; ++seq) {
    ann.say(message(bob(), seq, 1));
    run(8);
    ann.expect_result(seq, wire::Tick::Accepted);
  }
  leave(ann);
  ann = login(kAnn, "a");
  for (Seq seq = 1; seq <= 100; ++seq) ann.expect_result(seq, wire::Tick::Accepted);
  EXPECT_TRUE(ann.heard().empty());
  EXPECT_FALSE(ann.ended());
}

// A receipt never comes before the result that it says more about, also where results have to wait for room;
// and the repeated result says it too, since a receipt is for rows that are closed.
TEST_F(StatusesTest, ResultsAreRepeatedBeforeReceiptsAreTold) {
  start();
  Peer bo = login(bob(), "b");
  leave(bo);
  Peer ann = login(kAnn, "a");
  for (Seq seq = 1; seq <= 40; ++seq) {
    ann.say(message(bob(), seq, 1));
    run(8);
  }
  leave(ann);
  bob_fetches(40);
  ann = login(kAnn, "a");
  for (Seq seq = 1; seq <= 40; ++seq) ann.expect_result(seq, wire::Tick::Delivered);
  ann.expect_receipt(40);
}

// After a stop a row may be open when a receipt of before covers it, and closed when its message is confirmed
// anew. The device had nothing to mark the first time, so it hears the same receipt again.
TEST_F(StatusesTest, AReceiptIsToldAgainForARowThatMayHaveBeenOpen) {
  start();
  Peer bo = login(bob(), "b");
  leave(bo);
  Peer ann = login(kAnn, "a");
  for (Seq seq = 1; seq <= 2; ++seq) ann.say(message(bob(), seq));
  run();
  leave(ann);
  bo = login(bob(), "b");
  bo.say(codec::confirm(2, 1));
  turn(bob());
  turn(kAnn);
  turn_store();  // the receipt is on the disk …
  restart();     // … and the confirmation that waited for it is not
  ann = login(kAnn, "a");
  ann.expect_receipt(2);
  ann.say(message(bob(), 1));
  run();
  ann.expect_result(1, wire::Tick::Accepted);
  bo = login(bob(), "b");
  bo.expect_message(1);
  bo.say(codec::confirm(1, 1));
  run();
  ann.expect_receipt(2);
  ann.say(codec::confirm(1, 2));
  run();
  leave(ann);
  ann = login(kAnn, "a");
  ann.expect_receipt(2);
  ann.say(codec::confirm(1, 2));
  run();
  leave(ann);
  ann = login(kAnn, "a");
  EXPECT_TRUE(ann.heard().empty());
}

TEST_F(StatusesTest, WhatAReceiptWouldCoverIsNotTakenUntilTheDeviceHasHeardIt) {
  start();
  Peer ann = ann_sends_to_absent_bob(2);
  Peer bo = login(bob(), "b");
  bo.say(codec::confirm(1, 1));
  run();
  leave(bo);
  ann.expect_receipt(2);
  ann.say(message(bob(), 1));
  run();
  ann.expect_hold(wire::HoldReason::Busy);
  ann.say(codec::confirm(1, 1));
  ann.say(message(bob(), 1));
  run();
  ann.expect_result(1, wire::Tick::Accepted);
  EXPECT_TRUE(ann.heard().empty());
}

// Taken before the receipt comes, and in Bob's list only after it was made: the two have crossed.
TEST_F(StatusesTest, AReceiptDoesNotCoverWhatIsOnItsWayToTheList) {
  start();
  Peer ann = ann_sends_to_absent_bob(2);
  Peer bo = login(bob(), "b");
  bo.expect_message(2);
  bo.say(codec::confirm(1, 1));
  turn(bob(), 1);  // readable: the next turn receives it, before it looks at hops
  ann.say(message(bob(), 1));
  turn(kAnn);
  run();
  ann.expect_receipt(2, 2);
  bo.expect_message(1);
}

}  // namespace
}  // namespace perch::chat
