#include "client/terminal/screen/entries.h"

#include <algorithm>

#include "client/terminal/item_text.h"
#include "client/terminal/text.h"

namespace perch::client::screen {
namespace {

std::string key_of(const HistoryLine& line) {
  if (line.own_device) return "row " + std::to_string(line.row.row);
  return std::to_string(line.arrival);
}

// Its text as it came, or in words what there is instead of one.
std::string text_of_line(const HistoryLine& line) {
  return line.shown == Shown::kText ? line.text : shown(line);
}

std::string quote_of(const Quote& quote) {
  if (!quote.here) return "a message that is not here";
  return quote.shown == Shown::kText ? quote.text : "a message that cannot be shown";
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
  entry.is_gone = line.shown != Shown::kText;
  if (line.answers) entry.quote = quote_of(*line.answers);
  entry.reactions = reactions_text(line.reactions);
  if (line.edited) entry.mark = "edited";
  if (line.timer_s != 0)
    entry.mark += (entry.mark.empty() ? "" : ", ") + ("gone in " + time_text(line.timer_s));
  if (!line.mine) return entry;
  if (!entry.mark.empty()) entry.mark += "  ";
  entry.mark += mark_of(line);
  entry.is_read = line.mark == Mark::kRead;
  entry.is_lost = line.mark == Mark::kRejected || line.mark == Mark::kExpired;
  return entry;
}

std::string reactions_text(const std::vector<Reaction>& reactions) {
  std::vector<std::pair<std::string, size_t>> counts;
  for (const Reaction& reaction : reactions) {
    const auto same = std::ranges::find(counts, reaction.emoji, &std::pair<std::string, size_t>::first);
    if (same == counts.end()) {
      counts.emplace_back(reaction.emoji, 1);
    } else {
      ++same->second;
    }
  }
  std::string out;
  for (const auto& [emoji, count] : counts) {
    if (!out.empty()) out += "  ";
    out += emoji;
    if (count > 1) out.append(" ").append(std::to_string(count));
  }
  return out;
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
