// perchctl: the operator's program. CLI11 throws, so this file may use exceptions; nothing below it does.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <vector>

#include "ctl/command.h"

namespace {

using namespace perch::ctl;

struct Command {
  CLI::App* app;
  std::function<int(const Flags&)> run;
  bool asks_server = true;  // needs --data
};

// What is asked of a server that runs.
void declare_asking(CLI::App& app, Flags& flags, std::vector<Command>& commands) {
  commands.push_back(
      {app.add_subcommand("health", "starting, ok, full, stuck, draining or poisoned"), run_health});
  commands.push_back({app.add_subcommand("metrics", "all counters, as Prometheus reads them"), run_metrics});
  commands.push_back({app.add_subcommand("status", "how it is, in a few lines"), run_status});
  CLI::App* log_level = app.add_subcommand("log-level", "what is logged, until a reload or the next start");
  log_level->add_option("LEVEL", flags.log_level, "debug, info, warn or error; none: say which it is");
  commands.push_back({log_level, run_log_level});
  CLI::App* top = app.add_subcommand("top", "what each core does, refreshed");
  top->add_flag("--once", flags.once, "print once and end; so too if the output is no terminal");
  top->add_option("--interval", flags.interval_s, "seconds between two looks (2)")
      ->check(CLI::Range(0.05, 3600.0));
  commands.push_back({top, run_top});
  CLI::App* drain =
      app.add_subcommand("drain", "stop it as SIGTERM does: all that it holds is made safe first");
  drain->add_flag("--wait", flags.wait, "until it has ended");
  drain->add_option("--wait-seconds", flags.wait_s_max, "but not longer (30)")
      ->check(CLI::Range(0.0, 86'400.0));
  commands.push_back({drain, run_drain});
}

// What is asked about users.
void declare_users(CLI::App& app, Flags& flags, std::vector<Command>& commands) {
  commands.push_back({app.add_subcommand("users", "all users: id, handle, how many devices"), run_users});
  CLI::App* devices = app.add_subcommand("devices", "a user's devices: which are online, which have a gap");
  devices->add_option("USER", flags.user, "user id or handle")->required();
  commands.push_back({devices, run_devices});
  CLI::App* mailbox =
      app.add_subcommand("mailbox", "what waits for a user: counts, bytes, ages, never contents");
  mailbox->add_option("USER", flags.user, "user id or handle")->required();
  commands.push_back({mailbox, run_mailbox});
}

// Backups. Only the first is asked of a server.
void declare_backups(CLI::App& app, Flags& flags, std::vector<Command>& commands) {
  CLI::App* backup = app.add_subcommand("backup", "copy the store of the running server into a new folder");
  backup->footer(
      "The server goes on. While it is read its store uses no room again, and the backup is\n"
      "broken off if that makes it full. DIR appears when all of it is on the disk and was\n"
      "read back; DIR.partial is what an interrupted backup leaves, until the next one.");
  backup->add_option("DIR", flags.folder, "folder to make")->required();
  commands.push_back({backup, run_backup});
  CLI::App* verify = app.add_subcommand(
      "verify", "read a backup to its end: checksums, counts, and that each record is whole");
  verify->add_option("DIR", flags.folder, "folder that backup made")->required();
  commands.push_back({verify, run_verify, false});
  CLI::App* restore = app.add_subcommand("restore", "make a backup the store of a server that does not run");
  restore->footer(
      "DATA must be empty, but for the file `ceiling` of the server that was there: keep it, it\n"
      "says which numbers were used. The server that is started on DATA tells its clients to\n"
      "send again what the backup lacks.");
  restore->add_option("DIR", flags.folder, "folder that backup made")->required();
  restore->add_option("--to", flags.to, "folder of the server's store (DATA)")->required();
  commands.push_back({restore, run_restore, false});
}

// What is kept of a user, and what lets it in.
void declare_accounts(CLI::App& app, Flags& flags, std::vector<Command>& commands) {
  CLI::App* out =
      app.add_subcommand("export", "everything the running server holds of a user, as JSON lines");
  out->footer("Of one moment. A message is the frame as it was sent, in base64.");
  out->add_option("USER", flags.user, "user id or handle")->required();
  commands.push_back({out, run_export});
  CLI::App* erase =
      app.add_subcommand("erase", "take everything of a user out of the store of a server that does not run");
  erase->footer(
      "The files in --data are written anew without it. Messages from the user that wait for\n"
      "others are theirs and stay, as do ticks and expiries for who wrote to it; how many is\n"
      "said. Its tokens let nobody in, unless accounts.auto makes the account anew. Backups\n"
      "that were made before keep it. After an interruption: erase again.");
  erase->add_option("USER", flags.user, "user id or handle")->required();
  commands.push_back({erase, run_erase});
  CLI::App* token = app.add_subcommand("token", "log-in tokens");
  token->require_subcommand(1);
  CLI::App* mint = token->add_subcommand(
      "mint", "print a log-in token, signed with the server's HS256 secret; no server is asked");
  mint->add_option("USER", flags.user, "user id or handle")->required();
  mint->add_option("--secret-file", flags.secret_file,
                   "file with the secret, as the server's configuration names it")
      ->required();
  mint->add_option("--kid", flags.kid, "the key's name there (dev)");
  mint->add_option("--device", flags.device_name, "name of the device, the same at each renewal (a new one)");
  mint->add_option("--valid", flags.valid_s, "how long: 90s, 30m, 12h, 30d (30d)")
      ->transform(CLI::AsNumberWithUnit(
          std::map<std::string, double>{{"s", 1}, {"m", 60}, {"h", 3'600}, {"d", 86'400}},
          CLI::AsNumberWithUnit::UNIT_REQUIRED))
      ->check(CLI::Range(1.0, 1e10));
  commands.push_back({mint, run_token_mint, false});
}

// What is done to users. REQUIRES: declare_accounts() before.
void declare_measures(CLI::App& app, Flags& flags, std::vector<Command>& commands) {
  const auto about_user = [&](CLI::App& under, const char* name, const char* help, auto run) {
    CLI::App* command = under.add_subcommand(name, help);
    command->add_option("USER", flags.user, "user id or handle")->required();
    commands.push_back({command, run});
    return command;
  };
  about_user(app, "blocks", "whom a user blocks", run_blocks);
  about_user(app, "block", "USER blocks WHOM: nothing of WHOM reaches USER, and nobody is told", run_block)
      ->add_option("WHOM", flags.whom, "user id or handle")
      ->required();
  about_user(app, "unblock", "USER blocks WHOM no more: what comes from now on arrives", run_unblock)
      ->add_option("WHOM", flags.whom, "user id or handle")
      ->required();
  about_user(app, "disconnect", "end a user's sessions, or that of one device; it may log in again",
             run_disconnect)
      ->add_option("DEVICE", flags.device, "its number, as `devices` shows it");
  CLI::App* token = app.get_subcommand("token");
  about_user(*token, "revoke", "tokens of a user issued up to now are good no more; ends its sessions",
             run_token_revoke);
  commands.push_back(
      {token->add_subcommand("list", "whose tokens are revoked, and up to when"), run_token_list});
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  std::vector<Command> commands;
  CLI::App app{"perchctl: look after a Perch server"};
  app.require_subcommand(1);
  app.fallthrough();  // --data and --json may stand anywhere
  app.footer(
      "A server is asked on the socket DATA/control, which answers its own user and root.\n"
      "Exit status: 0 done, 1 not done (no server, it refused, or health says stuck or poisoned), 2 bad "
      "usage.");
  app.add_option("--data", flags.data_dir, "folder of the server's store");
  app.add_flag("--json", flags.json, "print JSON, one value a line");
  declare_asking(app, flags, commands);
  declare_users(app, flags, commands);
  declare_backups(app, flags, commands);
  declare_accounts(app, flags, commands);
  declare_measures(app, flags, commands);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return complain(kUsage, std::string(error.what()) + "; see perchctl --help");
  }
  signal(SIGPIPE, SIG_IGN);
  for (const Command& command : commands) {
    if (!command.app->parsed()) continue;
    if (command.asks_server && flags.data_dir.empty())
      return complain(kUsage, "which server? name its folder with --data");
    return command.run(flags);
  }
  return kUsage;
}
