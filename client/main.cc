// perch: the terminal client. CLI11 throws, so this file may use exceptions; nothing below it does.
//
// Exit statuses: 0 done; 1 the profile cannot be used; 2 bad usage; 3 queued, or not everything came in time;
// 4 rejected or expired; 5 the server does not let this device in (the outbox keeps what was queued).
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>

#include "client/client.h"

namespace {

using namespace perch;
using namespace perch::client;

constexpr int kDone = 0, kNoProfile = 1, kUsage = 2, kQueued = 3, kRejected = 4, kRefused = 5;

struct Flags {
  std::string profile, server, token, token_file, to;
  std::vector<std::string> words;
  double wait_seconds = 10, seconds = 0;
  uint64_t count = 0, limit = 50;
  bool json = false;
};

Client* running = nullptr;
volatile sig_atomic_t interrupted = 0;
void on_signal(int) {
  interrupted = 1;
  if (running != nullptr) running->stop();
}

int complain(int status, const std::string& text) {
  std::fflush(stdout);
  std::fprintf(stderr, "perch: %s\n", text.c_str());
  return status;
}

std::string text_of(const std::vector<uint8_t>& body) { return {body.begin(), body.end()}; }

// Length of the UTF-8 sequence at `at`, 0 if there is none.
size_t sequence_len(const std::string& text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(at);
  const size_t len = first < 0x80                    ? 1
                     : first >= 0xc2 && first < 0xe0 ? 2
                     : first >= 0xe0 && first < 0xf0 ? 3
                     : first >= 0xf0 && first < 0xf5 ? 4
                                                     : 0;
  if (len == 0 || at + len > text.size()) return 0;
  for (size_t i = 1; i < len; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
  }
  if (len == 3 && ((first == 0xe0 && byte(at + 1) < 0xa0) || (first == 0xed && byte(at + 1) >= 0xa0)))
    return 0;
  if (len == 4 && ((first == 0xf0 && byte(at + 1) < 0x90) || (first == 0xf4 && byte(at + 1) >= 0x90)))
    return 0;
  return len;
}

// What a peer wrote must not drive the terminal: control characters and broken UTF-8 become U+FFFD.
std::string printable(const std::string& text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t len = sequence_len(text, at);
    const uint8_t first = static_cast<uint8_t>(text[at]);
    const bool c1 = len == 2 && first == 0xc2 && static_cast<uint8_t>(text[at + 1]) < 0xa0;
    if (len == 0 || (len == 1 && (first < 0x20 || first == 0x7f) && first != '\t') || c1) {
      out += first == '\n' ? " " : "\xef\xbf\xbd";
    } else {
      out.append(text, at, len);
    }
    at += len == 0 ? 1 : len;
  }
  return out;
}

std::string json_text(const std::string& text) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    const size_t len = sequence_len(text, at);
    const uint8_t first = static_cast<uint8_t>(text[at]);
    if (len == 0) {
      out += "\\ufffd";
    } else if (len == 1 && (first < 0x20 || first == '"' || first == '\\' || first == 0x7f)) {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\u%04x", first);
      out += escaped;
    } else {
      out.append(text, at, len);
    }
    at += len == 0 ? 1 : len;
  }
  return out + "\"";
}

std::string clock_text(uint64_t time_ms) {
  const time_t seconds = static_cast<time_t>(time_ms / 1000);
  tm parts{};
  localtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &parts);
  return text;
}

const char* mark_text(Mark mark) {
  switch (mark) {
    case Mark::kQueued:
      return "queued";
    case Mark::kAccepted:
      return "✓";
    case Mark::kDelivered:
      return "✓✓";
    case Mark::kRead:
      return "✓✓ read";
    case Mark::kRejected:
      return "rejected";
    case Mark::kExpired:
      return "expired";
  }
  return "?";
}

// For programs, as `perch history --json` prints it.
const char* state_text(const HistoryLine& line) {
  if (!line.mine) return "received";
  switch (line.mark) {
    case Mark::kQueued:
      return line.own_device ? "queued" : "accepted";
    case Mark::kAccepted:
      return "accepted";
    case Mark::kDelivered:
      return "delivered";
    case Mark::kRead:
      return "read";
    case Mark::kRejected:
      return "rejected";
    case Mark::kExpired:
      return "expired";
  }
  return "unknown";
}

