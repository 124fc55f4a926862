// Probes: every USDT probe of a server and what it carries. Each is one no-op instruction until somebody
// attaches bpftrace or perf (perf/README.md).
//
// ON: the thread that does what the probe says. `core` is that reactor's number.
// tests/probes.py compares this list with what is in the built perchd.
#pragma once
#include <sys/sdt.h>

#include <cstddef>
#include <cstdint>

#include "core/types.h"

namespace perch::probe {

// ---- net: a whole frame was received.
inline void frame_in(CoreId core, uint32_t connection, size_t bytes) {
  DTRACE_PROBE3(perch, frame_in, core, connection, bytes);
}

// ---- core: an item goes from one thread to another, or to itself; `kind` as in chat/hops.h.
inline void hop_posted(CoreId core, CoreId target, uint16_t kind) {
  DTRACE_PROBE3(perch, hop_posted, core, target, kind);
}

// ---- chat: sessions.
inline void session_begin(CoreId core, UserId user, DeviceNo device, uint64_t session) {
  DTRACE_PROBE4(perch, session_begin, core, user, device, session);
}
inline void session_end(CoreId core, UserId user, DeviceNo device, uint64_t session) {
  DTRACE_PROBE4(perch, session_end, core, user, device, session);
}

// ---- chat: a message, which its number names everywhere. `user`: whose core it is.
// The sender's core has stamped it.
inline void message_taken(CoreId core, UserId user, Number number, size_t bytes) {
  DTRACE_PROBE4(perch, message_taken, core, user, number, bytes);
}
// Sent to all devices of a user from memory.
inline void delivered_live(CoreId core, UserId user, Number number) {
  DTRACE_PROBE3(perch, delivered_live, core, user, number);
}
// A device is away, slow or gone: the user's core asks for a record.
inline void need_store(CoreId core, UserId user, Number number) {
  DTRACE_PROBE3(perch, need_store, core, user, number);
}
// Read from the disk and sent to a device.
inline void handed_over(CoreId core, UserId user, Number number, size_t bytes) {
  DTRACE_PROBE4(perch, handed_over, core, user, number, bytes);
}
// The sender is told; `outcome` as in chat/flight.h: 1 accepted, 2 delivered, 3 rejected.
inline void result_given(CoreId core, UserId user, Number number, unsigned outcome) {
  DTRACE_PROBE4(perch, result_given, core, user, number, outcome);
}

// ---- the store thread: a group commit.
inline void commit_begin(size_t num_operations) { DTRACE_PROBE1(perch, commit_begin, num_operations); }
inline void commit_end(size_t num_operations, uint64_t ns) {
  DTRACE_PROBE2(perch, commit_end, num_operations, ns);
}

}  // namespace perch::probe
