#include "chat/node.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <thread>

#include "chat/descriptors.h"
#include "chat/http.h"
#include "chat/listeners.h"
#include "chat/memory_bill.h"
#include "chat/operator.h"
#include "chat/privileges.h"
#include "chat/recovery_fan_out.h"
#include "chat/store_folder.h"
#include "chat/store_thread.h"
#include "chat/supervision.h"
#include "chat/usable_cpus.h"
#include "core/arena.h"
#include "core/handoff.h"
#include "core/log.h"
#include "core/mesh.h"

namespace perch::chat {

namespace {

// A stop is noticed this soon where no wake reaches a ring; and so are hops whose wake the kernel lost.
constexpr uint64_t kSleepNsMax = 100'000'000;
constexpr std::string_view kMetricsType = "text/plain; version=0.0.4; charset=utf-8";  // of Prometheus

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

RingOptions reactor_ring(const Config& config) {
  RingOptions options;
  options.sockets = config.limits.connections_max;
  return options;
}

RingOptions store_ring() {
  RingOptions options;
  options.sockets = 0;
  options.buffers = 0;
  options.submissions = 64;
  options.completions = 1024;
  return options;
}

// On a thread of its own: the kernel's workers that it starts keep the user of this moment, perhaps root, as
// long as the thread lives.
Result<void> probe_on_a_thread() {
  Result<void> probe;
  std::thread([&probe] { probe = probe_uring(); }).join();
  return probe;
}

// What a reload changes while a core runs. The core reads its own copy, which only its own thread changes,
// between two turns.
struct CoreSettings {
  struct Next {
    Limits limits;
    std::shared_ptr<const TokenKeys> keys;
  };
  Limits limits;
  std::shared_ptr<const TokenKeys> keys;
  Handoff<Next> next;  // from the main thread
};

void take_new(CoreSettings& own, Core& core) {
  std::unique_ptr<CoreSettings::Next> next = own.next.take();
  if (next == nullptr) return;
  own.limits = next->limits;
  core.use_keys(*next->keys);
  own.keys = std::move(next->keys);
}

}  // namespace

struct Node::State {
  State(Config c, TokenKeys k, Wishes w)
      : config(with_reactors(c)),
        keys(std::make_shared<const TokenKeys>(std::move(k))),
        running(std::move(c)),
        wishes(std::move(w)) {}
  const Config config;  // of the start: any thread reads it
  const std::shared_ptr<const TokenKeys> keys;
  Config running;  // as given, and as reloads have changed it: the main thread's
  const Wishes wishes;
  std::unique_ptr<Random> random = system_random();
  Privileges privileges;
  StoreFolder store;
  Listeners listeners;
  std::unique_ptr<Mesh> mesh;
  uint64_t boot = 0;
  std::vector<std::unique_ptr<Ring>> rings;
  std::vector<std::unique_ptr<MetricsPage>> pages;  // of each core, of the store thread, of the main thread
  std::vector<std::unique_ptr<CoreSettings>> settings;  // of each core, which goes before them
  std::vector<std::unique_ptr<Core>> cores;
  std::vector<std::thread> threads;
  std::thread store_thread;
  bool started = false;  // the main thread's
  std::atomic<bool> stop_asked{false};
  std::atomic<bool> exit_now{false};
  std::atomic<uint16_t> num_drained{0};
  std::atomic<bool> failed{false};
  std::atomic<bool> store_stop{false};
  std::unique_ptr<Operator> oper;
  std::unique_ptr<Http> http;
  Supervision supervision{system_clock()};
  std::vector<std::unique_ptr<Log>> logs;  // as pages
  LogWriter log_writer{STDERR_FILENO};

