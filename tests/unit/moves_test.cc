// The mover crosses everything else: it takes a record to the mailbox tables while a confirmation, a receipt
// or the news of the record's flush is on its way (DELIVERY.md H17, H18, H22).
#include "core_fixture.h"
#include "store/mover.h"

namespace perch::chat {
namespace {

class MovesTest : public CoreTest {
 protected:
  // Ann's message 1 is in memory at Bob's core and in a record, because Ann's other device is away. Bob's
  // core has not turned since: it has not heard that the record is flushed.
  // Where his confirmation is on its way, the core reads it before that news.
  void take(bool confirmation_on_its_way) {
    limits_.move_after_ms = 1'000;
    limits_.confirm_ms_max = 600'000;
    start();
    Peer other = login(kAnn, "other");
    leave(other);
    ann_ = std::make_unique<Peer>(login(kAnn, "a"));
    bo_ = std::make_unique<Peer>(login(bob(), "b"));
    ann_->say(message(bob(), 1));
    turn(kAnn);   // MESSAGE goes to Bob's core
    turn(bob());  // … and on to his device; ADMITTED comes back
    turn(kAnn);   // its own copy cannot go out: the record is asked for
    bo_->expect_message(1);
    if (confirmation_on_its_way) {
      bo_->say(codec::confirm(1, 1));
      turn(bob(), 1);  // readable: the next turn receives it, before it looks at hops
    }
    turn_store();
    turn(kAnn);
    ann_->expect_result(1, wire::Tick::Accepted);
    ASSERT_EQ(num_records(), 1u);
  }
  void move(bool bob_turns = true) {
    clock_.advance_ns(3'000'000'000);
    for (int i = 0; i < 10; ++i) {
      turn_store();
      turn(kAnn);
      if (bob_turns) turn(bob());
      clock_.advance_ns(1'000'000'000);
    }
    ASSERT_EQ(num_rows(), 2u) << "Bob's and Ann's other device's";
  }
  std::unique_ptr<Peer> ann_, bo_;
};

TEST_F(MovesTest, AReceiptThatIsNotSafeYetKeepsTheRow) {
  take(true);
  turn(bob());  // DONE
  turn(kAnn);   // the tick is given: a late receipt
  ann_->expect_receipt(1);
  move();
  restart();  // before Ann has confirmed the receipt
  Peer ann = login(kAnn, "a");
  Peer bo = login(bob(), "b");
  bo.expect_message(1);
  bo.say(codec::confirm(1, 1));
  run();
  ann.expect_receipt(1);
}

TEST_F(MovesTest, AConfirmationOfTheOldPlaceAfterTheMoveReachesTheRow) {
  take(false);
  bo_->say(codec::confirm(1, 1));
  run();
  ann_->expect_receipt(1);
  move();
  ann_->say(codec::confirm(1, 2));
  run();
  EXPECT_EQ(num_rows(), 1u) << "Ann's other device's";
  restart();
  Peer bo = login(bob(), "b");
  EXPECT_TRUE(bo.heard().empty());
}

TEST_F(MovesTest, TheNewsOfTheFlushComesAfterTheMove) {
  take(false);
  move(false);
  run();
  bo_->leave();  // before it has confirmed: the next session reads it where it is now
  run();
  Peer bo = login(bob(), "b");
  bo.expect_message(1);
  bo.say(codec::confirm(1, 1));
  run();
  ann_->expect_receipt(1);
  ann_->say(codec::confirm(1, 2));
  run();
  EXPECT_EQ(num_rows(), 1u);
}

TEST_F(MovesTest, ALateConfirmationComesAfterTheMove) {
  take(true);
  move(false);
  run();
  ann_->expect_receipt(1);
  ann_->say(codec::confirm(1, 2));
  run();
  EXPECT_EQ(num_rows(), 1u);
}

TEST_F(MovesTest, TheCopyForTheOwnDeviceIsReadFromItsRow) {
  take(false);
  move();
  Peer other = login(kAnn, "other");
  other.expect_message(1);
  other.say(codec::confirm(1, 1));
  run();
  EXPECT_EQ(num_rows(), 1u) << "Bob's";
}

}  // namespace
}  // namespace perch::chat
