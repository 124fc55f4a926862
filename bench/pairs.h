// pairs: random pairs of connections send each other messages, in an open loop at a given rate, or as fast as
// the server answers.
//
// OPEN LOOP: message i is meant to be sent at start + i / rate by a random connection, whatever has happened
// to those before, and its latency counts from that moment. A server that stalls is therefore charged for
// everything that should have been sent meanwhile. What the generator itself did not get round to before the
// end of the window it sends afterwards.
// MAX: every connection keeps `depth` messages on their way; latency then counts from the sending and says
// how long the queue is, nothing else.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bench/ledger.h"
#include "bench/machine.h"
#include "bench/server_counters.h"
#include "bench/traffic.h"

namespace perch::bench {

struct PairsOptions {
  uint32_t connections = 2000;
  double rate = 0;  // messages per second, 0: max
  uint32_t depth = 4;
  uint32_t body_bytes = 128;
  double warm_up_s = 1;
  double seconds = 10;
};

// The server under load, as far as it can be looked into.
struct WatchedServer {
  pid_t pid = 0;         // whose CPU time is taken; 0: nobody's
  std::string data_dir;  // whose counters are read; empty: nobody's
};

struct PairsResult {
  std::string problem;  // not empty: nothing below means anything
  double login_s = 0;
  double window_s = 0;
  uint64_t num_intended_in_window = 0;  // of an open loop, by arithmetic: what was sent is another matter
  double intended_per_s = 0, delivered_per_s = 0;
  uint64_t num_delivered_in_window = 0;
  CpuTime server_cpu;  // in the window
  bool has_server_cpu = false;
  uint64_t server_resident_bytes = 0;
  std::optional<ServerCounters> server_counters;  // in the window
  double generator_cpu_share = 0;
  double generator_syscalls_per_message = 0;
  double server_cpu_share() const { return window_s > 0 ? server_cpu.total_s() / window_s : 0; }
  double server_syscalls_per_frame() const {
    return server_counters && server_counters->num_frames > 0
               ? static_cast<double>(server_counters->num_enters) /
                     static_cast<double>(server_counters->num_frames)
               : 0;
  }
  double server_frames_per_delivered() const {
    return server_counters && num_delivered_in_window > 0 ? static_cast<double>(server_counters->num_frames) /
                                                                static_cast<double>(num_delivered_in_window)
                                                          : 0;
  }
  double server_cpu_us_per_delivered() const {
    return num_delivered_in_window > 0
               ? server_cpu.total_s() * 1e6 / static_cast<double>(num_delivered_in_window)
               : 0;
  }
};

// A ledger for `connections` in random pairs. REQUIRES: an even number.
Ledger make_ledger(uint32_t connections, Random& random);

// Takes at most 60 s for the logins, the warm-up, the window, 10 s for what is still to be sent, and 10 s for
// what is still on its way. `interrupted` is asked every turn.
PairsResult run_pairs(const PairsOptions& options, const std::string& address, const WatchedServer& server,
                      Ledger& ledger, Traffic& traffic, Random& random,
                      const std::function<bool()>& interrupted);

// What a reader must know before believing the figures; one line each.
std::vector<std::string> remarks_on(const PairsOptions& options, const PairsResult& result,
                                    const Ledger& ledger, bool pinned);

}  // namespace perch::bench
