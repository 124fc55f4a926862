#include "client/terminal/screen/entries.h"

#include "client/terminal/item_text.h"
#include "client/terminal/text.h"

namespace perch::client::screen {
namespace {

std::string key_of(const HistoryLine& line) {
  if (line.own_device) return "row " + std::to_string(line.row.row);
  return std::to_string(line.arrival);
}

std::string text_of_line(const HistoryLine& line) {
  return line.shown == Shown::kText ? line.text : shown(line);
}

std::string mark_of(const HistoryLine& line) {
  if (line.own_device && line.mark == Mark::kQueued) return "…";
  if (line.mark == Mark::kQueued) return "✓";  // a copy of what another device sent: the server has it
  std::string mark = mark_text(line.mark);
  if (line.mark == Mark::kRejected && line.own_device) mark += ": " + reason_text(line.row.reason);
  return mark;
}

}  // namespace

Entry entry_of(const HistoryLine& line, const std::string& who) {
  Entry entry;
  entry.key = key_of(line);
  entry.mine = line.mine;
  entry.who = line.mine ? "you" : who;
  entry.time_ms = line.time_ms;
  entry.text = text_of_line(line);
  if (!line.mine) return entry;
  entry.mark = mark_of(line);
  entry.is_read = line.mark == Mark::kRead;
  entry.is_lost = line.mark == Mark::kRejected || line.mark == Mark::kExpired;
  return entry;
}

Contact contact_of(const Conversation& conversation) {
  const HistoryLine& last = conversation.last;
  Contact contact;
  contact.to = conversation.handle.empty() ? std::to_string(conversation.peer) : conversation.handle;
  contact.name = contact.to;
  contact.peer = conversation.peer;
  contact.num_unread = conversation.num_unread;
  contact.preview = (last.mine ? "you: " : "") + text_of_line(last);
  contact.time_ms = last.time_ms;
  return contact;
}

std::string first_unread(const std::vector<Entry>& entries, uint64_t num_unread) {
  std::string key;
  for (auto entry = entries.rbegin(); entry != entries.rend() && num_unread > 0; ++entry) {
    if (entry->mine) continue;
    key = entry->key;
    --num_unread;
  }
  return key;
}

}  // namespace perch::client::screen
