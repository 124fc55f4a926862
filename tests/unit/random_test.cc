#include "core/random.h"

#include <gtest/gtest.h>

#include <set>

namespace perch {
namespace {

TEST(Random, SplitMix64Vector) {
  // The first words of seed 1234567, as published with the reference implementation.
  auto random = seeded_random(1234567);
  for (const uint64_t expected : {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
                                  4593380528125082431u, 16408922859458223821u}) {
    EXPECT_EQ(random->next(), expected);
  }
}

TEST(Random, TheSameSeedIsTheSameSequence) {
  auto a = seeded_random(9), b = seeded_random(9), other = seeded_random(10);
  bool differs = false;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t word = a->next();
    ASSERT_EQ(word, b->next());
    differs = differs || word != other->next();
  }
  EXPECT_TRUE(differs);
}

TEST(Random, BelowReachesAllAndNothingElse) {
  auto random = seeded_random(1);
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t value = random->below(10);
    ASSERT_LT(value, 10u);
    seen.insert(value);
    ASSERT_EQ(random->below(1), 0u);
  }
  EXPECT_EQ(seen.size(), 10u);
}

TEST(Random, TheSystemsNeverRepeatsAndUsesAllBits) {
  // 10,000 words need several refills of its pool; two equal ones among them have odds of 1 in 10^11.
  auto random = system_random(), another = system_random();
  std::set<uint64_t> seen;
  uint64_t ever_one = 0, ever_zero = 0;
  for (int i = 0; i < 5'000; ++i) {
    for (Random* source : {random.get(), another.get()}) {
      const uint64_t word = source->next();
      EXPECT_TRUE(seen.insert(word).second);
      ever_one |= word;
      ever_zero |= ~word;
    }
  }
  EXPECT_EQ(ever_one, UINT64_MAX);
  EXPECT_EQ(ever_zero, UINT64_MAX);
}

}  // namespace
}  // namespace perch
