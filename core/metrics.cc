#include "core/metrics.h"

#include <fmt/format.h>

#include <iterator>

namespace perch {
namespace {

struct MetricRow {
  MetricScope scope;
  MetricKind kind;
  std::string_view name, label, help;
};
constexpr MetricRow kMetrics[] = {
#define PERCH_ROW(id, scope, kind, name, label, help) \
  {MetricScope::scope, MetricKind::kind, name, label, help},
    PERCH_METRICS(PERCH_ROW)
#undef PERCH_ROW
};

struct HistogramRow {
  std::string_view name;
  size_t first, last;
  double scale;
  std::string_view help;
};
constexpr HistogramRow kHistograms[] = {
#define PERCH_ROW(id, name, first, last, scale, help) {name, first, last, scale, help},
    PERCH_HISTOGRAMS(PERCH_ROW)
#undef PERCH_ROW
};

bool has(const MetricsPage& page, MetricScope scope) {
  if (scope == MetricScope::kThread) return page.scope() != MetricScope::kMain;
  return page.scope() == scope;
}

void add_value(std::string& out, const MetricRow& row, const MetricsPage& page, uint64_t value) {
  std::string labels(row.label);
  if (row.scope == MetricScope::kReactor || row.scope == MetricScope::kThread) {
    if (!labels.empty()) labels += ',';
    labels +=
        page.scope() == MetricScope::kStore ? "core=\"store\"" : fmt::format("core=\"{}\"", page.core());
  }
  out += row.name;
  if (!labels.empty()) fmt::format_to(std::back_inserter(out), "{{{}}}", labels);
  if (row.kind == MetricKind::kRatio) {
    fmt::format_to(std::back_inserter(out), " {}\n", static_cast<double>(value) / MetricsPage::kRatioUnit);
  } else {
    fmt::format_to(std::back_inserter(out), " {}\n", value);
  }
}

void add_histogram(std::string& out, Histogram id, const HistogramRow& row, const MetricsPage& page) {
  fmt::format_to(std::back_inserter(out), "# HELP {0} {1}\n# TYPE {0} histogram\n", row.name, row.help);
  uint64_t num = 0;
  for (size_t exponent = 0; exponent <= MetricsPage::kExponents; ++exponent) {
    num += page.count(id, exponent);
    if (exponent < row.first || exponent > row.last) continue;
    fmt::format_to(std::back_inserter(out), "{}_bucket{{le=\"{:.10g}\"}} {}\n", row.name,
                   row.scale * static_cast<double>(uint64_t{1} << exponent), num);
  }
  fmt::format_to(std::back_inserter(out), "{0}_bucket{{le=\"+Inf\"}} {1}\n{0}_sum {2:.10g}\n{0}_count {1}\n",
                 row.name, num, row.scale * static_cast<double>(page.sum(id)));
}

}  // namespace

std::string metrics_text(std::span<const MetricsPage* const> pages) {
  std::string out;
  std::string_view family;
  for (size_t i = 0; i < std::size(kMetrics); ++i) {
    const MetricRow& row = kMetrics[i];
    if (row.name != family) {
      family = row.name;
      fmt::format_to(std::back_inserter(out), "# HELP {0} {1}\n# TYPE {0} {2}\n", row.name, row.help,
                     row.kind == MetricKind::kCounter ? "counter" : "gauge");
    }
    for (const MetricsPage* page : pages)
      if (has(*page, row.scope)) add_value(out, row, *page, page->value(static_cast<Metric>(i)));
  }
  for (size_t i = 0; i < std::size(kHistograms); ++i)
    for (const MetricsPage* page : pages)
      if (page->scope() == MetricScope::kStore)
        add_histogram(out, static_cast<Histogram>(i), kHistograms[i], *page);
  return out;
}

}  // namespace perch
