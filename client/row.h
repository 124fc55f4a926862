// A row of the outbox as its owner sees it: what was sent from this profile, and how far it got.
#pragma once
#include "core/types.h"

// The client library.
namespace perch::client {

using RowId = uint64_t;  // local name of an outbox row, from 1, in order of composition; never on the wire

// What is known about a message, as the two ticks of the user interface show it. Only grows, except that a
// rejection beats every mark, and that a delivery told by a result beats kExpired.
enum class Mark : uint8_t {
  kQueued = 0,     // in the outbox only
  kAccepted = 1,   // ✓  the server has it on disk
  kDelivered = 2,  // ✓✓ a device of the recipient has it on disk
  kRead = 3,       // ✓✓ and its user said so
  kRejected = 4,   // will not be delivered; `reason` says why
  kExpired = 5,    // nobody fetched it in time
};

// Why a message will not be delivered. A later server may know reasons that are not among these.
enum class RejectReason : uint8_t {
  kNotFound = 1,     // nobody has that id or handle
  kTooLarge = 2,     // for this server
  kMailboxFull = 3,  // of every device of the recipient
  kNotMember = 4,    // of that group
};

// What a row carries.
enum class RowKind : uint8_t {
  kMessage = 0,  // of its user
  kRead = 1,     // a read mark
};

// "Read up to": which messages of a peer's device a read row covers.
struct ReadMark {
  DeviceNo device = 0;  // of the peer
  Origin origin = 0;    // of that device
  Seq up_to = 0;        // and all below
};

// How far a row has got.
struct RowStatus {
  RowId row = 0;                     // its local name
  RowKind kind = RowKind::kMessage;  // what it carries
  UserId to = 0;                     // 0 while the handle is unresolved
  Origin origin = 0;                 // with seq, and this device, its id; 0 while it has none
  Seq seq = 0;                       // 0 while the row has no id
  bool open = true;                  // no result yet
  Mark mark = Mark::kQueued;         // its ticks
  uint8_t reason = 0;                // a RejectReason with kRejected
  bool read = false;                 // its reader said "read up to" it or further; shown once it is delivered
  Number number = 0;                 // its place in the conversation; 0 before the result
  uint64_t time_ms = 0;              // composed; after the result the server's
};

}  // namespace perch::client
