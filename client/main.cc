// perch: the terminal client. CLI11 throws, so this file may use exceptions; nothing below it does.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <span>

#include "client/terminal/command.h"
#include "client/terminal/screen/grapheme.h"
#include "client/terminal/screen/help.h"

namespace {

using namespace perch::client;

// 0, or the exit status.
int read_token(Flags& flags) {
  if (flags.token_file.empty()) return kDone;
  std::ifstream in(flags.token_file);
  if (!in) return complain(kUsage, "--token-file " + flags.token_file + ": cannot be read");
  in >> flags.token;
  if (flags.token.empty()) return complain(kUsage, "--token-file " + flags.token_file + ": is empty");
  return kDone;
}

// Of who names none: $PERCH_PROFILE, else `perch` among the user's own data (XDG Base Directory
// Specification). Empty: there is no home.
std::string usual_profile() {
  const auto named = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  if (const std::string profile = named("PERCH_PROFILE"); !profile.empty()) return profile;
  if (const std::string data = named("XDG_DATA_HOME"); data.starts_with("/")) return data + "/perch";
  if (const std::string home = named("HOME"); !home.empty()) return home + "/.local/share/perch";
  return "";
}

bool any_parsed(std::span<CLI::App* const> commands) {
  return std::ranges::any_of(commands, [](const CLI::App* command) { return command->parsed(); });
}

std::string keys_text() {
  std::string out;
  for (const screen::HelpLine& line : screen::kHelp) {
    out.append("    ").append(line.keys);
    for (int column = screen::width_of(line.keys); column < screen::kHelpKeyColumns; ++column) out += ' ';
    out.append(line.what).append("\n");
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "perch: send and receive messages from the terminal; without a command, full-screen (F1 tells the "
      "keys)"};
  Flags flags;
  app.require_subcommand(0, 1);
  app.footer(
      "Exit status: 0 done, 1 the profile or the standard input or output cannot be used, 2 bad usage or\n"
      "interrupted before there was a message, 3 queued or not everything came in time, 4 rejected or "
      "expired,\n"
      "5 the server does not let this device in.\n"
      "One process has a profile's connection and sends for the others, which take over when it ends.\n"
      "Each message is shown once, by perch, chat or listen, whichever has the connection then.\n\n"
      "Keys of the full-screen chat:\n" +
      keys_text());
  const auto common = [&](CLI::App* command) {
    command->add_option("--profile", flags.profile,
                        "directory of this device's messages, one for each account; made if missing "
                        "($PERCH_PROFILE, else ~/.local/share/perch)");
    return command;
  };
  common(&app);
  const auto online = [&](CLI::App* command) {
    common(command);
    command->add_option("--server", flags.server, "HOST:PORT; remembered in the profile");
    auto* token = command->add_option("--token", flags.token,
                                      "JWT; remembered in the profile; others can see it in ps");
    command->add_option("--token-file", flags.token_file, "file with the JWT")->excludes(token);
    return command;
  };
  auto* login = online(app.add_subcommand("login", "make a profile from a server and a token"));
  login->add_option("--wait", flags.wait_seconds, "seconds to wait for the server (10)")
      ->check(CLI::Range(0.0, 1e6));
  auto* send = online(app.add_subcommand("send", "queue one message and wait for its tick"));
  send->add_option("--wait", flags.wait_seconds, "seconds to wait for the tick (10)")
      ->check(CLI::Range(0.0, 1e6));
  send->add_option("TO", flags.to, "user id or handle")->required();
  send->add_option("TEXT", flags.words, "the message; - reads it from the standard input")->required();
  auto* listen = online(app.add_subcommand("listen", "print messages as they come"));
  listen->add_option("--count", flags.count, "end after so many messages");
  listen->add_option("--seconds", flags.seconds, "end after so many seconds")->check(CLI::Range(0.0, 1e9));
  listen->add_flag("--json", flags.json, "one JSON object a line");
  const auto remark = [&](const char* name, const char* help, ItemKind kind, const char* word) {
    auto* command = online(app.add_subcommand(name, help));
    command->add_option("--wait", flags.wait_seconds, "seconds to wait for the tick (10)")
        ->check(CLI::Range(0.0, 1e6));
    command->add_option("PEER", flags.to, "user id or handle: whose conversation")->required();
    command
        ->add_option("MESSAGE", flags.message,
                     "which: 1 is the last of the conversation, 2 the one before …; or its id, as history "
                     "--json has it")
        ->required();
    if (word != nullptr) command->add_option(word, flags.words)->required();
    command->final_callback([&flags, kind] { flags.remark = kind; });
    return command;
  };
  CLI::App* const remarks[] = {
      remark("reply", "answer a message", ItemKind::kText, "TEXT"),
      remark("edit", "change the text of a message of yours", ItemKind::kEdit, "TEXT"),
      remark("delete", "delete a message of yours, for everyone", ItemKind::kDelete, nullptr),
      remark("react", "say something of a message in one emoji; '' takes it back", ItemKind::kReaction,
             "EMOJI")};
  auto* timer = online(app.add_subcommand(
      "timer", "after how long messages of a conversation disappear once they are read; prints or sets it"));
  timer->add_option("--wait", flags.wait_seconds, "seconds to wait for the tick (10)")
      ->check(CLI::Range(0.0, 1e6));
  timer->add_option("PEER", flags.to, "user id or handle: whose conversation")->required();
  timer->add_option("TIME", flags.words, "such as 30s, 5m, 12h, 7d, 4w, or off")->expected(0, 1);
  auto* profile = online(app.add_subcommand(
      "profile", "your name and what is to be known about you, or those of somebody else"));
  profile->add_option("--wait", flags.wait_seconds, "seconds to wait for the tick (10)")
      ->check(CLI::Range(0.0, 1e6));
  profile->add_option("--name", flags.name, "sets it, for those you have written to; '' is none");
  profile->add_option("--about", flags.about, "sets it");
  profile->add_flag("--json", flags.json, "one JSON object");
  profile->add_option("PEER", flags.to, "user id or handle; none: yourself");
  auto* chat = online(app.add_subcommand(
      "chat",
      "talk: lines in, lines and ticks out; works offline. /reply N TEXT, /edit N TEXT, /delete N, /react N "
      "EMOJI and /timer TIME are commands; N is 1 for the last message, 2 for the one before"));
  chat->add_option("--wait", flags.wait_seconds, "seconds to wait for ticks after the end of the input (10)")
      ->check(CLI::Range(0.0, 1e6));
  chat->add_option("TO", flags.to, "user id or handle")->required();
  auto* history = common(app.add_subcommand("history", "print a conversation; never connects"));
  history->add_option("--limit", flags.limit, "how many messages (50)")->check(CLI::Range(1, 1'000'000));
  history->add_flag("--json", flags.json, "one JSON object a line");
  history->add_option("PEER", flags.to, "user id or handle")->required();
  auto* conversations = common(app.add_subcommand(
      "conversations", "with whom this profile has talked, and what of it is unread; never connects"));
  conversations->add_option("--limit", flags.limit, "how many, the latest first (50)")
      ->check(CLI::Range(1, 1'000'000));
  conversations->add_flag("--json", flags.json, "one JSON object a line");
  auto* search =
      common(app.add_subcommand("search", "print the messages that contain a text; never connects"));
  search->add_option("--with", flags.to, "only of the conversation with this user id or handle");
  search->add_option("--limit", flags.limit, "how many, the latest (50)")->check(CLI::Range(1, 1'000'000));
  search->add_flag("--json", flags.json, "one JSON object a line");
  search->add_option("TEXT", flags.words, "what to look for")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    return complain(kUsage, e.what());
  }
  const bool whole_screen = app.get_subcommands().empty();
  if (whole_screen && !can_run_screen())
    return complain(kUsage, "no command, and no terminal for the full-screen chat; see perch --help");
  if (flags.to.empty() && !whole_screen && !login->parsed() && !listen->parsed() &&
      !conversations->parsed() && !search->parsed() && !profile->parsed())
    return complain(kUsage, "no recipient");
  if (flags.profile.empty()) flags.profile = usual_profile();
  if (flags.profile.empty()) return complain(kUsage, "no home directory: give --profile");
  if (const int status = read_token(flags); status != kDone) return status;
  catch_signals();
  if (whole_screen) return run_screen(flags);
  const int status = login->parsed()           ? run_login(flags)
                     : send->parsed()          ? run_send(flags)
                     : listen->parsed()        ? run_listen(flags)
                     : chat->parsed()          ? run_chat(flags)
                     : conversations->parsed() ? run_conversations(flags)
                     : search->parsed()        ? run_search(flags)
                     : timer->parsed()         ? run_timer(flags)
                     : profile->parsed()       ? run_profile(flags)
                     : any_parsed(remarks)     ? run_remark(flags)
                                               : run_history(flags);
  return status == kDone && !output_written() ? output_failed() : status;
}
