// Device against a scripted server: frames made by codec's encoders, a memory store, a clock that the test
// moves.
#include "client/protocol/device.h"

#include <gtest/gtest.h>

#include "client/memory_store.h"
#include "client/protocol/backoff.h"
#include "codec/frame.h"

namespace perch::client {
namespace {

class FakeClock final : public Clock {
 public:
  uint64_t mono_ns() override { return now_ms * 1'000'000; }
  uint64_t wall_ms() override { return 1'700'000'000'000 + now_ms; }
  uint64_t now_ms = 1000;
};

struct Events final : DeviceEvents {
  void on_online(const LoginInfo& info) override { logins.push_back(info); }
  void on_offline(std::string_view why) override { offline.emplace_back(why); }
  void on_message(const InboxMessage& in, Insert insert) override {
    messages.emplace_back(in.id.seq, insert);
  }
  void on_row(const RowStatus& row) override { rows.push_back(row); }
  void on_hold(wire::HoldReason, uint32_t wait_ms) override { holds.push_back(wait_ms); }
  void on_stopped(StopReason reason, std::string_view) override { stops.push_back(reason); }
  std::vector<LoginInfo> logins;
  std::vector<std::string> offline;
  std::vector<std::pair<Seq, Insert>> messages;
  std::vector<RowStatus> rows;
  std::vector<uint32_t> holds;
  std::vector<StopReason> stops;
};

constexpr UserId kMe = 5, kPeer = 7;
constexpr DeviceNo kMyDevice = 2;
constexpr Origin kPeerOrigin = 99;

class DeviceTest : public testing::Test {
 protected:
  Device device() { return Device(store_, clock_, *random_, events_, {.token = "t"}); }

  // What the device has written, cut into frames and taken away.
  static std::vector<codec::FrameBytes> take(Device& device) {
    std::vector<codec::FrameBytes> frames;
    codec::Framer framer;
    EXPECT_TRUE(framer
                    .feed(device.output(), 1 << 20,
                          [&](MutableBytes frame) {
                            EXPECT_TRUE(codec::verify(frame).ok());
                            frames.emplace_back(frame.begin(), frame.end());
                            return true;
                          })
                    .ok());
    device.output().clear();
    return frames;
  }
  static const wire::Frame& root(const codec::FrameBytes& frame) { return *codec::trusted(frame); }
  static std::vector<codec::FrameBytes> sends(const std::vector<codec::FrameBytes>& frames) {
    std::vector<codec::FrameBytes> out;
    for (const auto& frame : frames) {
      if (root(frame).payload_type() == wire::Payload::Message) out.push_back(frame);
    }
    return out;
  }
  static std::vector<Seq> seqs(const std::vector<codec::FrameBytes>& frames) {
    std::vector<Seq> out;
    for (const auto& frame : sends(frames)) out.push_back(root(frame).route()->seq());
    return out;
  }
  static std::vector<uint64_t> confirms(const std::vector<codec::FrameBytes>& frames) {
    std::vector<uint64_t> out;
    for (const auto& frame : frames) {
      if (const auto* confirm = root(frame).payload_as_Confirm()) out.push_back(confirm->count());
    }
    return out;
  }

