// UserWrite: what goes on once a user's row is on the disk.
//
// OWNER: the user's home core; it travels as the context of a store op of kind kUser.
#pragma once
#include <memory>
#include <vector>

#include "chat/login.h"
#include "store/store.h"

namespace perch::chat {

struct UserWrite {
  uint64_t number = 0;                  // counts the writes of this user's row: User::num_written
  std::unique_ptr<LoginRequest> login;  // to be welcomed then, or null
  std::vector<std::unique_ptr<store::StoreOp>> after;
};

}  // namespace perch::chat
