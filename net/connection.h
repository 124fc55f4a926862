// Connection: the state of one byte stream. Plain data; net/state.h names who holds the transitions.
//
//                      ┌──────────── move failed ────────────┐
//                      v                                     │
//   free ─admit─> open ───── move(), nothing in flight ──> moving ── moved: slot over there ──> closed
//                  │ │                                                                            ^  │
//                  │ └─ close(), violation: frames queued ─> flushing                             │  │
//                  │                                           │ sent, 5 s over, error            │  │
//                  └─ end of stream, error, deadline ──────────┴──> closing ─ nothing in flight ──┘  │
//   free <──────────────────────────── the ring's close completed ──────────────────────────────────┘
//
//   open      reads and sends. `awaiting` (after the first frame, after a failed move): reads nothing.
//   flushing  sends what is queued; reads and discards, since unread bytes at close would be answered with a
//             reset, which can overtake the last frame.
//   closing   the socket is shut down, nothing more is armed.
//   closed    the ring's close is in flight; nothing else is.
//
// ON: the core of its Net. At most one read operation (poll or receive) and one send are in flight.
// A million of these lie idle on a machine, so the integers are small on purpose.
#pragma once
#include <cstdint>

#include "codec/framer.h"
#include "core/ring.h"
#include "core/timer_wheel.h"
#include "net/net.h"
#include "net/send_queue.h"

namespace perch::net {

enum class ConnectionState : uint8_t { kFree, kOpen, kMoving, kFlushing, kClosing, kClosed };
enum class ReadOperation : uint8_t { kNone, kPoll, kReceive };

// The Timer is the earliest deadline that may matter. It is not rearmed for every frame: the *_ms stamps say
// when something last happened, and a timer that fires too early looks at them and goes back into the wheel.
struct Connection : Timer {
  ConnectionState state = ConnectionState::kFree;
  ReadOperation read = ReadOperation::kNone;
  CloseReason reason = CloseReason::kPeer;
  bool logged_in : 1 = false;
  bool awaiting : 1 = false;       // reading stopped until logged_in(), move() or close()
  bool awaits_room : 1 = false;    // writable_or_wait() said no: on_writable() is owed
  bool violated : 1 = false;       // `reason` stands, the close follows
  bool move_pending : 1 = false;   // move() was called; kOpen until nothing is in flight
  bool close_pending : 1 = false;  // close() was called while kMoving
  bool moved : 1 = false;          // kClosed here, alive elsewhere: no on_closed
  bool frame_done : 1 = false;     // a frame ended in the chunk being fed
  bool surplus : 1 = false;        // bytes arrived where none may
  bool send_listed : 1 = false;    // on the list of connections with frames to send at the end of the turn

  codec::Framer framer;
  SendQueue queue;
  SendOperation* sending = nullptr;  // in flight; OWNER: the pool in Net
  uint64_t move_cookie = 0;

  uint32_t index = 0;       // own place in the table
  uint32_t generation = 0;  // 24 bits
  Socket socket = kNoSocket;
  // Low 32 bits of the clock's milliseconds; only differences count, and no limit is near 2^31.
  uint32_t heard_ms = 0;     // last bytes received; before login: the accept; while flushing: its begin
  uint32_t frame_ms = 0;     // first byte of the frame in progress
  uint32_t progress_ms = 0;  // last progress of the send in flight
  // A move that failed leaves its ring's number here although nobody has logged in: `awaiting` stays set then
  // until logged_in(), so nothing is received that would be added to it.
  union {
    uint32_t login_bytes = 0;  // before login, not awaiting: all bytes received
    uint32_t move_target;      // move_pending, kMoving
    uint32_t next_free;        // kFree
  };

  ConnId id() const { return {index, generation}; }
  bool in_flight() const { return read != ReadOperation::kNone || sending != nullptr; }
};
// What an idle connection costs in all, the session above included, is measured in
// perf/results/idle_memory.md and billed at start (chat/memory_bill.h).
static_assert(sizeof(Connection) <= 104);

}  // namespace perch::net
