// perch-bench: flags, servers, JSON, exit status. The measuring is in pairs.h.
#include <signal.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bench/machine.h"
#include "bench/pairs.h"
#include "bench/traffic.h"

namespace perch::bench {
namespace {

// Exit statuses: 0 measured and nothing was lost, doubled, reordered or astray; 1 something was, by Perch or
// by the relay, or perchd did not drain in time; 2 nothing measured.
constexpr int kExitBroken = 1;
constexpr int kExitNothing = 2;

// More than the devices: who reconnects may come before its old connection is gone. perchd takes 1,000,000
// for one core, spare ones included.
constexpr uint32_t kSpareConnections = 64;

volatile sig_atomic_t g_stop = 0;

using Json = nlohmann::ordered_json;

struct Flags {
  PairsOptions pairs;
  bool max = false, relay = false;
  std::string json, server, server_data, secret_file, kid = "dev", data_root;
  int server_pid = 0;
  uint64_t first_user = 1;
};

std::string program_beside(const char* name) {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / name).string();
}

// The store and the secret of a server that lives as long as the benchmark.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::string& root) {
    const std::filesystem::path parent =
        root.empty() ? std::filesystem::temp_directory_path() : std::filesystem::path(root);
    std::string pattern = (parent / "perch-bench.XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error(pattern + ": cannot be made");
    path_ = pattern;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string read_secret(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream all;
  all << in.rdbuf();
  std::string secret = all.str();
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r')) secret.pop_back();
  if (!in || secret.empty())
    throw std::runtime_error("--secret-file " + path + ": cannot be read or is empty");
  return secret;
}

std::string new_secret(const std::string& path, Random& random) {
  std::string secret;
  for (int i = 0; i < 4; ++i) {
    char digits[17];
    std::snprintf(digits, sizeof(digits), "%016llx", static_cast<unsigned long long>(random.next()));
    secret += digits;
  }
  std::ofstream(path) << secret << '\n';
  chmod(path.c_str(), 0600);
  return secret;
}

// To a multiple of `step`, which is a power of ten below 1; divided by its inverse, so that it prints short.
double rounded(double value, double step) {
  const double inverse = std::round(1 / step);
  return std::round(value * inverse) / inverse;
}

Json latency_json(const Histogram& h) {
  const auto us = [](uint64_t ns) { return rounded(static_cast<double>(ns) * 1e-3, 0.1); };
  return {{"num", h.num()},
          {"p50", us(h.quantile(0.5))},
          {"p90", us(h.quantile(0.9))},
          {"p99", us(h.quantile(0.99))},
          {"p999", us(h.quantile(0.999))},
          {"max", us(h.max())}};
}

Json result_json(const Flags& flags, const PairsResult& r, const Ledger& ledger, bool pinned) {
  Json out;
  if (!flags.max) out["intended_per_s"] = rounded(r.intended_per_s, 0.1);
  out["delivered_per_s"] = rounded(r.delivered_per_s, 0.1);
  if (r.num_intended_in_window > 0) {
    out["achieved_share"] = rounded(
        static_cast<double>(ledger.num_delivered_in_window()) / static_cast<double>(r.num_intended_in_window),
        0.0001);
  }
  out["latency_us"] = latency_json(ledger.latency_ns());
  out["latency_from"] = flags.max ? "sending" : "intended time of sending";
  if (r.has_server_cpu) {
    out["server_cpu_us_per_delivered"] = rounded(r.server_cpu_us_per_delivered(), 0.001);
    out["server_cpu_user_s"] = r.server_cpu.user_s;
    out["server_cpu_system_s"] = r.server_cpu.system_s;
    out["server_cpu_share"] = rounded(r.server_cpu_share(), 0.001);
    out["server_resident_bytes"] = r.server_resident_bytes;
  }
  if (r.server_counters) {
    out["server_syscalls_per_frame"] = rounded(r.server_syscalls_per_frame(), 0.0001);
    out["server_frames_per_delivered"] = rounded(r.server_frames_per_delivered(), 0.001);
  }
  out["generator_cpu_share"] = rounded(r.generator_cpu_share, 0.001);
  out["generator_lag_us"] = latency_json(ledger.lag_ns());
  out["generator_syscalls_per_message"] = rounded(r.generator_syscalls_per_message, 0.0001);
  out["window_s"] = rounded(r.window_s, 0.001);
  out["login_s"] = rounded(r.login_s, 0.001);
  out["sent"] = ledger.num_sent();
  out["delivered"] = ledger.num_delivered();
  out["lost"] = ledger.num_sent() - ledger.num_delivered();
  out["duplicated"] = ledger.num_duplicated();
  out["reordered"] = ledger.num_reordered();
  out["astray"] = ledger.num_astray();
  out["foreign"] = ledger.num_foreign();
  out["remarks"] = remarks_on(flags.pairs, r, ledger, pinned);
  return out;
}

bool is_clean(const Ledger& ledger) {
  return ledger.num_sent() == ledger.num_delivered() && ledger.num_duplicated() == 0 &&
         ledger.num_reordered() == 0 && ledger.num_astray() == 0;
}

void print_summary(const char* name, const Json& r) {
  const Json& l = r["latency_us"];
  std::printf("%s: %.0f delivered/s", name, r["delivered_per_s"].get<double>());
  if (r.contains("intended_per_s")) std::printf(" of %.0f intended/s", r["intended_per_s"].get<double>());
  if (r.contains("server_cpu_us_per_delivered")) {
    std::printf(", %.2f us of server CPU each", r["server_cpu_us_per_delivered"].get<double>());
  }
  std::printf("\n  latency us: p50 %.0f, p90 %.0f, p99 %.0f, p99.9 %.0f, max %.0f\n", l["p50"].get<double>(),
              l["p90"].get<double>(), l["p99"].get<double>(), l["p999"].get<double>(),
              l["max"].get<double>());
  if (r.contains("server_syscalls_per_frame"))
    std::printf("  server: %.4f system calls per frame, %.2f frames per delivered message\n",
                r["server_syscalls_per_frame"].get<double>(), r["server_frames_per_delivered"].get<double>());
  const auto num = [&r](const char* key) { return static_cast<unsigned long long>(r[key].get<uint64_t>()); };
  std::printf("  sent %llu, lost %llu, duplicated %llu, reordered %llu, astray %llu\n", num("sent"),
              num("lost"), num("duplicated"), num("reordered"), num("astray"));
  for (const auto& remark : r["remarks"]) std::printf("  note: %s\n", remark.get<std::string>().c_str());
  std::fflush(stdout);
}

// One measured run. Throws what made it impossible.
struct Measured {
  Json json;
  bool clean;
  double cpu_us;
  bool drained = true;  // the server, when it was stopped
};

Measured measure(const Flags& flags, const char* name, const std::string& address,
                 const WatchedServer& server, Ledger& ledger, Traffic& traffic, Random& random, bool pinned) {
  const PairsResult result =
      run_pairs(flags.pairs, address, server, ledger, traffic, random, [] { return g_stop != 0; });
  if (!result.problem.empty()) throw std::runtime_error(std::string(name) + ": " + result.problem);
  Measured out{result_json(flags, result, ledger, pinned), is_clean(ledger),
               result.server_cpu_us_per_delivered()};
  print_summary(name, out.json);
  return out;
}

Measured measure_perch(const Flags& flags, int server_core, bool pinned, Random& random) {
  Ledger ledger = make_ledger(flags.pairs.connections, random);
  PerchTraffic::Login login{.secret = "", .kid = flags.kid, .first_user = flags.first_user};
  std::unique_ptr<ScratchFolder> folder;
  ServerProcess server;
  std::string address = flags.server;
  WatchedServer watched{flags.server_pid, flags.server_data};
  if (address.empty()) {
    folder = std::make_unique<ScratchFolder>(flags.data_root);
    const std::string secret_file = folder->path() + "/secret";
    login.secret = new_secret(secret_file, random);
    // Any rate, so that the limits of a device do not decide what is measured.
    const std::string problem = server.start(
        program_beside("perchd"),
        {"--data", folder->path() + "/data", "--listen", "127.0.0.1:0", "--secret-file", secret_file,
         "--secret-kid", flags.kid, "--accounts-auto", "--reactors", "1", "--connections-per-reactor",
         std::to_string(flags.pairs.connections + kSpareConnections), "--rate", "1000000", "--rate-burst",
         "1000000"},
        server_core);
    if (!problem.empty()) throw std::runtime_error(problem);
    address = server.address();
    watched = {server.pid(), folder->path() + "/data"};
  } else {
    login.secret = read_secret(flags.secret_file);
  }
  PerchTraffic traffic(ledger, login);
  Measured out = measure(flags, "perch", address, watched, ledger, traffic, random, pinned);
  const PerchCounters c = traffic.counters();
  out.json["client"] = {{"storage", "memory"}, {"logins", c.logins},         {"disconnects", c.disconnects},
                        {"resent", c.resent},  {"holds", c.holds},           {"rejected", c.rejected},
                        {"known", c.known},    {"renumbered", c.renumbered}, {"confirms", c.confirms},
                        {"results", c.results}};
  if (server.pid() > 0) {
    if (!server.running()) throw std::runtime_error("perchd ended during the run");
    const bool drained = server.stop();
    out.json["server_drained"] = drained;
    if (!drained) std::printf("  perchd did not drain in time\n");
    out.drained = drained;
  }
  return out;
}

Measured measure_relay(const Flags& flags, int server_core, bool pinned, Random& random) {
  Ledger ledger = make_ledger(flags.pairs.connections, random);
  ServerProcess server;
  const std::string problem =
      server.start(program_beside("perch-relay"),
                   {"127.0.0.1:0", std::to_string(flags.pairs.connections + kSpareConnections)}, server_core);
  if (!problem.empty()) throw std::runtime_error(problem);
  const size_t frame_bytes = message_frame_bytes(flags.pairs.body_bytes);
  RelayTraffic traffic(ledger, frame_bytes);
  Measured out =
      measure(flags, "relay", server.address(), {server.pid(), ""}, ledger, traffic, random, pinned);
  out.json["frame_bytes"] = frame_bytes;
  return out;
}

int run(Flags flags) {
  if (flags.pairs.connections % 2 != 0)
    throw CLI::ValidationError("--connections", "must be even: they are pairs");
  if (flags.max == (flags.pairs.rate > 0))
    throw CLI::ValidationError("--rate", "give exactly one of --rate and --max");
  if (!flags.server.empty() && flags.secret_file.empty()) {
    throw CLI::ValidationError("--server", "needs --secret-file with the secret of that server");
  }
  const uint64_t descriptors = raise_descriptor_limit();
  if (descriptors < flags.pairs.connections + 128) {
    throw std::runtime_error("the limit of open files is " + std::to_string(descriptors) +
                             "; raise it (ulimit -n) or use fewer --connections");
  }
  const MachineFacts facts = machine_facts();  // before pinning: it counts the cores
  // The server gets the first core, the generator the second; with one core they share it.
  const std::vector<int> cores = usable_cores();
  const bool own_server = flags.server.empty();
  const int server_core = cores.size() >= 2 ? cores[0] : -1;
  const bool pinned = cores.size() >= 2 && pin_to_core(cores[1]) && own_server;

  const auto random = system_random();
  Json all;
  all["benchmark"] = "pairs";
  all["machine"] = {{"kernel", facts.kernel}, {"cpu", facts.cpu},       {"cores", facts.num_cores},
                    {"date", facts.date},     {"commit", facts.commit}, {"build", facts.build}};
  all["load"] = {{"connections", flags.pairs.connections},
                 {"rate", flags.max ? Json("max") : Json(flags.pairs.rate)},
                 {"depth", flags.max ? Json(flags.pairs.depth) : Json()},
                 {"body_bytes", flags.pairs.body_bytes},
                 {"warm_up_s", flags.pairs.warm_up_s},
                 {"seconds", flags.pairs.seconds},
                 {"pinned", pinned},
                 {"server", own_server ? "started by the benchmark" : flags.server}};
  all["histogram_relative_error"] = Histogram::kRelativeError;

  const Measured perch = measure_perch(flags, server_core, pinned, *random);
  all["perch"] = perch.json;
  bool clean = perch.clean;
  if (flags.relay) {
    const Measured relay = measure_relay(flags, server_core, cores.size() >= 2, *random);
    all["relay"] = relay.json;
    clean = clean && relay.clean;
    if (!clean) {
      std::printf("no ratio: one of the two did not carry everything\n");
    } else if (relay.cpu_us > 0 && perch.cpu_us > 0) {
      all["cpu_ratio_to_relay"] = rounded(perch.cpu_us / relay.cpu_us, 0.001);
      std::printf("ratio: a delivered message costs %.2f times one frame through the relay\n",
                  perch.cpu_us / relay.cpu_us);
    }
  }
  if (!flags.json.empty()) {
    if (flags.json == "-") {
      std::cout << all.dump(2) << '\n';
    } else {
      std::ofstream out(flags.json);
      out << all.dump(2) << '\n';
      if (!out.flush()) throw std::runtime_error("--json " + flags.json + ": cannot be written");
    }
  }
  return clean && perch.drained ? 0 : kExitBroken;
}

int main_of(int argc, char** argv) {
  Flags flags;
  CLI::App app{"perch-bench, measures a Perch server from outside"};
  app.require_subcommand(1);
  CLI::App& pairs = *app.add_subcommand("pairs", "random pairs of devices send each other messages");
  pairs.add_option("--connections", flags.pairs.connections, "devices, an even number")
      ->capture_default_str()
      ->check(CLI::Range(2u, 1'000'000 - kSpareConnections));
  pairs.add_option("--rate", flags.pairs.rate, "messages per second of all together, in an open loop")
      ->check(CLI::Range(0.1, 1e7));
  pairs.add_flag("--max", flags.max, "as fast as the server answers, in a closed loop");
  pairs.add_option("--depth", flags.pairs.depth, "with --max: messages of each device on their way")
      ->capture_default_str()
      ->check(CLI::Range(1u, 64u));
  pairs.add_option("--seconds", flags.pairs.seconds, "measured time")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 3600.0));
  pairs.add_option("--warm-up", flags.pairs.warm_up_s, "seconds of load before it")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 600.0));
  pairs.add_option("--body-bytes", flags.pairs.body_bytes, "size of a message's body")
      ->capture_default_str()
      ->check(CLI::Range(static_cast<uint32_t>(kBodyBytesMin), 65536u));
  pairs.add_option("--json", flags.json, "file for the figures, - for the standard output");
  pairs.add_option("--server", flags.server,
                   "address:port of a running server; without it one is started and stopped");
  pairs.add_option("--server-pid", flags.server_pid, "its process, for its CPU time")
      ->check(CLI::Range(1, 1 << 30));
  pairs.add_option("--server-data", flags.server_data, "its data folder, for its counters");
  pairs.add_option("--secret-file", flags.secret_file, "the secret that signs tokens for it");
  pairs.add_option("--secret-kid", flags.kid, "kid of those tokens")->capture_default_str();
  pairs.add_option("--first-user", flags.first_user, "user ids are this and the following ones")
      ->capture_default_str();
  pairs.add_option("--data", flags.data_root,
                   "folder on whose disk a started server has its store; default $TMPDIR");
  pairs.add_flag("--relay", flags.relay, "then measure the bare relay under the same load, for the ratio");
  try {
    app.parse(argc, argv);
    return run(flags);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "perch-bench: %s; see perch-bench pairs --help\n", error.what());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "perch-bench: %s\n", error.what());
  }
  return kExitNothing;
}

}  // namespace
}  // namespace perch::bench

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  for (const int number : {SIGINT, SIGTERM}) signal(number, [](int) { perch::bench::g_stop = 1; });
  return perch::bench::main_of(argc, argv);
}
