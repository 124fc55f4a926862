#include "chat/node.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <future>

#include "chat/control.h"
#include "chat/core.h"
#include "chat/store_thread.h"
#include "core/mesh.h"
#include "net/listen.h"
#include "store/store_lmdb.h"
#include "store/writer.h"

namespace perch::chat {

namespace {

constexpr uint64_t kSleepNsMax = 100'000'000;  // a stop is noticed this soon where no wake reaches a ring

// Goes to all cores when all of them are there.
class RecoveryFanOut final : public store::RecoveryVisitor {
 public:
  explicit RecoveryFanOut(std::vector<std::unique_ptr<Core>>& cores) : cores_(cores) {}
  void item(const store::RecoveredItem& found) override { at(found.waiting.user).item(found); }
  void mark(const store::RecoveredMark& found) override { at(found.id.user).mark(found); }
  void receipt(const store::RecoveredReceipt& found) override { at(found.key.user).receipt(found); }
  void expired(const store::RecoveredExpired& found) override { at(found.id.user).expired(found); }

 private:
  Core& at(UserId user) { return *cores_[home_of(user, static_cast<uint16_t>(cores_.size()))]; }
  std::vector<std::unique_ptr<Core>>& cores_;
};

void pin(std::thread& thread, unsigned core) {
  const unsigned num = std::thread::hardware_concurrency();
  if (num == 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core % num, &set);
  pthread_setaffinity_np(thread.native_handle(), sizeof(set), &set);  // advice: a container may forbid it
}

}  // namespace

struct Node::State {
  State(Config c, const TokenKeys& k) : config(std::move(c)), keys(k) {}
  const Config config;
  const TokenKeys& keys;
  int lock = -1;
  std::unique_ptr<Random> random = system_random();
  std::unique_ptr<store::Kv> journal;
  std::unique_ptr<store::Kv> tables;
  std::unique_ptr<store::Writer> writer;
  std::unique_ptr<Mesh> mesh;
  std::vector<int> listeners;
  std::vector<std::string> addresses;
  std::vector<std::unique_ptr<Ring>> rings;
  std::vector<std::unique_ptr<MetricsPage>> pages;  // of each core, of the store thread, of the main thread
  std::vector<std::unique_ptr<Core>> cores;
  std::vector<std::thread> threads;
  std::thread store_thread;
  std::atomic<bool> stop_asked{false};
  std::atomic<bool> exit_now{false};
  std::atomic<uint16_t> num_drained{0};
  std::atomic<bool> failed{false};
  std::atomic<bool> store_stop{false};
  std::unique_ptr<Control> control;

