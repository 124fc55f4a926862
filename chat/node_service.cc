// What the main thread does while the node runs: it answers who looks after it, and takes new settings.
#include <fmt/format.h>

#include "chat/node_state.h"

namespace perch::chat {

namespace {
constexpr std::string_view kMetricsType = "text/plain; version=0.0.4; charset=utf-8";  // of Prometheus
}  // namespace

void Node::State::write_logs() {
  std::vector<Log*> all{&main_log()};
  for (size_t i = 0; i + 1 < logs.size(); ++i) all.push_back(logs[i].get());
  log_writer.drain(all);
}

// What the main thread does all the time.
void Node::State::serve() {
  constexpr int kNapMs = 5;  // so often the flags of other threads are looked at
  oper->serve(kNapMs);
  http->serve();
  if (wishes.stop()) stop_asked = true;
  if (started && !stop_asked) reload_if_wanted();
  supervision.serve(health());
  main_page().set(Metric::kStalled, supervision.stalled_ms() / 1000);
  write_logs();
}

// All of it or nothing: what is wrong was found before anything has changed.
void Node::State::reload_if_wanted() {
  std::optional<Reload> reload = wishes.reload(running);
  if (!reload) return;
  if (!reload->problem.empty()) {
    main_log().write(LogLevel::kError, "reload refused, nothing has changed", {{"why", reload->problem}});
    return supervision.reload_refused(reload->problem);
  }
  supervision.reloading();
  for (const std::string& warning : reload->warnings)
    main_log().write(LogLevel::kWarn, "reload", {{"warning", warning}});
  const std::string changes = changes_text(running, reload->config);
  running = std::move(reload->config);
  running_keys = std::make_shared<const TokenKeys>(std::move(reload->keys));
  hand_out();  // from here on it holds for whatever comes: CoreSettings
  main_log().write(LogLevel::kInfo, "reloaded", {{"changed", changes}});
  supervision.reloaded();
}

void Node::State::set_log_level(std::string_view level) {
  running.log_level = level;
  hand_out();
}

void Node::State::hand_out() {
  const LogLevel level = *log_level_of(running.log_level);
  for (const auto& own : settings)
    own->next.offer(std::make_unique<CoreSettings::Next>(running.limits, running_keys, level));
  log_writer.set_level(level);
}

Health Node::State::health() {
  if (failed || store_page().value(Metric::kStorePoisoned) != 0) return Health::kPoisoned;
  if (stop_asked) return Health::kDraining;
  if (!started) return Health::kStarting;
  if (supervision.stalled_ms() >= kStuckMs) return Health::kStuck;
  return store_page().value(Metric::kStoreFull) != 0 ? Health::kFull : Health::kOk;
}

std::optional<HttpAnswer> Node::State::find(std::string_view path) {
  if (path == "/metrics") return HttpAnswer{.type = kMetricsType, .body = metrics()};
  if (path != "/healthz" && path != "/readyz") return {};
  const Health now = health();
  return HttpAnswer{.good = path == "/healthz" ? is_alive(now) : is_ready(now),
                    .body = fmt::format("{}\n", name_of(now))};
}

uint64_t Node::State::store_bytes() {
  return store_page().value(Metric::kJournalBytes) + store_page().value(Metric::kTablesBytes);
}

std::string Node::State::metrics() {
  std::vector<const MetricsPage*> all;
  for (const auto& page : pages) all.push_back(page.get());
  return metrics_text(all);
}

}  // namespace perch::chat
