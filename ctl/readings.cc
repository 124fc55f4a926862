#include "ctl/readings.h"

#include <cstdlib>
#include <limits>
#include <optional>

namespace perch::ctl {
namespace {

// name value · name{label="text",label="text"} value. The server's label texts have no quotes in them.
std::optional<Sample> parse_sample(std::string_view line) {
  Sample sample;
  const size_t space = line.rfind(' ');
  if (space == line.npos) return std::nullopt;
  const std::string value(line.substr(space + 1));
  char* end = nullptr;
  sample.value = std::strtod(value.c_str(), &end);
  if (value.empty() || *end != '\0') return std::nullopt;
  std::string_view series = line.substr(0, space);
  const size_t brace = series.find('{');
  sample.name = series.substr(0, brace);
  if (sample.name.empty()) return std::nullopt;
  if (brace == series.npos) return sample;
  if (!series.ends_with('}')) return std::nullopt;
  std::string_view labels = series.substr(brace + 1, series.size() - brace - 2);
  while (!labels.empty()) {
    const size_t equals = labels.find("=\"");
    const size_t close = equals == labels.npos ? labels.npos : labels.find('"', equals + 2);
    if (close == labels.npos) return std::nullopt;
    sample.labels.emplace(labels.substr(0, equals), labels.substr(equals + 2, close - equals - 2));
    labels.remove_prefix(close + 1);
    if (labels.starts_with(',')) labels.remove_prefix(1);
  }
  return sample;
}

const std::string* label_of(const Sample& sample, const std::string& label) {
  const auto found = sample.labels.find(label);
  return found == sample.labels.end() ? nullptr : &found->second;
}

}  // namespace

Result<Readings> Readings::parse(std::string_view metrics_text) {
  Readings readings;
  for (int64_t number = 1; !metrics_text.empty(); ++number) {
    const size_t end = metrics_text.find('\n');
    const std::string_view line = metrics_text.substr(0, end);
    metrics_text.remove_prefix(end == metrics_text.npos ? metrics_text.size() : end + 1);
    if (line.empty() || line.starts_with('#')) continue;
    auto sample = parse_sample(line);
    if (!sample) return Error{Errc::kInvalid, number};
    readings.samples_.push_back(*std::move(sample));
  }
  return readings;
}

double Readings::sum(std::string_view name, std::string_view core) const {
  double sum = 0;
  for (const Sample& sample : samples_) {
    if (sample.name != name) continue;
    const std::string* of = label_of(sample, "core");
    if (core.empty() || (of != nullptr && *of == core)) sum += sample.value;
  }
  return sum;
}

double Readings::with(std::string_view name, std::string_view label, std::string_view value) const {
  double sum = 0;
  for (const Sample& sample : samples_) {
    const std::string* of = label_of(sample, std::string(label));
    if (sample.name == name && of != nullptr && *of == value) sum += sample.value;
  }
  return sum;
}

std::vector<std::string> Readings::reactors() const {
  std::vector<std::string> cores;
  for (const Sample& sample : samples_)
    if (const std::string* core = label_of(sample, "core"); sample.name == "perch_connections" && core)
      cores.push_back(*core);
  return cores;
}

double quantile_between(const Readings& before, const Readings& after, std::string_view histogram,
                        double quantile) {
  const std::string bucket = std::string(histogram) + "_bucket";
  std::vector<std::pair<double, double>> counts;  // bound, how many up to it
  for (const Sample& sample : after.samples()) {
    if (sample.name != bucket) continue;
    const std::string* bound = label_of(sample, "le");
    if (bound == nullptr) continue;
    counts.emplace_back(std::strtod(bound->c_str(), nullptr),
                        sample.value - before.with(bucket, "le", *bound));
  }
  if (counts.empty() || counts.back().second <= 0) return 0;
  const double wanted = quantile * counts.back().second;
  for (const auto& [bound, num] : counts)
    if (num >= wanted) return bound;
  return std::numeric_limits<double>::infinity();
}

}  // namespace perch::ctl
