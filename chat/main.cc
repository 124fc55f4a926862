// perchd: flags, signals, exit status. What can be configured is in chat/config_keys.cc, the server in
// chat/node.h.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "chat/config.h"
#include "chat/key_files.h"
#include "chat/node.h"
#include "core/control_client.h"

namespace {

using perch::chat::ConfigLoader;
using perch::chat::TokenKeyFile;

// Exit statuses: 0 drained, 1 failed while running, 2 wrong flags or nothing could be started.
constexpr int kExitUsage = 2;
constexpr int kExitAsk = 1;  // --metrics and --health got no answer

int fail(const std::string& problem) {
  std::fprintf(stderr, "perchd: %s\n", problem.c_str());
  return kExitUsage;
}

// A flag that is another way to say one key of the file.
struct KeyFlag {
  const char* flag;
  const char* key;
  const char* help;
  std::vector<std::string> values;
};

struct Flags {
  std::string config_file;
  bool check_config = false;
  bool json = false;
  bool print_config = false;
  bool metrics = false;
  bool health = false;
  bool restored = false;
  bool accounts_auto = false;
  std::string secret_file, secret_kid = "dev";
  std::string public_key_file, public_key_kid = "ed";
  std::vector<std::string> set;
  std::vector<KeyFlag> keys{
      {"--data", "data", "folder of the store", {}},
      {"--listen", "listen", "address:port, several times; port 0 lets the kernel choose", {}},
      {"--reactors", "reactors", "reactor threads; 0, the default: one for each core it may run on", {}},
      {"--user", "user", "user to become once all is open, if started as root", {}},
      {"--connections-per-reactor", "limits.connections.connections_max", "connections of one reactor", {}},
      {"--journal-bytes", "limits.store.map_bytes", "largest size of the journal", {}},
      {"--rate", "limits.delivery.rate_per_second", "messages per second of a device", {}},
      {"--rate-burst", "limits.delivery.rate_burst", "... and at once", {}},
  };
};

void declare(CLI::App& app, Flags& flags) {
  app.add_option("--config", flags.config_file, "configuration file (TOML); flags win over it");
  app.add_flag("--print-config", flags.print_config, "print the configuration as a commented file, and exit");
  CLI::Option* check = app.add_flag("--check-config", flags.check_config,
                                    "say all that is wrong with configuration and key files, and exit");
  app.add_flag("--json", flags.json, "say it as one JSON object")->needs(check);
  app.add_flag("--metrics", flags.metrics, "print the counters of the server that runs on --data, and exit");
  app.add_flag("--health", flags.health,
               "print starting, ok, full, stuck, draining or poisoned of that server, and exit");
  app.add_flag("--restored", flags.restored,
               "the store was put back from a copy, not by perchctl restore: clients send again what it "
               "lacks; once");
  for (KeyFlag& key : flags.keys)
    app.add_option(key.flag, key.values, key.help)->allow_extra_args(false)->expected(1)->take_all();
  app.add_option("--set", flags.set, "KEY=VALUE, several times: any key, as limits.delivery.window=32")
      ->allow_extra_args(false)
      ->expected(1)
      ->take_all();
  app.add_option("--secret-file", flags.secret_file,
                 "file with the secret (32 bytes or more) that signs HS256 tokens");
  app.add_option("--secret-kid", flags.secret_kid, "kid of those tokens")->capture_default_str();
  app.add_option("--public-key-file", flags.public_key_file,
                 "file with the Ed25519 public key (PEM) that checks EdDSA tokens");
  app.add_option("--public-key-kid", flags.public_key_kid, "kid of those tokens")->capture_default_str();
  app.add_flag("--accounts-auto", flags.accounts_auto, "a token may name an account that is not there yet");
}

// The file, then the flags. Empty, or the first error; the loader has all.
std::string load(const Flags& flags, ConfigLoader& loader) {
  std::string error;
  const auto note = [&error](std::string problem) {
    if (error.empty()) error = std::move(problem);
  };
  const auto set = [&](std::string_view flag, std::string_view key, const std::vector<std::string>& values) {
    if (!values.empty()) note(loader.set(flag, key, values));
  };
  if (!flags.config_file.empty()) note(loader.read_file(flags.config_file));
  for (const KeyFlag& key : flags.keys) set(key.flag, key.key, key.values);
  for (const std::string& one : flags.set) note(loader.set("--set", one));
  if (flags.accounts_auto) set("--accounts-auto", "accounts.auto", {"true"});
  if (!flags.secret_file.empty())
    note(loader.set_token_key("--secret-file",
                              {flags.secret_kid, TokenKeyFile::Algorithm::kHs256, flags.secret_file}));
  if (!flags.public_key_file.empty())
    note(loader.set_token_key(
        "--public-key-file", {flags.public_key_kid, TokenKeyFile::Algorithm::kEdDsa, flags.public_key_file}));
  return error;
}

// --check-config. The exit status.
int report(const Flags& flags, const ConfigLoader& loader) {
  std::vector<perch::chat::ConfigProblem> problems = loader.problems();
  // Without what could not be read, what is there would be blamed for it.
  if (problems.empty()) problems = loader.check_all();
  perch::TokenKeys keys;
  std::vector<std::string> warnings;
  for (auto& problem : read_key_files(loader.config().keys, keys, warnings))
    problems.push_back(std::move(problem));
  if (flags.json) {
    std::fputs(config_report_json(problems, warnings).c_str(), stdout);
    return problems.empty() ? 0 : kExitUsage;
  }
  for (const std::string& warning : warnings) std::fprintf(stderr, "perchd: warning: %s\n", warning.c_str());
  for (const auto& problem : problems) fail(problem.text());
  if (problems.empty()) std::puts("ok");
  return problems.empty() ? 0 : kExitUsage;
}

// Empty, or the first.
std::string key_file_problem(const perch::chat::Config& config, perch::TokenKeys& keys,
                             std::vector<std::string>& warnings) {
  const auto problems = read_key_files(config.keys, keys, warnings);
  return problems.empty() ? std::string() : problems.front().text();
}

// What a server that runs with `running` is to go on with.
perch::chat::Reload read_again(const Flags& flags, const perch::chat::Config& running) {
  ConfigLoader loader;
  perch::chat::Reload out;
  out.problem = load(flags, loader);
  if (out.problem.empty()) out.problem = loader.check();
  if (out.problem.empty()) out.problem = loader.check_reload(running);
  if (out.problem.empty()) out.problem = key_file_problem(loader.config(), out.keys, out.warnings);
  out.config = loader.config();
  return out;
}

// What the server that runs on this folder answers. The exit status.
int ask(const std::string& data_dir, std::string_view request) {
  if (data_dir.empty()) return fail("which server? name its folder with --data");
  const perch::Result<std::string> answer = perch::ask_control(data_dir, request);
  if (answer && !answer->starts_with(perch::kControlError)) {
    std::fputs(answer->c_str(), stdout);
    return 0;
  }
  if (answer) {
    std::fprintf(stderr, "perchd: %s", answer->c_str());
  } else if (answer.error().code == perch::Errc::kNotFound) {
    std::fprintf(stderr, "perchd: --data %s: no server runs there\n", data_dir.c_str());
  } else {
    std::fprintf(stderr, "perchd: --data %s: cannot ask its server: %s\n", data_dir.c_str(),
                 name_of(answer.error().code));
  }
  return kExitAsk;
}

// A signal that asks to stop has come. It stays: nobody takes it.
bool stop_pending() {
  sigset_t pending;
  return sigpending(&pending) == 0 &&
         (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

// SIGHUP has come since the last call.
bool take_hangup() {
  sigset_t hangup;
  sigemptyset(&hangup);
  sigaddset(&hangup, SIGHUP);
  const timespec at_once{};
  return sigtimedwait(&hangup, nullptr, &at_once) == SIGHUP;
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  CLI::App app{"perchd, the Perch messaging server"};
  declare(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return fail(std::string(error.what()) + "; see perchd --help");
  }
  ConfigLoader loader;
  const std::string wrong = load(flags, loader);
  if (flags.check_config) return report(flags, loader);
  if (!wrong.empty()) return fail(wrong);
  const perch::chat::Config& config = loader.config();
  if (flags.print_config) {
    std::fputs(config_text(config).c_str(), stdout);
    return 0;
  }
  if (flags.metrics || flags.health) return ask(config.data_dir, flags.metrics ? "metrics" : "health");
  if (const std::string error = loader.check(); !error.empty()) return fail(error);
  perch::TokenKeys keys;
  std::vector<std::string> warnings;
  if (const std::string error = key_file_problem(config, keys, warnings); !error.empty()) return fail(error);
  for (const std::string& warning : warnings) std::fprintf(stderr, "perchd: warning: %s\n", warning.c_str());

  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  // Inherited by every thread: they stay pending until looked at.
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  if (geteuid() == 0 && config.user.empty())
    std::fprintf(stderr,
                 "perchd: warning: runs as root; name an ordinary user with --user or user in the file\n");
  const auto reload = [&flags](const perch::chat::Config& running) -> std::optional<perch::chat::Reload> {
    if (!take_hangup()) return {};
    return read_again(flags, running);
  };
  perch::chat::Node node(config, std::move(keys), {stop_pending, reload});
  const std::string problem = node.start(flags.restored);
  if (!problem.empty()) {
    std::fprintf(stderr, "perchd: %s\n", problem.c_str());
    return kExitUsage;
  }
  if (node.stopped()) return 0;
  std::fputs(node.bill().c_str(), stderr);
  for (const std::string& address : node.addresses()) std::printf("listening %s\n", address.c_str());
  if (!node.operations_address().empty())
    std::printf("operations http://%s/metrics\n", node.operations_address().c_str());
  std::fflush(stdout);
  return node.wait();
}
