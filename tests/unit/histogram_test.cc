#include "bench/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/random.h"

namespace perch::bench {
namespace {

constexpr double kQuantiles[] = {0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};

// The smallest value that at least the share `q` does not exceed.
uint64_t true_quantile(const std::vector<uint64_t>& sorted, double q) {
  const auto rank = static_cast<size_t>(std::ceil(q * static_cast<double>(sorted.size())));
  return sorted[std::max<size_t>(rank, 1) - 1];
}

void expect_close(const Histogram& histogram, std::vector<uint64_t> values) {
  std::sort(values.begin(), values.end());
  ASSERT_EQ(histogram.num(), values.size());
  EXPECT_EQ(histogram.max(), values.back());
  for (const double q : kQuantiles) {
    const uint64_t truth = true_quantile(values, q);
    const uint64_t told = histogram.quantile(q);
    EXPECT_GE(told, truth) << q;
    EXPECT_LE(static_cast<double>(told - truth), static_cast<double>(truth) * Histogram::kRelativeError) << q;
  }
}

TEST(Histogram, EmptyIsZero) {
  const Histogram histogram;
  for (const double q : kQuantiles) EXPECT_EQ(histogram.quantile(q), 0u);
  EXPECT_EQ(histogram.num() + histogram.max(), 0u);
}

TEST(Histogram, OneValueIsEveryQuantile) {
  for (const uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{255}, uint64_t{256}, uint64_t{1'000'003},
                               UINT64_MAX - 1, UINT64_MAX}) {
    Histogram histogram;
    histogram.record(value);
    for (const double q : kQuantiles) EXPECT_EQ(histogram.quantile(q), value);
  }
}

TEST(Histogram, EveryBucketHoldsWhatBelongsToIt) {
  for (int bit = 0; bit < 64; ++bit) {
    for (uint64_t offset = 0; offset < 3; ++offset) {
      const uint64_t value = (uint64_t{1} << bit) - 1 + offset;
      const size_t bucket = Histogram::bucket_of(value);
      ASSERT_GE(Histogram::last_of(bucket), value);
      if (bucket > 0) {
        ASSERT_LT(Histogram::last_of(bucket - 1), value);
      }
    }
  }
}

// Spread over the whole range as durations are: many short ones, a long tail.
TEST(Histogram, QuantilesAreWithinTheStatedErrorOfASortedVector) {
  auto random = seeded_random(1);
  for (const uint64_t num : {1u, 2u, 3u, 10u, 999u, 100'000u}) {
    Histogram histogram;
    std::vector<uint64_t> values;
    for (uint64_t i = 0; i < num; ++i) {
      values.push_back(random->next() >> random->below(64));
      histogram.record(values.back());
    }
    expect_close(histogram, values);
  }
}

TEST(Histogram, MergedIsAsIfRecordedTogether) {
  auto random = seeded_random(2);
  Histogram parts[3];
  std::vector<uint64_t> values;
  for (int i = 0; i < 3'000; ++i) {
    values.push_back(random->next() >> random->below(64));
    parts[i % 3].record(values.back());
  }
  Histogram all;
  for (const Histogram& part : parts) all.merge(part);
  expect_close(all, values);
}

}  // namespace
}  // namespace perch::bench
