// A Device's sessions: login, what it receives and confirms, timers, why it stops and when it comes back.
#include "client/protocol/device.h"

#include <cstring>

#include "client/protocol/backoff.h"
#include "tests/unit/device_fixture.h"

namespace perch::client {
namespace {

TEST_F(DeviceTest, OneCommitThenOneConfirmPerReceive) {
  Device d = device();
  log_in(d);
  take(d);
  const uint64_t commits = store_.num_commits();
  feed(d, {incoming(1, 1024, "a"), incoming(2, 2048, "b"), codec::receipt(kPeer, kMyDevice, origin(), 0, 1)});
  EXPECT_EQ(store_.num_commits(), commits + 1);
  EXPECT_EQ(confirms(take(d)), std::vector<uint64_t>{3});
  feed(d, {incoming(3, 3072, "c")});
  EXPECT_EQ(confirms(take(d)), std::vector<uint64_t>{4});
  feed(d, {codec::pong(1)});
  EXPECT_TRUE(confirms(take(d)).empty());
  reconnect(d);
  take(d);
  feed(d, {incoming(3, 3072, "c")});
  EXPECT_EQ(confirms(take(d)), std::vector<uint64_t>{1}) << "counts start again with the session";
  EXPECT_EQ(store_.inbox().size(), 3u);
  EXPECT_EQ(events_.messages.size(), 3u);
}

TEST_F(DeviceTest, NothingIsConfirmedOrToldWhenTheCommitFails) {
  Device d = device();
  log_in(d);
  take(d);
  store_.fail_commits(Error{Errc::kFull});
  feed(d, {incoming(1, 1024, "a")});
  EXPECT_TRUE(take(d).empty());
  EXPECT_TRUE(events_.messages.empty());
  EXPECT_TRUE(d.wants_close());
  EXPECT_EQ(events_.stops, std::vector<StopReason>{StopReason::kStorage});
}

TEST_F(DeviceTest, AReadThatFailsWhileOfflineStopsItAndThereIsNothingToClose) {
  Device d = device();
  store_.fail_commits(Error{Errc::kFull});
  store_.begin();
  NewRow row;  // of another process
  row.to = kPeer;
  store_.add_row(row);
  (void)store_.commit();
  d.poke();
  EXPECT_EQ(d.stop_reason(), StopReason::kStorage);
  EXPECT_EQ(d.state(), Device::State::kStopped);
  EXPECT_FALSE(d.wants_close());
  EXPECT_EQ(d.next_timer_ms(), UINT64_MAX);
}

TEST_F(DeviceTest, LargerNumberWinsAndOtherBytesStayVisible) {
  Device d = device();
  log_in(d);
  feed(d, {incoming(1, 1024, "a"), incoming(1, 4096, "a"), incoming(1, 2048, "a")});
  ASSERT_EQ(store_.inbox().size(), 1u);
  EXPECT_EQ(store_.inbox().begin()->second.message.number, 4096u);
  feed(d, {incoming(1, 5120, "other")});
  EXPECT_EQ(store_.inbox().size(), 1u);
  ASSERT_EQ(store_.variants().size(), 1u);
  EXPECT_EQ(d.counters().variants, 1u);
  EXPECT_EQ(events_.messages.back(), (std::pair<Seq, Insert>{1, Insert::kVariant}));
  EXPECT_EQ(confirms(take(d)).back(), 4u);
}

TEST_F(DeviceTest, CopiesFromMyOtherDeviceBelongToTheRecipient) {
  Device d = device();
  log_in(d);
  feed(d, {incoming(1, 1024, "a", kMe, kPeer), codec::receipt(kPeer, 1, kPeerOrigin, 0, 1)});
  ASSERT_EQ(store_.inbox().size(), 1u);
  EXPECT_EQ(store_.inbox().begin()->second.message.peer, kPeer);
  EXPECT_EQ(store_.inbox().begin()->second.message.mark, Mark::kDelivered);
}

TEST_F(DeviceTest, MarkReadQueuesOneReadPerPeersDevice) {
  Device d = device();
  feed(d, {});
  log_in(d);
  feed(d, {incoming(1, 1024, "a"), incoming(2, 2048, "b")});
  take(d);
  ASSERT_EQ(*d.mark_read(kPeer), 1u);
  auto frames = take(d);
  ASSERT_EQ(frames.size(), 1u);
  const auto* read = root(frames[0]).payload_as_Read();
  ASSERT_NE(read, nullptr);
  EXPECT_EQ(read->up_to(), 2u);
  EXPECT_EQ(read->origin(), kPeerOrigin);
  EXPECT_EQ(root(frames[0]).route()->to(), kPeer);
  EXPECT_EQ(*d.mark_read(kPeer), 0u);
}

TEST_F(DeviceTest, ReplacedByAnotherOpeningStops) {
  Device d = device();
  log_in(d);
  feed(d, {codec::error(wire::ErrorCode::Replaced, "", origin())});
  EXPECT_TRUE(d.wants_close());
  d.on_disconnected();
  EXPECT_EQ(d.state(), Device::State::kOffline) << "our own newer connection";
  log_in(d);
  feed(d, {codec::error(wire::ErrorCode::Replaced, "", origin() + 1)});
  d.on_disconnected();
  EXPECT_EQ(d.state(), Device::State::kStopped);
  EXPECT_EQ(events_.stops, std::vector<StopReason>{StopReason::kReplaced});
  send(d, "still queued");
}

// What no new attempt can cure ends the attempts; the outbox stays open.
TEST_F(DeviceTest, WhatOnlyPeopleCanMendStops) {
  const std::pair<wire::ErrorCode, StopReason> cases[] = {
      {wire::ErrorCode::NoAccount, StopReason::kNoAccount},
      {wire::ErrorCode::DeviceLimit, StopReason::kDeviceLimit},
      {wire::ErrorCode::Version, StopReason::kVersion},
  };
  std::vector<StopReason> reasons;
  for (const auto& [code, reason] : cases) {
    Device d = device();
    d.on_connected();
    take(d);
    feed(d, {codec::error(code, "no")});
    EXPECT_TRUE(d.wants_close());
    d.on_disconnected();
    EXPECT_EQ(d.state(), Device::State::kStopped);
    EXPECT_EQ(d.stop_reason(), reason) << name_of(d.stop_reason());
    send(d, "still queued");
    reasons.push_back(reason);
  }
  EXPECT_EQ(events_.stops, reasons);
}

TEST_F(DeviceTest, ATokenOfAnotherUserStops) {
  store_.begin();
  store_.set_login(kMe + 1, kMyDevice, incarnation_, "");
  ASSERT_TRUE(store_.commit().ok());
  Device d = device();
  d.on_connected();
  take(d);
  feed(d, {welcome()});
  d.on_disconnected();
  EXPECT_EQ(d.stop_reason(), StopReason::kOtherUser);
  EXPECT_TRUE(events_.logins.empty());
  EXPECT_EQ(store_.identity().user, kMe + 1);
}

TEST_F(DeviceTest, TokenErrorsStopUntilThereIsAnother) {
  Device d = device();
  d.on_connected();
  take(d);
  feed(d, {codec::error(wire::ErrorCode::TokenExpired, "old")});
  d.on_disconnected();
  EXPECT_EQ(d.stop_reason(), StopReason::kToken);
  d.set_token("new");
  EXPECT_EQ(d.state(), Device::State::kOffline);
  log_in(d);
}

TEST_F(DeviceTest, ATokenSetDuringALoginIsPresentedOnceItIsOnline) {
  const auto refreshes = [this](Device& d) {
    std::vector<std::string> out;
    for (const auto& frame : take(d)) {
      if (const auto* refresh = root(frame).payload_as_Refresh()) out.push_back(refresh->token()->str());
    }
    return out;
  };
  Device d = device();
  d.on_connected();
  take(d);
  d.set_token("new");
  EXPECT_TRUE(d.output().empty()) << "one byte behind HELLO breaks the protocol";
  feed(d, {welcome()});
  EXPECT_EQ(refreshes(d), std::vector<std::string>{"new"});
  d.set_token("newer");
  EXPECT_EQ(refreshes(d), std::vector<std::string>{"newer"});
  reconnect(d);
  EXPECT_TRUE(refreshes(d).empty());
}

TEST_F(DeviceTest, ATokenSetDuringALoginIsTriedWhenTheOldOneIsRefused) {
  Device d = device();
  d.on_connected();
  take(d);
  d.set_token("new");
  feed(d, {codec::error(wire::ErrorCode::TokenExpired, "old")});
  EXPECT_TRUE(d.wants_close());
  d.on_disconnected();
  EXPECT_TRUE(events_.stops.empty());
  ASSERT_EQ(d.state(), Device::State::kOffline);
  d.on_connected();
  EXPECT_EQ(root(take(d).at(0)).payload_as_Hello()->token()->str(), "new");
  feed(d, {codec::error(wire::ErrorCode::TokenExpired, "that one too")});
  d.on_disconnected();
  EXPECT_EQ(d.stop_reason(), StopReason::kToken);
}

TEST_F(DeviceTest, ATokenThatCrossesTheSessionsEndIsTried) {
  Device d = device();
  log_in(d);
  d.set_token("new");
  take(d);
  feed(d, {codec::error(wire::ErrorCode::SessionExpired, "the token has expired")});
  d.on_disconnected();
  EXPECT_TRUE(events_.stops.empty());
  ASSERT_EQ(d.state(), Device::State::kOffline);
  d.on_connected();
  EXPECT_EQ(root(take(d).at(0)).payload_as_Hello()->token()->str(), "new");
  feed(d, {welcome(), codec::error(wire::ErrorCode::SessionExpired, "that one too")});
  d.on_disconnected();
  EXPECT_EQ(d.stop_reason(), StopReason::kToken);
}

TEST_F(DeviceTest, ATokenMayBeSetWhenToldThatTheOldOneIsRefused) {
  Device d = device();
  events_.stopped = [&] { d.set_token("new"); };
  d.on_connected();
  take(d);
  feed(d, {codec::error(wire::ErrorCode::TokenExpired, "old")});
  EXPECT_TRUE(d.wants_close());
  EXPECT_EQ(d.stop_reason(), StopReason::kNone);
  d.on_disconnected();
  ASSERT_EQ(d.state(), Device::State::kOffline);
  d.on_connected();
  EXPECT_EQ(root(take(d).at(0)).payload_as_Hello()->token()->str(), "new");
}

TEST_F(DeviceTest, BusyIsNotHitAgainTooEarly) {
  Device d = device();
  d.on_connected();
  feed(d, {codec::error(wire::ErrorCode::Busy, "", 0, 5000)});
  d.on_disconnected();
  EXPECT_GE(d.connect_at_ms(), clock_.ms + 5000);
}

TEST_F(DeviceTest, TimersPingAndReconnect) {
  Device d = device();
  log_in(d);
  take(d);
  clock_.ms += 30'000;
  d.on_timer();
  auto frames = take(d);
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(root(frames[0]).payload_type(), wire::Payload::Ping);
  feed(d, {codec::pong(1)});
  clock_.ms += 29'999;
  d.on_timer();
  EXPECT_TRUE(take(d).empty());
  EXPECT_FALSE(d.wants_close());
  reconnect(d);
  send(d, "x");
  clock_.ms += 29'999;
  feed(d, {codec::pong(1)});
  d.on_timer();
  EXPECT_FALSE(d.wants_close());
  clock_.ms += 1;
  d.on_timer();
  EXPECT_TRUE(d.wants_close()) << "no result for 30 s";
}

// Whoever died, or whose network did, says nothing and closes nothing (a half-open connection).
TEST_F(DeviceTest, APingIsAnsweredInTimeOrThePeerIsDead) {
  Device d = device();
  log_in(d);
  const uint64_t last_heard = clock_.ms;
  take(d);
  while (!d.wants_close()) {
    ASSERT_LT(d.next_timer_ms(), UINT64_MAX);
    clock_.ms = d.next_timer_ms();
    d.on_timer();
  }
  EXPECT_EQ(clock_.ms, last_heard + 30'000 + kAnswerMsMax);
  EXPECT_LE(clock_.ms, last_heard + 45'000);

  // Anything heard is an answer, also in the millisecond of the Ping; what was heard before it is none.
  reconnect(d);
  take(d);
  clock_.ms += 30'000;
  feed(d, {codec::pong(9)});
  d.on_timer();
  ASSERT_EQ(take(d).size(), 1u);
  feed(d, {codec::hold(1, 1, wire::HoldReason::Busy, 1)});
  clock_.ms += kAnswerMsMax;
  d.on_timer();
  EXPECT_FALSE(d.wants_close());
  clock_.ms += 30'000 - kAnswerMsMax;
  feed(d, {codec::pong(9)});
  d.on_timer();
  ASSERT_EQ(take(d).size(), 1u);
  EXPECT_EQ(d.next_timer_ms(), clock_.ms + kAnswerMsMax);
  clock_.ms += kAnswerMsMax;
  d.on_timer();
  EXPECT_TRUE(d.wants_close());
}

TEST_F(DeviceTest, FailuresSpreadReconnectsOverDoublingIntervals) {
  Device d = device();
  for (uint32_t failures = 0; failures < 12; ++failures) {
    ASSERT_GE(clock_.ms, d.connect_at_ms());
    d.on_disconnected();  // nobody listens there
    EXPECT_GT(d.connect_at_ms(), clock_.ms);
    EXPECT_LE(d.connect_at_ms(),
              clock_.ms + std::min(kBackoffMaxMs, kBackoffMinMs << std::min(failures, 7u)));
    clock_.ms = d.connect_at_ms();
  }
  // A session that ends at once is a failure too; one that lived for a while clears them.
  log_in(d);
  d.on_disconnected();
  uint64_t longest = 0;
  for (int i = 0; i < 20; ++i) {
    longest = std::max(longest, d.connect_at_ms() - clock_.ms);
    d.on_disconnected();
  }
  EXPECT_GT(longest, kBackoffMaxMs / 2);
  log_in(d);
  clock_.ms += kSteadyMs;
  d.on_disconnected();
  EXPECT_LE(d.connect_at_ms(), clock_.ms + kBackoffMinMs);
}

TEST_F(DeviceTest, GoawayComesBackWithinTheJitter) {
  Device d = device();
  log_in(d);
  feed(d, {codec::goaway(1000, "stopping")});
  EXPECT_FALSE(d.wants_close());
  send(d, "x");
  EXPECT_TRUE(seqs(take(d)).empty());
  clock_.ms += 1000;
  d.on_timer();
  EXPECT_TRUE(d.wants_close());
  EXPECT_EQ(pings(take(d)), std::vector<Seq>{1}) << "what it leaves open";
  d.on_disconnected();
  EXPECT_LE(d.connect_at_ms(), clock_.ms);
  log_in(d);
  EXPECT_EQ(seqs(take(d)), (std::vector<Seq>{1}));
}

TEST_F(DeviceTest, BadInputIsAnswered) {
  Device d = device();
  EXPECT_FALSE(d.send(0, "", 0, {}).ok());
  EXPECT_FALSE(d.send(1, "both", 0, {}).ok());
  const std::vector<uint8_t> large(64 * 1024 + 1);
  EXPECT_EQ(d.send(1, "", 0, large).error().code, Errc::kTooLarge);
  d.on_connected();
  feed(d, {incoming(1, 1024, "before the welcome")});
  EXPECT_TRUE(d.wants_close());
  EXPECT_TRUE(store_.inbox().empty());
  d.on_disconnected();
  log_in(d);
  take(d);
  codec::FrameBytes bad = incoming(2, 1024, "x");
  bad[8] ^= 0xff;
  feed(d, {incoming(1, 1024, "good"), bad});
  EXPECT_TRUE(d.wants_close());
  EXPECT_EQ(store_.inbox().size(), 1u) << "what came before the bad frame counts";
}

// What WELCOME says of frames is about those that this device sends. A message that waited may have been
// taken by a server with larger limits; and WELCOME may come in one read with what is behind it.
TEST_F(DeviceTest, AFrameOverWhatItMaySendItselfIsReceived) {
  Device d = device();
  const codec::FrameBytes large = incoming(1, 1024, std::string(200 * 1024, 'x'));
  d.on_connected();
  take(d);
  feed(d, {welcome(), large});
  EXPECT_FALSE(d.wants_close()) << "of a server with larger limits than this client's defaults";
  EXPECT_EQ(confirms(take(d)), std::vector<uint64_t>{1});
  frame_bytes_max_ = 4 * 1024;  // the server was restarted with a smaller limit
  reconnect(d);
  take(d);
  feed(d, {large, incoming(2, 2048, "small")});
  EXPECT_FALSE(d.wants_close());
  EXPECT_EQ(confirms(take(d)), std::vector<uint64_t>{2});
  EXPECT_EQ(store_.inbox().size(), 2u);
}

TEST_F(DeviceTest, AFrameThatNoServerCanSendEndsTheSession) {
  Device d = device();
  log_in(d);
  codec::FrameBytes bytes = incoming(1, 1024, "x");
  const uint32_t declared = codec::kFrameBytesMost - codec::kPrefixBytes + 1;
  std::memcpy(bytes.data(), &declared, sizeof(declared));
  d.on_bytes(bytes);
  EXPECT_TRUE(d.wants_close());
}

// A peer can put anything into fields that are newer than the server, which then does not verify them. A
// device that ended its session over such a frame would meet it again at every login.
TEST_F(DeviceTest, ACountedFrameThatCannotBeReadBlocksNothing) {
  Device d = device();
  log_in(d);
  take(d);
  codec::FrameBytes message = incoming(1, 1024, "never seen");
  spoil_body(message);
  feed(d, {message, incoming(2, 2048, "behind it")});
  EXPECT_FALSE(d.wants_close());
  EXPECT_EQ(confirms(take(d)), std::vector<uint64_t>{2});
  EXPECT_EQ(events_.unreadable, (std::vector<MessageId>{{kPeer, 1, kPeerOrigin, 1}}));
  EXPECT_EQ(d.counters().unreadable, 1u);
  EXPECT_EQ(store_.inbox().size(), 1u) << "nothing of it is kept";
  feed(d, {message});
  EXPECT_EQ(confirms(take(d)), std::vector<uint64_t>{3}) << "also where nothing else comes";

  codec::FrameBytes receipt = codec::receipt(kPeer, kMyDevice, origin(), 0, 1);
  spoil_payload(receipt);
  feed(d, {receipt});
  EXPECT_EQ(confirms(take(d)), std::vector<uint64_t>{4});
  EXPECT_EQ(events_.unreadable.back(), MessageId{});
}

TEST_F(DeviceTest, AClientsFrameFromTheServerEndsTheSession) {
  for (const codec::FrameBytes& frame : {codec::ping(1, 2), codec::confirm(1, 1), codec::resolve(1, "ada"),
                                         codec::refresh("t"), codec::hello({.token = "t"})}) {
    Device d = device();
    log_in(d);
    take(d);
    feed(d, {frame});
    EXPECT_TRUE(d.wants_close());
    EXPECT_TRUE(d.output().empty());
  }
}

TEST_F(DeviceTest, AnyOtherFrameThatCannotBeReadEndsTheSession) {
  codec::FrameBytes pong = codec::pong(7), nameless = incoming(1, 1024, "x"), closed = incoming(1, 1024, "x");
  spoil_payload(pong);  // not counted, so made by the server itself
  spoil_body(nameless);
  remove_route(nameless);
  spoil_body(closed);
  closed[4] = 0xff;  // not even a root
  for (const codec::FrameBytes& bytes : {pong, nameless, closed}) {
    Device d = device();
    log_in(d);
    take(d);
    feed(d, {bytes});
    EXPECT_TRUE(d.wants_close());
    EXPECT_EQ(d.counters().unreadable, 0u);
  }
  Device d = device();
  d.on_connected();
  codec::FrameBytes early = incoming(1, 1024, "x");
  spoil_body(early);
  feed(d, {early});
  EXPECT_TRUE(d.wants_close()) << "before the welcome";
}

TEST_F(DeviceTest, WhoLeavesSaysWhatTheServerMayForget) {
  Device d = device();
  d.leave();
  EXPECT_TRUE(d.output().empty()) << "offline";
  log_in(d);
  take(d);
  d.leave();
  EXPECT_EQ(pings(take(d)), std::vector<Seq>{1}) << "a result of an earlier session may be kept";
  send(d, "x");
  feed(d, {codec::outcome(origin(), 1, 1024, 9, wire::Tick::Delivered)});
  take(d);
  d.leave();
  EXPECT_EQ(pings(take(d)), std::vector<Seq>{2});
  d.leave();
  EXPECT_TRUE(pings(take(d)).empty()) << "nothing new";
  send(d, "y");
  feed(d, {codec::outcome(origin(), 2, 2048, 9, wire::Tick::Delivered), incoming(1, 3072, "z")});
  EXPECT_EQ(root(take(d).back()).payload_as_Confirm()->closed(), 3u);
  d.leave();
  EXPECT_TRUE(pings(take(d)).empty()) << "the confirmation said it";
}

}  // namespace
}  // namespace perch::client
