// Byte streams cut into frames, sends, ends of a connection. Deadlines, moves and accepts:
// net_deadline_test.cc, net_move_test.cc, acceptor_test.cc.
#include "net/net.h"

#include "tests/unit/net_fixture.h"

namespace perch::net {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(NetTest, FramesCutAnywhereArriveWhole) {
  const std::string stream = wire('a', 64) + wire('b', 100) + wire('c', 65);
  const Peered p = logged_in();
  for (size_t cut = 1; cut < stream.size(); ++cut) {
    handler.frames.clear();
    peer(p.socket).inbound = stream.substr(0, cut);
    turns();
    peer(p.socket).inbound = stream.substr(cut);
    turns();
    ASSERT_THAT(handler.frames, ElementsAre(wire('a', 64), wire('b', 100), wire('c', 65))) << cut;
  }
  for (size_t piece = 1; piece < 80; ++piece) {
    handler.frames.clear();
    ring.receive_bytes_max = piece;
    peer(p.socket).inbound = stream;
    turns();
    ASSERT_EQ(handler.frames.size(), 3u) << piece;
  }
  EXPECT_EQ(ring.num_buffers_out(), 0u);
  EXPECT_THAT(handler.violations, IsEmpty());
}

TEST_F(NetTest, EndOfStreamAtEveryByte) {
  const std::string stream = wire('a') + wire('b');
  for (size_t cut = 0; cut <= stream.size(); ++cut) {
    const Peered p = logged_in();
    peer(p.socket).inbound = stream.substr(0, cut);
    peer(p.socket).eof = true;
    turns();
    EXPECT_EQ(handler.frames.size(), cut / wire('a').size());
    EXPECT_EQ(handler.closed.back(), CloseReason::kPeer);
    EXPECT_EQ(net().num_connections(), 0u);
    EXPECT_EQ(ring.peers.count(p.socket), 0u);
  }
}

TEST_F(NetTest, WantOfKernelMemoryIsNotThePeersDoing) {
  struct Case {
    char operation;
    int error;
    CloseReason reason;
  };
  for (const Case& c : {Case{'p', ENOMEM, CloseReason::kSystem}, Case{'p', EINVAL, CloseReason::kPeer},
                        Case{'r', ENOMEM, CloseReason::kSystem}, Case{'r', ECONNRESET, CloseReason::kPeer},
                        Case{'s', ENOMEM, CloseReason::kSystem}, Case{'s', ENOBUFS, CloseReason::kSystem},
                        Case{'s', EPIPE, CloseReason::kPeer}}) {
    const Peered p = logged_in();
    peer(p.socket).failing = c.operation;
    peer(p.socket).failure = c.error;
    peer(p.socket).inbound = "x";  // the poll is over, a receive follows
    net().send(p.id, frame(wire('a')));
    turns();
    EXPECT_EQ(handler.closed.back(), c.reason) << c.operation << ' ' << c.error;
    EXPECT_EQ(net().num_connections(), 0u);
  }
  EXPECT_EQ(metrics.value(Metric::kClosedSystem), 4u);
  EXPECT_EQ(metrics.value(Metric::kClosedPeer), 3u);
}

TEST_F(NetTest, AFullReceiveIsFollowedByAnother) {
  const Peered p = logged_in();
  const int before = ring.num_receives;
  peer(p.socket).inbound = wire('a', 2048 - 4) + wire('b');
  turns();
  EXPECT_EQ(handler.frames.size(), 2u);
  EXPECT_EQ(ring.num_receives - before, 2);
}

TEST_F(NetTest, WithoutBuffersReceivesAgainNextTurn) {
  const Peered p = logged_in();
  ring.num_buffers = 0;
  peer(p.socket).inbound = wire('a');
  for (int i = 0; i < 5; ++i) turn();
  EXPECT_THAT(handler.frames, IsEmpty());
  ring.num_buffers = 1;
  turns();
  EXPECT_THAT(handler.frames, ElementsAre(wire('a')));
}

TEST_F(NetTest, FramesOfATurnShareOneSend) {
  const Peered p = logged_in();
  std::string all;
  for (int i = 0; i < 20; ++i) {
    all += wire(static_cast<char>('a' + i));
    EXPECT_TRUE(net().send(p.id, frame(wire(static_cast<char>('a' + i)))));
  }
  EXPECT_EQ(ring.num_sends, 0);
  EXPECT_EQ(net().ms_to_next(clock.ms), 0u);
  turns();
  EXPECT_EQ(peer(p.socket).sent, all);
  EXPECT_THAT(ring.parts_of_sends, ElementsAre(16u, 4u));
  EXPECT_EQ(pool.bytes_held(), 0u);
}

TEST_F(NetTest, BigFramesDoNotShare) {
  const Peered p = logged_in();
  for (int i = 0; i < 3; ++i) net().send(p.id, frame(wire('x', 64 * 1024)));
  turns();
  EXPECT_EQ(ring.num_sends, 3);
}

TEST_F(NetTest, ShortSendsAreContinued) {
  for (size_t bytes = 1; bytes < 150; bytes += 7) {
    const Peered p = logged_in();
    ring.send_bytes_max = bytes;
    for (char letter : {'a', 'b', 'c'}) net().send(p.id, frame(wire(letter)));
    turns();
    EXPECT_EQ(peer(p.socket).sent, wire('a') + wire('b') + wire('c'));
  }
}

TEST_F(NetTest, SendQueueIsLimited) {
  limits.send_queue_frames_max = 4;
  const Peered p = logged_in();
  peer(p.socket).stalled = true;
  EXPECT_TRUE(net().writable(p.id));
  EXPECT_TRUE(net().send(p.id, frame(wire('a'))));
  EXPECT_TRUE(net().writable(p.id));
  EXPECT_TRUE(net().send(p.id, frame(wire('a'))));
  EXPECT_FALSE(net().writable(p.id));
  EXPECT_TRUE(net().send(p.id, frame(wire('a'))));
  EXPECT_TRUE(net().send(p.id, frame(wire('a'))));
  EXPECT_FALSE(net().send(p.id, frame(wire('a'))));
  peer(p.socket).stalled = false;
  turns();
  EXPECT_TRUE(net().writable(p.id));
}

TEST_F(NetTest, WhoeverWasRefusedIsToldOfRoom) {
  limits.send_queue_frames_max = 4;
  const Peered p = logged_in();
  int told = 0;
  handler.writable_hook = [&](ConnId id) {
    EXPECT_TRUE(net().writable(id));
    ++told;
  };
  for (int i = 0; i < 2; ++i) net().send(p.id, frame(wire('a')));
  turns();
  EXPECT_EQ(told, 0) << "nobody was refused";
  for (int i = 0; i < 2; ++i) net().send(p.id, frame(wire('a')));
  EXPECT_FALSE(net().writable(p.id));
  turns();
  EXPECT_EQ(told, 0) << "nobody waits: it was only a question";
  EXPECT_EQ(metrics.value(Metric::kPausedSendQueue), 0u);
  for (int i = 0; i < 2; ++i) net().send(p.id, frame(wire('a')));
  EXPECT_FALSE(net().writable_or_wait(p.id));
  EXPECT_EQ(metrics.value(Metric::kPausedSendQueue), 1u);
  turns();
  EXPECT_EQ(told, 1);
  handler.writable_hook = [&](ConnId id) {
    net().send(id, frame(wire('z')));
    net().close(id);
  };
  for (int i = 0; i < 2; ++i) net().send(p.id, frame(wire('a')));
  EXPECT_FALSE(net().writable_or_wait(p.id));
  turns();
  EXPECT_THAT(handler.closed, ElementsAre(CloseReason::kLocal));
  EXPECT_EQ(ring.gone[p.socket].sent.substr(8 * wire('a').size()), wire('z'));
}

TEST_F(NetTest, CloseWithPollArmed) {
  const Peered p = logged_in();
  net().close(p.id);
  EXPECT_THAT(handler.closed, IsEmpty()) << "called from inside close()";
  EXPECT_EQ(ring.num_shutdowns, 1);
  EXPECT_FALSE(net().send(p.id, frame(wire('a'))));
  turns();
  EXPECT_THAT(handler.closed, ElementsAre(CloseReason::kLocal));
  EXPECT_EQ(ring.peers.count(p.socket), 0u);
}

TEST_F(NetTest, CloseSendsWhatIsQueuedAndDiscardsWhatArrives) {
  const Peered p = logged_in();
  peer(p.socket).stalled = true;
  for (int i = 0; i < 20; ++i) net().send(p.id, frame(wire('a')));
  turns();
  net().close(p.id);
  peer(p.socket).inbound = wire('b');
  turns();
  EXPECT_THAT(handler.frames, IsEmpty());
  EXPECT_THAT(peer(p.socket).inbound, IsEmpty());
  EXPECT_THAT(handler.closed, IsEmpty());
  peer(p.socket).stalled = false;
  turns();
  EXPECT_EQ(ring.gone[p.socket].sent.size(), 20 * wire('a').size());
  EXPECT_THAT(handler.closed, ElementsAre(CloseReason::kLocal));
}

TEST_F(NetTest, CloseFromInsideOnFrameDropsTheRest) {
  const Peered p = logged_in();
  handler.frame_hook = [&](ConnId id) {
    net().send(id, frame(wire('z')));
    net().close(id);
  };
  peer(p.socket).inbound = wire('a') + wire('b');
  turns();
  EXPECT_EQ(handler.frames.size(), 1u);
  EXPECT_EQ(ring.gone[p.socket].sent, wire('z'));
  EXPECT_THAT(handler.closed, ElementsAre(CloseReason::kLocal));
}

TEST_F(NetTest, WhoConnectedIsKnownUntilLogin) {
  const Socket s = accepted();
  peer(s).inbound = wire('h');
  turns();
  const ConnId id = handler.ids.back();
  EXPECT_EQ(net().peer_text(id), "0.0.0.0:" + std::to_string(s));
  EXPECT_EQ(net().peer_text({id.index, id.generation + 1}), "");
  net().logged_in(id);
  EXPECT_EQ(net().peer_text(id), "");

  // A slot that is used again by whom another core sends.
  const Socket gone = accepted();
  peer(gone).inbound = wire('h');
  turns();
  const ConnId old = handler.ids.back();
  EXPECT_EQ(net().peer_text(old), "0.0.0.0:" + std::to_string(gone));
  net().close(old);
  turns();
  ring.peers[200] = {};
  const ConnId adopted = net().adopt(200);
  ASSERT_EQ(adopted.index, old.index);
  EXPECT_EQ(net().peer_text(adopted), "");
}

TEST_F(NetTest, AStaleIdResolvesToNothing) {
  const Peered old = logged_in();
  net().close(old.id);
  turns();
  const Peered p = logged_in();
  ASSERT_EQ(p.id.index, old.id.index);
  EXPECT_NE(p.id.generation, old.id.generation);
  EXPECT_FALSE(net().send(old.id, frame(wire('a'))));
  EXPECT_FALSE(net().writable(old.id));
  net().close(old.id);
  net().move(old.id, kOtherRing, 1);
  net().logged_in(old.id);
  peer(p.socket).inbound = wire('a');
  turns();
  EXPECT_THAT(handler.frames, ElementsAre(wire('a')));
  EXPECT_FALSE(net().send(ConnId{}, frame(wire('a'))));
}

TEST_F(NetTest, LengthsOutOfBoundsAreViolations) {
  limits.hello_bytes_max = 100;
  limits.frame_bytes_max = 200;
  handler.violation_hook = [&](ConnId id) { EXPECT_TRUE(net().send(id, frame(wire('e')))); };
  const Socket s = accepted();
  peer(s).inbound = wire('h', 97);
  turns();
  EXPECT_THAT(handler.violations, ElementsAre(CloseReason::kFrameTooLarge));
  EXPECT_THAT(handler.closed, ElementsAre(CloseReason::kFrameTooLarge));
  EXPECT_EQ(ring.gone[s].sent, wire('e'));

  const Peered p = logged_in();
  peer(p.socket).inbound = wire('a', 196) + std::string(4, '\0');
  turns();
  EXPECT_EQ(handler.frames.size(), 1u);
  EXPECT_THAT(handler.violations, ElementsAre(CloseReason::kFrameTooLarge, CloseReason::kBadFrame));
  EXPECT_EQ(ring.gone[p.socket].sent, wire('e'));
}

TEST_F(NetTest, ReadingStopsAfterTheFirstFrame) {
  const Socket s = accepted();
  peer(s).inbound = wire('h');
  turns();
  EXPECT_EQ(ring.num_pending(s), 0u);
  peer(s).inbound = wire('a');
  turns();
  EXPECT_EQ(handler.frames.size(), 1u);
  net().logged_in(handler.ids[0]);
  turns();
  EXPECT_EQ(handler.frames.size(), 2u);
}

TEST_F(NetTest, BytesBehindTheFirstFrameAreAViolation) {
  for (size_t extra = 1; extra <= wire('b').size(); ++extra) {
    for (size_t cut : {size_t{0}, size_t{3}, wire('h').size() - 1}) {
      handler.frames.clear();
      handler.violations.clear();
      const Socket s = accepted();
      peer(s).inbound = wire('h').substr(0, cut);
      turns();
      peer(s).inbound = wire('h').substr(cut) + wire('b').substr(0, extra);
      turns();
      EXPECT_THAT(handler.frames, IsEmpty());
      EXPECT_THAT(handler.violations, ElementsAre(CloseReason::kBadFrame));
      EXPECT_EQ(ring.peers.count(s), 0u);
    }
  }
}

TEST_F(NetTest, TheHandlerMayActFromOnClosed) {
  const Peered p = logged_in();
  ring.peers[200] = {};
  ConnId adopted;
  handler.closed_hook = [&](ConnId id) {
    EXPECT_FALSE(net().send(id, frame(wire('a'))));
    net().close(id);
    adopted = net().adopt(200);
  };
  peer(p.socket).eof = true;
  turns();
  EXPECT_EQ(net().num_connections(), 1u);
  EXPECT_TRUE(net().send(adopted, frame(wire('a'))));
}

}  // namespace
}  // namespace perch::net
