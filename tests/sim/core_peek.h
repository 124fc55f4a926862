// CorePeek: what a core still holds in memory. At rest, when everything is confirmed and every row closed,
// that is nothing (DELIVERY.md S9).
#pragma once
#include <set>
#include <string>

#include "chat/core.h"

namespace perch::chat {

struct CorePeek {
  // What is left, by name and number; empty: at rest. Of users with a `restored` device flights and marks may
  // stay: rows that a client has forgotten are closed only once its seq has passed theirs.
  static std::string left(const Core& core, const std::set<UserId>& restored);
};

}  // namespace perch::chat
