// perch chat: lines in, lines and ticks out; works offline and says so.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <vector>

#include "client/terminal/command.h"
#include "client/terminal/history.h"
#include "client/terminal/item_text.h"
#include "client/terminal/text.h"

namespace perch::client {
namespace {

constexpr size_t kPastLines = 10;

struct Chat : Tracker {
  void on_row(const RowStatus& row) override {
    if (row.kind != RowKind::kMessage) return;
    const auto line = lines.find(row.row);
    if (line == lines.end()) return;
    std::string text = mark_text(row.mark);
    if (row.mark == Mark::kRejected) text += " (" + reason_text(row.reason) + ")";
    std::printf("  %s  %s\n", text.c_str(), line->second.c_str());
    std::fflush(stdout);
    if (is_lost(row.mark)) lost = true;
    if (row.mark >= Mark::kRead) lines.erase(line);
  }
  void on_resolved(std::string_view handle, UserId user) override {
    if (handle != to) return;
    peer = user;
    answered = true;
  }

  // Shows what no program of this profile has shown yet, of every conversation. The marks follow the print,
  // and cover nothing that was not printed. ERRORS: those of the disk; kClosed: the output takes no more.
  Result<void> show_unseen() {
    // Until the server has said who `to` is, if it can, nobody can tell whose message this is.
    if (peer == 0 && !answered && !busy && !offline && client->stop_reason() == StopReason::kNone) return {};
    while (true) {
      const auto next = client->unseen(256);
      if (!next.ok()) return next.error();
      if (next->empty()) break;
      for (const Arrival& arrival : *next) {
        show(arrival.message);
        unread = unread || (arrival.message.peer == peer && !mine(arrival.message));
      }
      if (!output_written()) return Error{Errc::kClosed};
      if (auto seen = client->set_seen(next->back().arrival); !seen.ok()) return seen;
    }
    if (!unread || peer == 0) return {};
    if (const auto marked = client->mark_read(to); !marked.ok()) return marked.error();
    unread = false;
    return {};
  }
  bool mine(const InboxMessage& in) const { return in.id.user == client->identity().user; }
  void show(const InboxMessage& in) {
    const std::string whose = in.peer == peer ? to : name_of_user(*client, in.peer);
    const std::string who = !mine(in) ? whose : in.peer == peer ? "you (elsewhere)" : "you to " + whose;
    const std::string line = told(*client, in, who);
    if (!line.empty()) std::printf("%s\n", line.c_str());
    std::fflush(stdout);
  }
  // The conversation so far, but for what show_unseen() is about to show. ERRORS: those of the disk.
  Result<void> show_past() {
    const auto known = client->user_of(to);
    if (!known.ok()) return known.error();
    peer = *known;
    auto past = client->history(to, kPastLines);
    if (!past.ok()) return past.error();
    if (client->connects()) {  // who has the connection shows the rest as unseen
      const auto unseen = client->unseen(1);
      if (!unseen.ok()) return unseen.error();
      if (!unseen->empty()) {
        std::erase_if(*past,
                      [&](const HistoryLine& line) { return line.arrival >= unseen->front().arrival; });
      }
    }
    print_history(*past, client->identity().user, to);
    for (const HistoryLine& line : *past) {
      if (line.own_device && line.mark < Mark::kDelivered) lines[line.row.row] = shown(line);
    }
    return {};
  }
  // A line of the input: a message, or one of the commands. ERRORS: those of Client; the user was told why.
  int say(const std::string& line) {
    const size_t first = line.find(' ');
    const std::string command = line.substr(0, first);
    const std::string rest = first == std::string::npos ? "" : line.substr(first + 1);
    if (command == "/timer") return set_timer(rest);
    const size_t second = rest.find(' ');
    const std::string name = rest.substr(0, second);
    const std::string text = second == std::string::npos ? "" : rest.substr(second + 1);
    if (command == "/edit")
      return about(name, text, [&](const HistoryLine& to_edit) {
        return to_edit.own_device ? client->edit(to_edit.row.row, text) : client->edit(to_edit.id, text);
      });
    if (command == "/delete")
      return about(name, "[deleted]", [&](const HistoryLine& gone) {
        return gone.own_device ? client->remove(gone.row.row) : client->remove(gone.id);
      });
    if (command == "/react")
      return about(name, text, [&](const HistoryLine& other) { return client->react(other.id, text); });
    if (command == "/reply")
      return about(name, text, [&](const HistoryLine& other) { return client->reply(other.id, text); });
    const std::string said = is_escaped(command) ? line.substr(1) : line;
    const auto row = client->send(to, said);
    return row.ok() ? queued(*row, said) : send_failed(row.error());
  }
  // "//edit 1 two" says "/edit 1 two".
  static bool is_escaped(const std::string& command) {
    return command == "//edit" || command == "//delete" || command == "//react" || command == "//reply" ||
           command == "//timer";
  }
  int set_timer(const std::string& time) {
    const auto seconds = seconds_of(time);
    if (!seconds) return complain(kUsage, "/timer 30s, 5m, 12h, 7d, 4w, or off");
    const auto row = client->set_timer(to, *seconds);
    return row.ok() ? queued(*row, "timer: " + time_text(*seconds)) : send_failed(row.error());
  }
  template <typename Say>
  int about(const std::string& name, const std::string& text, Say say_it) {
    const auto known = client->history(to, kMessagesBack);
    if (!known.ok())
      return complain(kNoProfile, std::string("the profile cannot be read: ") + name_of(known.error().code));
    const auto line = line_of(*client, *known, name);
    if (!line.ok()) return remark_failed(line.error(), name);
    const auto row = say_it(*line);
    if (!row.ok()) return remark_failed(row.error(), name);
    if (*row == 0) return kDone;  // it was never sent
    return queued(*row, text + "  (about: " + plain_text(*line) + ")");
  }
  int queued(RowId row, const std::string& text) {
    lines[row] = printable(text);
    if (!client->online()) note("queued: " + printable(text));
    return kDone;
  }
  static bool is_lost(Mark mark) { return mark == Mark::kRejected || mark == Mark::kExpired; }
  // Some line was rejected or expired; also those that another process has sent.
  bool lost_any() {
    return lost || std::any_of(lines.begin(), lines.end(), [&](const auto& line) {
             const auto status = client->status(line.first);
             return status.ok() && is_lost(status->mark);
           });
  }
  // Some line has no result yet, as far as can be known.
  bool waits() {
    return std::any_of(lines.begin(), lines.end(), [&](const auto& line) {
      const auto status = client->status(line.first);
      return !status.ok() || status->open;
    });
  }

