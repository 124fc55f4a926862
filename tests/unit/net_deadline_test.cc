// Every deadline of a connection, to the millisecond.
#include "tests/unit/net_fixture.h"

namespace perch::net {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(NetTest, LoginDeadline) {
  limits.login_ms_max = 1'000;
  const Socket silent = accepted();
  pass(999);
  EXPECT_EQ(ring.peers.count(silent), 1u);
  pass(1);
  EXPECT_THAT(handler.closed, ElementsAre(CloseReason::kLoginTimeout));

  // It runs until logged_in(), whatever the peer sends, and while the handler thinks.
  const Socket s = accepted();
  pass(600);
  peer(s).inbound = wire('h');
  pass(399);
  EXPECT_EQ(handler.frames.size(), 1u);
  pass(1);
  EXPECT_THAT(handler.closed, ElementsAre(CloseReason::kLoginTimeout, CloseReason::kLoginTimeout));
}

TEST_F(NetTest, AfterLoginTheLoginDeadlineIsOff) {
  limits.login_ms_max = 1'000;
  const Peered p = logged_in();
  pass(1'001);
  pass(10'000);
  EXPECT_EQ(ring.peers.count(p.socket), 1u);
}

TEST_F(NetTest, AFrameInDribblesRunsIntoItsDeadline) {
  const Peered p = logged_in();
  const std::string slow = wire('a', 1000);
  for (size_t i = 0; i < 14; ++i) {
    peer(p.socket).inbound = slow.substr(i, 1);
    turns();
    pass(1'000);
  }
  EXPECT_THAT(handler.closed, IsEmpty());
  peer(p.socket).inbound = slow.substr(14, 1);
  pass(999);
  EXPECT_THAT(handler.closed, IsEmpty());
  pass(1);
  EXPECT_THAT(handler.closed, ElementsAre(CloseReason::kFrameTimeout));
}

TEST_F(NetTest, EachFrameHasItsOwnDeadline) {
  const Peered p = logged_in();
  const std::string frame_bytes = wire('a');
  peer(p.socket).inbound = frame_bytes.substr(0, 10);
  for (int i = 0; i < 20; ++i) {
    pass(10'000);
    // The end of one and the begin of the next.
    peer(p.socket).inbound = frame_bytes.substr(10) + frame_bytes.substr(0, 10);
    turns();
  }
  EXPECT_EQ(handler.frames.size(), 20u);
  EXPECT_THAT(handler.closed, IsEmpty());
  pass(15'000);
  EXPECT_THAT(handler.closed, ElementsAre(CloseReason::kFrameTimeout));
}

TEST_F(NetTest, Silence) {
  const Peered p = logged_in();
  for (int i = 0; i < 10; ++i) {
    pass(74'999);
    peer(p.socket).inbound = wire('a');
    turns();
  }
  EXPECT_EQ(handler.frames.size(), 10u);
  pass(74'999);
  EXPECT_THAT(handler.closed, IsEmpty());
  pass(1);
  EXPECT_THAT(handler.closed, ElementsAre(CloseReason::kSilence));
}

TEST_F(NetTest, SendStall) {
  const Peered p = logged_in();
  pass(30'000);
  peer(p.socket).stalled = true;
  net().send(p.id, frame(wire('a')));
  turns();
  for (int i = 0; i < 59; ++i) {
    peer(p.socket).inbound = wire('b');
    pass(1'000);
  }
  EXPECT_THAT(handler.closed, IsEmpty());
  pass(1'000);
  EXPECT_THAT(handler.closed, ElementsAre(CloseReason::kSendStall));
}

TEST_F(NetTest, ADeadlineIsToldBeforeTheClose) {
  handler.violation_hook = [&](ConnId id) { EXPECT_TRUE(net().send(id, frame(wire('e')))); };
  const Socket silent = accepted();
  pass(limits.login_ms_max);
  const Peered in_frame = logged_in();
  peer(in_frame.socket).inbound = wire('a').substr(0, 5);
  turns();
  pass(limits.frame_ms_max);
  const Peered idle = logged_in();
  pass(limits.silence_ms_max);
  EXPECT_THAT(handler.violations,
              ElementsAre(CloseReason::kLoginTimeout, CloseReason::kFrameTimeout, CloseReason::kSilence));
  EXPECT_EQ(handler.closed, handler.violations);
  for (const Socket socket : {silent, in_frame.socket, idle.socket})
    EXPECT_EQ(ring.gone[socket].sent, wire('e'));
}

TEST_F(NetTest, CloseDoesNotWaitLongForAStalledPeer) {
  const Peered p = logged_in();
  peer(p.socket).stalled = true;
  net().send(p.id, frame(wire('a')));
  turns();
  net().close(p.id);
  pass(4'999);
  EXPECT_THAT(handler.closed, IsEmpty());
  pass(1);
  EXPECT_THAT(handler.closed, ElementsAre(CloseReason::kLocal));
  EXPECT_EQ(pool.bytes_held(), 0u);
}

}  // namespace
}  // namespace perch::net
