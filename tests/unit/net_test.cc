// Net against a ring in memory whose every completion the test decides: short receives and sends, ends of
// stream, empty pools, full tables.
#include "net/net.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/frame.h"
#include "core/limits.h"
#include "net/connection_table.h"
#include "net/listen.h"
#include "net/operation.h"
#include "net/send_queue.h"

namespace perch::net {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int kListener = 77;
constexpr int kOtherRing = 3;

struct FakeClock : Clock {
  uint64_t ms = 1'000'000;
  uint64_t mono_ns() override { return ms * 1'000'000; }
  uint64_t wall_ms() override { return ms; }
};

// Operations wait in `pending` until wait() finds that they can complete.
class FakeRing : public Ring {
 public:
  struct Peer {
    std::string inbound;  // what the peer sent and nobody has received
    std::string sent;     // what the peer got
    bool eof = false;
    bool shut = false;
    bool stalled = false;  // takes nothing
  };
  std::map<Socket, Peer> peers;  // open sockets
  std::map<Socket, Peer> gone;   // closed ones, as they were
  int num_waiting = 0;           // peers in the backlog
  std::deque<int> accept_errors;
  size_t receive_bytes_max = 2048;
  size_t send_bytes_max = SIZE_MAX;
  int num_buffers = 4;
  int move_result = 41;
  bool moves_wait = false;
  int num_sends = 0, num_receives = 0, num_shutdowns = 0, num_moves = 0;
  std::vector<size_t> parts_of_sends;

  size_t num_pending_accepts() const { return count('a', kNoSocket); }
  bool poll_armed(Socket s) const { return count('p', s) != 0; }
  size_t num_buffers_out() const { return buffers_.size(); }

  void accept(int listener, PeerAddress* peer, uint64_t ud) override {
    EXPECT_EQ(listener, kListener);
    EXPECT_NE(peer, nullptr);
    pending_.push_back({'a', kNoSocket, ud, nullptr});
  }
  void connect(const sockaddr_storage&, const sockaddr_storage*, uint64_t) override { FAIL(); }
  void poll_readable(Socket s, uint64_t ud) override { add('p', s, ud); }
  void receive(Socket s, uint64_t ud) override {
    ++num_receives;
    add('r', s, ud);
  }
  void give_back(uint16_t buffer) override { EXPECT_EQ(buffers_.erase(buffer), 1u); }
  void send(Socket s, const msghdr* message, uint64_t ud) override {
    EXPECT_EQ(count('s', s), 0u) << "two sends in flight";
    ++num_sends;
    parts_of_sends.push_back(message->msg_iovlen);
    add('s', s, ud, message);
  }
  void shutdown(Socket s) override {
    ++num_shutdowns;
    peers.at(s).shut = true;
  }
  void close(Socket s, uint64_t ud) override {
    EXPECT_EQ(count(0, s), 0u) << "closed with an operation in flight";
    add('c', s, ud);
  }
  void move(Socket s, int target, uint64_t ud) override {
    EXPECT_EQ(target, kOtherRing);
    EXPECT_EQ(count(0, s), 0u) << "moved with an operation in flight";
    ++num_moves;
    add('m', s, ud);
  }
  void wake(int) override {}
  size_t wait(std::span<Completion> out, uint64_t) override {
    size_t n = 0;
    std::vector<Pending> rest;
    std::vector<Pending> now;
    now.swap(pending_);
    for (const Pending& p : now) {
      if (n < out.size() && try_complete(p, out[n])) {
        out[n++].user_data = p.user_data;
      } else {
        rest.push_back(p);
      }
    }
    pending_ = rest;
    return n;
  }
  int id() const override { return 0; }
  uint32_t num_buffers_free() const override { return static_cast<uint32_t>(num_buffers - buffers_.size()); }
  uint64_t num_syscalls() const override { return 0; }
  size_t num_pending(Socket s) const { return count(0, s); }

