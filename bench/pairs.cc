#include "bench/pairs.h"

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <utility>

#include "core/check.h"
#include "core/clock.h"

namespace perch::bench {
namespace {

constexpr uint64_t kLoginNsMax = 60'000'000'000;
constexpr uint64_t kDrainNsMax = 10'000'000'000;
constexpr uint64_t kTickNs = 10'000'000;
constexpr uint64_t kWaitNsMax = 1'000'000;
// Between two looks at the ring; what is late is sent with its intended time
// all the same.
constexpr uint32_t kSendsPerTurn = 256;

uint64_t now_ns() { return system_clock().mono_ns(); }
uint64_t to_ns(double seconds) { return static_cast<uint64_t>(seconds * 1e9); }

class Run {
 public:
  Run(const PairsOptions& options, const WatchedServer& server, Ledger& ledger, Traffic& traffic,
      Random& random, Wires& wires, const std::function<bool()>& interrupted)
      : options_(options),
        server_(server.pid),
        counters_(server.data_dir),
        ledger_(ledger),
        traffic_(traffic),
        random_(random),
        wires_(wires),
        interrupted_(interrupted),
        body_(options.body_bytes, 0x5a) {}

  PairsResult run() {
    const uint64_t begin = now_ns();
    while (!traffic_.ready()) {
      if (now_ns() - begin > kLoginNsMax) result_.problem = "not all connections were logged in within 60 s";
      if (!turn(kWaitNsMax)) return result_;
    }
    result_.login_s = static_cast<double>(now_ns() - begin) * 1e-9;
    send_all();
    const uint64_t sent_all = now_ns();
    while (result_.problem.empty() && ledger_.num_delivered() < ledger_.num_sent()) {
      if (now_ns() - sent_all > kDrainNsMax) break;  // lost, as far as anybody can tell
      if (!turn(kWaitNsMax)) return result_;
    }
    for (int i = 0; i < 50 && turn(kWaitNsMax); ++i) {
    }  // the last confirmations; what comes twice comes now
    return result_;
  }

 private:
  // False: the run is over.
  bool turn(uint64_t timeout_ns) {
    const uint64_t now = now_ns();
    if (now >= next_tick_ns_) {
      traffic_.tick();
      next_tick_ns_ = now + kTickNs;
    }
    wires_.turn(timeout_ns);
    if (result_.problem.empty()) result_.problem = traffic_.problem();
    if (result_.problem.empty() && interrupted_()) result_.problem = "interrupted";
    return result_.problem.empty();
  }

  void send(uint32_t sender, uint64_t intended_ns) {
    ledger_.compose(sender, intended_ns, body_);
    traffic_.send(sender, body_);
  }

  void send_all() {
    const uint64_t start = now_ns();
    const uint64_t window_begin = start + to_ns(options_.warm_up_s);
    const uint64_t window_end = window_begin + to_ns(options_.seconds);
    ledger_.set_window(window_begin, window_end);
    bool measuring = false;
    if (options_.rate == 0) {
      for (uint32_t i = 0; i < options_.depth; ++i) {
        for (uint32_t sender = 0; sender < ledger_.num_connections(); ++sender) send(sender, now_ns());
      }
    }
    for (uint64_t num = 0;;) {
      const uint64_t now = now_ns();
      if (!measuring && now >= window_begin) {
        measuring = true;
        begin_window(now);
      }
      if (now >= window_end) break;
      const uint64_t timeout = options_.rate == 0 ? send_freed() : send_due(start, window_end, num);
      if (!turn(timeout)) return;
    }
    end_window();
  }

  uint64_t send_due(uint64_t start, uint64_t window_end, uint64_t& num) {
    traffic_.freed().clear();
    for (uint32_t sends = 0;; ++sends) {
      const uint64_t intended = start + static_cast<uint64_t>(static_cast<double>(num) * 1e9 / options_.rate);
      if (intended >= window_end) return kWaitNsMax;
      const uint64_t now = now_ns();
      if (intended > now) return std::min(kWaitNsMax, intended - now);
      if (sends == kSendsPerTurn) return 0;
      ++num;
      send(static_cast<uint32_t>(random_.below(ledger_.num_connections())), intended);
    }
  }

  uint64_t send_freed() {
    const uint64_t now = now_ns();
    for (const uint32_t sender : std::exchange(traffic_.freed(), {})) send(sender, now);
    return kWaitNsMax;
  }

  void begin_window(uint64_t now) {
    began_ns_ = now;
    delivered_before_ = ledger_.num_delivered();
    syscalls_before_ = wires_.num_syscalls();
    own_before_ = cpu_of_this_thread_s();
    counters_.begin();
    if (server_ <= 0) return;
    if (const auto cpu = cpu_of_process(server_); cpu.ok()) {
      server_before_ = *cpu;
      result_.has_server_cpu = true;
    }
  }

