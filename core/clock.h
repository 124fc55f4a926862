// Clock is the seam for time. Timers and deadlines use mono_ms, which no clock step moves; wall_ms
// is for display and token expiry only: nothing orders by it (DELIVERY.md H32).
#pragma once
#include <cstdint>

namespace perch {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual uint64_t mono_ns() = 0;  // CLOCK_MONOTONIC: never back, and not on while the machine sleeps
  virtual uint64_t wall_ms() = 0;  // milliseconds since 1970-01-01 UTC
  uint64_t mono_ms() { return mono_ns() / 1'000'000; }
};

// The kernel's clocks. ON: any thread. LIFETIME: static.
Clock& system_clock() noexcept;

// The time of one loop turn: a turn asks several times for each message, and each would be a call of the
// clock.
// ON: one thread, which calls refresh() after each wait and at any other point where time may have passed.
class TurnClock {
 public:
  explicit TurnClock(Clock& clock) : clock_(clock) { refresh(); }
  void refresh() {
    mono_ms_ = clock_.mono_ms();
    wall_ms_ = clock_.wall_ms();
  }
  uint64_t mono_ms() const { return mono_ms_; }
  uint64_t wall_ms() const { return wall_ms_; }

 private:
  Clock& clock_;
  uint64_t mono_ms_ = 0;
  uint64_t wall_ms_ = 0;
};

}  // namespace perch
