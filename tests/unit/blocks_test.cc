// Blocking: who is blocked learns nothing, and nothing of it is kept or shown (DELIVERY.md H31).
#include "chat/blocks.h"

#include "core_fixture.h"

namespace perch::chat {
namespace {

class BlocksTest : public CoreTest {
 protected:
  using List = std::vector<UserId>;

  void expect_blocks(Peer& peer, uint64_t request, const List& whom) {
    const Heard heard = peer.take(wire::Payload::Blocks);
    const wire::Blocks* blocks = heard.frame().payload_as_Blocks();
    ASSERT_NE(blocks, nullptr);
    EXPECT_EQ(blocks->request(), request);
    List told;
    if (blocks->users() != nullptr) told.assign(blocks->users()->begin(), blocks->users()->end());
    EXPECT_EQ(told, whom);
  }
  void block(Peer& peer, UserId whom, bool on = true) {
    peer.say(codec::block(1, whom, on));
    run();
    expect_blocks(peer, 1, on ? List{whom} : List{});
  }
  Question operator_asks(Question::Kind kind, UserId user, UserId whom = 0) {
    Question question;
    question.kind = kind;
    question.user = user;
    question.whom = whom;
    ask(question);
    return question;
  }
};

TEST_F(BlocksTest, NothingOfABlockedUserArrivesAndItsTickIsThatForSomebodyAway) {
  start();
  Peer ann = login(kAnn, "a"), bo = login(bob(), "b");
  block(bo, kAnn);
  ann.say(message(bob(), 1));
  ann.say(codec::read({bob(), 77, 2, 1, 0}, 1, 99, 5));
  turn(kAnn);
  turn(bob());
  turn(kAnn);
  EXPECT_TRUE(ann.heard().empty()) << "before anything was flushed";
  run();
  const Number first = ann.expect_result(1, wire::Tick::Accepted);
  EXPECT_GT(ann.expect_result(2, wire::Tick::Accepted), first);
  pass_ms(5'000);
  EXPECT_TRUE(bo.heard().empty());
  EXPECT_TRUE(ann.heard().empty()) << "one tick for ever";
  EXPECT_EQ(num_waiting_after_restart(), 0u);
}

TEST_F(BlocksTest, WhatTheBlockerSendsArrives) {
  start();
  Peer ann = login(kAnn, "a"), bo = login(bob(), "b");
  block(bo, kAnn);
  bo.say(message(kAnn, 1));
  run();
  ann.expect_message(1);
  ann.say(codec::confirm(1, 1));
  run();
  bo.expect_result(1, wire::Tick::Delivered);
}

TEST_F(BlocksTest, TheSendersOtherDevicesGetTheirCopies) {
  start();
  Peer ann = login(kAnn, "a"), tablet = login(kAnn, "tablet"), bo = login(bob(), "b");
  block(bo, kAnn);
  ann.say(message(bob(), 1));
  run();
  tablet.expect_message(1);
  tablet.say(codec::confirm(1, 1));
  pass_ms(3'000);
  ann.expect_result(1, wire::Tick::Accepted);
  leave(tablet);
  ann.say(message(bob(), 2, 2));
  run();
  ann.expect_result(2, wire::Tick::Accepted);
  Peer back = login(kAnn, "tablet", nullptr, 78);
  back.expect_message(2);
  EXPECT_TRUE(bo.heard().empty());
}

TEST_F(BlocksTest, UnblockingLetsNewMessagesThroughAndNoReceiptCoversTheOld) {
  start();
  Peer ann = login(kAnn, "a"), bo = login(bob(), "b");
  block(bo, kAnn);
  ann.say(message(bob(), 1));
  run();
  ann.expect_result(1, wire::Tick::Accepted);
  block(bo, kAnn, false);
  leave(bo);
  ann.say(message(bob(), 2, 2));
  run();
  ann.expect_result(2, wire::Tick::Accepted);
  restart();  // what was blocked once is known again
  ann = login(kAnn, "a", nullptr, 78);
  bo = login(bob(), "b", nullptr, 79);
  bo.expect_message(2);
  bo.say(codec::confirm(1, 1));
  run();
  ann.expect_receipt(2, 2);
  EXPECT_TRUE(bo.heard().empty());
}

TEST_F(BlocksTest, AListOutlivesTheServerAndAnAnswerComesOnlyOnceItIsOnTheDisk) {
  start();
  Peer bo = login(bob(), "b");
  bo.say(codec::block(5, kAnn, true));
  turn(bob(), 10);
  EXPECT_TRUE(bo.heard().empty());
  run();
  expect_blocks(bo, 5, {kAnn});
  restart();
  bo = login(bob(), "b", nullptr, 79);
  bo.say(codec::block(6, 0, true));
  run();
  expect_blocks(bo, 6, {kAnn});
  Peer ann = login(kAnn, "a");
  ann.say(message(bob(), 1));
  run();
  ann.expect_result(1, wire::Tick::Accepted);
  EXPECT_TRUE(bo.heard().empty());
}

TEST_F(BlocksTest, TheUsersOtherDevicesAreTold) {
  start();
  Peer phone = login(bob(), "phone"), tablet = login(bob(), "tablet");
  block(phone, 4711);  // whether there is such a user is nobody's business
  expect_blocks(tablet, 0, {4711});
  EXPECT_TRUE(phone.heard().empty());
}

TEST_F(BlocksTest, OneselfAndNobodyChangeNothing) {
  start();
  Peer bo = login(bob(), "b");
  for (const UserId whom : {UserId{0}, bob()}) {
    bo.say(codec::block(1, whom, true));
    run();
    expect_blocks(bo, 1, {});
  }
  bo.say(codec::block(0, kAnn, true));
  run();
  bo.expect_error(wire::ErrorCode::Malformed);
}

TEST_F(BlocksTest, AtTheLimitTheSessionGoesOnAndThoseOfBeforeCountToo) {
  limits_.blocks_max = 2;
  start();
  Peer bo = login(bob(), "b");
  block(bo, 11);
  block(bo, 11, false);
  block(bo, 12);
  bo.say(codec::block(7, 13, true));
  run();
  bo.expect_error(wire::ErrorCode::BlockLimit);
  bo.say(codec::block(8, 11, true));
  run();
  expect_blocks(bo, 8, {11, 12});
}

TEST_F(BlocksTest, AFloodOfChangesIsPutOff) {
  start();
  Peer bo = login(bob(), "b");
  for (uint64_t i = 1; i <= kBlockWritesMax + 1; ++i) bo.say(codec::block(i, 100 + i, true));
  turn(bob(), 10);
  bo.expect_error(wire::ErrorCode::Busy);
  run();
  EXPECT_EQ(bo.heard().size(), kBlockWritesMax);
}

TEST_F(BlocksTest, WhoIsBlockedIsRefusedAsAnybody) {
  start();
  Peer ann = login(kAnn, "a"), bo = login(bob(), "b");
  block(bo, kAnn);
  ann.say(message(bob() + 1000, 1));
  run();
  ann.expect_rejected(wire::RejectReason::NotFound);
  limits_.mailbox_items_max = 1;
  leave(bo);
  restart();
  Peer eve = login(kAnn + 1000, "e");
  eve.say(message(bob(), 1));
  run();
  eve.expect_result(1, wire::Tick::Accepted);
  ann = login(kAnn, "a", nullptr, 78);
  ann.say(message(bob(), 2, 2));
  eve.say(message(bob(), 2, 2));
  run();
  eve.expect_rejected(wire::RejectReason::MailboxFull);
  ann.expect_rejected(wire::RejectReason::MailboxFull);
}

TEST_F(BlocksTest, TheOperatorBlocksForAUserAndItsDevicesAreTold) {
  start();
  Peer bo = login(bob(), "b");
  Question question = operator_asks(Question::Kind::kBlock, bob(), kAnn);
  ASSERT_TRUE(question.found);
  EXPECT_EQ(question.blocks, List{kAnn});
  expect_blocks(bo, 0, {kAnn});
  EXPECT_EQ(operator_asks(Question::Kind::kBlock, bob(), kAnn).blocks, List{kAnn});
  EXPECT_EQ(operator_asks(Question::Kind::kBlocks, bob()).blocks, List{kAnn});
  EXPECT_TRUE(operator_asks(Question::Kind::kUnblock, bob(), kAnn).blocks.empty());
  EXPECT_EQ(operator_asks(Question::Kind::kBlocks, 4711).found.error().code, Errc::kNotFound);
}

// ---- sessions and tokens that the operator ends

class RevocationTest : public BlocksTest {
 protected:
  std::string token_of(uint64_t issued_s, std::string_view device = "a") {
    return mint_hs256(kSecret, "sim", std::to_string(kAnn), device, 4'000'000'000, {}, issued_s);
  }
  Question revoke(uint64_t before_ms) {
    Question question;
    question.kind = Question::Kind::kRevoke;
    question.user = kAnn;
    question.before_ms = before_ms;
    ask(question);
    return question;
  }
};

TEST_F(RevocationTest, EndsTheSessionsAndRefusesWhatWasIssuedBefore) {
  start();
  Peer phone = say_hello(token_of(100), 1), tablet = login(kAnn, "tablet"), bo = login(bob(), "b");
  phone.take(wire::Payload::Welcome);
  const Question question = revoke(200'000);
  ASSERT_TRUE(question.found);
  EXPECT_EQ(question.num_ended, 2u);
  phone.expect_error(wire::ErrorCode::TokenInvalid);
  tablet.expect_error(wire::ErrorCode::TokenInvalid);
  run();
  EXPECT_TRUE(phone.ended());
  EXPECT_FALSE(bo.ended());
  say_hello(token_of(199), 2).expect_error(wire::ErrorCode::TokenInvalid);
  say_hello(token_of(0), 2).expect_error(wire::ErrorCode::TokenInvalid);  // it does not say
  say_hello(token_of(199, "new"), 2).expect_error(wire::ErrorCode::TokenInvalid);
  Question look;
  look.user = kAnn;
  ask(look);
  EXPECT_EQ(look.devices.size(), 2u) << "it has become no device";
  Peer back = say_hello(token_of(200), 2);
  back.take(wire::Payload::Welcome);
  back.say(codec::refresh(token_of(199)));
  run();
  back.expect_error(wire::ErrorCode::TokenInvalid);
}

TEST_F(RevocationTest, OutlivesTheServerAndAnEarlierOneTakesNothingBack) {
  start();
  leave(*std::make_unique<Peer>(login(kAnn, "a")));
  ASSERT_TRUE(revoke(200'000).found);
  ASSERT_TRUE(revoke(100'000).found);
  restart();
  say_hello(token_of(150), 2).expect_error(wire::ErrorCode::TokenInvalid);
  say_hello(token_of(200), 3).take(wire::Payload::Welcome);
}

TEST_F(RevocationTest, NoSessionBeginsBehindOne) {
  start();
  // The first login of the device waits for its row when the revocation comes.
  Peer phone = connect();
  codec::HelloFields hello;
  const std::string token = token_of(100);
  hello.token = token;
  hello.origin = 1;
  hello.attempt = 1;
  phone.say(codec::hello(hello));
  for (int i = 0; i < 10; ++i)
    for (auto& each : node_->cores) each->turn(0);
  turn_store();  // the account is made
  for (int i = 0; i < 10; ++i)
    for (auto& each : node_->cores) each->turn(0);
  Question question;
  question.kind = Question::Kind::kRevoke;
  question.user = kAnn;
  question.before_ms = 200'000;
  ask(question);
  run();
  phone.expect_error(wire::ErrorCode::TokenInvalid);
}

TEST_F(RevocationTest, DisconnectEndsASessionThatMayComeBack) {
  start();
  Peer phone = login(kAnn, "phone"), tablet = login(kAnn, "tablet");
  Question question;
  question.kind = Question::Kind::kDisconnect;
  question.user = kAnn;
  question.device = 2;
  ask(question);
  EXPECT_EQ(question.num_ended, 1u);
  tablet.take(wire::Payload::Goaway);
  run();
  EXPECT_TRUE(tablet.ended());
  EXPECT_FALSE(phone.ended());
  question.device = 3;
  ask(question);
  EXPECT_EQ(question.found.error(), (Error{Errc::kNotFound, 3}));
  question.found = {};
  question.device = 0;
  question.num_ended = 0;
  ask(question);
  EXPECT_EQ(question.num_ended, 1u);
  login(kAnn, "tablet", nullptr, 79);
}

}  // namespace
}  // namespace perch::chat
