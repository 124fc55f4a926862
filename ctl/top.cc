// top: what each core does, between two readings.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "core/clock.h"
#include "ctl/json.h"

namespace perch::ctl {
namespace {

// What is shown of a core: a counter as so many a second, a gauge as it is.
struct Column {
  const char* title;
  const char* field;
  const char* metric;
  bool per_second;
};
constexpr Column kColumns[] = {
    {"CONNS", "connections", "perch_connections", false},
    {"SESSIONS", "sessions", "perch_sessions", false},
    {"LOGINS/s", "logins_per_second", "perch_logins_total", true},
    {"TAKEN/s", "taken_per_second", "perch_messages_taken_total", true},
    {"LIVE/s", "forwarded_live_per_second", "perch_messages_forwarded_live_total", true},
    {"STORED/s", "to_store_per_second", "perch_messages_to_store_total", true},
    {"HELD/s", "held_per_second", "perch_held_total", true},
    {"FLIGHTS", "flights", "perch_flights", false},
    {"HOPS/s", "hops_per_second", "perch_hops_posted_total", true},
    {"WAITING", "hops_waiting", "perch_hops_waiting", false},
};
constexpr const char* kCommitSeconds = "perch_store_commit_seconds";

struct Moment {
  Readings readings;
  uint64_t at_ns = 0;
};

std::optional<Moment> look(const Flags& flags) {
  std::optional<Readings> readings = ask_readings(flags);
  if (!readings) return std::nullopt;
  return Moment{*std::move(readings), system_clock().mono_ns()};
}

// Between two moments of one run of the server: a counter that fell is another run's.
class Period {
 public:
  Period(const Moment& before, const Moment& after) : before_(before.readings), after_(after.readings) {
    seconds_ = static_cast<double>(after.at_ns - before.at_ns) / 1e9;
  }
  double seconds() const { return seconds_; }
  std::vector<std::string> reactors() const { return after_.reactors(); }
  double rate(std::string_view name, std::string_view core = {}) const {
    return std::max(0.0, after_.sum(name, core) - before_.sum(name, core)) / seconds_;
  }
  double value(const Column& column, std::string_view core) const {
    return column.per_second ? rate(column.metric, core) : after_.sum(column.metric, core);
  }
  double total(const Column& column) const {
    double sum = 0;
    for (const std::string& core : reactors()) sum += value(column, core);
    return sum;
  }
  double commit_quantile(double quantile) const {
    return quantile_between(before_, after_, kCommitSeconds, quantile);
  }
  double operations_per_commit() const {
    const double commits = rate("perch_store_commits_total");
    return commits > 0 ? rate("perch_store_operations_total") / commits : 0;
  }
  double fill(std::string_view map) const { return after_.with("perch_store_fill_ratio", "map", map); }
  double store_waiting() const { return after_.sum("perch_hops_waiting", "store"); }

 private:
  const Readings& before_;
  const Readings& after_;
  double seconds_;
};

Json json_of(const Period& period) {
  Json cores = Json::array();
  for (const std::string& core : period.reactors()) {
    Json row{{"core", core}};
    for (const Column& column : kColumns) row[column.field] = period.value(column, core);
    cores.push_back(std::move(row));
  }
  const auto seconds = [](double value) { return std::isinf(value) ? Json() : Json(value); };
  return {{"seconds", period.seconds()},
          {"cores", std::move(cores)},
          {"store",
           {{"commits_per_second", period.rate("perch_store_commits_total")},
            {"operations_per_commit", period.operations_per_commit()},
            {"commit_seconds_p50", seconds(period.commit_quantile(0.5))},
            {"commit_seconds_p99", seconds(period.commit_quantile(0.99))},
            {"hops_waiting", period.store_waiting()},
            {"journal_fill", period.fill("journal")},
            {"tables_fill", period.fill("tables")}}}};
}

std::string milliseconds(double seconds) {
  return std::isinf(seconds) ? "over 16 s" : fmt::format("{:.3g} ms", seconds * 1000);
}

std::string text_of(const Period& period) {
  std::string out = fmt::format("{:<6}", "CORE");
  for (const Column& column : kColumns) fmt::format_to(std::back_inserter(out), "{:>9}", column.title);
  out += '\n';
  const auto row = [&](std::string_view name, const auto& value_of) {
    fmt::format_to(std::back_inserter(out), "{:<6}", name);
    for (const Column& column : kColumns)
      fmt::format_to(std::back_inserter(out), "{:>9.0f}", value_of(column));
    out += '\n';
  };
  for (const std::string& core : period.reactors())
    row(core, [&](const Column& column) { return period.value(column, core); });
  if (period.reactors().size() > 1) row("all", [&](const Column& column) { return period.total(column); });
  fmt::format_to(
      std::back_inserter(out),
      "store  {:.0f} commits/s of {:.1f} operations, half within {}, 99 % within {}; {:.0f} hops wait; "
      "journal {:.1f} %, tables {:.1f} % full\n",
      period.rate("perch_store_commits_total"), period.operations_per_commit(),
      milliseconds(period.commit_quantile(0.5)), milliseconds(period.commit_quantile(0.99)),
      period.store_waiting(), 100 * period.fill("journal"), 100 * period.fill("tables"));
  return out;
}

}  // namespace

// Once, or until it is interrupted or the server ends.
int run_top(const Flags& flags) {
  constexpr std::string_view kClearScreen = "\x1b[H\x1b[2J";
  const bool refreshes = !flags.once && isatty(STDOUT_FILENO) == 1;
  std::optional<Moment> before = look(flags);
  while (before) {
    sleep_s(flags.interval_s);
    std::optional<Moment> after = look(flags);
    if (!after) break;
    const Period period(*before, *after);
    const int printed = flags.json ? print_json(json_of(period))
                                   : print((refreshes ? std::string(kClearScreen) : "") + text_of(period));
    if (!refreshes || printed != kDone) return printed;
    before = std::move(after);
  }
  return kNotDone;
}

}  // namespace perch::ctl
