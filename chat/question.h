// Question: what the operator wants to know of one user, asked of the user's home core by the main thread.
//
// OWNER: the main thread. It travels by pointer in a hop, and between that and the hop back only the core
//     touches it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/result.h"
#include "core/types.h"

namespace perch::chat {

// What waits in a mailbox. Ages are served time, as everything that expires.
struct Waits {
  uint64_t num = 0;
  uint64_t bytes = 0;
  uint64_t oldest_ms = 0;    // its age
  uint64_t num_written = 0;  // of them: on the disk
  uint64_t num_sent = 0;     // … and sent on the present session, not confirmed yet
};

struct DeviceState {
  DeviceNo number = 0;
  std::string name;
  bool is_online = false;
  bool has_gap = false;     // it overflowed, or what waited for it has expired, and it has not heard of that
  uint64_t unseen_ms = 0;   // served time since it was seen; a start knows it to a day
  uint64_t expires_ms = 0;  // of its session: wall clock
  uint64_t num_open_rows = 0;  // that it has sent and not closed
  Waits waits;
};

struct Question {
  UserId user = 0;

  // The answer. kNotFound: there is no such user; those of store::Reader.
  Result<void> found;
  std::string handle;
  Waits waits;  // each message once, however many devices it is for
  std::vector<DeviceState> devices;
};

}  // namespace perch::chat
