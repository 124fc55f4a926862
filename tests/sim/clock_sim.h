// SimClock is the time of a simulated world: it moves when the scheduler moves it.
#pragma once
#include "core/clock.h"

namespace perch::sim {

class SimClock final : public Clock {
 public:
  uint64_t mono_ns() override { return mono_ns_; }
  uint64_t wall_ms() override {
    return static_cast<uint64_t>(wall_offset_ms_ + static_cast<int64_t>(mono_ms()));
  }
  void advance_ns(uint64_t ns) { mono_ns_ += ns; }
  // A step of the wall clock, forwards or back: nothing may order by it.
  void jump_wall(int64_t ms) { wall_offset_ms_ += ms; }

 private:
  uint64_t mono_ns_ = 1'000'000'000;
  int64_t wall_offset_ms_ = 1'700'000'000'000;
};

}  // namespace perch::sim
