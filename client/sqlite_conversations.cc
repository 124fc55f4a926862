// The conversations of a SqliteStore: who was talked with, what was said last, how much of it is unread; and
// where something was said.
#include <algorithm>

#include "client/sqlite_query.h"

namespace perch::client {

// By the order of the conversation, where both have a place in it; a row that is open or has no number stands
// by its time.
static bool is_later(const HistoryLine& a, const HistoryLine& b) {
  const auto has_place = [](const HistoryLine& line) { return line.number != 0; };
  return has_place(a) && has_place(b) ? a.number > b.number : a.time_ms > b.time_ms;
}

Result<std::vector<Conversation>> SqliteStore::conversations() {
  std::vector<Conversation> out;
  {
    // From one peer to the next in the indexes: it costs the number of conversations, not of messages.
    Query query(
        *this,
        "WITH RECURSIVE came(peer) AS (SELECT min(peer) FROM inbox UNION ALL SELECT "
        "(SELECT min(peer) FROM inbox WHERE peer>came.peer) FROM came WHERE peer IS NOT NULL), "
        "went(peer) AS (SELECT min(to_user) FROM outbox INDEXED BY outbox_order WHERE kind=0 AND "
        "to_user>0 UNION ALL SELECT (SELECT min(to_user) FROM outbox INDEXED BY outbox_order WHERE "
        "kind=0 AND to_user>went.peer) FROM went WHERE peer IS NOT NULL) "
        "SELECT peer FROM came WHERE peer IS NOT NULL UNION SELECT peer FROM went WHERE peer IS NOT NULL");
    while (query.step()) out.emplace_back().peer = query.u64(0);
  }
  {
    Query query(*this,
                "SELECT handle, max(row) FROM outbox INDEXED BY outbox_order WHERE kind=0 AND to_user=0 AND "
                "handle NOT IN (SELECT handle FROM handles) GROUP BY handle ORDER BY handle");
    while (query.step()) {
      Conversation& next = out.emplace_back();
      next.handle = query.text(0);
      next.last.row.row = query.u64(1);
    }
  }
  for (Conversation& each : out) {
    if (each.peer != 0) {
      auto handle = handle_of(each.peer);
      if (!handle.ok()) return handle.error();
      each.handle = std::move(*handle);
      Query count(*this, "SELECT count(*) FROM inbox INDEXED BY inbox_unread WHERE user=? AND read=0",
                  each.peer);
      if (count.step()) each.num_unread = count.u64(0);
    }
    {
      Query own(*this,
                "SELECT " PERCH_ROW_COLUMNS
                ", content, body FROM outbox INDEXED BY outbox_order WHERE kind=0 AND to_user=?1 AND "
                "(?2=0 OR row=?2) ORDER BY row DESC LIMIT 1",
                each.peer, each.last.row.row);
      if (own.step()) each.last = own.history_line(0);
    }
    Query came(*this,
               "SELECT " PERCH_MESSAGE_COLUMNS
               " FROM inbox WHERE peer=?1 AND ?1<>0 ORDER BY number DESC, arrival DESC LIMIT 1",
               each.peer);
    if (!came.step()) continue;
    HistoryLine line = history_line(came.message(0));
    if (!each.last.own_device || is_later(line, each.last)) each.last = std::move(line);
  }
  if (failed_ != 0) return error_of(failed_);
  std::ranges::stable_sort(out, std::ranges::greater(),
                           [](const Conversation& each) { return each.last.time_ms; });
  return out;
}

// A pattern of LIKE for what contains the text.
static std::string containing(std::string_view text) {
  std::string pattern = "%";
  for (const char c : text) {
    if (c == '%' || c == '_' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern + "%";
}

Result<std::vector<Found>> SqliteStore::search(std::string_view text, UserId peer, size_t limit) {
  const std::string pattern = containing(text);
  std::vector<Found> out;
  {
    Query own(*this,
              "SELECT " PERCH_ROW_COLUMNS
              ", content, body FROM outbox WHERE kind=0 AND content=0 AND (?1=0 OR to_user=?1) AND "
              "CAST(body AS TEXT) LIKE ?2 ESCAPE '\\' ORDER BY row DESC LIMIT ?3",
              peer, pattern, uint64_t{limit});
    while (own.step()) {
      HistoryLine line = own.history_line(0);
      out.push_back({line.row.to, std::move(line)});
    }
  }
  if (failed_ != 0) return error_of(failed_);
  Query came(*this,
             "SELECT " PERCH_MESSAGE_COLUMNS
             " FROM inbox WHERE content=0 AND (?1=0 OR peer=?1) AND CAST(body AS TEXT) LIKE ?2 ESCAPE '\\' "
             "ORDER BY arrival DESC LIMIT ?3",
             peer, pattern, uint64_t{limit});
  while (came.step()) {
    Arrival next = came.message(0);
    const UserId whose = next.message.peer;
    out.push_back({whose, history_line(std::move(next))});
  }
  if (failed_ != 0) return error_of(failed_);
  std::ranges::stable_sort(out, {}, [](const Found& found) { return found.line.time_ms; });
  if (out.size() > limit) out.erase(out.begin(), out.end() - static_cast<ptrdiff_t>(limit));
  return out;
}

}  // namespace perch::client