std::string reason_text(uint8_t reason) {
  switch (static_cast<wire::RejectReason>(reason)) {
    case wire::RejectReason::NotFound:
      return "no such user";
    case wire::RejectReason::TooLarge:
      return "too large";
    case wire::RejectReason::MailboxFull:
      return "the mailbox is full";
    case wire::RejectReason::NotMember:
      return "not a member";
  }
  return "reason " + std::to_string(reason);
}

std::string login_text(const LoginInfo& info) {
  std::string text = "online as user " + std::to_string(info.user);
  if (!info.handle.empty()) text += " (" + printable(info.handle) + ")";
  text += ", device " + std::to_string(info.device);
  if (info.overflowed) text += "; messages for this device were dropped while it was away";
  if (info.continuity_broken)
    text += "; this profile may miss messages: the server last knew another copy of it";
  if (info.new_incarnation) {
    text += "; the server was restored, " + std::to_string(info.num_reopened) + " messages go out again";
  }
  return text;
}

uint64_t now_ms() { return system_clock().mono_ms(); }

struct Tracker : DeviceEvents {
  void on_online(const LoginInfo& info) override {
    offline = false;
    if (info.continuity_broken || info.overflowed || info.new_incarnation || talk) note(login_text(info));
  }
  void on_offline(std::string_view why) override {
    if (!offline && talk)
      note("offline (" + printable(std::string(why)) + "): trying again, what you write is kept");
    offline = true;
    last_why = why;
  }
  void on_stopped(StopReason reason, std::string_view text) override {
    stopped = std::string(name_of(reason));
    if (!text.empty()) stopped += " (" + printable(std::string(text)) + ")";
  }
  void note(const std::string& text) {
    std::fflush(stdout);
    std::fprintf(stderr, "* %s\n", text.c_str());
  }

  bool talk = false;
  bool offline = false;
  std::string last_why, stopped;
};

int refused(const Client& client, const Tracker& tracker) {
  return complain(client.stop_reason() == StopReason::kStorage ? kNoProfile : kRefused, tracker.stopped);
}

int open_failed(const Flags& flags, Error error) {
  switch (error.code) {
    case Errc::kInvalid:
      return complain(kUsage, "no usable server address: give --server HOST:PORT");
    case Errc::kNewerFormat:
      return complain(kNoProfile, flags.profile + ": written by a newer perch");
    case Errc::kSystem:
      return complain(kNoProfile,
                      flags.profile + ": " + std::string(strerror(static_cast<int>(error.detail))));
    default:
      return complain(kNoProfile, flags.profile + ": cannot be opened: " + perch::name_of(error.code));
  }
}

// 0, or the exit status.
int read_token(Flags& flags) {
  if (flags.token_file.empty()) return kDone;
  std::ifstream in(flags.token_file);
  if (!in) return complain(kUsage, "--token-file " + flags.token_file + ": cannot be read");
  in >> flags.token;
  if (flags.token.empty()) return complain(kUsage, "--token-file " + flags.token_file + ": is empty");
  return kDone;
}

ClientOptions options_of(const Flags& flags, bool connect) {
  ClientOptions options;
  options.profile_path = flags.profile;
  options.server = flags.server;
  options.token = flags.token;
  options.connect = connect;
  return options;
}

int send_failed(Error error) {
  switch (error.code) {
    case Errc::kTooLarge:
      return complain(kUsage, "the message is over " + std::to_string(error.detail) + " bytes: not sent");
    case Errc::kInvalid:
      return complain(kUsage, "no recipient: not sent");
    default:
      return complain(kNoProfile,
                      std::string("the profile cannot be written: not sent: ") + name_of(error.code));
  }
}

// --- perch send --------------------------------------------------------------------------------------------

