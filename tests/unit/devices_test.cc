// Which devices a user has over the months: one that stays away makes room, or is told of its gap.
#include "core_fixture.h"

namespace perch::chat {
namespace {

constexpr uint64_t kDayMs = 86'400'000;

class DevicesTest : public CoreTest {
 protected:
  void days_pass(uint64_t days) {
    for (uint64_t i = 0; i < days; ++i) {
      clock_.advance_ns(kDayMs * 1'000'000);
      run(2);
    }
  }
  std::string name(int i) { return "device " + std::to_string(i); }
  // Bob has his eight devices, all away; the first was seen `days` before the others.
  void fill(uint64_t days) {
    for (int i = 0; i < 8; ++i) {
      Peer peer = login(bob(), name(i));
      leave(peer);
      if (i == 0) days_pass(days);
    }
  }
  const wire::Welcome& of(const Heard& heard) { return *heard.frame().payload_as_Welcome(); }
  Peer begin_login(UserId user, std::string_view device, Origin origin) {
    Peer peer = connect();
    const std::string text = token(user, device);
    codec::HelloFields hello;
    hello.token = text;
    hello.origin = origin;
    hello.attempt = 1;
    peer.say(codec::hello(hello));
    return peer;
  }
  // Until the store, which does one thing at a time from here on, has done so many.
  void run_to_commit(uint64_t num) {
    limits_.batch_ops_max = 1;
    const uint64_t end = disk_.num_commits + num;
    for (int i = 0; i < 30 && disk_.num_commits < end; ++i) {
      turn_cores();
      turn_store();
    }
    ASSERT_EQ(disk_.num_commits, end);
    turn_cores(20);
  }
  void turn_cores(int times = 1) {
    for (int i = 0; i < times; ++i)
      for (auto& each : node_->cores) each->turn(0);
  }
  // A login that finds no room for the row by which the device that it would replace is to learn of its gap.
  // The row is written once there is room.
  void login_finds_no_room() {
    disk_.full = true;
    say_hello(token(bob(), "ninth"), 9).expect_error(wire::ErrorCode::Busy);
    disk_.full = false;
    pass_ms(1'000);
  }
};

TEST_F(DevicesTest, ANinthTakesThePlaceOfTheOneUnseenLongest) {
  start();
  fill(29);
  say_hello(token(bob(), "ninth"), 9).expect_error(wire::ErrorCode::DeviceLimit);
  days_pass(2);
  Heard welcome;
  login(bob(), "ninth", &welcome);
  EXPECT_EQ(of(welcome).device(), 9) << "numbers are never reused";
  EXPECT_FALSE(of(welcome).continuity_broken());
  say_hello(token(bob(), "tenth"), 9).expect_error(wire::ErrorCode::DeviceLimit);
  restart();
  say_hello(token(bob(), "tenth"), 9).expect_error(wire::ErrorCode::DeviceLimit);
  days_pass(31);
  // The removed one comes back: a new device, which is told that it lacks something.
  Peer peer = say_hello(token(bob(), name(0)), 5, 1, 4);
  welcome = peer.take(wire::Payload::Welcome);
  EXPECT_EQ(of(welcome).device(), 10);
  EXPECT_TRUE(of(welcome).continuity_broken());
}

TEST_F(DevicesTest, OneWithASessionIsNotRemovedHoweverOldItsLoginIs) {
  limits_.silence_ms_max = UINT32_MAX;
  start();
  Peer peer = login(bob(), name(0));
  for (int i = 1; i < 8; ++i) {
    Peer other = login(bob(), name(i));
    leave(other);
  }
  days_pass(28);
  leave(peer);  // seen until now
  days_pass(3);
  Heard welcome;
  login(bob(), "ninth", &welcome);
  Heard again;
  login(bob(), name(0), &again);
  EXPECT_EQ(of(again).device(), 1);
}

TEST_F(DevicesTest, WhatWaitedForARemovedDeviceIsOnTheDiskForNobody) {
  limits_.expiry_ms = 90 * kDayMs;
  limits_.device_unseen_ms = 60 * kDayMs;
  start();
  fill(31);
  Peer ann = login(kAnn, "a");
  ann.say(message(bob(), 1));
  run();
  ann.expect_result(1, wire::Tick::Accepted);
  Heard welcome;
  login(bob(), "ninth", &welcome);  // the first is removed
  for (int i = 1; i < 8; ++i) {
    Peer other = login(bob(), name(i));
    other.expect_message(1);
    other.say(codec::confirm(1, 1));
    run();
    leave(other);
  }
  ann.expect_receipt(1);
  ann.say(codec::confirm(1, 2));
  run();
  restart();
  EXPECT_EQ(num_waiting_after_restart(), 0u);
}

TEST_F(DevicesTest, AMessageThatOnlyTheRemovedOneWaitedForExpires) {
  limits_.expiry_ms = 90 * kDayMs;
  limits_.device_unseen_ms = 60 * kDayMs;
  limits_.devices_max = 1;
  start();
  Peer ann = ann_sends_to_absent_bob(1, name(0));
  days_pass(31);
  ann = login(kAnn, "a");
  ann.expect_result(1, wire::Tick::Accepted);  // again: she has not closed it
  Heard welcome;
  login(bob(), name(1), &welcome);
  run();
  const Heard heard = ann.take(wire::Payload::Expired);
  ASSERT_NE(heard.frame().payload_as_Expired(), nullptr);
  EXPECT_EQ(heard.frame().payload_as_Expired()->seq(), 1u);
}

TEST_F(DevicesTest, WhatOneDeviceHasExpiresForTheOtherThatIsAway) {
  limits_.silence_ms_max = UINT32_MAX;
  limits_.expiry_ms = 10 * kDayMs;
  start();
  Peer away = login(bob(), name(1));
  leave(away);
  Peer stays = login(bob(), name(0));
  Peer ann = login(kAnn, "a");
  ann.say(message(bob(), 1));
  run();
  stays.expect_message(1);
  stays.say(codec::confirm(1, 1));
  run();
  ann.expect_result(1, wire::Tick::Accepted);
  ann.expect_receipt(1);
  ann.say(codec::confirm(1, 2));
  run();
  days_pass(12);
  restart();
  ann = login(kAnn, "a");
  stays = login(bob(), name(0));
  ann.say(message(bob(), 2, 2));
  run();
  stays.expect_message(2);
  Heard welcome;
  away = login(bob(), name(1), &welcome);
  EXPECT_TRUE(of(welcome).overflowed()) << "it misses one";
  away.expect_message(2);
  EXPECT_TRUE(away.heard().empty()) << "what expired is gone, what came since was kept";
  away.say(codec::confirm(1, 1));
  run();
  leave(away);
  away = login(bob(), name(1), &welcome);
  EXPECT_FALSE(of(welcome).overflowed()) << "it was told";
}

// The store does one thing at a time: the row that says what the device misses, and no more.
TEST_F(DevicesTest, AStopBeforeWhatExpiredIsDroppedLeavesNoSilentGap) {
  limits_.expiry_ms = 10 * kDayMs;
  limits_.silence_ms_max = UINT32_MAX;
  start();
  Peer ann = ann_sends_to_absent_bob(1, name(1));
  days_pass(9);
  limits_.batch_ops_max = 1;
  const uint64_t commits = disk_.num_commits;
  clock_.advance_ns(2 * kDayMs * 1'000'000);
  for (int i = 0; i < 30 && disk_.num_commits == commits; ++i) {
    for (auto& each : node_->cores) each->turn(0);
    turn_store();
  }
  ASSERT_EQ(disk_.num_commits, commits + 1);
  restart();
  Heard welcome;
  Peer away = login(bob(), name(1), &welcome);
  EXPECT_TRUE(of(welcome).overflowed());
  away.expect_message(1);
}

// Nor does a wrong clock at a start.
TEST_F(DevicesTest, TheTimeInWhichTheNodeIsDownMakesNothingOlder) {
  limits_.silence_ms_max = UINT32_MAX;
  start();
  Peer away = login(bob(), name(1));
  leave(away);
  Peer ann = login(kAnn, "a");
  days_pass(3);
  ann.say(message(bob(), 1));
  run();
  ann.expect_result(1, wire::Tick::Accepted);
  kill();
  clock_.advance_ns(40 * kDayMs * 1'000'000);
  clock_.jump_wall(static_cast<int64_t>(400 * kDayMs));
  start();
  days_pass(29);
  Heard welcome;
  away = login(bob(), name(1), &welcome);
  EXPECT_FALSE(of(welcome).overflowed());
  away.expect_message(1);
}

TEST_F(DevicesTest, WhatWasServedBeforeAKillCounts) {
  start();
  Peer ann = ann_sends_to_absent_bob(1, name(1));
  leave(ann);
  days_pass(29);
  restart();
  days_pass(2);
  Heard welcome;
  Peer away = login(bob(), name(1), &welcome);
  EXPECT_TRUE(of(welcome).overflowed());
  EXPECT_TRUE(away.heard().empty());
}

TEST_F(DevicesTest, AStopBetweenTheRowAndTheDropsLeavesNothing) {
  limits_.expiry_ms = 90 * kDayMs;
  limits_.device_unseen_ms = 60 * kDayMs;
  start();
  fill(31);
  Peer ann = login(kAnn, "a");
  ann.say(message(bob(), 1));
  run();
  ann.expect_result(1, wire::Tick::Accepted);
  Peer ninth = begin_login(bob(), "ninth", 9);
  run_to_commit(3);  // the row with the gap, the one that the login waits for, the one without the device
  restart();
  say_hello(token(bob(), name(0)), 9).expect_error(wire::ErrorCode::DeviceLimit);
  for (int i = 1; i < 8; ++i) {
    Peer other = login(bob(), name(i));
    other.expect_message(1);
    other.say(codec::confirm(1, 1));
    run();
    leave(other);
  }
  ann = login(kAnn, "a");
  ann.expect_receipt(1);
  ann.say(codec::confirm(1, 2));
  run();
  EXPECT_EQ(num_waiting_after_restart(), 0u);
}

TEST_F(DevicesTest, WithoutRoomForTheRowNothingOfTheOneToBeRemovedIsDropped) {
  limits_.expiry_ms = 90 * kDayMs;
  limits_.device_unseen_ms = 60 * kDayMs;
  start();
  fill(31);
  Peer ann = login(kAnn, "a");
  ann.say(message(bob(), 1));
  run();
  ann.expect_result(1, wire::Tick::Accepted);
  login_finds_no_room();
  restart();
  Heard welcome;
  Peer first = login(bob(), name(0), &welcome);
  EXPECT_EQ(of(welcome).device(), 1);
  EXPECT_TRUE(of(welcome).overflowed()) << "too much, never too little";
  first.expect_message(1);
}

// It is removed, and the row without it finds no room. Nothing waits for it that would be dropped.
TEST_F(DevicesTest, OneThatALoginWithoutRoomReplacedIsNoneAfterARestart) {
  start();
  fill(31);
  login_finds_no_room();
  login_finds_no_room();
  restart();
  Heard welcome;
  login(bob(), name(0), &welcome);
  EXPECT_NE(of(welcome).device(), 1);
}

// What a message was delivered without, by how far the store has come when the server is killed.
class ReplacedTest : public DevicesTest, public ::testing::WithParamInterface<uint64_t> {};

TEST_P(ReplacedTest, AStopLeavesNoSilentGap) {
  limits_.devices_max = 2;
  limits_.silence_ms_max = UINT32_MAX;
  start();
  Peer old = login(bob(), "old");
  leave(old);
  Peer stays = login(bob(), "stays"), ann = login(kAnn, "a");
  days_pass(31);
  Peer third = begin_login(bob(), "third", 9);
  run_to_commit(GetParam());
  ann.say(message(bob(), 1));
  turn_cores(20);
  stays.expect_message(1);
  stays.say(codec::confirm(1, 1));
  turn_cores(20);
  const bool delivered = !ann.heard().empty();
  EXPECT_EQ(delivered, GetParam() > 0) << "the old one is addressed until it is to be told of its gap";
  restart();
  Heard welcome;
  old = login(bob(), "old", &welcome);
  EXPECT_EQ(of(welcome).device(), 1);
  EXPECT_TRUE(of(welcome).overflowed() || !delivered);
}

INSTANTIATE_TEST_SUITE_P(Commits, ReplacedTest, ::testing::Values(0, 1, 2));

// Its second tick is on its way to the disk.
TEST_F(DevicesTest, OneThatAReceiptIsStillToBeStoredForIsNotRemoved) {
  limits_.devices_max = 1;
  limits_.expiry_ms = limits_.device_unseen_ms = 90 * kDayMs;
  start();
  Peer ann = login(kAnn, "a");
  leave(ann);
  Peer old = login(bob(), "old");
  old.say(message(kAnn, 1));
  run();
  old.expect_result(1, wire::Tick::Accepted);
  leave(old);
  days_pass(31);
  login_finds_no_room();
  disk_.full = true;
  ann = login(kAnn, "a");
  ann.expect_message(1);
  ann.say(codec::confirm(1, 1));
  run();
  say_hello(token(bob(), "ninth"), 9).expect_error(wire::ErrorCode::Busy);
  disk_.full = false;
  pass_ms(1'000);
  Heard welcome;
  old = login(bob(), "old", &welcome);
  EXPECT_EQ(of(welcome).device(), 1);
  old.expect_result(1, wire::Tick::Delivered);
  old.expect_receipt(1);
}

TEST_F(DevicesTest, AReceiptForOneThatTheDiskStillHasIsStored) {
  num_cores_ = 1;  // the store gets things in the order in which they were asked for
  limits_.devices_max = 1;
  limits_.expiry_ms = limits_.device_unseen_ms = 90 * kDayMs;
  start();
  Peer ann = login(kAnn, "a");
  leave(ann);
  Peer old = login(bob(), "old");
  old.say(message(kAnn, 1));
  run();
  old.expect_result(1, wire::Tick::Accepted);
  leave(old);
  days_pass(31);
  login_finds_no_room();
  ann = login(kAnn, "a");
  ann.expect_message(1);
  Peer fresh = begin_login(bob(), "new", 9);
  turn_cores(20);  // it is removed; the row that says so is on its way
  ann.say(codec::confirm(1, 1));
  turn_cores(20);
  limits_.batch_ops_max = 1;
  disk_.full = true;
  turn_store();  // it is refused
  disk_.full = false;
  run_to_commit(1);
  EXPECT_GT(num_waiting_after_restart(), 0u) << "the message, or that it was delivered";
}

TEST_F(DevicesTest, ALoginThatFoundNoRoomIsTakenOnceThereIs) {
  start();
  fill(31);
  disk_.full = true;
  say_hello(token(bob(), "ninth"), 9).expect_error(wire::ErrorCode::Busy);
  disk_.full = false;
  pass_ms(1'000);
  Heard welcome;
  login(bob(), "ninth", &welcome);
  EXPECT_EQ(of(welcome).device(), 9);
  restart();
  login(bob(), "ninth", &welcome);
  EXPECT_EQ(of(welcome).device(), 9);
}

TEST_F(DevicesTest, OneAwayTooLongIsNotAddressedAndTold) {
  start();
  Peer old = login(bob(), "old");
  leave(old);
  days_pass(46);
  Peer fresh = login(bob(), "fresh");
  Peer ann = login(kAnn, "a");
  // The first finds out and is still for it: its row does not say so yet.
  for (Seq seq = 1; seq <= 2; ++seq) {
    ann.say(message(bob(), seq, seq));
    run();
    fresh.expect_message(seq);
    fresh.say(codec::confirm(seq, 1));
    run();
  }
  ann.expect_result(1, wire::Tick::Accepted);
  ann.expect_receipt(1);
  ann.expect_result(2, wire::Tick::Delivered);
  restart();
  Heard welcome;
  Peer again = login(bob(), "old", &welcome);
  EXPECT_TRUE(of(welcome).overflowed());
  again.expect_message(1);
  EXPECT_TRUE(again.heard().empty());
  ann = login(kAnn, "a");
  ann.say(message(bob(), 3, 3));
  run();
  again.expect_message(3);
}

TEST_F(DevicesTest, OnesOwnDeviceAwayTooLongIsNotAddressedEither) {
  start();
  Peer old = login(kAnn, "old");
  leave(old);
  days_pass(46);
  Peer ann = login(kAnn, "a"), bo = login(bob(), "b");
  for (Seq seq = 1; seq <= 2; ++seq) {
    ann.say(message(bob(), seq, seq));
    run();
    bo.say(codec::confirm(seq, 1));
    run();
  }
  ann.expect_result(1, wire::Tick::Accepted);
  ann.expect_receipt(1);
  ann.expect_result(2, wire::Tick::Delivered);
  Heard welcome;
  login(kAnn, "old", &welcome);
  EXPECT_TRUE(of(welcome).overflowed());
}

// Taken and not in the list of the sender's other devices yet: their record may name the old one.
TEST_F(DevicesTest, OneThatAMessageOfItsUserIsJustTakenForIsNotRemoved) {
  num_cores_ = 1;
  limits_.devices_max = 3;
  limits_.silence_ms_max = UINT32_MAX;
  start();
  Peer old = login(kAnn, "old");
  leave(old);
  days_pass(31);
  Peer ann = login(kAnn, "a"), second = login(kAnn, "second"), bo = login(bob(), "b");
  leave(bo);
  Peer ninth = connect();
  run();
  const std::string text = token(kAnn, "new");
  codec::HelloFields hello;
  hello.token = text;
  hello.origin = 9;
  hello.attempt = 1;
  ann.say(message(bob(), 1));
  ninth.say(codec::hello(hello));  // both are read in one turn
  run();
  ninth.expect_error(wire::ErrorCode::Busy);
  ann.expect_result(1, wire::Tick::Accepted);
  Heard welcome;
  login(kAnn, "new", &welcome);
  for (Peer* peer : {&second, &(bo = login(bob(), "b"))}) {
    peer->expect_message(1);
    peer->say(codec::confirm(1, 1));
    run();
  }
  ann.expect_receipt(1);
  ann.say(codec::confirm(1, 2));
  run();
  EXPECT_EQ(num_waiting_after_restart(), 0u);
}

// It was told Busy and never came back: nothing was ever kept for it.
TEST_F(DevicesTest, OneThatWasNeverWelcomedKeepsNoPlace) {
  limits_.devices_max = 2;
  start();
  Peer known = login(bob(), "known");
  disk_.full = true;
  say_hello(token(bob(), "first"), 9).expect_error(wire::ErrorCode::Busy);
  disk_.full = false;
  pass_ms(300);
  Heard welcome;
  login(bob(), "second", &welcome);
  EXPECT_FALSE(of(welcome).continuity_broken());
  restart();
  say_hello(token(bob(), "third"), 9).expect_error(wire::ErrorCode::DeviceLimit);
  login(bob(), "second", &welcome);
}

// A record that names it would be for nobody after a restart, which knows of no such device.
TEST_F(DevicesTest, OneThatIsNotOnTheDiskIsNotAddressed) {
  start();
  Peer known = login(bob(), "known");
  Peer ann = login(kAnn, "a");
  disk_.full = true;
  say_hello(token(bob(), "new"), 9).expect_error(wire::ErrorCode::Busy);
  ann.say(message(bob(), 1));
  run();
  known.expect_message(1);
  known.say(codec::confirm(1, 1));
  run();
  ann.expect_result(1, wire::Tick::Delivered);
}

// However many come while the disk is full.
TEST_F(DevicesTest, OneWriteOfARowWaitsForRoom) {
  start();
  Peer known = login(bob(), "known");
  disk_.full = true;
  for (Origin origin = 78; origin < 98; ++origin) {
    say_hello(token(bob(), "new"), origin).expect_error(wire::ErrorCode::Busy);
    known = say_hello(token(bob(), "known"), origin, 1, origin - 1);
    EXPECT_FALSE(of(known.take(wire::Payload::Welcome)).continuity_broken());
  }
  limits_.batch_ops_max = 1;
  const uint64_t commits = disk_.num_commits;
  disk_.full = false;
  pass_ms(1'000);
  EXPECT_EQ(disk_.num_commits, commits + 2) << "the one that waited, and what has changed since";
  restart();
  Heard welcome = say_hello(token(bob(), "known"), 98, 1, 97).take(wire::Payload::Welcome);
  EXPECT_FALSE(of(welcome).continuity_broken()) << "the last one counts";
}

// A device that was refused came with its first opening, and comes with another.
TEST_F(DevicesTest, OneThatWasRefusedHasNoGap) {
  start();
  Peer known = login(bob(), "known");
  disk_.full = true;
  say_hello(token(bob(), "new"), 1).expect_error(wire::ErrorCode::Busy);
  disk_.full = false;
  pass_ms(1'000);
  EXPECT_FALSE(of(say_hello(token(bob(), "new"), 2).take(wire::Payload::Welcome)).continuity_broken());
}

// The second opening never got its WELCOME, so the third names the first as the one before.
TEST_F(DevicesTest, AnOpeningWhoseWelcomeWasLostIsNoGap) {
  start();
  const auto opens = [this](Origin origin, Origin previous, bool broken) {
    Peer peer = say_hello(token(bob(), "b"), origin, 1, previous);
    EXPECT_EQ(of(peer.take(wire::Payload::Welcome)).continuity_broken(), broken) << origin;
    return peer;
  };
  Peer first = opens(1, 0, false);
  first.say(codec::ping(1, 1));
  run();
  Peer second = opens(2, 1, false);
  Peer third = opens(3, 1, false);
  Peer fourth = opens(4, 3, false);  // the third was welcomed, and said nothing
  fourth.say(codec::ping(1, 1));
  run();
  for (const Origin earlier : {1, 2, 3}) opens(5, earlier, true);
  restart();
  opens(5, 1, true);
  opens(5, 4, false);
}

TEST_F(DevicesTest, WhenItsNumbersAreUsedUpAUserGetsNoFurtherDevice) {
  start();
  store::StoreOp op;
  op.kind = store::OpKind::kUser;
  op.user_row.id = bob();
  op.user_row.next_device = UINT16_MAX - 1;
  store::StoreOp* const batch[] = {&op};
  node_->writer->apply(batch);
  ASSERT_EQ(op.status, store::Status::kDone);
  Heard welcome;
  login(bob(), "last", &welcome);
  EXPECT_EQ(of(welcome).device(), UINT16_MAX - 1);
  say_hello(token(bob(), "none"), 9).expect_error(wire::ErrorCode::DeviceLimit);
  login(bob(), "last", &welcome);
  EXPECT_EQ(of(welcome).device(), UINT16_MAX - 1);
}

// However short the time is after which one counts as away, and whatever was written last.
TEST_F(DevicesTest, OneIsSeenUntilItsSessionEnds) {
  limits_.device_unseen_ms = 60'000;
  limits_.silence_ms_max = UINT32_MAX;
  start();
  Peer leaves = login(bob(), "leaves"), returns = login(bob(), "returns"), ann = login(kAnn, "a");
  leave(returns);
  for (const uint64_t minutes : {23 * 60, 50}) {  // what has a session is looked at by the hour
    clock_.advance_ns(minutes * 60'000'000'000u);
    run();
  }
  const uint64_t commits = disk_.num_commits;
  leave(leaves);
  returns = login(bob(), "returns");
  leave(returns);
  EXPECT_EQ(disk_.num_commits, commits) << "no write for each";
  ann.say(message(bob(), 1));
  run();
  ann.expect_result(1, wire::Tick::Accepted);
  for (const char* device : {"leaves", "returns"}) {
    Heard welcome;
    Peer peer = login(bob(), device, &welcome);
    EXPECT_FALSE(of(welcome).overflowed()) << device;
    peer.expect_message(1);
  }
}

TEST_F(DevicesTest, AJumpOfTheWallClockRemovesNobody) {
  start();
  fill(0);
  clock_.jump_wall(static_cast<int64_t>(400 * kDayMs));
  say_hello(token(bob(), "ninth"), 9).expect_error(wire::ErrorCode::DeviceLimit);
}

}  // namespace
}  // namespace perch::chat
