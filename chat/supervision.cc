#include "chat/supervision.h"

#include <fmt/format.h>

#include <algorithm>

namespace perch::chat {
namespace {

constexpr uint64_t kLookMs = 1'000;
constexpr size_t kStatusBytesMax = 1'024;  // systemd throws away a datagram over 4096 bytes

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

// What a file says may be in it: a line end would begin another assignment, and systemd throws away what is
// cut within a character.
std::string status_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  if (text.size() <= kStatusBytesMax) return text;
  size_t end = kStatusBytesMax;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80) --end;
  text.resize(end);
  return text;
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

void Supervision::reloaded() {
  manager_.tell("READY=1");
  told_.reset();
}

void Supervision::reload_refused(std::string_view why) {
  manager_.tell(fmt::format("STATUS={}", status_line(fmt::format("reload refused: {}", why))));
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