int run_send(const Flags& flags) {
  Tracker tracker;
  auto opened = Client::open(options_of(flags, true), tracker);
  if (!opened.ok()) return open_failed(flags, opened.error());
  Client& client = **opened;
  std::string text;
  if (flags.words.size() == 1 && flags.words[0] == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    for (const std::string& word : flags.words) text += (text.empty() ? "" : " ") + word;
  }
  const auto row = client.send(flags.to, text);
  if (!row.ok()) return send_failed(row.error());
  running = &client;
  const uint64_t until = now_ms() + static_cast<uint64_t>(flags.wait_seconds * 1000);
  RowStatus status;
  while (true) {
    if (const auto now = client.status(*row)) status = *now;
    if (!status.open || client.stop_reason() != StopReason::kNone || interrupted != 0) break;
    const uint64_t now = now_ms();
    if (now >= until) break;
    client.poll(std::min<uint64_t>(until - now, client.connects() ? 1000 : 50));
  }
  running = nullptr;
  if (status.mark == Mark::kRejected) {
    return complain(kRejected, "rejected: " + flags.to + ": " + reason_text(status.reason));
  }
  if (status.mark == Mark::kExpired) return complain(kRejected, "expired: nobody fetched it in time");
  if (!status.open || status.mark != Mark::kQueued) {
    std::printf("%s %s\n", mark_text(status.mark), status.mark == Mark::kAccepted ? "accepted" : "delivered");
    return kDone;
  }
  std::string why = "no answer yet";
  if (!client.connects())
    why = "another process holds this profile's connection and will send it";
  else if (client.stop_reason() != StopReason::kNone)
    why = tracker.stopped;
  else if (!client.online())
    why = tracker.last_why.empty() ? "offline" : "offline, " + printable(tracker.last_why);
  std::printf("queued: %s\n", why.c_str());
  return client.stop_reason() == StopReason::kNone ? kQueued : kRefused;
}

// --- perch listen ------------------------------------------------------------------------------------------

struct Listener : Tracker {
  // Prints what nobody has shown yet; false: the profile cannot be written. The mark follows the print: a
  // crash in between prints a message twice rather than never.
  bool print_unseen(Client& client) {
    while (count == 0 || seen < count) {
      const auto arrivals = client.unseen(count == 0 ? 256 : std::min<uint64_t>(256, count - seen));
      if (arrivals.empty()) return true;
      for (const Arrival& next : arrivals) print(next.message);
      std::fflush(stdout);
      if (!client.set_seen(arrivals.back().arrival).ok()) return false;
    }
    return true;
  }

  void print(const InboxMessage& in) {
    seen++;
    const std::string body = text_of(in.body);
    if (json) {
      std::printf(
          "{\"from\":%llu,\"peer\":%llu,\"device\":%u,\"origin\":\"%016llx\",\"seq\":%llu,\"number\":%llu,"
          "\"time_ms\":%llu,\"content\":%u,\"variant\":%u,\"body\":%s}\n",
          static_cast<unsigned long long>(in.id.user), static_cast<unsigned long long>(in.peer), in.id.device,
          static_cast<unsigned long long>(in.id.origin), static_cast<unsigned long long>(in.id.seq),
          static_cast<unsigned long long>(in.number), static_cast<unsigned long long>(in.time_ms), in.content,
          in.variant, json_text(body).c_str());
    } else if (in.peer != in.id.user) {
      std::printf("%s to %llu: %s\n", clock_text(in.time_ms).c_str(),
                  static_cast<unsigned long long>(in.peer), printable(body).c_str());
    } else {
      std::printf("%s %llu: %s%s\n", clock_text(in.time_ms).c_str(),
                  static_cast<unsigned long long>(in.id.user), printable(body).c_str(),
                  in.variant != 0 ? "  [another message under a known id]" : "");
    }
  }

  bool json = false;
  uint64_t seen = 0, count = 0;
};

