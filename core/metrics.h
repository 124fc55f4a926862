// Metrics: a page of counters, gauges and histograms for each thread, and their text for a scraper.
//
// ON: only the thread that owns a page writes it, with a relaxed load and store: no lock prefix, no
//     read-modify-write, so that counting costs what incrementing a plain integer costs. Any thread reads,
//     relaxed: it sees every value whole, but not all values of one moment.
// OWNER: chat::Node (and the simulator and tests) own the pages; they outlive the threads.
// TABLE: core/metrics_table.h.
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "core/metrics_table.h"
#include "core/types.h"

namespace perch {

// Whose pages have a metric. kThread: reactors and the store thread, which all have a ring and a mesh
// endpoint.
enum class MetricScope : uint8_t { kReactor, kStore, kThread, kMain };
enum class MetricKind : uint8_t {
  kCounter,
  kGauge,
  kRatio,  // a gauge from 0 to 1, kept in millionths
};

enum class Metric : uint16_t {
#define PERCH_ID(id, ...) id,
  PERCH_METRICS(PERCH_ID) kNum
};
enum class Histogram : uint8_t { PERCH_HISTOGRAMS(PERCH_ID) kNum };
#undef PERCH_ID

// A row of the table by its distance from the family's first, for reasons that are numbers elsewhere.
constexpr Metric metric_at(Metric first, unsigned distance) {
  return static_cast<Metric>(static_cast<unsigned>(first) + distance);
}
// The row of `reason`, where the family's first row is that of `first_reason`.
template <typename Reason>
constexpr Metric metric_of(Metric first, Reason first_reason, Reason reason) {
  return metric_at(first, static_cast<unsigned>(reason) - static_cast<unsigned>(first_reason));
}

// Aligned like the indices of SpscQueue: no two threads write one cache line or the one prefetched with it.
class alignas(128) MetricsPage {
 public:
  // `scope` is the thread's kind (kReactor, kStore or kMain), `core` its number if it is a reactor.
  explicit MetricsPage(MetricScope scope, CoreId core = 0) : scope_(scope), core_(core) {}
  MetricScope scope() const { return scope_; }
  CoreId core() const { return core_; }

  void add(Metric metric, uint64_t amount = 1) { bump(values_[static_cast<size_t>(metric)], amount); }
  void set(Metric metric, uint64_t value) {
    values_[static_cast<size_t>(metric)].store(value, std::memory_order_relaxed);
  }
  // REQUIRES: 0 <= ratio; above 1 is said as it is.
  void set_ratio(Metric metric, double ratio) {
    set(metric, static_cast<uint64_t>(ratio * kRatioUnit + 0.5));
  }
  // In the histogram's unit (core/metrics_table.h).
  void observe(Histogram histogram, uint64_t value) {
    Buckets& buckets = histograms_[static_cast<size_t>(histogram)];
    bump(buckets.counts[std::min<size_t>(value <= 1 ? 0 : std::bit_width(value - 1), kExponents)], 1);
    bump(buckets.sum, value);
  }

  uint64_t value(Metric metric) const {
    return values_[static_cast<size_t>(metric)].load(std::memory_order_relaxed);
  }
  // How many values lay in (2^(exponent - 1), 2^exponent]; at kExponents: above all.
  uint64_t count(Histogram histogram, size_t exponent) const {
    return histograms_[static_cast<size_t>(histogram)].counts[exponent].load(std::memory_order_relaxed);
  }
  uint64_t sum(Histogram histogram) const {
    return histograms_[static_cast<size_t>(histogram)].sum.load(std::memory_order_relaxed);
  }
  static constexpr size_t kExponents = 26;
  static constexpr double kRatioUnit = 1e6;

 private:
  using Value = std::atomic<uint64_t>;
  static_assert(Value::is_always_lock_free);
  struct Buckets {
    std::array<Value, kExponents + 1> counts{};
    Value sum{0};
  };
  static void bump(Value& value, uint64_t amount) {
    value.store(value.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  MetricScope scope_;
  CoreId core_;
  std::array<Value, static_cast<size_t>(Metric::kNum)> values_{};
  std::array<Buckets, static_cast<size_t>(Histogram::kNum)> histograms_{};
};

// The pages in the Prometheus text format. Reactors' values carry core="N", what the store thread has in
// common with them core="store".
std::string metrics_text(std::span<const MetricsPage* const> pages);

}  // namespace perch
