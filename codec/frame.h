// Frames as bytes: verified once where they enter, stamped in place, then only moved or referenced.
// Every function here is pure and may run on any thread.
#pragma once
#include "core/result.h"
#include "core/types.h"
#include "perch_generated.h"  // generated at build from schema/perch.fbs

namespace perch::codec {

inline constexpr uint32_t kPrefixBytes = 4;  // little-endian length of what follows
inline constexpr uint32_t kFrameAlignment =
    8;  // of a frame in memory: FlatBuffers loads its fields as they lie
// Prefix, root offset, identifier, a table's offset to its vtable, an empty vtable. Less cannot be a frame.
inline constexpr uint32_t kFrameBytesMin = 20;
// The largest frame that a node can be configured to take, so the largest that a client may be sent, whatever
// the present WELCOME says that it may send itself: what waits for it may be older than that limit.
inline constexpr uint32_t kFrameBytesMost = 17 * 1024 * 1024;

// Limits of strings in bytes. They are part of the protocol, not of a node's configuration: everything else
// that varies in size is bounded by the frame (core/limits.h).
inline constexpr uint32_t kTokenBytesMax = 3584;  // leaves room for the rest of HELLO in hello_bytes_max
inline constexpr uint32_t kAgentBytesMax = 128;
inline constexpr uint32_t kHandleBytesMax = 64;
inline constexpr uint32_t kTextBytesMax = 512;  // Error.text, Goaway.reason

// Checks bytes from a peer: exact size-prefixed length, identifier, FlatBuffers verifier with depth 8 and 64
// tables, required fields, known union member, Route present with Message and Read and not overlapping the
// prefix, the vtable, another field or any object (so that stamping cannot rewrite a length), strings within
// limits. Returns the root. REQUIRES: kFrameAlignment divides the address of `frame`.
// LIFETIME: as `frame`. ERRORS: kInvalid (detail: 1 size, 2 identifier, 3 verifier,
// 4 semantics, 5 overlap), kUnsupported (unknown payload member; the envelope itself is fine).
Result<const wire::Frame*> verify(Bytes frame);

// What can be told of a frame whose payload verify() has refused.
struct Envelope {
  wire::Payload payload_type = wire::Payload::NONE;
  const wire::Route* route = nullptr;  // nullptr: it has none
};
// Reads the root table alone: which frame it is that cannot be read. REQUIRES: as verify().
// LIFETIME: as `frame`. ERRORS: kInvalid (detail: as verify()'s): not even that can be told.
Result<Envelope> envelope(Bytes frame);

// The root of bytes that verify() or an encoder of ours has passed.
const wire::Frame* trusted(Bytes frame);

struct Stamp {
  UserId from = 0;
  DeviceNo device = 0;
  Number number = 0;
  uint64_t time_ms = 0;
};
// Writes the server's fields into the Route. REQUIRES: verify(frame) passed, it has a Route.
void stamp(MutableBytes frame, const Stamp& stamp);

// Rewrites `closed` and `after` of a message or read kept in an outbox: they are not part of the message and
// may differ between two sendings of it. REQUIRES: trusted bytes with a Route.
void set_progress(MutableBytes frame, Seq closed, Number after);

}  // namespace perch::codec
