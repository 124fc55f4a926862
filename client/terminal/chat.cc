// perch chat: lines in, lines and ticks out; works offline and says so.
#include <unistd.h>

#include <cstdio>
#include <map>
#include <utility>

#include "client/terminal/command.h"
#include "client/terminal/history.h"
#include "client/terminal/text.h"

namespace perch::client {
namespace {

struct Chat : Tracker {
  // Until the server has said who `to` is, nobody can tell whose message this is: it waits for the answer.
  void on_message(const InboxMessage& in, Insert insert) override {
    if (insert == Insert::kRenumbered) return;
    if (peer == 0 && !answered) {
      held.push_back(in);
    } else {
      show(in);
    }
  }
  void on_offline(std::string_view why) override {
    show_held();  // the answer may take long now
    Tracker::on_offline(why);
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
    if (handle != to) return;
    peer = user;
    answered = true;
    show_held();
  }

  void show(const InboxMessage& in) {
    const bool mine = in.id.user == client->identity().user;
    const std::string whose = in.peer == peer ? to : name_of_user(*client, in.peer);
    const std::string who = !mine ? whose : in.peer == peer ? "you (elsewhere)" : "you to " + whose;
    std::printf("%s: %s\n", who.c_str(), printable(text_of(in.body)).c_str());
    std::fflush(stdout);
    if (in.peer == peer && !mine) unread = true;
    shown = true;
  }
  void show_held() {
    for (const InboxMessage& in : std::exchange(held, {})) show(in);
  }

  Client* client = nullptr;
  std::string to;
  UserId peer = 0;        // 0: not known
  bool answered = false;  // the server has said who that is, or that nobody is
  std::vector<InboxMessage> held;
  bool unread = false;
  bool shown = false;
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
  const std::vector<HistoryLine> past = client.history(chat.to, 10);
  print_history(past, chat.to);
  for (const HistoryLine& line : past) {
    if (line.own_device && line.mark < Mark::kDelivered) chat.lines[line.row.row] = text_of(line.body);
  }
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
  chat.show_held();
  if (client.stop_reason() != StopReason::kNone) return refused(client, chat);
  for (const auto& [row, text] : chat.lines) {
    const auto status = client.status(row);
    if (status && status->open) return kQueued;
  }
  return kDone;
}

}  // namespace perch::client
