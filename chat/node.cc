#include "chat/node.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pthread.h>
#include <unistd.h>

#include "chat/descriptors.h"
#include "chat/memory_bill.h"
#include "chat/node_state.h"
#include "chat/usable_cpus.h"

namespace perch::chat {

namespace {

void pin(std::thread& thread, unsigned cpu) {
  cpu_set_t set;
  if (cpu >= CPU_SETSIZE) return;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  pthread_setaffinity_np(thread.native_handle(), sizeof(set), &set);  // advice: a container may forbid it
}

Config with_reactors(Config config) {
  config.reactors = num_reactors(config);
  return config;
}

// On a thread of its own: the kernel's workers that it starts keep the user of this moment, perhaps root, as
// long as the thread lives.
Result<void> probe_on_a_thread() {
  Result<void> probe;
  std::thread([&probe] { probe = probe_uring(); }).join();
  return probe;
}

}  // namespace

Node::State::State(Config c, TokenKeys k, Wishes w)
    : config(with_reactors(c)),
      running(std::move(c)),
      running_keys(std::make_shared<const TokenKeys>(std::move(k))),
      wishes(std::move(w)) {}

Node::Node(Config config, TokenKeys keys, Wishes wishes)
    : state_(std::make_unique<State>(std::move(config), std::move(keys), std::move(wishes))) {}
Node::~Node() = default;
bool Node::stopped() const { return state_->stop_asked && !state_->started; }
const std::vector<std::string>& Node::addresses() const { return state_->listeners.addresses(); }
const std::string& Node::operations_address() const { return state_->http->address(); }

std::string Node::start(bool restored) {
  State& s = *state_;
  if (std::string problem = raise_descriptor_limit(s.config); !problem.empty()) return problem;
  if (const Result<void> probe = probe_on_a_thread(); !probe) return explain_ring_error(probe.error());
  // As whoever started perchd: what may need root.
  if (std::string problem = s.supervision.open(); !problem.empty()) return problem;
  if (std::string problem = s.privileges.find(s.config.user); !problem.empty()) return problem;
  if (std::string problem = s.privileges.make_folder(s.config.data_dir); !problem.empty()) return problem;
  const std::vector<int>& passed = s.supervision.sockets();
  if (std::string problem = passed.empty() ? s.listeners.open(s.config.listen, s.config.reactors)
                                           : s.listeners.adopt(passed, s.config.reactors);
      !problem.empty())
    return problem;
  Privileges::confine();

  const uint16_t num = s.config.reactors;
  s.mesh = std::make_unique<Mesh>(static_cast<uint16_t>(num + 2), s.config.limits.mesh_slots);
  for (uint16_t i = 0; i < num; ++i)
    s.pages.push_back(std::make_unique<MetricsPage>(MetricScope::kReactor, i));
  s.pages.push_back(std::make_unique<MetricsPage>(MetricScope::kStore));
  s.pages.push_back(std::make_unique<MetricsPage>(MetricScope::kMain));
  for (const auto& page : s.pages) {
    s.logs.push_back(std::make_unique<Log>(system_clock(), *page, *log_format_of(s.config.log_format)));
    s.logs.back()->set_level(*log_level_of(s.config.log_level));
  }
  s.log_writer.set_level(*log_level_of(s.config.log_level));
  s.http = std::make_unique<Http>(system_clock(), s.main_page(),
                                  [&s](std::string_view path) { return s.find(path); });
  if (!s.config.operations_listen.empty())
    if (std::string problem = s.http->open(s.config.operations_listen); !problem.empty()) return problem;
  s.main_page().set(Metric::kStartTime, system_clock().wall_ms() / 1000);
  for (uint16_t i = 0; i < num; ++i) {
    s.settings.push_back(std::make_unique<CoreSettings>());
    s.settings.back()->limits = s.config.limits;
    s.settings.back()->keys = s.running_keys;
  }
  s.rings.resize(num);
  s.cores.resize(num);
  s.boot = s.random->next();

  // Rings belong to the thread that makes them, so every thread makes its own. Then root is given up and the
  // store opened by the user it will belong to; then all cores are built, what waited is handed to them, and
  // all begin.
  const auto shared = std::make_shared<Starting>(num);  // until the last thread has begun
  Starting& starting = *shared;
  const std::vector<unsigned> cpus = usable_cpus();
  for (uint16_t i = 0; i < num; ++i) {
    s.threads.emplace_back([this, i, shared] { run_core(i, shared); });
    pin(s.threads.back(), cpus[i % cpus.size()]);
  }
  s.store_thread = std::thread([this, shared] { run_store(shared); });
  std::string problem;
  for (auto& made : starting.ring_made) {
    const Result<void> result = made.get_future().get();
    if (!result) problem = explain_ring_error(result.error());
  }
  if (problem.empty()) problem = s.privileges.drop();
  if (problem.empty()) problem = open_store(restored);
  std::vector<int> ring_ids;
  if (problem.empty())
    for (const auto& ring : s.rings) ring_ids.push_back(ring->id());
  starting.ids_promise.set_value(ring_ids);
  if (problem.empty()) {
    problem = recover(starting);
    s.started = problem.empty() && !s.stop_asked;
    if (s.started)
      s.oper->begin(s.mesh->endpoint(static_cast<uint16_t>(num + 1)), num, s.store.writer().make_reader());
    starting.go_promise.set_value(s.started);
  }
  if (!s.started) {
    for (auto& thread : s.threads) thread.join();
    s.store_thread.join();
    s.threads.clear();
    s.write_logs();
    return problem;
  }
  s.supervision.started(s.pages);
  return problem;
}

// What waited is read on the store thread, while this one goes on to look after the operator.
std::string Node::recover(Starting& starting) {
  State& s = *state_;
  for (auto& made : starting.core_made) made.get_future().get();
  const uint64_t begun_ms = system_clock().mono_ms();
  std::future<std::string> recovered = starting.recovered.get_future();
  starting.recover_promise.set_value(true);
  while (recovered.wait_for(std::chrono::seconds(0)) != std::future_status::ready) s.serve();
  std::string problem = recovered.get();
  if (s.stop_asked) {
    s.main_log().write(LogLevel::kInfo, "stopped", {{"reason", "before it had started"}});
  } else if (problem.empty()) {
    s.main_log().write(LogLevel::kInfo, "started",
                       {{"version", PERCH_VERSION},
                        {"listen", fmt::format("{}", fmt::join(s.listeners.addresses(), " "))},
                        {"reactors", s.config.reactors},
                        {"data", s.config.data_dir},
                        {"waiting_messages", starting.num_recovered.load()},
                        {"recovery_ms", system_clock().mono_ms() - begun_ms}});
  }
  return problem;
}

std::string Node::bill() const {
  const Config& config = state_->config;
  return bill_text(memory_bill(config, reactor_ring(config), store_ring()), config.reactors);
}

std::string Node::open_store(bool restored) {
  State& s = *state_;
  if (std::string problem = s.store.lock(s.config.data_dir); !problem.empty()) return problem;
  s.oper = std::make_unique<Operator>(
      Operator::Node{[&s] { return name_of(s.health()); }, [&s] { return s.metrics(); },
                     [&s] { s.stop_asked = true; }, [&s] { return std::string_view(s.running.log_level); },
                     [&s](std::string_view level) { s.set_log_level(level); },
                     [&s] { return s.store_bytes(); }},
      system_clock(), s.main_page(), s.main_log());
  if (std::string problem = s.oper->open(s.config.data_dir); !problem.empty()) return problem;
  return s.store.open(s.config.limits, *s.random, restored);
}

int Node::wait() {
  State& s = *state_;
  while (!s.stop_asked && !s.failed) s.serve();
  if (s.stop_asked) s.main_log().write(LogLevel::kInfo, "draining");
  const uint64_t begun = system_clock().mono_ms();
  const uint64_t deadline = begun + (s.failed ? 0 : s.running.limits.drain_ms_max);
  while (!s.failed && s.num_drained < s.threads.size() && system_clock().mono_ms() < deadline) {
    s.main_page().set(Metric::kDraining, (system_clock().mono_ms() - begun) / 1000);
    s.serve();
  }
  const bool drained = s.num_drained == s.threads.size();
  usleep(s.failed ? 0 : 50'000);  // the last results reach the sockets
  s.exit_now = true;
  for (auto& thread : s.threads) thread.join();
  s.store_stop = true;
  s.store_thread.join();
  s.cores.clear();
  s.main_log().write(s.failed || !drained ? LogLevel::kError : LogLevel::kInfo, "stopped",
                     {{"reason", s.failed  ? "the store failed"
                                 : drained ? "drained"
                                           : "not drained in time: as at a kill, clients send again"},
                      {"drain_ms", system_clock().mono_ms() - begun}});
  for (uint32_t i = 0; i < kLogLinesMax; ++i) s.write_logs();  // what is left, if somebody reads
  return s.failed ? 1 : 0;
}

}  // namespace perch::chat
