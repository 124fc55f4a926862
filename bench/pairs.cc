#include "bench/pairs.h"

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <utility>

#include "bench/schedule.h"
#include "core/check.h"
#include "core/clock.h"

namespace perch::bench {
namespace {

constexpr uint64_t kLoginNsMax = 60'000'000'000;
constexpr uint64_t kDrainNsMax = 10'000'000'000;
constexpr uint64_t kCatchUpNsMax = 10'000'000'000;
constexpr uint64_t kTickNs = 10'000'000;
constexpr uint64_t kWaitNsMax = 1'000'000;
// Between two looks at the ring; what is late is sent with its intended time all the same.
constexpr uint32_t kSendsPerTurn = 256;

uint64_t now_ns() { return system_clock().mono_ns(); }
uint64_t to_ns(double seconds) { return static_cast<uint64_t>(seconds * 1e9); }

std::string text(const char* format, double a, double b = 0) {
  char line[256];
  std::snprintf(line, sizeof(line), format, a, b);
  return line;
}

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
    if (options_.rate > 0) {
      schedule_.emplace(start, window_end, options_.rate);
      result_.num_intended_in_window = schedule_->num_left() - schedule_->num_before(window_begin);
    }
    for (uint32_t i = 0; options_.rate == 0 && i < options_.depth; ++i) {
      for (uint32_t sender = 0; sender < ledger_.num_connections(); ++sender) send(sender, now_ns());
    }
    bool measuring = false;
    for (;;) {
      const uint64_t now = now_ns();
      if (!measuring && now >= window_begin) {
        measuring = true;
        begin_window(now);
      }
      if (now >= window_end) break;
      if (!turn(schedule_ ? send_due() : send_freed())) return;
    }
    end_window();
    if (schedule_) catch_up(window_end + kCatchUpNsMax);
  }

  // What a generator that fell behind has still to send is the latest of all: left out, the histogram would
  // be that of the others.
  void catch_up(uint64_t until_ns) {
    while (schedule_->num_left() > 0 && now_ns() < until_ns) {
      if (!turn(send_due())) return;
    }
    if (schedule_->num_left() == 0) return;
    result_.problem = text("the generator was too slow for this rate: %.0f messages were never sent",
                           static_cast<double>(schedule_->num_left()));
  }

  // How long nothing is due.
  uint64_t send_due() {
    traffic_.freed().clear();
    for (uint32_t sends = 0;; ++sends) {
      const auto intended = schedule_->next_ns();
      if (!intended) return kWaitNsMax;
      const uint64_t now = now_ns();
      if (*intended > now) return std::min(kWaitNsMax, *intended - now);
      if (sends == kSendsPerTurn) return 0;
      schedule_->take();
      send(static_cast<uint32_t>(random_.below(ledger_.num_connections())), *intended);
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
    result_.intended_per_s = static_cast<double>(result_.num_intended_in_window) / options_.seconds;
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
  std::optional<Schedule> schedule_;  // of an open loop
  PairsResult result_;
  uint64_t next_tick_ns_ = 0;
  uint64_t began_ns_ = 0, delivered_before_ = 0, syscalls_before_ = 0;
  double own_before_ = 0;
  CpuTime server_before_;
};

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
  const auto intended = static_cast<double>(result.num_intended_in_window);
  const auto delivered = static_cast<double>(ledger.num_delivered_in_window());
  if (options.rate > 0 && delivered < 0.99 * intended) {
    remarks.push_back(
        text("overloaded: %.1f %% of the intended rate was delivered in the window; compare no latency",
             100 * delivered / std::max(intended, 1.0)));
  }
  if (options.rate == 0) {
    remarks.push_back("closed loop: latency counts from the sending and tells the depth of the queue only");
  }
  const double own = 100 * result.generator_cpu_share, theirs = 100 * result.server_cpu_share();
  if (own > 90 && (!result.has_server_cpu || theirs < 90)) {
    remarks.push_back(
        text("the generator is the bottleneck: it used %.0f %% of a core, the server %.0f %%", own, theirs));
  } else if (own > 70) {
    remarks.push_back(text("the generator used %.0f %% of its core: latencies contain its own queue", own));
  }
  if (options.rate > 0 && ledger.lag_ns().quantile(0.99) > 1'000'000) {
    remarks.push_back(text("the generator itself was late: p99 of sending after the intended time is %.1f ms",
                           static_cast<double>(ledger.lag_ns().quantile(0.99)) * 1e-6));
  }
  if (!pinned) remarks.push_back("server and generator were not pinned to cores of their own");
  if (result.has_server_cpu && result.server_cpu.total_s() < 1) {
    remarks.push_back(
        "the server used less than a second of CPU: its clock ticks make more than 1 % of the figure");
  }
  return remarks;
}

}  // namespace perch::bench
