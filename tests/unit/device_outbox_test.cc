// What a Device sends: rows, their order and window, handles, and what answers do to them.
#include "tests/unit/device_fixture.h"

namespace perch::client {
namespace {

TEST_F(DeviceTest, SilentUntilWelcomeThenOpenRowsInOrder) {
  Device d = device();
  for (const char* text : {"a", "b", "c"}) send(d, text);
  EXPECT_TRUE(d.output().empty());
  d.on_connected();
  send(d, "d");
  auto frames = take(d);
  ASSERT_EQ(frames.size(), 1u);
  const auto* hello = root(frames[0]).payload_as_Hello();
  ASSERT_NE(hello, nullptr);
  EXPECT_EQ(hello->origin(), origin());
  EXPECT_EQ(hello->attempt(), 1u);
  feed(d, {welcome()});
  EXPECT_EQ(seqs(take(d)), (std::vector<Seq>{1, 2, 3, 4}));
  d.on_disconnected();
  d.on_connected();
  frames = take(d);
  EXPECT_EQ(root(frames[0]).payload_as_Hello()->attempt(), 2u);
  EXPECT_EQ(root(frames[0]).payload_as_Hello()->incarnation(), 77u);
}

TEST_F(DeviceTest, CountsFirstSendingsApartFromRepetitions) {
  Device d = device();
  send(d, "composed offline");
  log_in(d);
  send(d, "at once");
  send(d, "at once too");
  EXPECT_EQ(d.counters().sent, 3u);
  EXPECT_EQ(d.counters().resent, 0u);
  reconnect(d);
  EXPECT_EQ(d.counters().sent, 3u);
  EXPECT_EQ(d.counters().resent, 3u);
  send(d, "behind them");
  EXPECT_EQ(d.counters().sent, 4u);
  feed(d, {codec::hold(origin(), 3, wire::HoldReason::Rate, 100)});
  clock_.ms += 100;
  d.on_timer();
  EXPECT_EQ(d.counters().sent, 4u);
  EXPECT_EQ(d.counters().resent, 5u) << "3 and 4 again";
}

TEST_F(DeviceTest, WindowLimitsRowsWithoutResult) {
  window_ = 2;
  Device d = device();
  for (int i = 0; i < 5; ++i) send(d, "x");
  log_in(d);
  EXPECT_EQ(seqs(take(d)), (std::vector<Seq>{1, 2}));
  feed(d, {codec::outcome(origin(), 1, 1024, 9, wire::Tick::Delivered)});
  auto frames = take(d);
  EXPECT_EQ(seqs(frames), (std::vector<Seq>{3}));
  EXPECT_EQ(root(sends(frames)[0]).route()->closed(), 2u);
  EXPECT_EQ(root(sends(frames)[0]).route()->after(), 1024u);
  feed(d, {codec::outcome(origin(), 2, 2048, 9, wire::Tick::Accepted),
           codec::outcome(origin(), 3, 3072, 9, wire::Tick::Accepted)});
  EXPECT_EQ(seqs(take(d)), (std::vector<Seq>{4, 5}));
  EXPECT_EQ(mark(1), Mark::kDelivered);
  EXPECT_EQ(mark(2), Mark::kAccepted);
}

TEST_F(DeviceTest, HoldGoesBackAndWaits) {
  Device d = device();
  log_in(d);
  for (int i = 0; i < 4; ++i) send(d, "x");
  EXPECT_EQ(seqs(take(d)), (std::vector<Seq>{1, 2, 3, 4}));
  feed(d, {codec::hold(origin(), 2, wire::HoldReason::Rate, 500),
           codec::outcome(origin(), 1, 1024, 9, wire::Tick::Delivered)});
  EXPECT_EQ(events_.holds, std::vector<uint32_t>{500});
  send(d, "y");
  EXPECT_TRUE(seqs(take(d)).empty());
  EXPECT_EQ(d.next_timer_ms(), clock_.ms + 500);
  clock_.ms += 499;
  d.on_timer();
  EXPECT_TRUE(seqs(take(d)).empty());
  clock_.ms += 1;
  d.on_timer();
  EXPECT_EQ(seqs(take(d)), (std::vector<Seq>{2, 3, 4, 5}));
}

TEST_F(DeviceTest, ResendIsIdenticalButForProgress) {
  Device d = device();
  log_in(d);
  send(d, "one");
  send(d, "two");
  const auto before = sends(take(d));
  ASSERT_EQ(before.size(), 2u);
  feed(d, {codec::outcome(origin(), 1, 1024, 9, wire::Tick::Accepted)});
  reconnect(d);
  auto after = sends(take(d));
  ASSERT_EQ(after.size(), 1u);
  EXPECT_EQ(root(after[0]).route()->closed(), 2u);
  EXPECT_EQ(root(after[0]).route()->after(), 1024u);
  auto same = before[1];
  codec::set_progress(same, 0, 0);
  codec::set_progress(after[0], 0, 0);
  EXPECT_EQ(same, after[0]);
}

TEST_F(DeviceTest, RowsKeepTheOriginOfTheOpeningThatMadeThem) {
  const Origin old = origin();
  {
    Device d = device();
    send(d, "one");
    log_in(d);
  }
  store_.reopen(*random_);
  Device d = device();
  send(d, "two");
  d.on_connected();
  EXPECT_EQ(root(take(d)[0]).payload_as_Hello()->previous_origin(), old);
  feed(d, {welcome()});
  const auto frames = sends(take(d));
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(root(frames[0]).route()->origin(), old);
  EXPECT_EQ(root(frames[1]).route()->origin(), origin());
  feed(d, {codec::outcome(old, 1, 1024, 9, wire::Tick::Accepted)});
  EXPECT_EQ(mark(1), Mark::kAccepted);
}

TEST_F(DeviceTest, RejectionClosesTheRowAndRaisesAfter) {
  Device d = device();
  log_in(d);
  const RowId row = send(d, "x");
  take(d);
  feed(d, {codec::rejected(origin(), 1, 9216, wire::RejectReason::MailboxFull)});
  EXPECT_EQ(mark(row), Mark::kRejected);
  EXPECT_EQ(store_.status(row)->reason, static_cast<uint8_t>(wire::RejectReason::MailboxFull));
  EXPECT_EQ(store_.lowest_open(), 0u);
  send(d, "y");
  const auto frames = sends(take(d));
  EXPECT_EQ(root(frames.at(0)).route()->closed(), 2u);
  EXPECT_EQ(root(frames.at(0)).route()->after(), 9216u);
}

TEST_F(DeviceTest, ReceiptsAndReadsAreMarksOfOneConversation) {
  Device d = device();
  log_in(d);
  const RowId first = send(d, "1"), other = send(d, "2", 8), rejected = send(d, "3"), last = send(d, "4");
  feed(d, {codec::outcome(origin(), 1, 1024, 9, wire::Tick::Accepted),
           codec::outcome(origin(), 2, 2048, 9, wire::Tick::Accepted),
           codec::rejected(origin(), 3, 3072, wire::RejectReason::NotFound),
           codec::receipt(kPeer, kMyDevice, origin(), 0, 4)});
  EXPECT_EQ(mark(first), Mark::kDelivered);
  EXPECT_EQ(mark(other), Mark::kAccepted);
  EXPECT_EQ(mark(rejected), Mark::kRejected);
  feed(d, {codec::outcome(origin(), 4, 4096, 9, wire::Tick::Accepted)});
  EXPECT_EQ(mark(last), Mark::kAccepted) << "its answer was still to come, so the receipt is not about it";
  codec::RouteFields route;
  route.to = kMe;
  route.origin = kPeerOrigin;
  route.seq = 1;
  auto read = codec::read(route, kMyDevice, origin(), 1);
  codec::stamp(read, {kPeer, 1, 8192, 0});
  feed(d, {read, codec::expired(8, kMyDevice, origin(), 2)});
  EXPECT_EQ(mark(first), Mark::kRead);
  EXPECT_EQ(mark(other), Mark::kExpired);
  feed(d, {codec::receipt(8, kMyDevice, origin(), 0, 2)});
  EXPECT_EQ(mark(other), Mark::kExpired) << "names a single id, wins over the mark";
}

TEST_F(DeviceTest, NewIncarnationReopensAcceptedRows) {
  Device d = device();
  log_in(d);
  for (int i = 0; i < 3; ++i) send(d, "x");
  feed(d, {codec::outcome(origin(), 1, 1024, 9, wire::Tick::Delivered),
           codec::outcome(origin(), 2, 2048, 9, wire::Tick::Accepted),
           codec::rejected(origin(), 3, 3072, wire::RejectReason::NotFound)});
  take(d);
  reconnect(d);
  EXPECT_TRUE(seqs(take(d)).empty());
  incarnation_ = 78;
  reconnect(d);
  EXPECT_EQ(seqs(take(d)), (std::vector<Seq>{2}));
  EXPECT_TRUE(events_.logins.back().new_incarnation);
  EXPECT_EQ(events_.logins.back().num_reopened, 1u);
}

TEST_F(DeviceTest, HandlesWaitUntilResolved) {
  Device d = device();
  const std::string text = "hi";
  const Bytes body(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  const RowId known = *d.send(0, "bob", 0, body), unknown = *d.send(0, "nobody", 0, body);
  send(d, "direct");
  log_in(d);
  auto frames = take(d);
  EXPECT_EQ(seqs(frames), (std::vector<Seq>{1}));
  std::vector<codec::FrameBytes> answers;
  for (const auto& frame : frames) {
    const auto* resolve = root(frame).payload_as_Resolve();
    if (resolve == nullptr) continue;
    if (resolve->handle()->str() == "bob") {
      answers.push_back(codec::resolved(resolve->request(), "bob", 8));
    } else {
      answers.push_back(codec::error(wire::ErrorCode::NotFound, "", 0, 0, resolve->request()));
    }
  }
  ASSERT_EQ(answers.size(), 2u);
  feed(d, answers);
  frames = sends(take(d));
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(root(frames[0]).route()->to(), 8u);
  EXPECT_EQ(root(frames[0]).route()->seq(), 2u);
  EXPECT_EQ(store_.status(known)->to, 8u);
  EXPECT_EQ(mark(unknown), Mark::kRejected);
}

TEST_F(DeviceTest, WhatWaitsForItsIdGoesOutBeforeWhatIsComposedLater) {
  Device d = device();
  log_in(d);
  take(d);
  // Another process of the profile adds a row; poke() has not come yet.
  NewRow row;
  row.to = kPeer;
  store_.begin();
  const RowId earlier = store_.add_row(row);
  ASSERT_TRUE(store_.commit().ok());
  const RowId later = send(d, "later");
  EXPECT_EQ(store_.status(earlier)->seq, 1u);
  EXPECT_EQ(store_.status(later)->seq, 2u);
  EXPECT_EQ(seqs(take(d)), (std::vector<Seq>{1, 2}));
}

TEST_F(DeviceTest, WhatWaitedForAHandleGoesOutBeforeAnAnswerToItsResolution) {
  Device d = device();
  const RowId earlier = *d.send(0, "bob", 0, {});
  RowId later = 0;
  events_.resolved = [&](UserId user) { later = send(d, "at last", user); };
  log_in(d);
  for (const auto& frame : take(d)) {
    if (const auto* resolve = root(frame).payload_as_Resolve())
      feed(d, {codec::resolved(resolve->request(), "bob", kPeer)});
  }
  ASSERT_NE(later, 0u);
  EXPECT_EQ(store_.status(earlier)->seq, 1u);
  EXPECT_EQ(store_.status(later)->seq, 2u);
  EXPECT_EQ(seqs(take(d)), (std::vector<Seq>{1, 2}));
}

// The numbers of the handles that are asked for.
std::vector<uint64_t> requests(const std::vector<codec::FrameBytes>& frames) {
  std::vector<uint64_t> out;
  for (const auto& frame : frames)
    if (const auto* resolve = codec::trusted(frame)->payload_as_Resolve()) out.push_back(resolve->request());
  return out;
}

TEST_F(DeviceTest, AHandleIsAskedForOncePerSession) {
  Device d = device();
  d.resolve("bob");
  EXPECT_TRUE(d.output().empty()) << "offline";
  log_in(d);
  d.resolve("bob");
  d.resolve("bob");
  d.resolve("");
  d.resolve(std::string(codec::kHandleBytesMax + 1, 'x'));
  EXPECT_EQ(requests(take(d)).size(), 1u);
  reconnect(d);
  d.resolve("bob");
  EXPECT_EQ(requests(take(d)).size(), 1u);
}

// The server cannot say whose it is. Nothing is lost for that, and nothing else waits for it.
TEST_F(DeviceTest, AHandleThatTheServerCannotReadIsAskedForAgain) {
  Device d = device();
  const RowId row = *d.send(0, "bob", 0, {});
  log_in(d);
  auto asked = requests(take(d));
  ASSERT_EQ(asked.size(), 1u);
  feed(d, {codec::error(wire::ErrorCode::Busy, "", 0, 1'000, asked[0])});
  EXPECT_EQ(mark(row), Mark::kQueued);
  EXPECT_TRUE(events_.offline.empty());
  EXPECT_EQ(events_.errors, std::vector<ErrorCode>{ErrorCode::kBusy});
  send(d, "to somebody else");
  EXPECT_EQ(seqs(take(d)), (std::vector<Seq>{1}));
  clock_.ms += 999;
  d.on_timer();
  d.resolve("bob");
  d.poke();
  EXPECT_TRUE(requests(take(d)).empty()) << "not before the server says";
  EXPECT_LE(d.next_timer_ms(), clock_.ms + 1'001);
  clock_.ms = d.next_timer_ms();
  d.on_timer();
  asked = requests(take(d));
  ASSERT_EQ(asked.size(), 1u);
  d.on_timer();
  d.resolve("bob");
  EXPECT_TRUE(requests(take(d)).empty()) << "asked for";
  feed(d, {codec::resolved(asked[0], "bob", kPeer)});
  EXPECT_EQ(store_.status(row)->seq, 2u);
  EXPECT_EQ(seqs(take(d)), (std::vector<Seq>{2}));
}

TEST_F(DeviceTest, AHandleThatTheServerCouldNotReadIsAskedForOnceInTheNextSession) {
  Device d = device();
  ASSERT_TRUE(d.send(0, "bob", 0, {}).ok());
  log_in(d);
  const auto asked = requests(take(d));
  ASSERT_EQ(asked.size(), 1u);
  feed(d, {codec::error(wire::ErrorCode::Busy, "", 0, 1'000, asked[0])});
  reconnect(d);
  EXPECT_EQ(requests(take(d)).size(), 1u);
  clock_.ms += 2'000;
  d.on_timer();
  EXPECT_TRUE(requests(take(d)).empty());
}

TEST_F(DeviceTest, AHandleThatCannotBeIsNotQueued) {
  Device d = device();
  EXPECT_EQ(d.send(0, std::string(codec::kHandleBytesMax + 1, 'x'), 0, {}).error().code, Errc::kInvalid);
  EXPECT_TRUE(d.send(0, std::string(codec::kHandleBytesMax, 'x'), 0, {}).ok());
  EXPECT_EQ(store_.rows().size(), 1u);
}

TEST_F(DeviceTest, ARowOverTheServersFrameLimitDoesNotBlockTheOthers) {
  frame_bytes_max_ = 8192;
  Device d = device();
  const RowId large = send(d, std::string(60'000, 'x')), small = send(d, "x");
  log_in(d);
  EXPECT_EQ(seqs(take(d)), std::vector<Seq>{2});
  EXPECT_EQ(mark(large), Mark::kRejected);
  EXPECT_EQ(mark(small), Mark::kQueued);
  const RowId online = send(d, std::string(60'000, 'x'));
  EXPECT_TRUE(take(d).empty());
  EXPECT_EQ(mark(online), Mark::kRejected);
  EXPECT_FALSE(store_.rows().at(online).sent);
  d.on_timer();
  ASSERT_EQ(events_.rows.size(), 2u);
  EXPECT_EQ(events_.rows.back().row, online);
}

// The server may have taken it before its limit shrank: it must not be closed here, and nothing overtakes it.
TEST_F(DeviceTest, ARowOnceSentWaitsForAServerThatTakesIt) {
  Device d = device();
  log_in(d);
  const RowId first = send(d, "x"), large = send(d, std::string(60'000, 'x'));
  EXPECT_EQ(seqs(take(d)), (std::vector<Seq>{1, 2}));
  frame_bytes_max_ = 8192;
  reconnect(d);
  EXPECT_EQ(seqs(take(d)), (std::vector<Seq>{1}));
  const RowId later = send(d, "later");
  feed(d, {codec::outcome(origin(), 1, 1024, 9, wire::Tick::Accepted)});
  EXPECT_TRUE(seqs(take(d)).empty());
  EXPECT_EQ(events_.errors, std::vector<ErrorCode>{ErrorCode::kTooLarge}) << "said once a session";
  EXPECT_EQ(mark(first), Mark::kAccepted);
  EXPECT_TRUE(store_.status(large)->open);
  EXPECT_EQ(mark(large), Mark::kQueued);
  EXPECT_TRUE(store_.status(later)->open);
  frame_bytes_max_ = 66 * 1024;
  reconnect(d);
  EXPECT_EQ(seqs(take(d)), (std::vector<Seq>{2, 3}));
}

}  // namespace
}  // namespace perch::client
