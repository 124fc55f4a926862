// What others made of a message: fold() applies what was said about it (PROTOCOL.md, 10.1), in whatever order
// that came.
#pragma once
#include <compare>
#include <string>
#include <vector>

#include "client/item.h"
#include "client/message.h"

namespace perch::client {

// Where something stands in the order of a conversation.
struct Place {
  bool open = false;   // own rows without a result are behind all others
  Number number = 0;   // not open
  uint64_t local = 0;  // open: the row. Else decides between equal numbers, which no server gives
  auto operator<=>(const Place&) const = default;
};

// An item about a message of the same conversation. REQUIRES: kEdit or kReaction: a deletion leaves nothing
// to apply anything to.
struct Remark {
  ItemKind kind = ItemKind::kEdit;
  UserId by = 0;
  Place place;
  std::string text;
};

// The line, whose id, `shown` and `text` say what its author made of it, becomes what it is by now.
void fold(HistoryLine& line, const std::vector<Remark>& remarks);

}  // namespace perch::client
