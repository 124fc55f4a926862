// The memory a node will use by its configuration, told at its start: every limit has a price.
//
// ON: anywhere; arithmetic only.
// WHAT: user space and, apart, the kernel's share that io_uring causes. Not in it: sockets (about 3.8 KB of
//     kernel memory each), code, the allocator's slack, and what waits in mailboxes, which is told by the
//     message.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "chat/config.h"
#include "core/ring.h"

namespace perch::chat {

struct BillLine {
  std::string what;
  bool kernel = false;          // not in the RSS of the process
  bool address_space = false;   // pages of files: the kernel takes them back when it needs room
  uint64_t now = 0;             // once started
  uint64_t grows_to = 0;        // with every limit reached
  uint64_t per_connection = 0;  // of one that is logged in and idle; its user has no other device
};

std::vector<BillLine> memory_bill(const Config& config, const RingOptions& reactor, const RingOptions& store);
uint64_t waiting_message_bytes();  // of one in a mailbox, its index in memory
// A table of a line each and the sum of the user space.
std::string bill_text(const std::vector<BillLine>& lines, uint16_t num_reactors);

// What the allocator takes for `size` bytes: jemalloc has four sizes from one power of two to the next.
uint64_t heap_bytes(uint64_t size);

}  // namespace perch::chat
