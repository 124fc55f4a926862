#include "chat/supervision.h"

#include <fmt/format.h>

#include <algorithm>

namespace perch::chat {
namespace {

constexpr uint64_t kLookMs = 1'000;

// What `systemctl status` shows.
std::string_view status_of(Health health) {
  switch (health) {
    case Health::kStarting:
      return "reads what waited";
    case Health::kOk:
      return "serves";
    case Health::kFull:
      return "the disk is full: messages are held";
    case Health::kStuck:
      return "a thread is stuck";
    case Health::kDraining:
      return "drains";
    case Health::kPoisoned:
      return "the store failed: stops";
  }
  return "";
}

}  // namespace

uint64_t Supervision::look_every_ms() const {
  const uint64_t watchdog_ms = manager_.watchdog_ms();
  return watchdog_ms == 0 ? kLookMs : std::min(kLookMs, watchdog_ms / 4);
}

void Supervision::started(std::span<const std::unique_ptr<MetricsPage>> pages) {
  progress_.emplace(pages, clock_.mono_ms());
  manager_.tell("READY=1");
}

void Supervision::reloading() {
  manager_.tell(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", clock_.mono_ns() / 1000));
}

void Supervision::serve(Health health) {
  manager_.flush();
  if (told_ != health) {
    if (health == Health::kDraining || health == Health::kPoisoned) manager_.tell("STOPPING=1");
    manager_.tell(fmt::format("STATUS={}", status_of(health)));
    told_ = health;
  }
  const uint64_t now = clock_.mono_ms();
  if (!progress_ || now < next_look_ms_) return;
  next_look_ms_ = now + look_every_ms();
  stalled_ms_ = progress_->look(now);
  const uint64_t watchdog_ms = manager_.watchdog_ms();
  if (watchdog_ms > 0 && stalled_ms_ < watchdog_ms / 2 && !manager_.lags()) manager_.tell("WATCHDOG=1");
}

}  // namespace perch::chat