  void end_window() {
    if (result_.has_server_cpu) {
      const auto cpu = cpu_of_process(server_);
      result_.has_server_cpu = cpu.ok();
      if (cpu.ok()) {
        result_.server_cpu = {cpu->user_s - server_before_.user_s, cpu->system_s - server_before_.system_s};
      }
      result_.server_resident_bytes = resident_bytes_of(server_);
    }
    result_.window_s = static_cast<double>(now_ns() - began_ns_) * 1e-9;
    result_.generator_cpu_share = (cpu_of_this_thread_s() - own_before_) / result_.window_s;
    result_.num_delivered_in_window = ledger_.num_delivered() - delivered_before_;
    const auto delivered = static_cast<double>(result_.num_delivered_in_window);
    result_.delivered_per_s = delivered / result_.window_s;
    result_.intended_per_s = static_cast<double>(ledger_.num_intended_in_window()) / options_.seconds;
    const auto syscalls = static_cast<double>(wires_.num_syscalls() - syscalls_before_);
    result_.generator_syscalls_per_message = delivered > 0 ? syscalls / delivered : 0;
    result_.server_counters = counters_.end();
  }

  const PairsOptions& options_;
  pid_t server_;
  CountersWindow counters_;
  Ledger& ledger_;
  Traffic& traffic_;
  Random& random_;
  Wires& wires_;
  const std::function<bool()>& interrupted_;
  std::vector<uint8_t> body_;
  PairsResult result_;
  uint64_t next_tick_ns_ = 0;
  uint64_t began_ns_ = 0, delivered_before_ = 0, syscalls_before_ = 0;
  double own_before_ = 0;
  CpuTime server_before_;
};

std::string text(const char* format, double a, double b = 0) {
  char line[256];
  std::snprintf(line, sizeof(line), format, a, b);
  return line;
}

}  // namespace

Ledger make_ledger(uint32_t connections, Random& random) {
  PERCH_CHECK(connections % 2 == 0);
  std::vector<uint32_t> order(connections), partner(connections);
  std::iota(order.begin(), order.end(), 0u);
  for (uint32_t i = connections; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  for (uint32_t i = 0; i < connections; i += 2) {
    partner[order[i]] = order[i + 1];
    partner[order[i + 1]] = order[i];
  }
  return Ledger(random.next(), std::move(partner));
}

PairsResult run_pairs(const PairsOptions& options, const std::string& address, const WatchedServer& server,
                      Ledger& ledger, Traffic& traffic, Random& random,
                      const std::function<bool()>& interrupted) {
  PairsResult failed;
  const auto remote = parse_address(address);
  if (!remote.ok()) {
    failed.problem = address + " is not an address; write 127.0.0.1:7110 or [::1]:7110";
    return failed;
  }
  const auto wires = Wires::make(*remote, options.connections, traffic);
  if (!wires.ok()) {
    failed.problem = std::string("no ring for so many connections: ") + explain_ring_error(wires.error());
    return failed;
  }
  traffic.start(**wires);
  return Run(options, server, ledger, traffic, random, **wires, interrupted).run();
}

std::vector<std::string> remarks_on(const PairsOptions& options, const PairsResult& result,
                                    const Ledger& ledger, bool pinned) {
  std::vector<std::string> remarks;
  const auto intended = static_cast<double>(ledger.num_intended_in_window());
  const auto delivered = static_cast<double>(ledger.num_delivered_in_window());
  if (options.rate > 0 && delivered < 0.99 * intended) {
    remarks.push_back(
        text("overloaded: %.1f %% of the intended rate was "
             "delivered in the window; compare no latency",
             100 * delivered / std::max(intended, 1.0)));
  }
  if (options.rate == 0) {
    remarks.push_back(
        "closed loop: latency counts from the sending and tells "
        "the depth of the queue only");
  }
  const double own = 100 * result.generator_cpu_share, theirs = 100 * result.server_cpu_share();
  if (own > 90 && (!result.has_server_cpu || theirs < 90)) {
    remarks.push_back(
        text("the generator is the bottleneck: it used %.0f %% "
             "of a core, the server %.0f %%",
             own, theirs));
  } else if (own > 70) {
    remarks.push_back(
        text("the generator used %.0f %% of its core: latencies "
             "contain its own queue",
             own));
  }
  if (options.rate > 0 && ledger.lag_ns().quantile(0.99) > 1'000'000) {
    remarks.push_back(
        text("the generator itself was late: p99 of sending after the intended "
             "time is %.1f ms",
             static_cast<double>(ledger.lag_ns().quantile(0.99)) * 1e-6));
  }
  if (!pinned) remarks.push_back("server and generator were not pinned to cores of their own");
  if (result.has_server_cpu && result.server_cpu.total_s() < 1) {
    remarks.push_back(
        "the server used less than a second of CPU: its clock "
        "ticks make more than 1 % of the figure");
  }
  return remarks;
}

}  // namespace perch::bench