int run_listen(const Flags& flags) {
  Listener listener;
  listener.json = flags.json;
  listener.count = flags.count;
  listener.talk = !flags.json;
  auto opened = Client::open(options_of(flags, true), listener);
  if (!opened.ok()) return open_failed(flags, opened.error());
  Client& client = **opened;
  if (!client.connects()) {
    return complain(kNoProfile, flags.profile + ": another process holds this profile's connection");
  }
  running = &client;
  const uint64_t until =
      flags.seconds > 0 ? now_ms() + static_cast<uint64_t>(flags.seconds * 1000) : UINT64_MAX;
  while (interrupted == 0 && client.stop_reason() == StopReason::kNone) {
    if (!listener.print_unseen(client)) return complain(kNoProfile, flags.profile + ": cannot be written");
    if (flags.count != 0 && listener.seen >= flags.count) break;
    const uint64_t now = now_ms();
    if (now >= until) break;
    client.poll(std::min<uint64_t>(until - now, 10'000));
  }
  running = nullptr;
  if (client.stop_reason() != StopReason::kNone) return refused(client, listener);
  return flags.count != 0 && listener.seen < flags.count ? kQueued : kDone;
}

// --- perch chat --------------------------------------------------------------------------------------------

struct Chat : Tracker {
  void on_message(const InboxMessage& in, Insert insert) override {
    if (insert == Insert::kRenumbered || client == nullptr) return;
    const UserId me = client->identity().user;
    std::printf("%s: %s\n",
                in.id.user == me  ? "you (elsewhere)"
                : in.peer == peer ? to.c_str()
                                  : std::to_string(in.peer).c_str(),
                printable(text_of(in.body)).c_str());
    std::fflush(stdout);
    if (in.peer == peer && in.id.user != me) unread = true;
    shown = true;
  }
  void on_row(const RowStatus& row) override {
    if (row.kind != RowKind::kMessage) return;
    const auto line = lines.find(row.row);
    if (line == lines.end()) return;
    std::string text = mark_text(row.mark);
    if (row.mark == Mark::kRejected) text += " (" + reason_text(row.reason) + ")";
    std::printf("  %s  %s\n", text.c_str(), printable(line->second).c_str());
    std::fflush(stdout);
    if (row.mark >= Mark::kRead) lines.erase(line);
  }
  void on_resolved(std::string_view handle, UserId user) override {
    if (handle == to && user != 0) peer = user;
  }

  Client* client = nullptr;
  std::string to;
  UserId peer = 0;
  bool unread = false;
  bool shown = false;
  std::map<RowId, std::string> lines;  // what waits for its next tick
};

void print_history(const std::vector<HistoryLine>& lines, const std::string& peer) {
  for (const HistoryLine& line : lines) {
    const std::string mark = line.mine ? std::string("  ") + mark_text(line.mark) : "";
    const std::string reason = line.mark == Mark::kRejected ? " (" + reason_text(line.row.reason) + ")" : "";
    std::printf("%s %s: %s%s%s\n", clock_text(line.time_ms).c_str(), line.mine ? "you" : peer.c_str(),
                printable(text_of(line.body)).c_str(), mark.c_str(), reason.c_str());
  }
  std::fflush(stdout);
}

void print_history_json(const std::vector<HistoryLine>& lines, const Identity& me) {
  for (const HistoryLine& line : lines) {
    const MessageId id =
        line.own_device ? MessageId{me.user, me.device, line.row.origin, line.row.seq} : line.id;
    std::printf(
        "{\"from\":%llu,\"device\":%u,\"origin\":\"%016llx\",\"seq\":%llu,\"number\":%llu,\"open\":%s,"
        "\"state\":\"%s\",\"time_ms\":%llu,\"content\":%u,\"variant\":%u,\"body\":%s}\n",
        static_cast<unsigned long long>(id.user), id.device, static_cast<unsigned long long>(id.origin),
        static_cast<unsigned long long>(id.seq), static_cast<unsigned long long>(line.number),
        line.own_device && line.row.open ? "true" : "false", state_text(line),
        static_cast<unsigned long long>(line.time_ms), line.content, line.variant,
        json_text(text_of(line.body)).c_str());
  }
}

int run_chat(const Flags& flags) {
  Chat chat;
  chat.talk = true;
  auto opened = Client::open(options_of(flags, true), chat);
  if (!opened.ok()) return open_failed(flags, opened.error());
  Client& client = **opened;
  chat.client = &client;
  chat.to = flags.to.front() == '@' ? flags.to.substr(1) : flags.to;
  const std::vector<HistoryLine> past = client.history(chat.to, 10);
  print_history(past, chat.to);
  for (const HistoryLine& line : past) {
    if (line.own_device && line.mark < Mark::kDelivered) chat.lines[line.row.row] = text_of(line.body);
  }
  if (!client.connects())
    chat.note("another process holds this profile's connection and will send what you write");
  char* end = nullptr;
  const UserId user = std::strtoull(chat.to.c_str(), &end, 10);
  if (*end == '\0') chat.peer = user;
  running = &client;
  std::string pending;
  bool eof = false;
  uint64_t leave_at = UINT64_MAX;  // after the end of the input: a moment for the ticks on their way
  while (interrupted == 0 && client.stop_reason() == StopReason::kNone) {
    const uint64_t now = now_ms();
    if (now >= leave_at) break;
    const bool readable = client.poll(std::min<uint64_t>(leave_at - now, 500), eof ? -1 : STDIN_FILENO);
    if (chat.unread && client.mark_read(chat.to).ok()) chat.unread = false;
    if (chat.shown) {  // not again by `perch listen`
      for (std::vector<Arrival> seen; !(seen = client.unseen(256)).empty();) {
        if (!client.set_seen(seen.back().arrival).ok()) break;
      }
      chat.shown = false;
    }
    if (eof) {
      bool waits = false;
      for (const auto& [row, text] : chat.lines) {
        const auto status = client.status(row);
        waits = waits || (status && status->open);
      }
      if (!waits) break;
    }
    if (!readable || eof) continue;
    char bytes[4096];
    const ssize_t len = read(STDIN_FILENO, bytes, sizeof(bytes));
    if (len <= 0) {
      eof = true;
      leave_at = now_ms() + static_cast<uint64_t>(flags.wait_seconds * 1000);
      if (!pending.empty()) pending += '\n';
    } else {
      pending.append(bytes, static_cast<size_t>(len));
    }
    for (size_t line_end; (line_end = pending.find('\n')) != std::string::npos;) {
      const std::string line = pending.substr(0, line_end);
      pending.erase(0, line_end + 1);
      if (line.empty()) continue;
      const auto row = client.send(flags.to, line);
      if (!row.ok()) {
        send_failed(row.error());
        continue;
      }
      chat.lines[*row] = line;
      if (!client.online()) chat.note("queued: " + printable(line));
    }
  }
  running = nullptr;
  if (client.stop_reason() != StopReason::kNone) return refused(client, chat);
  for (const auto& [row, text] : chat.lines) {
    const auto status = client.status(row);
    if (status && status->open) return kQueued;
  }
  return kDone;
}

int run_history(const Flags& flags) {
  if (access((flags.profile + "/profile.db").c_str(), F_OK) != 0) {
    return complain(kNoProfile, flags.profile + ": no profile there");
  }
  Tracker tracker;
  auto opened = Client::open(options_of(flags, false), tracker);
  if (!opened.ok()) return open_failed(flags, opened.error());
  const std::vector<HistoryLine> lines = (*opened)->history(flags.to, flags.limit);
  if (flags.json) {
    print_history_json(lines, (*opened)->identity());
  } else {
    print_history(lines, printable(flags.to));
  }
  return kDone;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"perch: send and receive messages from the terminal"};
  Flags flags;
  app.require_subcommand(1);
  app.footer(
      "Exit status: 0 done, 1 the profile cannot be used, 2 bad usage, 3 queued or not everything came in "
      "time,\n"
      "4 rejected or expired, 5 the server does not let this device in.");
  const auto common = [&](CLI::App* command) {
    command->add_option("--profile", flags.profile, "directory of this device's messages; made if missing")
        ->required();
    return command;
  };
  const auto online = [&](CLI::App* command) {
    common(command);
    command->add_option("--server", flags.server, "HOST:PORT; remembered in the profile");
    auto* token = command->add_option("--token", flags.token,
                                      "JWT; remembered in the profile; others can see it in ps");
    command->add_option("--token-file", flags.token_file, "file with the JWT")->excludes(token);
    return command;
  };
  auto* send = online(app.add_subcommand("send", "queue one message and wait for its tick"));
  send->add_option("--wait", flags.wait_seconds, "seconds to wait for the tick (10)")
      ->check(CLI::Range(0.0, 1e6));
  send->add_option("TO", flags.to, "user id or handle")->required();
  send->add_option("TEXT", flags.words, "the message; - reads it from the standard input")->required();
  auto* listen = online(app.add_subcommand("listen", "print messages as they come"));
  listen->add_option("--count", flags.count, "end after so many messages");
  listen->add_option("--seconds", flags.seconds, "end after so many seconds")->check(CLI::Range(0.0, 1e9));
  listen->add_flag("--json", flags.json, "one JSON object a line");
  auto* chat = online(app.add_subcommand("chat", "talk: lines in, lines and ticks out; works offline"));
  chat->add_option("--wait", flags.wait_seconds, "seconds to wait for ticks after the end of the input (10)")
      ->check(CLI::Range(0.0, 1e6));
  chat->add_option("TO", flags.to, "user id or handle")->required();
  auto* history = common(app.add_subcommand("history", "print a conversation; never connects"));
  history->add_option("--limit", flags.limit, "how many messages (50)")->check(CLI::Range(1, 1'000'000));
  history->add_flag("--json", flags.json, "one JSON object a line");
  history->add_option("PEER", flags.to, "user id or handle")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    return complain(kUsage, e.what());
  }
  if (flags.to.empty() && !listen->parsed()) return complain(kUsage, "no recipient");
  if (const int status = read_token(flags); status != kDone) return status;
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  if (send->parsed()) return run_send(flags);
  if (listen->parsed()) return run_listen(flags);
  if (chat->parsed()) return run_chat(flags);
  return run_history(flags);
}
