// Every limit of the rules of delivery, at it and over it (core/limits.h; PROTOCOL.md, Limits).
#include "core_fixture.h"

namespace perch::chat {
namespace {

class ChatLimitsTest : public CoreTest {
 protected:
  void both_log_in() {
    start();
    ann_ = std::make_unique<Peer>(login(kAnn, "a"));
    bo_ = std::make_unique<Peer>(login(bob(), "b"));
  }
  void say(Seq seq, std::string_view body = "hello") {
    ann_->say(message(bob(), seq, 1, body));
    run();
  }
  std::unique_ptr<Peer> ann_, bo_;
};

TEST_F(ChatLimitsTest, MoreThanTheWindowWithoutResultIsAnError) {
  limits_.window = 3;
  both_log_in();
  for (Seq seq = 1; seq <= 3; ++seq) say(seq);
  EXPECT_TRUE(ann_->heard().empty());
  say(4);
  ann_->expect_error(wire::ErrorCode::Window);
}

TEST_F(ChatLimitsTest, AResultFreesItsPlaceInTheWindow) {
  limits_.window = 1;
  both_log_in();
  for (Seq seq = 1; seq <= 3; ++seq) {
    say(seq);
    bo_->expect_message(seq);
    bo_->say(codec::confirm(seq, 1));
    run();
    ann_->expect_result(seq, wire::Tick::Delivered);
  }
}

TEST_F(ChatLimitsTest, FlightsMaxHoldsAndNothingIsLost) {
  limits_.flights_max = 2;
  both_log_in();
  for (Seq seq = 1; seq <= 4; ++seq) say(seq);
  ann_->expect_hold(wire::HoldReason::Busy);
  EXPECT_TRUE(ann_->heard().empty()) << "what follows a held one is ignored, not held again";
  bo_->say(codec::confirm(2, 1));
  run();
  ann_->expect_result(1, wire::Tick::Delivered);
  ann_->expect_result(2, wire::Tick::Delivered);
  for (Seq seq = 3; seq <= 4; ++seq) {
    ann_->say(message(bob(), seq, 3));
    run();
  }
  for (Seq seq = 1; seq <= 4; ++seq) bo_->expect_message(seq);
}

// Whoever never says what it has closed is held alone, and costs the others nothing.
TEST_F(ChatLimitsTest, UnclosedWindowsMaxHoldsThatDeviceAlone) {
  limits_.unclosed_windows_max = 2;
  limits_.window = 2;
  limits_.flights_max = 3;
  both_log_in();
  leave(*bo_);
  for (Seq seq = 1; seq <= 4; ++seq) {
    say(seq);
    ann_->expect_result(seq, wire::Tick::Accepted);
  }
  say(5);
  ann_->expect_hold(wire::HoldReason::Busy);
  Peer other = login(bob() + 1, "c");
  other.say(message(bob(), 1));
  run();
  other.expect_result(1, wire::Tick::Accepted);
  ann_->say(message(bob(), 5, 5));
  run();
  ann_->expect_result(5, wire::Tick::Accepted);
}

// The numbers of rows are the peer's own: going down, each new one would make all before it unclosable.
TEST_F(ChatLimitsTest, UnclosedWindowsMaxIsNotEvadedByGoingDown) {
  limits_.unclosed_windows_max = 2;
  limits_.window = 2;
  both_log_in();
  leave(*bo_);
  const UserId carol = bob() + 1;
  Peer slow = login(carol, "c");
  const auto to_carol = [&](Seq seq) {
    ann_->say(message(carol, seq));
    run();
  };
  for (Seq seq = 100; seq > 97; --seq) {
    say(seq);
    ann_->expect_result(seq, wire::Tick::Accepted);
  }
  to_carol(50);
  to_carol(49);  // before 50 has a result
  slow.say(codec::confirm(1, 1));
  run();
  ann_->expect_result(50, wire::Tick::Delivered);
  to_carol(48);
  ann_->expect_hold(wire::HoldReason::Busy);
}

// A device that is set up anew each time, or keeps nothing: nobody closes what an earlier storage has sent.
TEST_F(ChatLimitsTest, ResultsOfAStorageThatIsGoneAreNotHeldAgainstADevice) {
  limits_.unclosed_windows_max = 2;
  limits_.window = 2;
  both_log_in();
  leave(*bo_);
  for (Origin origin = 1; origin <= 10; ++origin) {
    Peer ann = login(kAnn, "a", nullptr, origin);
    ann.heard().clear();  // what earlier ones were told
    ann.say(message(bob(), 1, 1, "hello", 0, origin));
    run();
    ann.expect_result(1, wire::Tick::Accepted);
    leave(ann);
  }
}

// Sent again on this session, a row is open: it may not have been heard that it has a result.
TEST_F(ChatLimitsTest, WhatIsSentAgainKeepsItsResult) {
  limits_.unclosed_windows_max = 2;
  limits_.window = 2;
  both_log_in();
  leave(*bo_);
  std::vector<Number> numbers;
  for (Seq seq = 1; seq <= 4; ++seq) {
    say(seq);
    numbers.push_back(ann_->expect_result(seq, wire::Tick::Accepted));
  }
  leave(*ann_);
  Peer again = login(kAnn, "a");
  again.heard().clear();
  again.say(message(bob(), 4));
  again.say(message(bob(), 5));
  run();
  EXPECT_EQ(again.expect_result(4, wire::Tick::Accepted), numbers[3]);
  numbers.push_back(again.expect_result(5, wire::Tick::Accepted));
  leave(again);
  Peer third = login(kAnn, "a");
  for (Seq seq = 4; seq <= 5; ++seq)
    EXPECT_EQ(third.expect_result(seq, wire::Tick::Accepted), numbers[seq - 1]);
  EXPECT_TRUE(third.heard().empty());
}

TEST_F(ChatLimitsTest, WhatCannotBeClosedYetIsNotHeldAgainstASender) {
  limits_.unclosed_windows_max = 1;
  limits_.window = 2;
  both_log_in();
  const UserId carol = bob() + 1;
  Peer away = login(carol, "c");
  leave(away);
  say(1);  // Bob does not confirm it
  for (Seq seq = 2; seq <= 6; ++seq) {
    ann_->say(message(carol, seq));
    run();
    ann_->expect_result(seq, wire::Tick::Accepted);
  }
  bo_->say(codec::confirm(1, 1));
  run();
  ann_->expect_result(1, wire::Tick::Delivered);
  ann_->say(message(carol, 7));
  run();
  ann_->expect_hold(wire::HoldReason::Busy);
}

TEST_F(ChatLimitsTest, AFlightWithAResultKeepsNoFrame) {
  both_log_in();
  say(1, std::string(10'000, 'x'));
  bo_->say(codec::confirm(1, 1));
  run();
  ann_->expect_result(1, wire::Tick::Delivered);
  leave(*bo_);
  say(2, std::string(10'000, 'x'));
  ann_->expect_result(2, wire::Tick::Accepted);
  uint64_t bytes = 0;
  for (CoreId core = 0; core < num_cores_; ++core) bytes += node_->pages[core]->value(Metric::kFlightBytes);
  EXPECT_EQ(bytes, 0u);
}

TEST_F(ChatLimitsTest, FlightBytesMaxHolds) {
  limits_.flight_bytes_max = 10'000;
  both_log_in();
  say(1, std::string(12'000, 'x'));
  say(2);
  ann_->expect_hold(wire::HoldReason::Busy);
}

TEST_F(ChatLimitsTest, TheRateHoldsAndComesBackWithTime) {
  limits_.rate_burst = 2;
  limits_.rate_per_second = 10;
  both_log_in();
  for (Seq seq = 1; seq <= 3; ++seq) say(seq);
  ann_->expect_hold(wire::HoldReason::Rate);
  pass_ms(200);
  say(3);
  for (Seq seq = 1; seq <= 3; ++seq) bo_->expect_message(seq);
}

TEST_F(ChatLimitsTest, AnotherLoginDoesNotRenewTheRate) {
  limits_.rate_burst = 2;
  limits_.rate_per_second = 1;
  both_log_in();
  for (Seq seq = 1; seq <= 2; ++seq) say(seq);
  leave(*ann_);
  ann_ = std::make_unique<Peer>(login(kAnn, "a"));
  ann_->heard().clear();
  say(3);
  ann_->expect_hold(wire::HoldReason::Rate);
}

TEST_F(ChatLimitsTest, AFullMailboxRejects) {
  limits_.mailbox_items_max = 2;
  both_log_in();
  leave(*bo_);
  for (Seq seq = 1; seq <= 3; ++seq) say(seq);
  ann_->expect_result(1, wire::Tick::Accepted);
  ann_->expect_result(2, wire::Tick::Accepted);
  ann_->expect_rejected(wire::RejectReason::MailboxFull);
  Peer back = login(bob(), "b");
  back.expect_message(1);
  back.expect_message(2);
  EXPECT_TRUE(back.heard().empty()) << "a rejected message is on no device";
}

TEST_F(ChatLimitsTest, BytesFillAMailboxToo) {
  limits_.mailbox_bytes_max = 10'000;
  both_log_in();
  leave(*bo_);
  say(1, std::string(9'000, 'x'));
  say(2, std::string(9'000, 'x'));
  ann_->expect_result(1, wire::Tick::Accepted);
  ann_->expect_rejected(wire::RejectReason::MailboxFull);
}

TEST_F(ChatLimitsTest, OneFullDeviceOverflowsAndTheOthersGetIt) {
  limits_.mailbox_items_max = 2;
  both_log_in();
  Peer tablet = login(bob(), "tablet");
  leave(tablet);
  for (Seq seq = 1; seq <= 4; ++seq) {
    say(seq);
    bo_->expect_message(seq);
    bo_->say(codec::confirm(seq, 1));
    run();
  }
  restart();  // that it overflowed is on the disk
  Heard welcome;
  tablet = login(bob(), "tablet", &welcome);
  EXPECT_TRUE(welcome.frame().payload_as_Welcome()->overflowed());
  for (Seq seq = 1; seq <= 3; ++seq) tablet.expect_message(seq);  // the third found it full
  EXPECT_TRUE(tablet.heard().empty());
  tablet.say(codec::confirm(3, 1));
  run();
  leave(tablet);
  login(bob(), "tablet", &welcome);
  EXPECT_FALSE(welcome.frame().payload_as_Welcome()->overflowed()) << "told once";
}

TEST_F(ChatLimitsTest, WhatIsOverTheUnconfirmedWindowWaitsInTheList) {
  limits_.unconfirmed_frames_max = 2;
  both_log_in();
  for (Seq seq = 1; seq <= 3; ++seq) say(seq);
  bo_->expect_message(1);
  bo_->expect_message(2);
  EXPECT_TRUE(bo_->heard().empty());
  bo_->say(codec::confirm(1, 1));
  run();
  bo_->expect_message(3);
}

TEST_F(ChatLimitsTest, BytesCloseTheUnconfirmedWindowButForOneFrame) {
  limits_.unconfirmed_bytes_max = 1'000;
  both_log_in();
  say(1, std::string(2'000, 'x'));
  say(2, std::string(2'000, 'x'));
  bo_->expect_message(1);
  EXPECT_TRUE(bo_->heard().empty());
  bo_->say(codec::confirm(1, 1));
  run();
  bo_->expect_message(2);
}

TEST_F(ChatLimitsTest, WhoDoesNotConfirmInTimeIsSlowAndEverythingForItIsStored) {
  limits_.confirm_ms_max = 2'000;
  both_log_in();
  say(1);
  pass_ms(1'800);
  EXPECT_TRUE(ann_->heard().empty());
  pass_ms(400);
  ann_->expect_result(1, wire::Tick::Accepted);
  say(2);
  ann_->expect_result(2, wire::Tick::Accepted);  // at once
  bo_->say(codec::confirm(2, 1));
  run();
  ann_->heard().clear();  // receipts
  const size_t records = num_records();
  say(3);
  bo_->say(codec::confirm(3, 1));
  run();
  ann_->expect_result(3, wire::Tick::Delivered);
  EXPECT_EQ(num_records(), records) << "it is not slow any more";
}

TEST_F(ChatLimitsTest, ABodyOverTheLimitIsRejected) {
  limits_.body_bytes_max = 100;
  both_log_in();
  say(1, std::string(101, 'x'));
  ann_->expect_rejected(wire::RejectReason::TooLarge);
  say(2, std::string(100, 'x'));
  bo_->expect_message(2);
}

TEST_F(ChatLimitsTest, AMessageToNobodyIsRejected) {
  both_log_in();
  for (const UserId nobody : {UserId{0}, UserId{4'711}, UserId{1} << 63}) {
    ann_->say(message(nobody, 1 + nobody % 1'000));
    run();
    ann_->expect_rejected(wire::RejectReason::NotFound);
  }
}

// Somebody sets the clock ten years ahead, and back; then for good.
TEST_F(ChatLimitsTest, AWrongWallClockMakesNothingOlder) {
  constexpr int64_t kTenYearsMs = 10ll * 365 * 86'400'000;
  limits_.expiry_ms = 86'400'000;
  limits_.silence_ms_max = UINT32_MAX;
  both_log_in();
  leave(*bo_);
  clock_.jump_wall(kTenYearsMs);
  say(1);
  clock_.jump_wall(-kTenYearsMs);
  say(2);
  clock_.jump_wall(kTenYearsMs);
  for (Seq seq = 1; seq <= 2; ++seq) ann_->expect_result(seq, wire::Tick::Accepted);
  const auto hours_pass = [this](int hours) {
    for (int hour = 0; hour < hours; ++hour) {
      clock_.advance_ns(3'600'000'000'000);
      run(2);
    }
  };
  hours_pass(23);
  EXPECT_TRUE(ann_->heard().empty());
  hours_pass(2);
  run();
  for (Seq seq = 1; seq <= 2; ++seq) {
    const Heard heard = ann_->take(wire::Payload::Expired);
    ASSERT_NE(heard.frame().payload_as_Expired(), nullptr);
    EXPECT_EQ(heard.frame().payload_as_Expired()->seq(), seq);
  }
}

TEST_F(ChatLimitsTest, WhatNobodyFetchesExpires) {
  limits_.expiry_ms = 86'400'000;
  both_log_in();
  leave(*bo_);
  say(1);
  ann_->expect_result(1, wire::Tick::Accepted);
  leave(*ann_);
  for (int hour = 0; hour < 26; ++hour) {
    clock_.advance_ns(3'600'000'000'000);
    run(2);
  }
  restart();
  Peer ann = login(kAnn, "a");
  const Heard heard = ann.take(wire::Payload::Expired);
  ASSERT_NE(heard.frame().payload_as_Expired(), nullptr);
  EXPECT_EQ(heard.frame().payload_as_Expired()->seq(), 1u);
  ann.say(codec::confirm(1, 2));
  run();
  Heard welcome;
  Peer bo = login(bob(), "b", &welcome);
  EXPECT_TRUE(welcome.frame().payload_as_Welcome()->overflowed());
  EXPECT_TRUE(bo.heard().empty());
  EXPECT_EQ(num_waiting_after_restart(), 0u);
}

TEST_F(ChatLimitsTest, AFullStoreHoldsAndConfirmationsGoOn) {
  both_log_in();
  leave(*bo_);
  say(1);
  ann_->expect_result(1, wire::Tick::Accepted);
  disk_.fill = 0.95;
  run();
  say(2);
  ann_->expect_hold(wire::HoldReason::StoreFull);
  Peer bo = login(bob(), "b");
  bo.expect_message(1);
  bo.say(codec::confirm(1, 1));
  run();
  ann_->expect_receipt(1);
  ann_->say(codec::confirm(1, 2));
  run();
  disk_.fill = 0.5;
  run();
  say(2);
  bo.expect_message(2);
  bo.say(codec::confirm(2, 1));
  run();
  ann_->expect_result(2, wire::Tick::Delivered);
  EXPECT_EQ(num_waiting_after_restart(), 0u);
}

TEST_F(ChatLimitsTest, ConfirmingMoreThanWasSentIsAnError) {
  both_log_in();
  bo_->say(codec::confirm(1, 1));
  run();
  bo_->expect_error(wire::ErrorCode::Confirm);
}

TEST_F(ChatLimitsTest, ADrainHoldsStoresAndGivesResults) {
  both_log_in();
  say(1);
  for (CoreId id = 0; id < num_cores_; ++id) core(id).drain();
  run();
  ann_->take(wire::Payload::Goaway);
  ann_->expect_result(1, wire::Tick::Accepted);
  say(2);
  ann_->expect_hold(wire::HoldReason::Draining);
  for (CoreId id = 0; id < num_cores_; ++id) EXPECT_TRUE(core(id).drained());
  restart();
  Peer bo = login(bob(), "b");
  bo.expect_message(1);
}

TEST_F(ChatLimitsTest, AfterADrainAResultNobodyClosedIsGivenAgainWithItsNumber) {
  for (const bool before : {true, false}) {  // the result was given before the drain, or in it
    const Seq seq = before ? 1 : 2;
    both_log_in();
    say(seq);
    bo_->expect_message(seq);
    bo_->say(codec::confirm(1, 1));
    if (before) run();
    for (CoreId id = 0; id < num_cores_; ++id) core(id).drain();
    run();
    if (!before) ann_->take(wire::Payload::Goaway);
    const Number number = ann_->expect_result(seq, before ? wire::Tick::Delivered : wire::Tick::Accepted);
    restart();
    Peer ann = login(kAnn, "a"), bo = login(bob(), "b");
    ann.say(message(bob(), seq, seq));
    run();
    const Number again = ann.expect_result(seq, before ? wire::Tick::Delivered : wire::Tick::Accepted);
    EXPECT_EQ(again, number) << before;
    kill();
  }
}

TEST_F(ChatLimitsTest, AKeptResultBelowWhatTheSenderWasToldIsNone) {
  both_log_in();
  say(1);
  bo_->say(codec::confirm(1, 1));
  run();
  bo_->expect_message(1);
  const Number number = ann_->expect_result(1, wire::Tick::Delivered);
  for (CoreId id = 0; id < num_cores_; ++id) core(id).drain();
  run();
  restart();
  Peer ann = login(kAnn, "a"), bo = login(bob(), "b");
  ann.say(message(bob(), 1, 1, "hello", number));
  run();
  bo.expect_message(1);  // taken as new (DELIVERY.md H7)
}

}  // namespace
}  // namespace perch::chat
