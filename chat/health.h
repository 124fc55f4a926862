// Health: how a node is, in one word, for perchd --health, /healthz, /readyz and the service manager.
#pragma once
#include <cstdint>
#include <string_view>

namespace perch::chat {

enum class Health : uint8_t {
  kStarting,
  kOk,
  kFull,      // messages are held until the disk has room
  kStuck,     // a thread has stood still for kStuckMs (chat/progress.h)
  kDraining,  // was asked to stop
  kPoisoned,  // a commit failed or a stored message could not be read: it stops
};

constexpr std::string_view name_of(Health health) {
  constexpr std::string_view kNames[] = {"starting", "ok", "full", "stuck", "draining", "poisoned"};
  return kNames[static_cast<size_t>(health)];
}

// Would a restart help?
constexpr bool is_alive(Health health) { return health != Health::kStuck && health != Health::kPoisoned; }
// May clients be sent here? A full one still delivers, and what its clients confirm makes room.
constexpr bool is_ready(Health health) { return health == Health::kOk || health == Health::kFull; }

}  // namespace perch::chat