  void feed(Device& device, const std::vector<codec::FrameBytes>& frames) {
    codec::FrameBytes bytes;
    for (const auto& frame : frames) bytes.insert(bytes.end(), frame.begin(), frame.end());
    device.on_bytes(bytes);
  }
  codec::FrameBytes welcome() const {
    codec::WelcomeFields fields;
    fields.boot = 1;
    fields.session = 1;
    fields.incarnation = incarnation_;
    fields.user = kMe;
    fields.device = kMyDevice;
    fields.window = window_;
    fields.body_bytes_max = 64 * 1024;
    fields.frame_bytes_max = 66 * 1024;
    fields.ping_ms = 30'000;
    return codec::welcome(fields);
  }
  void log_in(Device& device) {
    device.on_connected();
    const auto frames = take(device);
    ASSERT_EQ(frames.size(), 1u);
    ASSERT_EQ(root(frames[0]).payload_type(), wire::Payload::Hello);
    feed(device, {welcome()});
    ASSERT_EQ(device.state(), Device::State::kOnline);
  }
  void reconnect(Device& device) {
    device.on_disconnected();
    log_in(device);
  }
  static RowId send(Device& device, std::string_view text, UserId to = kPeer) {
    const auto row =
        device.send(to, "", 0, Bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
    EXPECT_TRUE(row.ok());
    return *row;
  }
  static codec::FrameBytes incoming(Seq seq, Number number, std::string_view text, UserId from = kPeer,
                                    UserId to = kMe) {
    codec::RouteFields route;
    route.to = to;
    route.origin = kPeerOrigin;
    route.seq = seq;
    auto frame = codec::message(route, 0, Bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
    codec::stamp(frame, {from, 1, number, 12345});
    return frame;
  }
  Origin origin() const { return store_.identity().origin; }
  Mark mark(RowId row) { return store_.status(row)->mark; }

  FakeClock clock_;
  std::unique_ptr<Random> random_ = seeded_random(1);
  MemoryStore store_{*random_};
  Events events_;
  uint64_t incarnation_ = 77;
  uint16_t window_ = 64;
};

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
  clock_.now_ms += 100;
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
  feed(d, {codec::result(origin(), 1, 1024, 9, wire::Tick::Delivered)});
  auto frames = take(d);
  EXPECT_EQ(seqs(frames), (std::vector<Seq>{3}));
  EXPECT_EQ(root(sends(frames)[0]).route()->closed(), 2u);
  EXPECT_EQ(root(sends(frames)[0]).route()->after(), 1024u);
  feed(d, {codec::result(origin(), 2, 2048, 9, wire::Tick::Accepted),
           codec::result(origin(), 3, 3072, 9, wire::Tick::Accepted)});
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
           codec::result(origin(), 1, 1024, 9, wire::Tick::Delivered)});
  EXPECT_EQ(events_.holds, std::vector<uint32_t>{500});
  send(d, "y");
  EXPECT_TRUE(seqs(take(d)).empty());
  EXPECT_EQ(d.next_timer_ms(), 1500u);
  clock_.now_ms = 1499;
  d.on_timer();
  EXPECT_TRUE(seqs(take(d)).empty());
  clock_.now_ms = 1500;
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
  feed(d, {codec::result(origin(), 1, 1024, 9, wire::Tick::Accepted)});
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
  feed(d, {codec::result(old, 1, 1024, 9, wire::Tick::Accepted)});
  EXPECT_EQ(mark(1), Mark::kAccepted);
}

TEST_F(DeviceTest, OneCommitThenOneConfirmPerReceive) {
  Device d = device();
  log_in(d);
  take(d);
  const uint64_t commits = store_.num_commits();
  feed(d, {incoming(1, 1024, "a"), incoming(2, 2048, "b"), codec::receipt(kPeer, kMyDevice, origin(), 1)});
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
  feed(d, {incoming(1, 1024, "a", kMe, kPeer), codec::receipt(kPeer, 1, kPeerOrigin, 1)});
  ASSERT_EQ(store_.inbox().size(), 1u);
  EXPECT_EQ(store_.inbox().begin()->second.message.peer, kPeer);
  EXPECT_EQ(store_.inbox().begin()->second.message.mark, Mark::kDelivered);
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
  feed(d, {codec::result(origin(), 1, 1024, 9, wire::Tick::Accepted),
           codec::result(origin(), 2, 2048, 9, wire::Tick::Accepted),
           codec::rejected(origin(), 3, 3072, wire::RejectReason::NotFound),
           codec::receipt(kPeer, kMyDevice, origin(), 4)});
  EXPECT_EQ(mark(first), Mark::kDelivered);
  EXPECT_EQ(mark(other), Mark::kAccepted);
  EXPECT_EQ(mark(rejected), Mark::kRejected);
  feed(d, {codec::result(origin(), 4, 4096, 9, wire::Tick::Accepted)});
  EXPECT_EQ(mark(last), Mark::kDelivered) << "the receipt came before the repeated result";
  codec::RouteFields route;
  route.to = kMe;
  route.origin = kPeerOrigin;
  route.seq = 1;
  auto read = codec::read(route, kMyDevice, origin(), 1);
  codec::stamp(read, {kPeer, 1, 8192, 0});
  feed(d, {read, codec::expired(8, kMyDevice, origin(), 2)});
  EXPECT_EQ(mark(first), Mark::kRead);
  EXPECT_EQ(mark(last), Mark::kDelivered);
  EXPECT_EQ(mark(other), Mark::kExpired);
  feed(d, {codec::receipt(8, kMyDevice, origin(), 2)});
  EXPECT_EQ(mark(other), Mark::kExpired) << "names a single id, wins over the mark";
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

TEST_F(DeviceTest, NewIncarnationReopensAcceptedRows) {
  Device d = device();
  log_in(d);
  for (int i = 0; i < 3; ++i) send(d, "x");
  feed(d, {codec::result(origin(), 1, 1024, 9, wire::Tick::Delivered),
           codec::result(origin(), 2, 2048, 9, wire::Tick::Accepted),
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

TEST_F(DeviceTest, BusyIsNotHitAgainTooEarly) {
  Device d = device();
  d.on_connected();
  feed(d, {codec::error(wire::ErrorCode::Busy, "", 0, 5000)});
  d.on_disconnected();
  EXPECT_GE(d.connect_at_ms(), clock_.now_ms + 5000);
}

TEST_F(DeviceTest, TimersPingAndReconnect) {
  Device d = device();
  log_in(d);
  take(d);
  clock_.now_ms += 30'000;
  d.on_timer();
  auto frames = take(d);
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(root(frames[0]).payload_type(), wire::Payload::Ping);
  feed(d, {codec::pong(1)});
  clock_.now_ms += 29'999;
  d.on_timer();
  EXPECT_TRUE(take(d).empty());
  EXPECT_FALSE(d.wants_close());
  reconnect(d);
  send(d, "x");
  clock_.now_ms += 29'999;
  feed(d, {codec::pong(1)});
  d.on_timer();
  EXPECT_FALSE(d.wants_close());
  clock_.now_ms += 1;
  d.on_timer();
  EXPECT_TRUE(d.wants_close()) << "no result for 30 s";
}

// Whoever died, or whose network did, says nothing and closes nothing (a half-open connection).
TEST_F(DeviceTest, APingIsAnsweredInTimeOrThePeerIsDead) {
  Device d = device();
  log_in(d);
  const uint64_t last_heard = clock_.now_ms;
  take(d);
  while (!d.wants_close()) {
    ASSERT_LT(d.next_timer_ms(), UINT64_MAX);
    clock_.now_ms = d.next_timer_ms();
    d.on_timer();
  }
  EXPECT_EQ(clock_.now_ms, last_heard + 30'000 + kAnswerMsMax);
  EXPECT_LE(clock_.now_ms, last_heard + 45'000);

  // Anything heard is an answer, also in the millisecond of the Ping; what was heard before it is none.
  reconnect(d);
  take(d);
  clock_.now_ms += 30'000;
  feed(d, {codec::pong(9)});
  d.on_timer();
  ASSERT_EQ(take(d).size(), 1u);
  feed(d, {codec::hold(1, 1, wire::HoldReason::Busy, 1)});
  clock_.now_ms += kAnswerMsMax;
  d.on_timer();
  EXPECT_FALSE(d.wants_close());
  clock_.now_ms += 30'000 - kAnswerMsMax;
  feed(d, {codec::pong(9)});
  d.on_timer();
  ASSERT_EQ(take(d).size(), 1u);
  EXPECT_EQ(d.next_timer_ms(), clock_.now_ms + kAnswerMsMax);
  clock_.now_ms += kAnswerMsMax;
  d.on_timer();
  EXPECT_TRUE(d.wants_close());
}

TEST_F(DeviceTest, FailuresSpreadReconnectsOverDoublingIntervals) {
  Device d = device();
  for (uint32_t failures = 0; failures < 12; ++failures) {
    ASSERT_GE(clock_.now_ms, d.connect_at_ms());
    d.on_disconnected();  // nobody listens there
    EXPECT_GT(d.connect_at_ms(), clock_.now_ms);
    EXPECT_LE(d.connect_at_ms(),
              clock_.now_ms + std::min(kBackoffMaxMs, kBackoffMinMs << std::min(failures, 7u)));
    clock_.now_ms = d.connect_at_ms();
  }
  // A session that ends at once is a failure too; one that lived for a while clears them.
  log_in(d);
  d.on_disconnected();
  uint64_t longest = 0;
  for (int i = 0; i < 20; ++i) {
    longest = std::max(longest, d.connect_at_ms() - clock_.now_ms);
    d.on_disconnected();
  }
  EXPECT_GT(longest, kBackoffMaxMs / 2);
  log_in(d);
  clock_.now_ms += kSteadyMs;
  d.on_disconnected();
  EXPECT_LE(d.connect_at_ms(), clock_.now_ms + kBackoffMinMs);
}

TEST_F(DeviceTest, GoawayComesBackWithinTheJitter) {
  Device d = device();
  log_in(d);
  feed(d, {codec::goaway(1000, "stopping")});
  EXPECT_FALSE(d.wants_close());
  send(d, "x");
  EXPECT_TRUE(seqs(take(d)).empty());
  clock_.now_ms += 1000;
  d.on_timer();
  EXPECT_TRUE(d.wants_close());
  d.on_disconnected();
  EXPECT_LE(d.connect_at_ms(), clock_.now_ms);
  log_in(d);
  EXPECT_EQ(seqs(take(d)), (std::vector<Seq>{1}));
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

TEST_F(DeviceTest, AHandleIsAskedForOncePerSession) {
  const auto asked = [](const std::vector<codec::FrameBytes>& frames) {
    size_t num = 0;
    for (const auto& frame : frames) num += root(frame).payload_type() == wire::Payload::Resolve;
    return num;
  };
  Device d = device();
  d.resolve("bob");
  EXPECT_TRUE(d.output().empty()) << "offline";
  log_in(d);
  d.resolve("bob");
  d.resolve("bob");
  d.resolve("");
  d.resolve(std::string(codec::kHandleBytesMax + 1, 'x'));
  EXPECT_EQ(asked(take(d)), 1u);
  reconnect(d);
  d.resolve("bob");
  EXPECT_EQ(asked(take(d)), 1u);
}

TEST_F(DeviceTest, AHandleThatCannotBeIsNotQueued) {
  Device d = device();
  EXPECT_EQ(d.send(0, std::string(codec::kHandleBytesMax + 1, 'x'), 0, {}).error().code, Errc::kInvalid);
  EXPECT_TRUE(d.send(0, std::string(codec::kHandleBytesMax, 'x'), 0, {}).ok());
  EXPECT_EQ(store_.rows().size(), 1u);
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

TEST_F(DeviceTest, ARowOverTheServersFrameLimitDoesNotBlockTheOthers) {
  Device d = device();
  const RowId large = send(d, std::string(60'000, 'x')), small = send(d, "x");
  d.on_connected();
  take(d);
  codec::WelcomeFields fields;
  fields.user = kMe;
  fields.device = kMyDevice;
  fields.window = 64;
  fields.frame_bytes_max = 8192;
  feed(d, {codec::welcome(fields)});
  EXPECT_EQ(seqs(take(d)), std::vector<Seq>{2});
  EXPECT_EQ(mark(large), Mark::kRejected);
  EXPECT_EQ(mark(small), Mark::kQueued);
}

}  // namespace
}  // namespace perch::client
