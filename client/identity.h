// Who a profile belongs to.
#pragma once
#include <string>

#include "core/types.h"

namespace perch::client {

// Who a profile belongs to, and where its device stands in the protocol.
struct Identity {
  UserId user = 0;             // 0 until the first WELCOME
  DeviceNo device = 0;         // 0 until then
  Origin origin = 0;           // of this opening
  Origin previous_origin = 0;  // of the last earlier opening that the server welcomed; 0 if none
  uint64_t incarnation = 0;    // of the last WELCOME
  Number after = 0;            // largest number any result ever told
  Seq next_seq = 1;            // of the row that gets an id next
  std::string handle;          // of the user; empty: none
};

// What WELCOME said.
struct LoginInfo {
  UserId user = 0;                  // who this is
  DeviceNo device = 0;              // which of the user's devices
  std::string handle;               // empty: none
  uint64_t boot = 0;                // of the server, for logs
  uint64_t session = 0;             // of that boot, for logs
  uint64_t session_expires_ms = 0;  // by the server's wall clock; set_token() before
  bool continuity_broken = false;   // the server last knew another opening: this history may have a gap
  bool overflowed = false;          // messages for this device were dropped since its last login
  bool new_incarnation = false;     // the server was restored from a backup
  size_t num_reopened = 0;          // rows that go out again because of it
};

}  // namespace perch::client
