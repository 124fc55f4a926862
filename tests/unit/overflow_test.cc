// A device for which messages were dropped: the gap is on the disk before there is one, and it is told of it
// until it has heard it (DELIVERY.md H12, PROTOCOL.md, Welcome).
#include "core_fixture.h"

namespace perch::chat {
namespace {

class OverflowTest : public CoreTest {
 protected:
  // Ann, Bob's phone, which takes everything at once, and his tablet, for which two messages may wait.
  void begin() {
    limits_.mailbox_items_max = 2;
    start();
    come_back();
    tablet_ = std::make_unique<Peer>(login(bob(), "tablet"));
  }
  void come_back() {
    ann_ = std::make_unique<Peer>(login(kAnn, "a"));
    phone_ = std::make_unique<Peer>(login(bob(), "phone"));
    num_confirmed_ = 0;
  }
  void say(Seq seq) {
    ann_->say(message(bob(), seq, seq));
    run();
    phone_->expect_message(seq);
    phone_->say(codec::confirm(++num_confirmed_, 1));
    run();
  }
  // The third finds two; it is still for the tablet, because its gap is not on the disk yet.
  void overflow() {
    for (Seq seq = 1; seq <= 4; ++seq) say(seq);
  }
  Peer tablet_again() {
    Peer peer = login(bob(), "tablet", &welcome_);
    for (Seq seq = 1; seq <= 3; ++seq) peer.expect_message(seq);
    EXPECT_TRUE(peer.heard().empty());
    return peer;
  }
  bool told_overflowed() { return welcome_.frame().payload_as_Welcome()->overflowed(); }
  bool told_broken() { return welcome_.frame().payload_as_Welcome()->continuity_broken(); }

