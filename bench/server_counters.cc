#include "bench/server_counters.h"

#include <cstdlib>

namespace perch::bench {
namespace {

// Adds up all series of `name`. Nothing: there is none.
std::optional<uint64_t> sum_of(std::string_view text, std::string_view name) {
  std::optional<uint64_t> sum;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string line(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    if (!line.starts_with(name) || (line[name.size()] != '{' && line[name.size()] != ' ')) continue;
    sum = sum.value_or(0) + std::strtoull(line.c_str() + line.rfind(' '), nullptr, 10);
  }
  return sum;
}

}  // namespace

std::optional<ServerCounters> parse_counters(std::string_view metrics_text) {
  const auto enters = sum_of(metrics_text, "perch_ring_enters_total");
  const auto in = sum_of(metrics_text, "perch_frames_received_total");
  const auto out = sum_of(metrics_text, "perch_frames_sent_total");
  if (!enters || !in || !out) return std::nullopt;
  return ServerCounters{*enters, *in + *out};
}

void CountersWindow::begin() {
  if (data_dir_.empty()) return;
  Result<ControlQuestion> question = ControlQuestion::ask(data_dir_, "metrics");
  if (question) before_ = std::move(*question);
}

std::optional<ServerCounters> CountersWindow::end() {
  if (!before_) return std::nullopt;
  const Result<std::string> then = before_->answer();
  const Result<std::string> now = ask_control(data_dir_, "metrics");
  if (!then || !now) return std::nullopt;
  const auto a = parse_counters(*then), b = parse_counters(*now);
  if (!a || !b) return std::nullopt;
  return ServerCounters{b->num_enters - a->num_enters, b->num_frames - a->num_frames};
}

}  // namespace perch::bench
