// perchd: flags, signals, exit status. Everything else is in chat/node.h.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <thread>

#include "chat/node.h"

namespace {

// Exit statuses: 0 drained, 1 failed while running, 2 wrong flags or nothing could be started.
constexpr int kExitUsage = 2;

std::string read_file(const std::string& path, bool& ok) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  ok = in.good() || in.eof();
  std::string value = text.str();
  while (!value.empty() && (value.back() == '\n' || value.back() == '\r')) value.pop_back();
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  perch::chat::NodeOptions options;
  std::string secret_file, public_key_file, kid = "dev", ed_kid = "ed";
  CLI::App app{"perchd, the Perch messaging server"};
  app.add_option("--data", options.data_dir, "folder of the store")->required();
  app.add_option("--listen", options.listen, "address:port, several times; port 0 lets the kernel choose")
      ->default_val(std::vector<std::string>{"127.0.0.1:7110"});
  app.add_option("--secret-file", secret_file,
                 "file with the secret (32 bytes or more) that signs HS256 tokens");
  app.add_option("--secret-kid", kid, "kid of those tokens")->default_val("dev");
  app.add_option("--public-key-file", public_key_file,
                 "file with the Ed25519 public key (PEM) that checks EdDSA tokens");
  app.add_option("--public-key-kid", ed_kid, "kid of those tokens")->default_val("ed");
  app.add_option("--reactors", options.reactors, "reactor threads")
      ->default_val(1)
      ->check(CLI::Range(1, 1023));
  app.add_flag("--accounts-auto", options.accounts_auto, "a token may name an account that is not there yet");
  app.add_option("--connections-per-reactor", options.limits.connections_max, "connections of one reactor")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--journal-bytes", options.limits.map_bytes, "largest size of the journal")
      ->check(CLI::Range(uint64_t{1} << 20, uint64_t{1} << 40));
  app.add_option("--rate", options.limits.rate_per_second, "messages per second of a device")
      ->check(CLI::Range(1u, 1'000'000u));
  app.add_option("--rate-burst", options.limits.rate_burst, "… and at once")
      ->check(CLI::Range(1u, 1'000'000u));
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "perchd: %s; see perchd --help\n", error.what());
    return kExitUsage;
  }

  perch::TokenKeys keys;
  if (secret_file.empty() && public_key_file.empty()) {
    std::fprintf(stderr, "perchd: nobody could log in: give --secret-file or --public-key-file\n");
    return kExitUsage;
  }
  for (const auto& [flag, path] :
       {std::pair{"--secret-file", secret_file}, {"--public-key-file", public_key_file}}) {
    if (path.empty()) continue;
    bool ok = false;
    const std::string value = read_file(path, ok);
    const bool is_secret = path == secret_file;
    if (!ok || value.empty() || (is_secret ? !keys.add_hs256(kid, value) : !keys.add_eddsa(ed_kid, value))) {
      std::fprintf(stderr, "perchd: %s %s: cannot be read or holds no usable key\n", flag, path.c_str());
      return kExitUsage;
    }
  }

  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // inherited by every thread: only sigwait below sees them
  signal(SIGPIPE, SIG_IGN);

  perch::chat::Node node(options, keys);
  const std::string problem = node.start();
  if (!problem.empty()) {
    std::fprintf(stderr, "perchd: %s\n", problem.c_str());
    return kExitUsage;
  }
  for (const std::string& address : node.addresses()) std::printf("listening %s\n", address.c_str());
  std::fflush(stdout);
  std::thread([&node, signals] {
    int which = 0;
    sigwait(&signals, &which);
    node.drain();
  }).detach();
  return node.wait();
}
