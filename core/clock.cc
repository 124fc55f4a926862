#include "core/clock.h"

#include <ctime>

namespace perch {
namespace {

class SystemClock final : public Clock {
 public:
  uint64_t mono_ns() override { return read(CLOCK_MONOTONIC); }
  uint64_t wall_ms() override { return read(CLOCK_REALTIME) / 1'000'000; }

 private:
  static uint64_t read(clockid_t id) {
    timespec now{};
    clock_gettime(id, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
  }
};

}  // namespace

Clock& system_clock() noexcept {
  static SystemClock clock;
  return clock;
}

}  // namespace perch