  MetricsPage& store_page() { return *pages[config.reactors]; }
  MetricsPage& main_page() { return *pages.back(); }
  Log& main_log() { return *logs.back(); }
  void write_logs();
  void serve();
  void reload_if_wanted();
  std::optional<HttpAnswer> find(std::string_view path);
  std::string metrics();
  Health health();
};

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
  if (!reload->problem.empty())
    return main_log().write(LogLevel::kError, "reload refused, nothing has changed",
                            {{"why", reload->problem}});
  supervision.reloading();
  for (const std::string& warning : reload->warnings)
    main_log().write(LogLevel::kWarn, "reload", {{"warning", warning}});
  const auto keys_now = std::make_shared<const TokenKeys>(std::move(reload->keys));
  for (const auto& own : settings)
    own->next.offer(std::make_unique<CoreSettings::Next>(reload->config.limits, keys_now));
  log_writer.set_level(*log_level_of(reload->config.log_level));
  main_log().write(LogLevel::kInfo, "reloaded", {{"changed", changes_text(running, reload->config)}});
  running = std::move(reload->config);
  supervision.reloaded();
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

std::string Node::State::metrics() {
  std::vector<const MetricsPage*> all;
  for (const auto& page : pages) all.push_back(page.get());
  return metrics_text(all);
}

Node::Node(Config config, TokenKeys keys, Wishes wishes)
    : state_(std::make_unique<State>(std::move(config), std::move(keys), std::move(wishes))) {}
Node::~Node() = default;
bool Node::stopped() const { return state_->stop_asked && !state_->started; }
const std::vector<std::string>& Node::addresses() const { return state_->listeners.addresses(); }
const std::string& Node::operations_address() const { return state_->http->address(); }

// What two threads tell each other while the node starts, in this order.
struct Node::Starting {
  explicit Starting(uint16_t num_cores) : ring_made(num_cores + 1u), core_made(num_cores) {}
  std::vector<std::promise<Result<void>>> ring_made;  // of each core and the store thread
  std::promise<std::vector<int>> ids_promise;         // of all rings; empty: it ends here
  std::vector<std::promise<void>> core_made;
  std::promise<bool> recover_promise;      // all cores are made
  std::promise<std::string> recovered;     // empty, or the problem
  std::atomic<uint64_t> num_recovered{0};  // messages that wait
  std::promise<bool> go_promise;           // false: it ends here
  std::shared_future<std::vector<int>> ids = ids_promise.get_future().share();
  std::future<bool> recover = recover_promise.get_future();
  std::shared_future<bool> go = go_promise.get_future().share();
};

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
  for (const auto& page : s.pages)
    s.logs.push_back(std::make_unique<Log>(system_clock(), *page, *log_format_of(s.config.log_format)));
  s.log_writer.set_level(*log_level_of(s.config.log_level));
  s.http = std::make_unique<Http>(system_clock(), s.main_page(),
                                  [&s](std::string_view path) { return s.find(path); });
  if (!s.config.operations_listen.empty())
    if (std::string problem = s.http->open(s.config.operations_listen); !problem.empty()) return problem;
  s.main_page().set(Metric::kStartTime, system_clock().wall_ms() / 1000);
  for (uint16_t i = 0; i < num; ++i) {
    s.settings.push_back(std::make_unique<CoreSettings>());
    s.settings.back()->limits = s.config.limits;
    s.settings.back()->keys = s.keys;
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
  s.oper =
      std::make_unique<Operator>(Operator::Node{[&s] { return name_of(s.health()); },
                                                [&s] { return s.metrics(); }, [&s] { s.stop_asked = true; }},
                                 system_clock(), s.main_page());
  if (std::string problem = s.oper->open(s.config.data_dir); !problem.empty()) return problem;
  return s.store.open(s.config.limits, *s.random, restored);
}

void Node::run_core(uint16_t id, std::shared_ptr<Starting> shared) {
  Starting& starting = *shared;
  State& s = *state_;
  take_own_arena();
  auto ring = make_uring(reactor_ring(s.config));
  if (!ring) {
    starting.ring_made[id].set_value(ring.error());
    return;
  }
  s.rings[id] = std::move(*ring);
  starting.ring_made[id].set_value({});
  CoreOptions core_options;
  core_options.ring_ids = starting.ids.get();
  if (core_options.ring_ids.empty()) return;
  Privileges::drop_capabilities();
  core_options.id = id;
  core_options.num_cores = s.config.reactors;
  core_options.store = s.config.reactors;
  core_options.accounts_auto = s.config.accounts_auto;
  core_options.boot = s.boot;
  core_options.incarnation = s.store.writer().incarnation();
  core_options.counter = s.store.writer().base();
  core_options.ceiling = s.store.writer().ceiling();
  core_options.served_ms = s.store.writer().served_ms();
  MeshEndpoint& mesh = s.mesh->endpoint(id);
  mesh.bind(*s.rings[id]);
  CoreSettings& own = *s.settings[id];
  s.cores[id] = std::make_unique<Core>(core_options, *s.rings[id], mesh, system_clock(), *s.pages[id],
                                       *s.logs[id], own.limits, *own.keys, s.store.writer().make_reader());
  starting.core_made[id].set_value();
  if (!starting.go.get()) return;
  Core& core = *s.cores[id];
  for (const int listener : s.listeners.of(id)) core.net().listen(listener);
  bool told = false;
  while (!s.exit_now.load(std::memory_order_relaxed)) {
    take_new(own, core);
    core.turn(core.draining() ? 1'000'000 : kSleepNsMax);
    if (s.stop_asked.load(std::memory_order_relaxed)) core.drain();
    if (core.store_failed()) s.failed = true;
    if (!told && core.draining() && core.drained()) {
      told = true;
      ++s.num_drained;
    }
  }
}

void Node::run_store(std::shared_ptr<Starting> shared) {
  Starting& starting = *shared;
  State& s = *state_;
  take_own_arena();
  const CoreId id = s.config.reactors;
  auto ring = make_uring(store_ring());
  if (!ring) {
    starting.ring_made[id].set_value(ring.error());
    return;
  }
  MeshEndpoint& mesh = s.mesh->endpoint(id);
  mesh.bind(**ring);
  starting.ring_made[id].set_value({});
  if (starting.ids.get().empty()) return;
  Privileges::drop_capabilities();
  starting.recover.wait();
  RecoveryFanOut fan_out(s.cores, [&s] { return s.stop_asked.load(std::memory_order_relaxed); });
  std::string problem = s.store.recover(fan_out);
  if (!s.stop_asked)
    for (auto& core : s.cores) core->recovered();
  starting.num_recovered = fan_out.num_items();
  starting.recovered.set_value(std::move(problem));
  if (!starting.go.get()) return;
  StoreThread thread(s.store.writer(), mesh, **ring, id, s.store_page(), *s.logs[id], s.config.limits,
                     system_clock());
  while (!s.store_stop.load(std::memory_order_relaxed)) thread.turn(kSleepNsMax);
  thread.finish();
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
