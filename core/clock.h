// Clock is the seam for time. Timers and deadlines use mono_ms, which no clock step moves; wall_ms
// is for display, token expiry and mailbox expiry only: nothing orders by it (delivery.md H32).
#pragma once
#include <cstdint>

namespace perch {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual uint64_t mono_ns() = 0;  // CLOCK_MONOTONIC
  virtual uint64_t wall_ms() = 0;  // milliseconds since 1970-01-01 UTC
  uint64_t mono_ms() { return mono_ns() / 1'000'000; }
};

// The kernel's clocks. Thread-safe, stateless.
Clock& system_clock() noexcept;

}  // namespace perch
