// NetTest: Net on a ring in memory whose every completion the test decides: short receives and sends, ends of
// stream, empty pools, full tables.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/frame.h"
#include "core/limits.h"
#include "net/net.h"
#include "tests/unit/fake_clock.h"

namespace perch::net {

inline constexpr int kListener = 77;
inline constexpr int kOtherRing = 3;

// Operations wait in `pending` until wait() finds that they can complete.
class FakeRing : public Ring {
 public:
  struct Peer {
    std::string inbound;  // what the peer sent and nobody has received
    std::string sent;     // what the peer got
    bool eof = false;
    bool shut = false;
    bool stalled = false;  // takes nothing
    char failing = 0;      // the kind of operation that completes with -failure
    int failure = 0;
  };
  std::map<Socket, Peer> peers;  // open sockets
  std::map<Socket, Peer> gone;   // closed ones, as they were
  int num_waiting = 0;           // peers in the backlog
  std::deque<int> accept_errors;
  std::function<void(int listener, PeerAddress* peer, uint64_t user_data)> on_accept;  // set: several listen
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
    EXPECT_NE(peer, nullptr);
    if (on_accept)
      on_accept(listener, peer, ud);
    else
      EXPECT_EQ(listener, kListener);
    pending_.push_back({'a', kNoSocket, ud, nullptr, peer});
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
    PeerAddress* peer = nullptr;
  };
  void add(char kind, Socket s, uint64_t ud, const msghdr* message = nullptr) {
    EXPECT_TRUE(peers.count(s)) << "operation on a closed socket";
    EXPECT_LT(ud, kWakeUserData);
    pending_.push_back({kind, s, ud, message, nullptr});
  }
  size_t count(char kind, Socket s) const {
    size_t n = 0;
    for (const Pending& p : pending_) n += p.socket == s && (kind == 0 || p.kind == kind);
    return n;
  }
  bool try_complete(const Pending& p, Completion& out) {
    out = {};
    if (const auto peer = peers.find(p.socket); peer != peers.end() && peer->second.failing == p.kind) {
      out.result = -peer->second.failure;
      return true;
    }
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
        p.peer->storage.ss_family = AF_INET;
        reinterpret_cast<sockaddr_in&>(p.peer->storage).sin_port = htons(static_cast<uint16_t>(next_socket_));
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

inline std::string text(MutableBytes bytes) { return {bytes.begin(), bytes.end()}; }

// A frame with `payload` of at least 64 bytes behind the prefix, its letters telling it from others.
inline std::string wire(char letter, size_t payload = 64) {
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
  std::function<void(ConnId)> writable_hook = [](ConnId) {};
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
  void on_writable(ConnId id) override { writable_hook(id); }
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
  MetricsPage metrics{MetricScope::kReactor};
  Limits limits;
  Recorder handler;
  std::unique_ptr<Net> net_;

  Net& net() {
    if (net_ == nullptr) net_ = std::make_unique<Net>(ring, clock, metrics, limits, handler);
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

}  // namespace perch::net