 private:
  struct Pending {
    char kind;
    Socket socket;
    uint64_t user_data;
    const msghdr* message;
  };
  void add(char kind, Socket s, uint64_t ud, const msghdr* message = nullptr) {
    EXPECT_TRUE(peers.count(s)) << "operation on a closed socket";
    EXPECT_LT(ud, kWakeUserData);
    pending_.push_back({kind, s, ud, message});
  }
  size_t count(char kind, Socket s) const {
    size_t n = 0;
    for (const Pending& p : pending_) n += p.socket == s && (kind == 0 || p.kind == kind);
    return n;
  }
  bool try_complete(const Pending& p, Completion& out) {
    out = {};
    switch (p.kind) {
      case 'a':
        if (!accept_errors.empty()) {
          out.result = -accept_errors.front();
          accept_errors.pop_front();
          return true;
        }
        if (num_waiting == 0) return false;
        --num_waiting;
        peers[next_socket_] = {};
        out.result = static_cast<int>(next_socket_++);
        return true;
      case 'p': {
        const Peer& peer = peers.at(p.socket);
        out.result = 1;
        return !peer.inbound.empty() || peer.eof || peer.shut;
      }
      case 'r': {
        Peer& peer = peers.at(p.socket);
        if (peer.inbound.empty()) {
          out.result = peer.eof || peer.shut ? 0 : -EAGAIN;
          return true;
        }
        if (num_buffers_free() == 0 || num_buffers <= 0) {
          out.result = -ENOBUFS;
          return true;
        }
        const size_t bytes = std::min(receive_bytes_max, peer.inbound.size());
        out.buffer = next_buffer_++;
        // Exactly as large as what was received, so that a sanitizer sees every byte too many.
        auto& buffer = buffers_[out.buffer];
        buffer.assign(peer.inbound.begin(), peer.inbound.begin() + static_cast<ptrdiff_t>(bytes));
        peer.inbound.erase(0, bytes);
        out.has_buffer = true;
        out.bytes = {buffer.data(), bytes};
        out.result = static_cast<int>(bytes);
        return true;
      }
      case 's': {
        Peer& peer = peers.at(p.socket);
        if (peer.shut) {
          out.result = -EPIPE;
          return true;
        }
        if (peer.stalled) return false;
        size_t room = send_bytes_max;
        size_t taken = 0;
        for (size_t i = 0; i < p.message->msg_iovlen && room > 0; ++i) {
          const iovec& part = p.message->msg_iov[i];
          const size_t bytes = std::min(room, part.iov_len);
          peer.sent.append(static_cast<const char*>(part.iov_base), bytes);
          taken += bytes;
          room -= bytes;
        }
        out.result = static_cast<int>(taken);
        return true;
      }
      case 'c':
        gone[p.socket] = peers.at(p.socket);
        peers.erase(p.socket);
        return true;
      case 'm':
        out.result = move_result;
        return !moves_wait;
    }
    return false;
  }
  std::vector<Pending> pending_;
  std::map<uint16_t, std::vector<uint8_t>> buffers_;
  uint16_t next_buffer_ = 0;
  Socket next_socket_ = 10;
};

std::string text(MutableBytes bytes) { return {bytes.begin(), bytes.end()}; }

// A frame with `payload` of at least 64 bytes behind the prefix, its letters telling it from others.
std::string wire(char letter, size_t payload = 64) {
  const auto size = static_cast<uint32_t>(payload);
  std::string frame(4, '\0');
  std::memcpy(frame.data(), &size, 4);
  return frame + std::string(payload, letter);
}

struct Recorder : Handler {
  std::vector<std::string> frames;
  std::vector<ConnId> ids;
  std::vector<CloseReason> violations;
  std::vector<CloseReason> closed;
  struct Moved {
    ConnId id;
    bool ok;
    Socket slot;
    uint64_t cookie;
  };
  std::vector<Moved> moves;
  std::function<void(ConnId)> frame_hook = [](ConnId) {};
  std::function<void(ConnId)> violation_hook = [](ConnId) {};
  std::function<void(ConnId)> closed_hook = [](ConnId) {};
  std::function<void(ConnId)> moved_hook = [](ConnId) {};

  void on_frame(ConnId id, MutableBytes frame) override {
    frames.push_back(text(frame));
    ids.push_back(id);
    frame_hook(id);
  }
  void on_violation(ConnId id, CloseReason reason) override {
    violations.push_back(reason);
    violation_hook(id);
  }
  void on_closed(ConnId id, CloseReason reason) override {
    closed.push_back(reason);
    closed_hook(id);
  }
  void on_moved(ConnId id, bool ok, Socket slot, uint64_t cookie) override {
    moves.push_back({id, ok, slot, cookie});
    moved_hook(id);
  }
};

class NetTest : public ::testing::Test {
 protected:
  FakeRing ring;
  FakeClock clock;
  FramePool pool{0};
  Limits limits;
  Recorder handler;
  std::unique_ptr<Net> net_;