  MetricsPage& store_page() { return *pages[config.reactors]; }
  MetricsPage& main_page() { return *pages.back(); }
  std::string answer(std::string_view request);
  std::string_view health();
};

std::string_view Node::State::health() {
  if (failed || store_page().value(Metric::kStorePoisoned) != 0) return "poisoned";
  if (stop_asked) return "draining";
  return store_page().value(Metric::kStoreFull) != 0 ? "full" : "ok";
}

std::string Node::State::answer(std::string_view request) {
  if (request == "health") return fmt::format("{}\n", health());
  if (request != "metrics") return "";
  std::vector<const MetricsPage*> all;
  for (const auto& page : pages) all.push_back(page.get());
  return metrics_text(all);
}

Node::Node(Config config, const TokenKeys& keys) : state_(std::make_unique<State>(std::move(config), keys)) {}
Node::~Node() = default;
const std::vector<std::string>& Node::addresses() const { return state_->addresses; }

std::string Node::start() {
  State& s = *state_;
  const Result<void> probe = probe_uring();
  if (!probe) return explain_ring_error(probe.error());

  const std::string& dir = s.config.data_dir;
  if (mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST)
    return fmt::format("--data {}: cannot make the folder: {}", dir, std::strerror(errno));
  s.lock = open((dir + "/lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (s.lock < 0) return fmt::format("--data {}: cannot write there: {}", dir, std::strerror(errno));
  if (flock(s.lock, LOCK_EX | LOCK_NB) != 0)
    return fmt::format("--data {}: another perchd uses this folder; stop it or name another folder", dir);

  const uint16_t num = s.config.reactors;
  for (uint16_t i = 0; i < num; ++i)
    s.pages.push_back(std::make_unique<MetricsPage>(MetricScope::kReactor, i));
  s.pages.push_back(std::make_unique<MetricsPage>(MetricScope::kStore));
  s.pages.push_back(std::make_unique<MetricsPage>(MetricScope::kMain));
  s.main_page().set(Metric::kStartTime, system_clock().wall_ms() / 1000);
  s.control = std::make_unique<Control>(system_clock(), s.main_page(),
                                        [&s](std::string_view request) { return s.answer(request); });
  if (std::string problem = s.control->open(dir); !problem.empty()) return problem;

  const auto explain = [&dir](const char* what, const Error& error) {
    if (error.code == Errc::kNewerFormat)
      return fmt::format("--data {}: this store has format {}, written by a newer Perch; upgrade perchd", dir,
                         error.detail);
    return fmt::format("--data {}: cannot open the {}: {} ({})", dir, what, name_of(error.code),
                       error.detail);
  };
  auto journal = store::open_lmdb(dir + "/journal", store::kJournalTableNames, s.config.limits.map_bytes);
  if (!journal) return explain("journal", journal.error());
  s.journal = std::move(*journal);
  auto tables = store::open_lmdb(dir + "/tables", store::kMailboxTableNames, s.config.limits.table_map_bytes);
  if (!tables) return explain("mailbox tables", tables.error());
  s.tables = std::move(*tables);
  auto writer = store::Writer::open(*s.journal, *s.tables, s.config.limits, *s.random);
  if (!writer) return explain("store", writer.error());
  s.writer = std::move(*writer);

  s.mesh = std::make_unique<Mesh>(static_cast<uint16_t>(num + 1), s.config.limits.mesh_slots);
  for (const std::string& address : s.config.listen) {
    // Every reactor listens on its own socket of one SO_REUSEPORT group; the first fixes a port the kernel
    // chose.
    std::string bound = address;
    for (uint16_t core = 0; core < num; ++core) {
      const Result<int> listener = net::open_listener(bound, true);
      if (!listener)
        return listener.error().code == Errc::kSystem
                   ? fmt::format("--listen {}: {}; name another address or stop what uses it", address,
                                 std::strerror(static_cast<int>(listener.error().detail)))
                   : fmt::format("--listen {}: not an address; write 127.0.0.1:7110 or [::1]:7110", address);
      s.listeners.push_back(*listener);
      if (core == 0) {
        const Result<uint16_t> port = net::local_port(*listener);
        PERCH_CHECK(port.ok());
        bound = fmt::format("{}:{}", address.substr(0, address.rfind(':')), *port);
        s.addresses.push_back(bound);
      }
    }
  }

  // Rings belong to the thread that makes them, so every thread makes its own; then all cores are built, then
  // what waited is handed to them, then all begin.
  s.rings.resize(num);
  s.cores.resize(num);
  const uint64_t boot = s.random->next();
  std::vector<std::promise<Result<void>>> ring_made(num + 1u);
  std::promise<std::vector<int>> ids_promise;
  const std::shared_future<std::vector<int>> ids = ids_promise.get_future().share();
  std::vector<std::promise<void>> core_made(num);
  std::promise<bool> go_promise;
  const std::shared_future<bool> go = go_promise.get_future().share();

  for (uint16_t i = 0; i < num; ++i) {
    s.threads.emplace_back([&s, i, num, boot, &ring_made, ids, &core_made, go] {
      RingOptions options;
      options.sockets = s.config.limits.connections_max;
      auto ring = make_uring(options);
      if (!ring) {
        ring_made[i].set_value(ring.error());
        return;
      }
      s.rings[i] = std::move(*ring);
      ring_made[i].set_value({});
      CoreOptions core_options;
      core_options.ring_ids = ids.get();
      if (core_options.ring_ids.empty()) return;
      core_options.id = i;
      core_options.num_cores = num;
      core_options.store = num;
      core_options.accounts_auto = s.config.accounts_auto;
      core_options.boot = boot;
      core_options.incarnation = s.writer->incarnation();
      core_options.counter = s.writer->base();
      core_options.ceiling = s.writer->ceiling();
      MeshEndpoint& mesh = s.mesh->endpoint(i);
      mesh.bind(*s.rings[i]);
      s.cores[i] = std::make_unique<Core>(core_options, *s.rings[i], mesh, system_clock(), *s.pages[i],
                                          s.config.limits, s.keys, s.writer->make_reader());
      core_made[i].set_value();
      if (!go.get()) return;
      Core& core = *s.cores[i];
      for (size_t at = i; at < s.listeners.size(); at += num) core.net().listen(s.listeners[at]);
      bool told = false;
      while (!s.exit_now.load(std::memory_order_relaxed)) {
        core.turn(core.draining() ? 1'000'000 : kSleepNsMax);
        if (s.stop_asked.load(std::memory_order_relaxed)) core.drain();
        if (core.store_failed()) s.failed = true;
        if (!told && core.draining() && core.drained()) {
          told = true;
          ++s.num_drained;
        }
      }
    });
    pin(s.threads.back(), i);
  }
  s.store_thread = std::thread([&s, num, &ring_made, ids] {
    RingOptions options;
    options.sockets = 0;
    options.buffers = 0;
    options.submissions = 64;
    options.completions = 1024;
    auto ring = make_uring(options);
    if (!ring) {
      ring_made[num].set_value(ring.error());
      return;
    }
    MeshEndpoint& mesh = s.mesh->endpoint(num);
    mesh.bind(**ring);
    ring_made[num].set_value({});
    if (ids.get().empty()) return;
    StoreThread thread(*s.writer, mesh, **ring, num, *s.pages[num], s.config.limits, system_clock());
    while (!s.store_stop.load(std::memory_order_relaxed)) thread.turn(kSleepNsMax);
  });

  std::string problem;
  for (auto& made : ring_made) {
    const Result<void> result = made.get_future().get();
    if (!result) problem = explain_ring_error(result.error());
  }
  std::vector<int> ring_ids;
  if (problem.empty())
    for (const auto& ring : s.rings) ring_ids.push_back(ring->id());
  ids_promise.set_value(ring_ids);
  if (problem.empty()) {
    for (auto& made : core_made) made.get_future().get();
    RecoveryFanOut fan_out(s.cores);
    const Result<void> read = s.writer->recover(fan_out);
    if (!read) problem = explain("store", read.error());
    for (auto& core : s.cores) core->recovered();
    go_promise.set_value(problem.empty());
  }
  if (!problem.empty()) {
    s.store_stop = true;
    for (auto& thread : s.threads) thread.join();
    s.store_thread.join();
    s.threads.clear();
  }
  return problem;
}

void Node::drain() { state_->stop_asked = true; }

int Node::wait() {
  State& s = *state_;
  constexpr int kNapMs = 5;  // so often the flags of other threads are looked at
  while (!s.stop_asked && !s.failed) s.control->serve(kNapMs);
  const uint64_t begun = system_clock().mono_ms();
  const uint64_t deadline = begun + (s.failed ? 0 : s.config.limits.drain_ms_max);
  while (!s.failed && s.num_drained < s.threads.size() && system_clock().mono_ms() < deadline) {
    s.main_page().set(Metric::kDraining, (system_clock().mono_ms() - begun) / 1000);
    s.control->serve(kNapMs);
  }
  usleep(s.failed ? 0 : 50'000);  // the last results reach the sockets
  s.exit_now = true;
  for (auto& thread : s.threads) thread.join();
  s.store_stop = true;
  s.store_thread.join();
  s.cores.clear();
  for (const int listener : s.listeners) close(listener);
  return s.failed ? 1 : 0;
}

}  // namespace perch::chat
