// What the commands of `perchctl` share: flags, exit statuses, the question to the server, complaints.
//
// ON: the main thread of a program of its own, which may wait.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "core/control_client.h"
#include "ctl/readings.h"

namespace perch::ctl {

// Exit statuses: 0 done; 1 not done: no server, it refused, or is stuck or poisoned; 2 bad usage.
inline constexpr int kDone = 0, kNotDone = 1, kUsage = 2;

// What the command line said; each command reads its own (ctl/main.cc).
struct Flags {
  std::string data_dir;
  bool json = false;
  std::string user;              // id or handle
  std::string whom;              // block, unblock: likewise
  std::string device;            // disconnect: its number; empty: all
  std::string log_level;         // log-level: empty asks
  bool once = false;             // top
  double interval_s = 2;         // top: between two readings
  bool wait = false;             // drain: until the server has ended
  double wait_s_max = 30;        // … but not longer
  std::string folder;            // backup, verify, restore: of the backup
  std::string to;                // restore: the server's folder
  std::string secret_file;       // token mint
  std::string kid = "dev";       // … of the secret
  std::string device_name;       // … empty: a new one
  double valid_s = 30 * 86'400;  // … seconds
};

// Each runs to its end and returns the exit status.
int run_health(const Flags& flags);
int run_metrics(const Flags& flags);
int run_status(const Flags& flags);
int run_log_level(const Flags& flags);
int run_top(const Flags& flags);
int run_drain(const Flags& flags);
int run_users(const Flags& flags);
int run_devices(const Flags& flags);
int run_mailbox(const Flags& flags);
int run_blocks(const Flags& flags);
int run_block(const Flags& flags);
int run_unblock(const Flags& flags);
int run_disconnect(const Flags& flags);
int run_token_revoke(const Flags& flags);
int run_token_list(const Flags& flags);
int run_backup(const Flags& flags);
int run_verify(const Flags& flags);
int run_restore(const Flags& flags);
int run_export(const Flags& flags);
int run_erase(const Flags& flags);
int run_token_mint(const Flags& flags);

// The answer of the server on flags.data_dir. Nothing: it has been said why, and the status is kNotDone.
std::optional<std::string> ask(const Flags& flags, std::string_view request);
// An answer that is long, as it comes.
class LongAnswer {
 public:
  // Nothing: it has been said why.
  static std::optional<LongAnswer> ask(const Flags& flags, std::string_view request);
  // Into the front of the buffer; how much: 0 is the end. An error has been said.
  Result<size_t> read(MutableBytes buffer);

 private:
  LongAnswer(const Flags& flags, ControlQuestion question) : flags_(&flags), question_(std::move(question)) {}
  const Flags* flags_;
  ControlQuestion question_;
  std::string start_;  // read before it was known to be no refusal
};
// Its metrics, likewise.
std::optional<Readings> ask_readings(const Flags& flags);
// Says `text` on the standard error; returns `status`.
int complain(int status, std::string_view text);
// Prints `text` on the standard output. kNotDone if it does not take it.
int print(std::string_view text);
void sleep_s(double seconds);

}  // namespace perch::ctl