  Client* client = nullptr;
  std::string to;
  bool lost = false;      // a line was rejected or expired
  UserId peer = 0;        // 0: not known
  bool answered = false;  // the server has said who that is, or that nobody is
  // Something of `peer` was shown and is not marked as read. At first perhaps: an earlier chat may have been
  // killed in between, and what it has shown is not unseen any more.
  bool unread = true;
  std::map<RowId, std::string> lines;  // printable; what waits for its next tick
};

}  // namespace

int run_chat(const Flags& flags) {
  Chat chat;
  chat.talk = true;
  auto opened = Client::open(options_of(flags, true), chat);
  if (!opened.ok()) return open_failed(flags, opened.error());
  Client& client = **opened;
  chat.client = &client;
  chat.to = flags.to.front() == '@' ? flags.to.substr(1) : flags.to;
  if (const auto shown = chat.show_past(); !shown.ok()) return profile_failed(flags, shown.error());
  if (!client.connects())
    chat.note("another process holds this profile's connection and will send what you write");
  const Running signals(client);
  std::string pending;
  bool eof = false;
  int unsent = kDone;              // or the status of a line that was not even queued
  uint64_t leave_at = UINT64_MAX;  // after the end of the input: a moment for the ticks on their way
  while (!interrupted() && client.stop_reason() == StopReason::kNone) {
    const uint64_t now = now_ms();
    if (now >= leave_at) break;
    const bool readable = client.poll(std::min<uint64_t>(leave_at - now, 500), eof ? -1 : STDIN_FILENO);
    if (chat.peer == 0 && !chat.answered) client.resolve(chat.to);
    if (client.connects()) {
      if (const auto shown = chat.show_unseen(); !shown.ok()) return profile_failed(flags, shown.error());
    }
    if (eof && !chat.waits()) break;
    if (!readable || eof) continue;
    char bytes[4096];
    const ssize_t len = read(STDIN_FILENO, bytes, sizeof(bytes));
    if (len <= 0) {
      eof = true;
      leave_at = now_ms() + static_cast<uint64_t>(flags.wait_seconds * 1000);
      if (len == 0 && !pending.empty()) pending += '\n';  // after an error nobody has ended that line
    } else {
      pending.append(bytes, static_cast<size_t>(len));
    }
    for (size_t line_end; (line_end = pending.find('\n')) != std::string::npos;) {
      const std::string line = pending.substr(0, line_end);
      pending.erase(0, line_end + 1);
      if (line.empty()) continue;
      if (const int status = chat.say(line); status != kDone) unsent = status;
    }
  }
  if (client.connects() && client.stop_reason() != StopReason::kStorage) {
    if (const auto shown = chat.show_unseen(); !shown.ok()) return profile_failed(flags, shown.error());
  }
  if (client.stop_reason() != StopReason::kNone) return refused(client, chat);
  if (chat.lost_any()) return kRejected;
  return chat.waits() ? kQueued : unsent;
}

}  // namespace perch::client
