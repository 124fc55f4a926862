// The conversations of a SqliteStore: who was talked with, what was said last, how much of it is unread.
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

}  // namespace perch::client
