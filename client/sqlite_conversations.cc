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
  const Reading reading(*this);
  std::vector<Conversation> out;
  {
    // From one peer to the next in the indexes: it costs the number of conversations, not of messages.
    Query query(
        *this,
        "WITH RECURSIVE came(peer) AS (SELECT min(peer) FROM inbox INDEXED BY inbox_order WHERE item=0 AND "
        "gone<2 UNION ALL SELECT (SELECT min(peer) FROM inbox INDEXED BY inbox_order WHERE item=0 AND gone<2 "
        "AND peer>came.peer) FROM came WHERE peer IS NOT NULL), "
        "went(peer) AS (SELECT min(to_user) FROM outbox INDEXED BY outbox_order WHERE kind=0 AND item=0 AND "
        "gone<2 AND to_user>0 UNION ALL SELECT (SELECT min(to_user) FROM outbox INDEXED BY outbox_order "
        "WHERE kind=0 AND item=0 AND gone<2 AND to_user>went.peer) FROM went WHERE peer IS NOT NULL) "
        "SELECT peer FROM came WHERE peer IS NOT NULL UNION SELECT peer FROM went WHERE peer IS NOT NULL");
    while (query.step()) out.emplace_back().peer = query.u64(0);
  }
  {
    Query query(*this,
                "SELECT handle, max(row) FROM outbox INDEXED BY outbox_order WHERE kind=0 AND item=0 AND "
                "gone<2 AND to_user=0 AND handle NOT IN (SELECT handle FROM handles) GROUP BY handle ORDER "
                "BY handle");
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
                "SELECT " PERCH_OWN_LINE_COLUMNS
                " FROM outbox INDEXED BY outbox_order WHERE kind=0 AND item=0 AND gone<2 AND to_user=?1 AND "
                "(?2=0 OR row=?2) ORDER BY row DESC LIMIT 1",
                each.peer, each.last.row.row);
      if (own.step()) each.last = own.own_line(0);
    }
    {
      Query came(*this,
                 "SELECT " PERCH_LINE_COLUMNS
                 " FROM inbox INDEXED BY inbox_order WHERE peer=?1 AND ?1>0 AND item=0 AND gone<2 "
                 "ORDER BY number DESC, arrival DESC LIMIT 1",
                 each.peer);
      if (came.step()) {
        HistoryLine line = came.line_that_came(0);
        if (!each.last.own_device || is_later(line, each.last)) each.last = std::move(line);
      }
    }
    complete(each.last, each.peer);
  }
  if (failed_ != 0) return error_of(failed_);
  std::ranges::stable_sort(out, std::ranges::greater(),
                           [](const Conversation& each) { return each.last.time_ms; });
  return out;
}

// Upper and lower case of a-z are the same.
static bool contains(std::string_view text, std::string_view part) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
  return !std::ranges::search(text, part, {}, lower, lower).empty() || part.empty();
}

// Whether somebody may have edited the row of that table: what it says now is worth a look.
#define PERCH_MAY_BE_EDITED(table)                                                                \
  "(EXISTS (SELECT 1 FROM inbox AS edit INDEXED BY inbox_remarks WHERE edit.target_origin=" table \
  ".origin AND edit.target_seq=" table                                                            \
  ".seq AND edit.target_seq<>0 AND edit.item=1) OR EXISTS (SELECT 1 "                              \
  "FROM outbox AS edit INDEXED BY outbox_remarks WHERE edit.target_origin=" table                 \
  ".origin AND edit.target_seq=" table ".seq AND edit.target_seq<>0 AND edit.item=1))"

Result<std::vector<Found>> SqliteStore::search(std::string_view text, UserId peer, size_t limit) {
  const Reading reading(*this);
  std::vector<Found> out;
  // The line says what it was sent as; what it is by now costs more, and most lines are what they were.
  const auto take = [&](Found found, bool may_be_edited) {
    HistoryLine& line = found.line;
    const bool plain = line.content == kContentText && !may_be_edited;
    if (plain && !contains({reinterpret_cast<const char*>(line.body.data()), line.body.size()}, text)) return;
    complete(line, found.peer);
    if (line.shown == Shown::kText && contains(line.text, text)) out.push_back(std::move(found));
  };
  {
    Query own(*this,
              "SELECT " PERCH_OWN_LINE_COLUMNS ", " PERCH_MAY_BE_EDITED("outbox")
              " FROM outbox WHERE kind=0 AND item=0 AND gone=0 AND content<2 AND (?1=0 OR to_user=?1) "
              "ORDER BY row DESC",
              peer);
    while (out.size() < limit && own.step()) {
      HistoryLine line = own.own_line(0);
      take({line.row.to, std::move(line)}, own.u64(kOwnLineColumns) != 0);
    }
  }
  if (failed_ != 0) return error_of(failed_);
  const size_t num_own = out.size();
  {
    Query came(*this,
               "SELECT " PERCH_LINE_COLUMNS ", " PERCH_MAY_BE_EDITED("inbox")
               " FROM inbox WHERE item=0 AND gone=0 AND content<2 AND (?1=0 OR peer=?1) "
               "ORDER BY arrival DESC",
               peer);
    while (out.size() < num_own + limit && came.step()) {
      const UserId whose = came.message(0).message.peer;
      take({whose, came.line_that_came(0)}, came.u64(kLineColumns) != 0);
    }
  }
  if (failed_ != 0) return error_of(failed_);
  std::ranges::stable_sort(out, {}, [](const Found& found) { return found.line.time_ms; });
  if (out.size() > limit) out.erase(out.begin(), out.end() - static_cast<ptrdiff_t>(limit));
  return out;
}

}  // namespace perch::client
