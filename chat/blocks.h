// BlockList: whom one user blocks, and whom it blocked before: of those too there may be messages that were
// for nobody. There is one for each user that ever blocked anybody, and none for the others.
//
// OWNER and ON: the user's home core, which loads it with the user.
#pragma once
#include <vector>

#include "core/types.h"
#include "net/net.h"

namespace perch::chat {

// Changes of one user's list on their way to the disk; a further one: ERROR(BUSY).
inline constexpr uint32_t kBlockWritesMax = 8;

struct Question;  // chat/question.h

struct BlockList {
  std::vector<UserId> now;     // in order of id
  std::vector<UserId> before;  // likewise
  uint32_t num_writes = 0;     // changes on their way to the disk

  size_t size() const { return now.size() + before.size(); }
  void set(UserId user, bool blocked);
};

// Who asked for a change: a session of the user, or the operator. The context of a store op of kind kBlock.
struct BlockAsk {
  net::ConnId conn;
  uint64_t request = 0;
  Question* question = nullptr;  // the operator's …
  CoreId asker = 0;              // … and whom to tell; else null
};

}  // namespace perch::chat
