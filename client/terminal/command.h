// What the commands of `perch` share: flags, exit statuses, complaints, and how a running command is stopped.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "client/client.h"
#include "client/item.h"

namespace perch::client {

// Exit statuses: 0 done; 1 the profile or the standard input or output cannot be used; 2 bad usage, or
// interrupted before there was a message; 3 queued, or not everything came in time; 4 rejected or expired;
// 5 the server does not let this device in (the outbox keeps what was queued).
inline constexpr int kDone = 0, kNoProfile = 1, kUsage = 2, kQueued = 3, kRejected = 4, kRefused = 5;

// What the command line said; each command reads its own (client/main.cc).
struct Flags {
  std::string profile, server, token, token_file, to;
  // send: the message; "-": the standard input is. edit, reply: the text. react: the emoji. timer: the time;
  // none: the present one. search: what for
  std::vector<std::string> words;
  ItemKind remark = ItemKind::kText;       // edit, delete, react; reply: kText
  std::string message;                     // … about which: its place from the end, or its id
  std::optional<std::string> name, about;  // profile: what it shall be
  double wait_seconds = 10;                // send, chat: for ticks; login: for the server
  double seconds = 0;                      // listen: then end; 0: never
  uint64_t count = 0;                      // listen: so many messages, then end; 0: any number
  uint64_t limit = 50;  // history: so many messages; conversations, search: so many of them
  bool json = false;
};

// Each runs to its end and returns the exit status. ON: the main thread; catch_signals() before.
int run_login(const Flags& flags);
int run_send(const Flags& flags);
int run_listen(const Flags& flags);
int run_chat(const Flags& flags);
int run_history(const Flags& flags);
int run_conversations(const Flags& flags);
int run_search(const Flags& flags);
int run_remark(const Flags& flags);
int run_timer(const Flags& flags);
int run_profile(const Flags& flags);
// The full-screen chat. REQUIRES: can_run_screen(): the standard input and output are a terminal for it.
int run_screen(const Flags& flags);
bool can_run_screen();

// SIGINT and SIGTERM end the command that runs. Called once.
void catch_signals();
bool interrupted();
// While it lives, a signal wakes `client`'s poll().
class Running {
 public:
  explicit Running(Client& client);
  ~Running();
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
};

// Says `text` on the standard error; returns `status`.
int complain(int status, const std::string& text);
// The same for an error of Client::open() and of Client::send().
int open_failed(const Flags& flags, Error error);
int send_failed(Error error);
// Of what was to be said about that message; as send_failed() for the rest.
int remark_failed(Error error, const std::string& message);
// Of a read or a write that is not a message's; kClosed: of the standard output.
int profile_failed(const Flags& flags, Error error);
// Flushes the standard output. False: it has not taken all that was printed.
bool output_written();
// Says so; the exit status for that.
int output_failed();
// For commands that never connect: a profile is not made by reading it.
bool has_profile(const Flags& flags);
// What the words of the command line say together.
std::string joined(const std::vector<std::string>& words);
ClientOptions options_of(const Flags& flags, bool connect);
uint64_t now_ms();  // monotonic

// What every command that connects wants to know of its connection.
struct Tracker : DeviceEvents {
  void on_online(const LoginInfo& info) override;
  void on_offline(std::string_view why) override;
  void on_unreadable(const MessageId& id) override;
  void on_error(ErrorCode code, std::string_view text) override;
  void on_stopped(StopReason reason, std::string_view text) override;
  static void note(const std::string& text);  // on the standard error

  bool talk = false;  // says when the connection comes and goes
  bool offline = false;
  bool busy = false;     // the server cannot do now what it was asked for on this session, or in this attempt
  std::string last_why;  // of on_offline()
  std::string stopped;   // why, for people; empty: it runs
};
// Waits, as long as the flags say, for what becomes of a row, and prints it; the exit status for that.
int wait_for_tick(const Flags& flags, Client& client, const Tracker& tracker, RowId row);
// So many messages of a conversation can be named by their place from the end.
inline constexpr size_t kMessagesBack = 1000;
// Says why the client has stopped by itself; the exit status for that. REQUIRES: on_stopped() was called.
int refused(const Client& client, const Tracker& tracker);

}  // namespace perch::client
