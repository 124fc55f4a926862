// health, metrics, status, log-level, drain: one question each.
#include <fmt/format.h>

#include <algorithm>

#include "core/clock.h"
#include "core/control_client.h"
#include "ctl/command.h"
#include "ctl/json.h"
#include "ctl/readings.h"
#include "ctl/text.h"

namespace perch::ctl {
namespace {

std::optional<std::string> ask_word(const Flags& flags, std::string_view request) {
  std::optional<std::string> answer = ask(flags, request);
  if (answer) answer->erase(std::find(answer->begin(), answer->end(), '\n'), answer->end());
  return answer;
}

}  // namespace

int run_health(const Flags& flags) {
  const std::optional<std::string> health = ask_word(flags, "health");
  if (!health) return kNotDone;
  const int printed = flags.json ? print_json({{"health", *health}}) : print(*health + "\n");
  return *health == "poisoned" || *health == "stuck" ? kNotDone : printed;
}

int run_metrics(const Flags& flags) {
  if (!flags.json) {
    const std::optional<std::string> text = ask(flags, "metrics");
    return text ? print(*text) : kNotDone;
  }
  const std::optional<Readings> readings = ask_readings(flags);
  if (!readings) return kNotDone;
  Json all = Json::array();
  for (const Sample& sample : readings->samples()) {
    Json labels = Json::object();
    for (const auto& [name, value] : sample.labels) labels[name] = value;
    all.push_back({{"name", sample.name}, {"labels", labels}, {"value", sample.value}});
  }
  return print_json(all);
}

int run_status(const Flags& flags) {
  const std::optional<std::string> health = ask_word(flags, "health");
  if (!health) return kNotDone;
  const std::optional<Readings> readings = ask_readings(flags);
  if (!readings) return kNotDone;
  const auto count = [&](std::string_view name) { return static_cast<uint64_t>(readings->sum(name)); };
  const uint64_t now_s = system_clock().wall_ms() / 1000;
  const uint64_t up_s = now_s - std::min(now_s, count("perch_start_time_seconds"));
  const double journal = readings->with("perch_store_fill_ratio", "map", "journal");
  const double tables = readings->with("perch_store_fill_ratio", "map", "tables");
  if (flags.json)
    return print_json({{"health", *health},
                       {"up_seconds", up_s},
                       {"reactors", readings->reactors().size()},
                       {"connections", count("perch_connections")},
                       {"sessions", count("perch_sessions")},
                       {"users_loaded", count("perch_users_loaded")},
                       {"messages_taken", count("perch_messages_taken_total")},
                       {"flights", count("perch_flights")},
                       {"journal_fill", journal},
                       {"tables_fill", tables}});
  return print(
      fmt::format("health       {}\nup           {}\nreactors     {}\nconnections  {}\nsessions     {}\n"
                  "users        {} in memory\nmessages     {} taken, {} not closed by their sender\n"
                  "store        journal {:.1f} %, tables {:.1f} % full\n",
                  *health, duration_text(up_s), readings->reactors().size(), count("perch_connections"),
                  count("perch_sessions"), count("perch_users_loaded"), count("perch_messages_taken_total"),
                  count("perch_flights"), 100 * journal, 100 * tables));
}

int run_log_level(const Flags& flags) {
  const std::string request = flags.log_level.empty() ? "log-level" : "log-level " + flags.log_level;
  const std::optional<std::string> level = ask_word(flags, request);
  if (!level) return kNotDone;
  return flags.json ? print_json({{"log_level", *level}}) : print(*level + "\n");
}

// The server answers once it knows of it, and goes on to answer until it ends.
int run_drain(const Flags& flags) {
  const std::optional<std::string> answer = ask_word(flags, "drain");
  if (!answer) return kNotDone;
  if (flags.wait) {
    const uint64_t begun_ms = system_clock().mono_ms();
    for (;;) {
      const Result<std::string> health = ask_control(flags.data_dir, "health");
      if (!health && health.error().code == Errc::kNotFound) break;
      if (static_cast<double>(system_clock().mono_ms() - begun_ms) > flags.wait_s_max * 1000)
        return complain(kNotDone, fmt::format("the server has not ended in {} s; it drains for at most "
                                              "limits.node.drain_ms_max, so look at its log",
                                              flags.wait_s_max));
      sleep_s(0.05);
    }
  }
  const std::string_view state = flags.wait ? "ended" : "draining";
  return flags.json ? print_json({{"drain", state}}) : print(fmt::format("{}\n", state));
}

}  // namespace perch::ctl