  std::unique_ptr<Peer> ann_, phone_, tablet_;
  Heard welcome_;
  uint64_t num_confirmed_ = 0;
};

TEST_F(OverflowTest, IsToldUntilItIsHeard) {
  begin();
  leave(*tablet_);
  overflow();
  for (int i = 0; i < 2; ++i) {
    Peer unheard = tablet_again();
    EXPECT_TRUE(told_overflowed());
    leave(unheard);
  }
  restart();
  Peer heard = tablet_again();
  EXPECT_TRUE(told_overflowed());
  heard.say(codec::ping(1, 5));
  run();
  leave(heard);
  tablet_again();
  EXPECT_FALSE(told_overflowed());
  restart();
  tablet_again();
  EXPECT_FALSE(told_overflowed()) << "that it heard is on the disk";
}

TEST_F(OverflowTest, AConfirmationSaysThatItIsHeardToo) {
  begin();
  leave(*tablet_);
  overflow();
  Peer heard = tablet_again();
  heard.say(codec::confirm(3, 1));
  run();
  restart();
  login(bob(), "tablet", &welcome_);
  EXPECT_FALSE(told_overflowed());
}

// The message that finds a full mailbox has a result only when the gap, or the message, is on the disk.
TEST_F(OverflowTest, TheGapIsOnTheDiskBeforeAMessageFallsIntoIt) {
  begin();
  leave(*tablet_);
  say(1);
  say(2);
  ann_->heard().clear();
  ann_->say(message(bob(), 3, 3));
  for (int i = 0; i < 20; ++i)
    for (auto& each : node_->cores) each->turn(0);
  phone_->expect_message(3);
  phone_->say(codec::confirm(3, 1));
  for (int i = 0; i < 20; ++i)
    for (auto& each : node_->cores) each->turn(0);
  EXPECT_TRUE(ann_->heard().empty()) << "nothing is flushed";
  restart();
  login(bob(), "tablet", &welcome_);
  EXPECT_FALSE(told_overflowed()) << "nor was anything dropped";
}

// Its row is written twice without the gap's end being flushed: the first write is not the second's.
TEST_F(OverflowTest, AnOlderGapOnTheDiskIsNotTheNewOne) {
  limits_.batch_ops_max = 1;
  begin();
  leave(*tablet_);
  say(1);
  say(2);
  const auto turn_cores = [this](int times = 20) {
    for (int i = 0; i < times; ++i)
      for (auto& each : node_->cores) each->turn(0);
  };
  const auto say_unflushed = [&](Seq seq) {
    ann_->say(message(bob(), seq, seq));
    turn_cores();
    phone_->expect_message(seq);
    phone_->say(codec::confirm(++num_confirmed_, 1));
    turn_cores();
  };
  say_unflushed(3);  // the gap is to be written …
  codec::HelloFields hello;
  const std::string text = token(bob(), "tablet");
  hello.token = text;
  hello.origin = 77;
  hello.attempt = 2;
  Peer back = connect();
  back.say(codec::hello(hello));
  turn_cores();
  back.take(wire::Payload::Welcome);
  back.say(codec::ping(1, 5));  // … and that it was heard of …
  turn_cores();
  back.leave();
  turn_cores();
  say_unflushed(4);  // … and that there is one again
  const uint64_t commits = disk_.num_commits;
  for (int i = 0; i < 30 && disk_.num_commits == commits; ++i) turn_store();
  ASSERT_EQ(disk_.num_commits, commits + 1);
  turn_cores();
  ann_->heard().clear();
  say_unflushed(5);
  EXPECT_TRUE(ann_->heard().empty()) << "5 is for the tablet, and not flushed";
}

TEST_F(OverflowTest, ARowThatIsRefusedIsWrittenLater) {
  begin();
  leave(*tablet_);
  say(1);
  say(2);
  disk_.full = true;
  say(3);
  run();
  disk_.full = false;
  pass_ms(500);
  say(4);
  restart();
  tablet_again();
  EXPECT_TRUE(told_overflowed());
}

TEST_F(OverflowTest, OneThatIsOnlineIsSentBackOnceItHasTakenWhatWaits) {
  begin();
  overflow();
  for (Seq seq = 1; seq <= 3; ++seq) tablet_->expect_message(seq);
  EXPECT_TRUE(tablet_->heard().empty()) << "4 is not for it";
  tablet_->say(codec::confirm(2, 1));
  run();
  EXPECT_TRUE(tablet_->heard().empty());
  tablet_->say(codec::confirm(3, 1));
  run();
  tablet_->expect_error(wire::ErrorCode::SlowReader);
  EXPECT_TRUE(tablet_->ended());
  Peer again = login(bob(), "tablet", &welcome_);
  EXPECT_TRUE(told_overflowed());
  say(5);
  again.expect_message(5);
}

TEST_F(OverflowTest, AGapAfterTheOneThatWasToldIsToldToo) {
  begin();
  leave(*tablet_);
  overflow();
  Peer back = tablet_again();
  say(5);  // falls into a gap after WELCOME: nothing more is kept for it
  back.say(codec::ping(1, 5));
  run();
  EXPECT_EQ(back.take(wire::Payload::Pong).type(), wire::Payload::Pong);
  back.say(codec::confirm(3, 1));
  run();
  back.expect_error(wire::ErrorCode::SlowReader);
  restart();
  login(bob(), "tablet", &welcome_);
  EXPECT_TRUE(told_overflowed());
}

TEST_F(OverflowTest, ABrokenHistoryIsToldUntilItIsHeard) {
  start();
  const auto hello_of = [this](Origin origin, Origin previous) {
    Peer peer = say_hello(token(kAnn, "a"), origin, 1, previous);
    welcome_ = peer.take(wire::Payload::Welcome);
    return peer;
  };
  // Known to another server, or removed here.
  for (int i = 0; i < 2; ++i) {
    Peer unheard = hello_of(5, 4);
    EXPECT_TRUE(told_broken());
    leave(unheard);
    restart();
  }
  Peer heard = hello_of(5, 4);
  EXPECT_TRUE(told_broken());
  heard.say(codec::ping(1, 5));
  run();
  restart();
  Peer next = hello_of(6, 5);
  EXPECT_FALSE(told_broken());
  leave(next);
  // Put back from a copy.
  for (int i = 0; i < 2; ++i) {
    Peer unheard = hello_of(7, 4);
    EXPECT_TRUE(told_broken());
    leave(unheard);
  }
  heard = hello_of(7, 4);
  heard.say(codec::ping(1, 5));
  run();
  leave(heard);
  hello_of(7, 4);
  EXPECT_FALSE(told_broken());
}

}  // namespace
}  // namespace perch::chat
