// Accepts: never more than there is room for, and what their errors do.
#include "net/acceptor.h"

#include "net/operation.h"
#include "tests/unit/net_fixture.h"

namespace perch::net {
namespace {

constexpr uint64_t kNow = 5'000;
constexpr uint32_t kRoom = 1000;

// An acceptor whose accepts are all outstanding.
struct Armed {
  Armed() {
    ring.on_accept = [this](int, PeerAddress* peer, uint64_t) { peers.push_back(peer); };
    acceptor.add(kListener);
    acceptor.arm(kRoom, kNow);
  }
  // As the kernel does between taking a peer and looking for its slot.
  void took_peer(uint32_t index) { peers.at(index)->storage.ss_family = AF_INET; }
  std::vector<PeerAddress*> peers;  // in the order of the accepts
  FakeRing ring;
  MetricsPage metrics{MetricScope::kReactor};
  Acceptor acceptor{ring, metrics};
};

TEST(Acceptor, ArmsNoMoreThanThereIsRoomFor) {
  FakeRing ring;
  MetricsPage metrics{MetricScope::kReactor};
  Acceptor acceptor(ring, metrics);
  acceptor.arm(kRoom, kNow);
  EXPECT_EQ(ring.num_pending_accepts(), 0u) << "nobody listens";
  acceptor.add(kListener);
  acceptor.add(kListener);
  acceptor.arm(0, kNow);
  EXPECT_EQ(ring.num_pending_accepts(), 0u);
  acceptor.arm(3, kNow);
  acceptor.arm(3, kNow);
  EXPECT_EQ(ring.num_pending_accepts(), 3u);
  acceptor.arm(kRoom, kNow);
  acceptor.arm(kRoom, kNow);
  EXPECT_EQ(ring.num_pending_accepts(), 2 * kAcceptsPerListener);
  EXPECT_EQ(acceptor.ms_to_next(kNow), UINT64_MAX);
}

// A second address is heard although the first has more peers than there are places.
TEST(Acceptor, EachListenerHasItsTurn) {
  FakeRing ring;
  MetricsPage metrics{MetricScope::kReactor};
  Acceptor acceptor(ring, metrics);
  acceptor.add(kListener);
  acceptor.add(kListener + 1);
  std::vector<int> armed;
  uint32_t last = 0;
  ring.on_accept = [&](int listener, PeerAddress*, uint64_t user_data) {
    armed.push_back(listener - kListener);
    last = Operation::from(user_data).index;
  };
  for (int round = 0; round < 4; ++round) {
    acceptor.arm(1, kNow);
    ASSERT_EQ(acceptor.completed(last, 20, kNow), 20u);
  }
  EXPECT_EQ(armed, (std::vector<int>{0, 1, 0, 1}));
  armed.clear();
  acceptor.arm(3, kNow);
  EXPECT_EQ(armed, (std::vector<int>{0, 1, 0})) << "one each before a second for anybody";
  acceptor.arm(2 * kAcceptsPerListener, kNow);
  EXPECT_EQ(armed.size(), 2 * kAcceptsPerListener);
}

TEST(Acceptor, APeerThatAMoveLeftNoRoomForIsCountedAsRefused) {
  Armed armed;
  armed.took_peer(0);
  EXPECT_EQ(armed.acceptor.completed(0, -ENFILE, kNow), kNoSocket);
  EXPECT_EQ(armed.metrics.value(Metric::kRefused), 1u);
  EXPECT_EQ(armed.metrics.value(Metric::kPausedFull), 1u);
  EXPECT_EQ(armed.metrics.value(Metric::kPausedDescriptors), 0u);
  EXPECT_EQ(armed.acceptor.completed(1, -EMFILE, kNow), kNoSocket);
  EXPECT_EQ(armed.metrics.value(Metric::kRefused), 1u) << "it waits in the backlog";
  EXPECT_EQ(armed.metrics.value(Metric::kPausedDescriptors), 1u);
}

TEST(Acceptor, ASystemOutOfFilesLeavesThePeerInTheBacklog) {
  Armed armed;
  armed.took_peer(0);
  EXPECT_EQ(armed.acceptor.completed(0, 20, kNow), 20u);
  armed.acceptor.arm(kRoom, kNow);  // with the place, and the address in it, of the peer before
  EXPECT_EQ(armed.acceptor.completed(0, -ENFILE, kNow), kNoSocket);
  EXPECT_EQ(armed.metrics.value(Metric::kRefused), 0u);
  EXPECT_EQ(armed.metrics.value(Metric::kPausedFull), 0u);
  EXPECT_EQ(armed.metrics.value(Metric::kPausedDescriptors), 1u);
}

TEST(Acceptor, EveryErrorHasItsAnswer) {
  for (const int error : {EBADF, EINVAL, ENOTSOCK, EOPNOTSUPP, ECANCELED}) {
    Armed armed;
    EXPECT_EQ(armed.acceptor.completed(0, -error, kNow), kNoSocket);
    armed.acceptor.arm(kRoom, kNow);
    EXPECT_EQ(armed.ring.num_pending_accepts(), kAcceptsPerListener) << error << ": the listener is gone";
    EXPECT_EQ(armed.acceptor.ms_to_next(kNow), UINT64_MAX);
  }
  for (const int error : {ECONNABORTED, EAGAIN, EINTR, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET,
                          EHOSTUNREACH, ENETUNREACH, EPERM}) {
    Armed armed;
    EXPECT_EQ(armed.acceptor.completed(0, -error, kNow), kNoSocket);
    armed.acceptor.arm(kRoom, kNow);
    EXPECT_EQ(armed.ring.num_pending_accepts(), kAcceptsPerListener + 1) << error << ": again at once";
  }
  for (const int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM, EIO}) {
    Armed armed;
    EXPECT_EQ(armed.acceptor.completed(0, -error, kNow), kNoSocket);
    armed.acceptor.arm(kRoom, kNow + kAcceptRestMs - 1);
    EXPECT_EQ(armed.ring.num_pending_accepts(), kAcceptsPerListener) << error << ": rests";
    EXPECT_EQ(armed.acceptor.ms_to_next(kNow + 1), kAcceptRestMs - 1);
    EXPECT_EQ(armed.acceptor.ms_to_next(kNow + 2 * kAcceptRestMs), 0u);
    armed.acceptor.arm(kRoom, kNow + kAcceptRestMs);
    EXPECT_EQ(armed.ring.num_pending_accepts(), kAcceptsPerListener + 1);
    EXPECT_EQ(armed.acceptor.ms_to_next(kNow + kAcceptRestMs), UINT64_MAX);
  }
}

TEST(Acceptor, WhatComesAfterStopIsClosed) {
  Armed armed;
  armed.ring.peers[20] = {};
  armed.ring.peers[21] = {};
  EXPECT_EQ(armed.acceptor.completed(0, 20, kNow), 20u);
  armed.acceptor.stop();
  EXPECT_EQ(armed.acceptor.completed(1, 21, kNow), kNoSocket);
  EXPECT_EQ(armed.ring.num_pending(20), 0u);
  EXPECT_EQ(armed.ring.num_pending(21), 1u) << "its close";
  armed.acceptor.arm(kRoom, kNow);
  EXPECT_EQ(armed.ring.num_pending_accepts(), kAcceptsPerListener);
}

TEST(AcceptorDeathTest, ACompletionOfNoAcceptIsOurBug) {
  Armed armed;
  EXPECT_DEATH(armed.acceptor.completed(kAcceptsPerListener, 20, kNow), "must be true");
  EXPECT_EQ(armed.acceptor.completed(0, -EAGAIN, kNow), kNoSocket);
  EXPECT_DEATH(armed.acceptor.completed(0, 20, kNow), "must be true");
}

TEST_F(NetTest, AtConnectionsMaxNothingIsAccepted) {
  limits.connections_max = 2;
  net().listen(kListener);
  EXPECT_EQ(ring.num_pending_accepts(), 2u);
  ring.num_waiting = 3;
  turns();
  EXPECT_EQ(net().num_connections(), 2u);
  EXPECT_EQ(ring.num_pending_accepts(), 0u);
  EXPECT_EQ(ring.num_waiting, 1);
  ring.peers[99] = {};
  EXPECT_FALSE(net().adopt(99).valid());
  turns();
  EXPECT_EQ(ring.gone.count(99), 1u);
  ring.peers.begin()->second.eof = true;
  turns();
  EXPECT_EQ(ring.num_waiting, 0);
  EXPECT_EQ(net().num_connections(), 2u);
}

TEST_F(NetTest, OutOfDescriptorsAcceptsRest) {
  net().listen(kListener);
  const size_t all = ring.num_pending_accepts();
  EXPECT_GT(all, 1u);
  ring.accept_errors.assign(all, ENFILE);
  turns();
  EXPECT_EQ(ring.num_pending_accepts(), 0u);
  EXPECT_EQ(net().ms_to_next(clock.ms), 100u);
  pass(99);
  EXPECT_EQ(ring.num_pending_accepts(), 0u);
  pass(1);
  EXPECT_EQ(ring.num_pending_accepts(), all);

  // A connection that closes ends the rest.
  const Socket s = accepted();
  ring.accept_errors.assign(all, EMFILE);
  turns();
  EXPECT_EQ(ring.num_pending_accepts(), 0u);
  peer(s).eof = true;
  turns();
  EXPECT_EQ(ring.num_pending_accepts(), all);
}

TEST_F(NetTest, APeerThatLeftTheBacklogDoesNotRest) {
  net().listen(kListener);
  const size_t all = ring.num_pending_accepts();
  ring.accept_errors = {ECONNABORTED};
  turns();
  EXPECT_EQ(ring.num_pending_accepts(), all);
  ring.accept_errors.assign(all, EINVAL);  // the listener is gone
  turns();
  pass(1'000);
  EXPECT_EQ(ring.num_pending_accepts(), 0u);
}

TEST_F(NetTest, StopListening) {
  const Peered p = logged_in();
  net().stop_listening();
  ring.num_waiting = 2;
  turns();
  EXPECT_EQ(net().num_connections(), 1u);
  EXPECT_EQ(ring.peers.size(), 1u) << "late arrivals are closed";
  EXPECT_TRUE(net().send(p.id, frame(wire('a'))));
}

}  // namespace
}  // namespace perch::net
