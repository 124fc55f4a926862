// Acceptor keeps a few accepts outstanding on each listening socket, never more than there is room for.
//
// At no room nothing is armed and peers wait in the backlog. When the system, the process or the ring's table
// is out of descriptors it rests until a connection has closed or kAcceptRestMs have passed.
// ON: one core.
#pragma once
#include <cstdint>
#include <deque>

#include "core/metrics.h"
#include "core/ring.h"

namespace perch::net {

// So many per listener and turn are accepted. One-shot, because each fills in its own address, and because a
// multishot accept cannot be stopped without a cancel.
inline constexpr uint32_t kAcceptsPerListener = 8;
inline constexpr uint64_t kAcceptRestMs = 100;

class Acceptor {
 public:
  Acceptor(Ring& ring, MetricsPage& metrics) : ring_(ring), metrics_(metrics) {}
  void add(int listener);  // OWNER: the descriptor stays the caller's
  void stop();             // what is outstanding completes some time and is closed at once
  // Arms accepts; `room`: connections the table can still take.
  void arm(uint32_t room, uint64_t now_ms);
  // An accept completed: `index` as in its Operation, `result` the socket or -errno. Returns the new
  // connection's socket, or kNoSocket.
  Socket completed(uint32_t index, int32_t result, uint64_t now_ms);
  // Who is behind the socket that completed() has returned. LIFETIME: until the next arm().
  const PeerAddress& peer_of(uint32_t index) const { return accepts_[index].peer; }
  void connection_closed() { rest_until_ms_ = 0; }
  uint64_t ms_to_next(uint64_t now_ms) const;  // until arm() is of use again; UINT64_MAX: not resting

 private:
  struct Accept {
    int listener;
    bool in_flight = false;
    bool active = true;  // false: never armed again
    PeerAddress peer;    // the kernel's while in flight
  };
  Ring& ring_;
  MetricsPage& metrics_;
  std::deque<Accept> accepts_;  // addresses stay
  uint32_t num_in_flight_ = 0;
  uint32_t next_listener_ = 0;
  uint64_t rest_until_ms_ = 0;  // 0: not resting
};

}  // namespace perch::net
