// The words of ARCHITECTURE.md and DELIVERY.md as types. Plain data, no behaviour, used by every folder.
#pragma once
#include <cstdint>
#include <span>

// Perch.
namespace perch {

using Bytes = std::span<const uint8_t>;   // borrowed; LIFETIME: the call that got it
using MutableBytes = std::span<uint8_t>;  // the same, to be written to

using CoreId = uint16_t;      // index of an endpoint of the mesh: reactors first, then the store thread
using UserId = uint64_t;      // 1 … 2^63-1; 0 is nobody
using DeviceNo = uint16_t;    // per user, from 1, never reused; 0 is no device
using Origin = uint64_t;      // random, drawn each time a client opens its database
using Seq = uint64_t;         // outbox order of one device, from 1, gaps allowed
using Number = uint64_t;      // counter * 2^10 + core: order of a conversation (DELIVERY.md H13)
using JournalPos = uint64_t;  // key of a record in the node's journal; 0 is none

// Identifies a message for ever, on every device and on disk.
struct MessageId {
  UserId user = 0;      // who sent it
  DeviceNo device = 0;  // … from which device
  Origin origin = 0;    // … from which opening of its database
  Seq seq = 0;          // … as which row of its outbox
  // By user, device, origin and seq.
  friend auto operator<=>(const MessageId&, const MessageId&) = default;
};

}  // namespace perch
