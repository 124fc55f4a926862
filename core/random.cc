#include "core/random.h"

#include <sys/random.h>

#include <array>

#include "core/check.h"

namespace perch {
namespace {

class SystemRandom final : public Random {
 public:
  uint64_t next() override {
    if (left_ == 0) {
      // getrandom never returns short for up to 256 bytes once the pool is ready (man 2 getrandom).
      PERCH_CHECK(getrandom(pool_.data(), sizeof(pool_), 0) == sizeof(pool_));
      left_ = pool_.size();
    }
    return pool_[--left_];
  }

 private:
  std::array<uint64_t, 32> pool_{};
  size_t left_ = 0;
};

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}
  uint64_t next() override {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

 private:
  uint64_t state_;
};

}  // namespace

std::unique_ptr<Random> system_random() { return std::make_unique<SystemRandom>(); }
std::unique_ptr<Random> seeded_random(uint64_t seed) { return std::make_unique<SeededRandom>(seed); }

}  // namespace perch
