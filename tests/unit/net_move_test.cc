// Connections that move to another core's ring, and those that come from there.
#include "tests/unit/net_fixture.h"

namespace perch::net {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(NetTest, MoveSucceeds) {
  handler.frame_hook = [&](ConnId id) { net().move(id, kOtherRing, 4711); };
  const Socket s = accepted();
  peer(s).inbound = wire('h');
  handler.moved_hook = [&](ConnId id) { EXPECT_FALSE(net().send(id, frame(wire('a')))); };
  turns();
  ASSERT_EQ(handler.moves.size(), 1u);
  EXPECT_TRUE(handler.moves[0].ok);
  EXPECT_EQ(handler.moves[0].slot, 41u);
  EXPECT_EQ(handler.moves[0].cookie, 4711u);
  EXPECT_EQ(handler.moves[0].id, handler.ids[0]);
  EXPECT_EQ(ring.num_shutdowns, 0) << "would end the connection on the other ring too";
  EXPECT_EQ(ring.peers.count(s), 0u) << "the slot here is given back";
  EXPECT_THAT(handler.closed, IsEmpty());
  EXPECT_EQ(net().num_connections(), 0u);
}

TEST_F(NetTest, MoveWaitsForTheSend) {
  const Socket s = accepted();
  peer(s).inbound = wire('h');
  turns();
  peer(s).stalled = true;
  net().send(handler.ids[0], frame(wire('w')));
  net().move(handler.ids[0], kOtherRing, 1);
  turns();
  EXPECT_EQ(ring.num_moves, 0);
  peer(s).stalled = false;
  turns();
  EXPECT_EQ(handler.moves.size(), 1u);
  EXPECT_EQ(ring.gone[s].sent, wire('w'));
}

TEST_F(NetTest, MoveWaitsForThePollAndLeavesTheBytes) {
  const Peered p = logged_in();
  net().move(p.id, kOtherRing, 1);
  turns();
  EXPECT_EQ(ring.num_moves, 0);
  peer(p.socket).inbound = wire('a');
  turns();
  EXPECT_EQ(handler.moves.size(), 1u);
  EXPECT_THAT(handler.frames, IsEmpty());
  EXPECT_EQ(ring.gone[p.socket].inbound, wire('a'));
}

TEST_F(NetTest, MoveBehindWhichBytesWereReceivedIsAViolation) {
  const Peered p = logged_in();
  handler.frame_hook = [&](ConnId id) { net().move(id, kOtherRing, 1); };
  peer(p.socket).inbound = wire('a') + "x";
  turns();
  EXPECT_THAT(handler.violations, ElementsAre(CloseReason::kBadFrame));
  EXPECT_THAT(handler.closed, ElementsAre(CloseReason::kBadFrame));
  EXPECT_EQ(ring.num_moves, 0);
}

TEST_F(NetTest, MoveFails) {
  ring.move_result = -ENFILE;
  const Socket s = accepted();
  peer(s).inbound = wire('h');
  handler.frame_hook = [&](ConnId id) { net().move(id, kOtherRing, 9); };
  turns();
  ASSERT_EQ(handler.moves.size(), 1u);
  EXPECT_FALSE(handler.moves[0].ok);
  EXPECT_EQ(handler.moves[0].cookie, 9u);
  EXPECT_EQ(ring.num_pending(s), 0u) << "silent until the handler decides";
  EXPECT_TRUE(net().send(handler.ids[0], frame(wire('e'))));
  net().close(handler.ids[0]);
  turns();
  EXPECT_EQ(ring.gone[s].sent, wire('e'));
  EXPECT_THAT(handler.closed, ElementsAre(CloseReason::kLocal));
}

TEST_F(NetTest, AfterAFailedMoveTheLoginDeadlineStillRuns) {
  ring.move_result = -ENFILE;
  const Socket s = accepted();
  peer(s).inbound = wire('h');
  handler.frame_hook = [&](ConnId id) { net().move(id, kOtherRing, 9); };
  turns();
  pass(limits.login_ms_max);
  EXPECT_THAT(handler.closed, ElementsAre(CloseReason::kLoginTimeout));
}

TEST_F(NetTest, CloseWhileMovingCountsIfTheMoveFails) {
  ring.move_result = -ENFILE;
  ring.moves_wait = true;
  const Socket s = accepted();
  peer(s).inbound = wire('h');
  turns();
  net().move(handler.ids[0], kOtherRing, 9);
  turns();
  net().close(handler.ids[0]);
  EXPECT_FALSE(net().send(handler.ids[0], frame(wire('a'))));
  pass(100'000);
  EXPECT_THAT(handler.closed, IsEmpty());
  ring.moves_wait = false;
  turns();
  EXPECT_EQ(handler.moves.size(), 1u);
  EXPECT_EQ(handler.closed.size(), 1u);
}

TEST_F(NetTest, AdoptedConnectionsAreReadOnceLoggedIn) {
  ring.peers[5].inbound = wire('a', limits.hello_bytes_max + 1) + wire('b');
  const ConnId id = net().adopt(5);
  ASSERT_TRUE(id.valid());
  turns();
  EXPECT_THAT(handler.frames, IsEmpty());
  net().logged_in(id);
  turns();
  EXPECT_EQ(handler.frames.size(), 2u);
  pass(limits.login_ms_max * 2);
  EXPECT_THAT(handler.closed, IsEmpty());
  net().close(id);
  turns();
  EXPECT_THAT(handler.closed, ElementsAre(CloseReason::kLocal));
}

TEST_F(NetTest, AdoptedConnectionsHaveTheLoginDeadline) {
  ring.peers[5] = {};
  ASSERT_TRUE(net().adopt(5).valid());
  pass(limits.login_ms_max * 2);
  EXPECT_THAT(handler.closed, ElementsAre(CloseReason::kLoginTimeout));
}

}  // namespace
}  // namespace perch::net
