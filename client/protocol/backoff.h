// When to come back after a lost connection. Pure: randomness comes in through the seam.
#pragma once
#include <algorithm>
#include <cstdint>

#include "core/random.h"

namespace perch::client {

inline constexpr uint64_t kBackoffMinMs = 500;
inline constexpr uint64_t kBackoffMaxMs = 60'000;

// Full jitter: uniform over (0, ceiling], the ceiling doubling with each failure from 0.5 s to 60 s. A
// restarted server gets its devices spread over the whole interval instead of in waves. `failures`: attempts
// that have failed since the last session that lasted (device.h, kSteadyMs). SOURCE: PROTOCOL.md, Coming
// back.
inline uint64_t backoff_ms(uint32_t failures, Random& random) {
  const uint64_t ceiling = std::min(kBackoffMaxMs, kBackoffMinMs << std::min<uint32_t>(failures, 7));
  return 1 + random.below(ceiling);
}

}  // namespace perch::client
