// perch chat: lines in, lines and ticks out; works offline and says so.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>

#include "client/terminal/command.h"
#include "client/terminal/history.h"
#include "client/terminal/text.h"

namespace perch::client {
namespace {

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
  char* end = nullptr;
  const UserId user = std::strtoull(chat.to.c_str(), &end, 10);
  if (*end == '\0') chat.peer = user;
  const Running signals(client);
  std::string pending;
  bool eof = false;
  uint64_t leave_at = UINT64_MAX;  // after the end of the input: a moment for the ticks on their way
  while (!interrupted() && client.stop_reason() == StopReason::kNone) {
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
  if (client.stop_reason() != StopReason::kNone) return refused(client, chat);
  for (const auto& [row, text] : chat.lines) {
    const auto status = client.status(row);
    if (status && status->open) return kQueued;
  }
  return kDone;
}

}  // namespace perch::client
