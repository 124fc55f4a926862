// Ring is the seam to the kernel: one io_uring per reactor or store thread. ring_uring.cc alone
// includes liburing; tests/sim/ring_sim.cc is the simulator's.
//
// ON: one thread creates, submits to and waits on a ring; nobody else touches it. Another thread is
//     woken through *its own* ring's wake().
// OWNER: from a call to its completion the kernel owns the buffers named in it. Closing a socket does
//     not end that; only the completion does.
// ORDER: calls queue; nothing reaches the kernel before wait(). Completions come in any order.
// Virtual, not a template: the call is nothing beside what an operation costs the kernel (ARCHITECTURE.md).
//
// A `Socket` is an index into the ring's own table of direct descriptors, never a process descriptor,
// so RLIMIT_NOFILE bounds the table of each ring and not their sum.
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <span>

#include "core/result.h"
#include "core/types.h"

namespace perch {

using Socket = uint32_t;
inline constexpr Socket kNoSocket = UINT32_MAX;

// One finished operation. `user_data` is what the caller gave; `result` is >= 0 or -errno.
struct Completion {
  uint64_t user_data = 0;
  int32_t result = 0;
  // recv only, and only if result > 0: the received bytes, in a buffer of the ring's shared pool.
  // LIFETIME: until give_back(buffer).
  uint16_t buffer = 0;
  bool has_buffer = false;
  MutableBytes bytes;
};

// An address that accept() fills in. LIFETIME: until the accept completes.
struct PeerAddress {
  sockaddr_storage storage{};
  socklen_t length = sizeof(sockaddr_storage);
};

struct RingOptions {
  uint32_t submissions = 1024;   // SQ entries
  uint32_t completions = 16384;  // CQ entries
  uint32_t sockets = 16384;      // size of the direct-descriptor table; 0 for a store thread
  uint32_t buffers = 2048;       // receive buffers, a power of two; 0 for none
  uint32_t buffer_bytes = 2048;  // of each
  bool connects = false;         // may open connections; a server's rings only accept them
};

class Ring {
 public:
  virtual ~Ring() = default;

  // Accepts one connection from a listening process descriptor into the table, TCP_NODELAY and
  // keepalive inherited. Completes with the Socket. `peer` may be null.
  // REQUIRES: `listener` is not O_NONBLOCK, or every accept with nobody there completes with -EAGAIN.
  // ERRORS: -ENFILE: the table is full and the peer is dropped, so count slots before; or the system is out
  // of files and the peer waits. `*peer` is filled in the first case alone: the kernel opens the file, takes
  // the peer, says who it is and only then looks for a slot (do_accept in its net/socket.c, io_accept).
  // -EMFILE, -ECONNABORTED …: the caller decides when to try again.
  virtual void accept(int listener, PeerAddress* peer, uint64_t user_data) = 0;
  // Opens a TCP socket into the table and connects it, optionally bound to `local` (null: any).
  // Completes once: with the Socket, or with the error of the step that failed.
  virtual void connect(const sockaddr_storage& remote, const sockaddr_storage* local, uint64_t user_data) = 0;
  // One-shot: completes once the socket is readable, closed or in error. Costs the kernel an
  // io_kiocb while armed (256 B, Linux 6.18); an armed receive has an io_async_msghdr (512 B) and an
  // async_poll (96 B) besides. Never multishot: that stays armed at the end of the stream, and even when the
  // socket is closed.
  virtual void poll_readable(Socket socket, uint64_t user_data) = 0;
  // Receives without waiting into a buffer of the pool. result 0: end of stream. -EAGAIN: nothing there.
  // -ENOBUFS: the pool is empty; nothing was read.
  virtual void receive(Socket socket, uint64_t user_data) = 0;
  // A buffer that a completion brought. REQUIRES: once for each.
  virtual void give_back(uint16_t buffer) = 0;
  // Sends all parts in order (MSG_WAITALL, so short only at an error or in the simulator).
  // LIFETIME: `message` and all it points to, until the completion.
  virtual void send(Socket socket, const msghdr* message, uint64_t user_data) = 0;
  // Shuts both directions down; an armed poll completes because of it. No completion of its own.
  // Twice is once.
  virtual void shutdown(Socket socket) = 0;
  // Gives the slot back. REQUIRES: nothing in flight on the socket but a shutdown, which it waits for.
  virtual void close(Socket socket, uint64_t user_data) = 0;
  // Hands a socket to another ring's table. Completes here with the slot over there; here the slot is
  // still held and must be closed. -ENFILE: the target's table is full, nothing happened.
  // REQUIRES: nothing in flight on the socket.
  virtual void move(Socket socket, int target_ring, uint64_t user_data) = 0;
  // Makes `target_ring`'s wait() return, soon. No completion here; there a completion with
  // user_data == kWakeUserData. The only call that reaches another thread's ring. A kernel without memory
  // loses it, so who waits for one waits in pieces, and looks.
  virtual void wake(int target_ring) = 0;
  static constexpr uint64_t kWakeUserData = UINT64_MAX;
  // From here up user_data is the ring's own. REQUIRES of all calls: theirs is below.
  static constexpr uint64_t kReservedUserData = 0xffff'ffff'0000'0000;

  // Submits what is queued, waits at most `timeout_ns` (0: not at all) for at least one completion and
  // copies as many as are there and fit into `out`; the rest comes with the next call. Returns how many: 0
  // also after a signal, or if there was no memory to submit.
  virtual size_t wait(std::span<Completion> out, uint64_t timeout_ns) = 0;

  // What other rings name in move() and wake(). LIFETIME: as the ring.
  virtual int id() const = 0;
  virtual uint32_t num_buffers_free() const = 0;  // of the pool: with the kernel
  virtual uint64_t num_syscalls() const = 0;      // so far
};

// Makes the kernel's ring, restricted to the operations above (connect only if the options say so): the
// kernel refuses every other one with -EACCES, and the ring has tried that it does. REQUIRES: called on the
// thread that will use it.
// ERRORS: kUnsupported or kSystem; explain_ring_error() gives one line with kernel version or sysctl.
Result<std::unique_ptr<Ring>> make_uring(const RingOptions& options);
// What a ring's call that returned -errno means: kUnsupported if this kernel lacks something, else kSystem;
// detail is the errno.
Error ring_error(int negative_errno);
const char* explain_ring_error(const Error& error) noexcept;
// The same for a kernel of this release whose sysctl kernel.io_uring_disabled is `disabled`.
const char* explain_ring_error(const Error& error, const char* release, int disabled) noexcept;

// Tries every operation Perch uses once, on this thread. ERRORS: as make_uring.
Result<void> probe_uring();

}  // namespace perch
