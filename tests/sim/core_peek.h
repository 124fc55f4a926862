// CorePeek: what a core still holds in memory. At rest, when everything is confirmed and every row closed,
// that is nothing (S9 of the delivery rules).
#pragma once
#include <string>

#include "chat/core.h"

namespace perch::chat {

struct CorePeek {
  // What is left, by name and number; empty: at rest. With `restored` clients flights and marks may stay:
  // rows that a client has forgotten are closed only once its seq has passed theirs.
  static std::string left(const Core& core, bool restored);
};

}  // namespace perch::chat