  Net& net() {
    if (net_ == nullptr) net_ = std::make_unique<Net>(ring, clock, pool, limits, handler);
    return *net_;
  }
  size_t turn() {
    Completion out[64];
    const size_t n = ring.wait(out, 0);
    for (size_t i = 0; i < n; ++i) net().complete(out[i]);
    net().tick(clock.ms);
    return n;
  }
  void turns() {
    // A turn without completions may still have fired a deadline; after two there is nothing more to come.
    for (int quiet = 0, i = 0; i < 10'000; ++i) {
      quiet = turn() == 0 && net().ms_to_next(clock.ms) != 0 ? quiet + 1 : 0;
      if (quiet == 2) return;
    }
    FAIL() << "never quiet";
  }
  void pass(uint64_t ms) {
    clock.ms += ms;
    turns();
  }
  // A connection whose first frame was taken and which is logged in.
  struct Peered {
    ConnId id;
    Socket socket;
  };
  Peered logged_in() {
    const Socket s = accepted();
    ring.peers[s].inbound = wire('h');
    turns();
    const ConnId id = handler.ids.back();
    net().logged_in(id);
    handler.frames.clear();
    turns();
    EXPECT_TRUE(ring.poll_armed(s));
    return {id, s};
  }
  Socket accepted() {
    if (ring.num_pending_accepts() == 0) net().listen(kListener);
    ++ring.num_waiting;
    turns();
    return ring.peers.rbegin()->first;
  }
  FrameRef frame(const std::string& bytes) {
    return pool.make({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  }
  FakeRing::Peer& peer(Socket s) { return ring.peers.at(s); }
};

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
  net().pause_reading(old.id);
  net().logged_in(old.id);
  peer(p.socket).inbound = wire('a');
  turns();
  EXPECT_THAT(handler.frames, ElementsAre(wire('a')));
  EXPECT_FALSE(net().send(ConnId{}, frame(wire('a'))));
}

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

TEST_F(NetTest, PausedReadingIsNotSilence) {
  const Peered p = logged_in();
  net().pause_reading(p.id);
  peer(p.socket).inbound = wire('a');
  pass(200'000);
  EXPECT_THAT(handler.frames, IsEmpty());
  EXPECT_THAT(handler.closed, IsEmpty());
  net().resume_reading(p.id);
  turns();
  EXPECT_THAT(handler.frames, ElementsAre(wire('a')));
  pass(75'000);
  EXPECT_THAT(handler.closed, ElementsAre(CloseReason::kSilence));
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

TEST_F(NetTest, LengthsOutOfBoundsAreViolations) {
  limits.hello_bytes_max = 100;
  limits.frame_bytes_max = 200;
  handler.violation_hook = [&](ConnId id) { EXPECT_TRUE(net().send(id, frame(wire('e')))); };
  const Socket s = accepted();
  peer(s).inbound = wire('h', 97);
  turns();
  EXPECT_THAT(handler.violations, ElementsAre(CloseReason::kBadFrame));
  EXPECT_THAT(handler.closed, ElementsAre(CloseReason::kBadFrame));
  EXPECT_EQ(ring.gone[s].sent, wire('e'));

  const Peered p = logged_in();
  peer(p.socket).inbound = wire('a', 196) + std::string(4, '\0');
  turns();
  EXPECT_EQ(handler.frames.size(), 1u);
  EXPECT_EQ(handler.violations.size(), 2u);
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

TEST(OperationTest, RoundTripAndNeverTheRingsOwn) {
  const Operation most{OperationKind::kMove, kGenerationMask, kNobody};
  EXPECT_LT(most.user_data(), Ring::kWakeUserData);
  const Operation back = Operation::from(Operation{OperationKind::kSend, 0xabcdef, 0x12345678}.user_data());
  EXPECT_EQ(back.kind, OperationKind::kSend);
  EXPECT_EQ(back.generation, 0xabcdefu);
  EXPECT_EQ(back.index, 0x12345678u);
}

TEST(ConnectionTableTest, GenerationsWrap) {
  ConnectionTable table(1);
  Connection* c = table.take();
  ASSERT_NE(c, nullptr);
  EXPECT_EQ(table.take(), nullptr);
  c->generation = kGenerationMask;
  const ConnId last = c->id();
  c->state = ConnectionState::kClosed;
  table.give_back(*c);
  EXPECT_EQ(table.find(last), nullptr);
  c = table.take();
  c->state = ConnectionState::kOpen;
  EXPECT_EQ(c->id(), (ConnId{0, 0}));
  EXPECT_EQ(table.find(last), nullptr);
  EXPECT_EQ(table.find(c->id()), c);
}

TEST(ListenTest, OpensBothFamiliesAndSharesAPort) {
  const Result<int> first = open_listener("127.0.0.1:0", true);
  ASSERT_TRUE(first.ok());
  const Result<uint16_t> port = local_port(first.value());
  ASSERT_TRUE(port.ok());
  EXPECT_NE(port.value(), 0);
  const Result<int> second = open_listener("127.0.0.1:" + std::to_string(port.value()), true);
  EXPECT_TRUE(second.ok());
  const Result<int> third = open_listener("127.0.0.1:" + std::to_string(port.value()), false);
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error(), (Error{Errc::kSystem, EADDRINUSE}));
  const Result<int> v6 = open_listener("[::1]:0", false);
  if (v6.ok()) {  // a kernel may have no IPv6
    EXPECT_TRUE(local_port(v6.value()).ok());
    ::close(v6.value());
  }
  ::close(first.value());
  ::close(second.value());
  EXPECT_EQ(local_port(-1).error(), (Error{Errc::kSystem, EBADF}));
}

TEST(ListenTest, RefusesWhatIsNoAddress) {
  for (const char* address : {"", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000",
                              "localhost:1", "::1:5", "[::1:5", "[127.0.0.1]:5", "1.2.3.4:5 "}) {
    const Result<int> result = open_listener(address, false);
    ASSERT_FALSE(result.ok()) << address;
    EXPECT_EQ(result.error().code, Errc::kInvalid) << address;
  }
}

}  // namespace
}  // namespace perch::net
