// Random is the seam for randomness: origins, incarnations, jitter.
//
// ON: one thread for each instance.
#pragma once
#include <cstdint>
#include <memory>

namespace perch {

class Random {
 public:
  virtual ~Random() = default;
  virtual uint64_t next() = 0;  // uniform over all 64 bits
  // Uniform over [0, bound). REQUIRES: bound > 0. The modulo bias is below 2^-32 for our bounds.
  uint64_t below(uint64_t bound) { return next() % bound; }
};

// From getrandom(2): unpredictable.
std::unique_ptr<Random> system_random();

// SplitMix64 (Steele, Lea, Flood 2014): the same seed gives the same sequence for ever.
std::unique_ptr<Random> seeded_random(uint64_t seed);

}  // namespace perch
