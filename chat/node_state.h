// The parts of a node, which only its own files see: chat/node.cc starts and stops it, chat/node_threads.cc
// is what its reactors and the store thread do, chat/node_service.cc what the main thread does meanwhile.
#pragma once
#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "chat/core.h"
#include "chat/http.h"
#include "chat/listeners.h"
#include "chat/node.h"
#include "chat/operator.h"
#include "chat/privileges.h"
#include "chat/store_folder.h"
#include "chat/supervision.h"
#include "core/handoff.h"
#include "core/log.h"
#include "core/mesh.h"

namespace perch::chat {

inline RingOptions reactor_ring(const Config& config) {
  RingOptions options;
  options.sockets = config.limits.connections_max;
  return options;
}

inline RingOptions store_ring() {
  RingOptions options;
  options.sockets = 0;
  options.buffers = 0;
  options.submissions = 64;
  options.completions = 1024;
  return options;
}

// What changes while a core runs. The core reads its own copy, which only its own thread changes, in a turn
// behind its wait: what was handed out before a peer said something holds for what it said.
struct CoreSettings {
  struct Next {
    Limits limits;
    std::shared_ptr<const TokenKeys> keys;
    LogLevel log_level;
  };
  Limits limits;
  std::shared_ptr<const TokenKeys> keys;
  Handoff<Next> next;  // from the main thread
};

struct Node::State {
  State(Config c, TokenKeys k, Wishes w);
  const Config config;  // of the start: any thread reads it
  // What it runs with, after what has changed since: the main thread's.
  Config running;
  std::shared_ptr<const TokenKeys> running_keys;
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
  void set_log_level(std::string_view level);  // REQUIRES: it is one
  void hand_out();                             // what it runs with, to all threads
  std::optional<HttpAnswer> find(std::string_view path);
  std::string metrics();
  uint64_t store_bytes();
  Health health();
};

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

}  // namespace perch::chat
