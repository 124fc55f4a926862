// Operation: what net writes into a ring operation's user_data, so that its completion finds its way back.
//
//   63      56 55             32 31               0
//   | kind 8  | generation 24   | index 32         |   kind 1..6, so the word is never Ring::kWakeUserData
#pragma once
#include <cstdint>

#include "core/ring.h"

namespace perch::net {

enum class OperationKind : uint8_t { kAccept = 1, kPoll, kReceive, kSend, kClose, kMove };

inline constexpr uint32_t kGenerationMask = (1u << 24) - 1;
// The index of a close that no connection waits for: a socket that found no place in the table.
inline constexpr uint32_t kNobody = UINT32_MAX;

struct Operation {
  OperationKind kind;
  uint32_t generation;
  uint32_t index;
  uint64_t user_data() const {
    return uint64_t{static_cast<uint8_t>(kind)} << 56 | uint64_t{generation & kGenerationMask} << 32 | index;
  }
  static Operation from(uint64_t user_data) {
    return {static_cast<OperationKind>(user_data >> 56),
            static_cast<uint32_t>(user_data >> 32) & kGenerationMask, static_cast<uint32_t>(user_data)};
  }
};
static_assert(static_cast<uint8_t>(OperationKind::kMove) < Ring::kWakeUserData >> 56);

}  // namespace perch::net
