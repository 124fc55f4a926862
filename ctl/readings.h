// Readings: what the server's metrics were at one moment, read from their Prometheus text, and what a person
// wants to know of two moments: rates and, of a histogram, quantiles.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace perch::ctl {

struct Sample {
  std::string name;
  std::map<std::string, std::string> labels;
  double value = 0;
};

class Readings {
 public:
  // ERRORS: kInvalid: a line is no sample; detail is its number.
  static Result<Readings> parse(std::string_view metrics_text);

  const std::vector<Sample>& samples() const { return samples_; }
  // The sum over all samples of that name, of `core` if it is not empty; 0: there is none.
  double sum(std::string_view name, std::string_view core = {}) const;
  double with(std::string_view name, std::string_view label, std::string_view value) const;
  std::vector<std::string> reactors() const;  // values of the label `core`, in order, without "store"

 private:
  std::vector<Sample> samples_;
};

// The bound of the bucket in which the `quantile` of what a histogram has observed between two readings lies.
// 0: it observed nothing; infinity: above its last bucket.
double quantile_between(const Readings& before, const Readings& after, std::string_view histogram,
                        double quantile);

}  // namespace perch::ctl
