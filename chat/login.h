// LoginRequest: a verified HELLO on its way from the core that accepted it to the user's home core.
// OWNER: one holder at a time; it travels by pointer in a hop or as the context of a store op.
#pragma once
#include <string>

#include "core/types.h"
#include "net/net.h"

namespace perch::chat {

struct LoginRequest {
  net::ConnId conn;
  UserId user = 0;
  std::string handle;  // what the token says, or empty; from send_home() on, what the registry says
  std::string device;
  Origin origin = 0;
  Origin previous_origin = 0;
  uint64_t attempt = 0;
  uint64_t expires_ms = 0;
  uint64_t issued_ms = 0;
  DeviceNo number = 0;             // 0: it has no device yet
  bool continuity_broken = false;  // to be told
};

}  // namespace perch::chat
