// UserWrite: what goes on once a user's row is on the disk.
//
// OWNER: the user's home core; it travels as the context of a store op of kind kUser.
#pragma once
#include <memory>

#include "chat/login.h"

namespace perch::chat {

struct UserWrite {
  uint64_t number = 0;                  // counts the changes of this user's row: User::num_written
  std::unique_ptr<LoginRequest> login;  // that goes on then, or null
};

}  // namespace perch::chat
