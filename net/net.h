// Net: the connections of one core as byte streams cut into frames. Knows nothing of chat.
//
// ON: one reactor. Handler calls come from turn(), never from inside send(), close() or move().
// STATES of a connection: drawn in net/connection.h.
//   Close is a state: shutdown makes the armed poll complete; the slot goes back once the last completion is
//   in. No cancel anywhere: the kernel looks for what to cancel in at most 256 lists of all that is armed
//   (io_ring_ctx_alloc in its io_uring.c), and everybody may leave at once. ConnId carries a generation, so a
//   stale one fails to resolve, quietly.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/clock.h"
#include "core/frame.h"
#include "core/limits.h"
#include "core/metrics.h"
#include "core/ring.h"
#include "core/timer_wheel.h"
#include "core/types.h"

namespace perch::net {

// Names a connection of one core. Its generation has 24 bits, so a stale one fails to resolve until its place
// has been taken 2^24 times more.
struct ConnId {
  uint32_t index = UINT32_MAX;
  uint32_t generation = 0;
  bool valid() const { return index != UINT32_MAX; }
  friend auto operator<=>(const ConnId&, const ConnId&) = default;
};

enum class CloseReason : uint8_t {
  kPeer,           // end of stream or reset
  kSystem,         // no kernel memory for an operation on it
  kBadFrame,       // a declared length that no frame has, or bytes where none may follow
  kFrameTooLarge,  // a declared length over the limit
  kLoginTimeout,
  kFrameTimeout,
  kSilence,
  kSendStall,
  kLocal,  // close() was called
};

std::string_view name_of(CloseReason reason);  // as perch_connections_closed_total says it

class Handler {
 public:
  virtual ~Handler() = default;
  // One whole frame, unverified, prefix included. May be written to. LIFETIME: the call.
  virtual void on_frame(ConnId id, MutableBytes frame) = 0;
  // The peer broke a rule of the byte stream or let a deadline pass, but kSendStall: behind a send that makes
  // no progress nothing can be told. The handler may send() an ERROR frame, then the connection closes.
  virtual void on_violation(ConnId id, CloseReason reason) = 0;
  // Told once per connection that was accepted or adopted, except after a successful move.
  virtual void on_closed(ConnId id, CloseReason reason) = 0;
  // There is room again for what writable_or_wait() refused.
  virtual void on_writable(ConnId id) = 0;
  // move() ended. ok: `slot` is the socket's place in the target ring's table; the ConnId here is gone.
  // Not ok: the connection is still here, silent; the handler answers it and closes it.
  virtual void on_moved(ConnId id, bool ok, Socket slot, uint64_t cookie) = 0;
};

class Net {
 public:
  // LIFETIME: all but `limits`, which it copies, outlive it; the Handler is called by complete() and tick()
  // only.
  Net(Ring& ring, Clock& clock, MetricsPage& metrics, const Limits& limits, Handler& handler);
  ~Net();  // REQUIRES: the ring completes nothing more for it
  Net(const Net&) = delete;
  Net& operator=(const Net&) = delete;

  // Starts accepting. OWNER: the descriptor stays the caller's; LIFETIME: it stays open as long as the ring
  // runs.
  void listen(int listening_socket);
  void stop_listening();  // no further accept is armed; what is accepted all the same is closed at once
  // Takes a connection that another core moved here, in the state in which its first frame left it: nothing
  // is read until logged_in(). Not valid: the table is full, and the socket is closed again.
  ConnId adopt(Socket slot);
  // Marks the connection logged in: frame limit frame_bytes_max, silence limit instead of login deadline;
  // reading goes on. Stale, or closing: nothing.
  void logged_in(ConnId id);
  // Queues a frame. False: stale id, closing, or send queue at its limit (send_queue_frames_max).
  bool send(ConnId id, FrameRef frame);
  // Sends what is queued, then closes; discards what arrives. Stale: nothing. While a move is under way it
  // counts only if the move fails.
  void close(ConnId id);
  // Hands the connection to another ring once it has nothing in flight and nothing queued; on_moved
  // follows, or on_closed if the connection ends first. No frame is handed to the handler in between; bytes
  // received before are a violation.
  void move(ConnId id, int target_ring, uint64_t cookie);
  // Who connected, for a log; empty: it has logged in, or came from another core.
  std::string peer_text(ConnId id) const;
  // True while frames can be queued without reaching half of the limit.
  bool writable(ConnId id) const;
  // The same for who has a frame to queue: if there is no room for it, that is counted, and on_writable()
  // follows.
  bool writable_or_wait(ConnId id);

  // One completion of this ring that belongs to net (user_data made by net). Called by the reactor.
  void complete(const Completion& completion);
  // Fires deadlines, then starts the sends of the turn. Called by the reactor after all completions and hops
  // of the turn, last before Ring::wait; ms_to_next() is 0 while a frame is queued that none has seen.
  void tick(uint64_t now_ms);
  // Starts the sends alone: for a turn in which deadlines must not pass yet.
  void send_queued();
  uint64_t ms_to_next(uint64_t now_ms) const;  // until tick() has something to do; UINT64_MAX: nothing
  size_t num_connections() const;              // those that close or move included

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace perch::net
