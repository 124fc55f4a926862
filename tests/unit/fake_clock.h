// A clock that moves when a test moves it; both of its times are the same.
#pragma once
#include "core/clock.h"

namespace perch {

struct FakeClock final : Clock {
  uint64_t ms = 1'000'000;
  uint64_t mono_ns() override { return ms * 1'000'000; }
  uint64_t wall_ms() override { return ms; }
};

}  // namespace perch
