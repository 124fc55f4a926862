// perch chat: lines in, lines and ticks out; works offline and says so.
#include <unistd.h>

#include <cstdio>
#include <map>
#include <vector>

#include "client/terminal/command.h"
#include "client/terminal/history.h"
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
    std::printf("  %s  %s\n", text.c_str(), printable(line->second).c_str());
    std::fflush(stdout);
    if (row.mark >= Mark::kRead) lines.erase(line);
  }
  void on_resolved(std::string_view handle, UserId user) override {
    if (handle != to) return;
    peer = user;
    answered = true;
  }

  // Shows what no program of this profile has shown yet, of every conversation; false: the profile cannot be
  // written. The marks follow the print, and cover nothing that was not printed.
  bool show_unseen() {
    // Until the server has said who `to` is, nobody can tell whose message this is.
    if (peer == 0 && !answered && !offline && client->stop_reason() == StopReason::kNone) return true;
    for (std::vector<Arrival> next; !(next = client->unseen(256)).empty();) {
      for (const Arrival& arrival : next) {
        show(arrival.message);
        unread = unread || (arrival.message.peer == peer && !mine(arrival.message));
      }
      if (!client->set_seen(next.back().arrival).ok()) return false;
    }
    if (!unread || peer == 0) return true;
    unread = false;
    return client->mark_read(to).ok();
  }
  bool mine(const InboxMessage& in) const { return in.id.user == client->identity().user; }
  void show(const InboxMessage& in) {
    const std::string whose = in.peer == peer ? to : name_of_user(*client, in.peer);
    const std::string who = !mine(in) ? whose : in.peer == peer ? "you (elsewhere)" : "you to " + whose;
    std::printf("%s: %s\n", who.c_str(), printable(text_of(in.body)).c_str());
    std::fflush(stdout);
  }
  // The conversation so far, but for what show_unseen() is about to show.
  void show_past() {
    std::vector<HistoryLine> past = client->history(to, kPastLines);
    // Who has the connection shows the rest as unseen; otherwise another process does, or nobody.
    const std::vector<Arrival> unseen = client->connects() ? client->unseen(1) : std::vector<Arrival>();
    if (!unseen.empty()) {
      std::erase_if(past, [&](const HistoryLine& line) { return line.arrival >= unseen[0].arrival; });
    }
    print_history(past, to);
    for (const HistoryLine& line : past) {
      if (line.own_device && line.mark < Mark::kDelivered) lines[line.row.row] = text_of(line.body);
    }
  }

  Client* client = nullptr;
  std::string to;
  UserId peer = 0;        // 0: not known
  bool answered = false;  // the server has said who that is, or that nobody is
  // Something of `peer` was shown and is not marked as read. At first perhaps: an earlier chat may have been
  // killed in between, and what it has shown is not unseen any more.
  bool unread = true;
  std::map<RowId, std::string> lines;  // what waits for its next tick
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
  chat.show_past();
  if (!client.connects())
    chat.note("another process holds this profile's connection and will send what you write");
  chat.peer = client.user_of(chat.to);
  const Running signals(client);
  std::string pending;
  bool eof = false;
  uint64_t leave_at = UINT64_MAX;  // after the end of the input: a moment for the ticks on their way
  while (!interrupted() && client.stop_reason() == StopReason::kNone) {
    const uint64_t now = now_ms();
    if (now >= leave_at) break;
    const bool readable = client.poll(std::min<uint64_t>(leave_at - now, 500), eof ? -1 : STDIN_FILENO);
    if (chat.peer == 0 && !chat.answered) client.resolve(chat.to);
    if (client.connects() && !chat.show_unseen()) {
      return complain(kNoProfile, flags.profile + ": cannot be written");
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
  if (client.connects()) chat.show_unseen();
  if (client.stop_reason() != StopReason::kNone) return refused(client, chat);
  for (const auto& [row, text] : chat.lines) {
    const auto status = client.status(row);
    if (status && status->open) return kQueued;
  }
  return kDone;
}

}  // namespace perch::client
