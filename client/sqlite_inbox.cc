// The inbox of a SqliteStore, and what people read of both: arrivals and history.
#include <algorithm>

#include "client/sqlite_query.h"
#include "core/check.h"

namespace perch::client {

Insert SqliteStore::insert_message(InboxMessage& message) {
  PERCH_CHECK(in_transaction_);
  const MessageId& id = message.id;
  bool known = false;
  uint64_t arrival = 0, number = 0;
  {
    Query query(*this,
                "SELECT arrival, variant, number, gone>0 OR (content=?5 AND body=?6) FROM inbox "
                "WHERE user=?1 AND device=?2 AND origin=?3 AND seq=?4 ORDER BY variant",
                id.user, uint64_t{id.device}, id.origin, id.seq, uint64_t{message.content}, message.body);
    while (arrival == 0 && query.step()) {
      known = true;
      message.variant = static_cast<uint32_t>(query.u64(1));
      if (query.u64(3) == 0) continue;
      arrival = query.u64(0);
      number = query.u64(2);
    }
  }
  if (arrival != 0) {
    if (message.number <= number) return Insert::kKnown;
    Query(*this, "UPDATE inbox SET number=?, time_ms=? WHERE arrival=?", message.number, message.time_ms,
          arrival)
        .run();
    return Insert::kRenumbered;
  }
  if (known) message.variant++;
  const Label label = label_of(message.content, message.body);
  const bool shown = label.kind == ItemKind::kText;
  const bool mine = id.user == identity_.user;
  const Gone gone = gone_of(shown ? id : label.target, message.peer);
  const std::vector<uint8_t> none;
  // What this user sent from another device is not unread, nor is what is not shown; and a timer of this
  // user's message begins now.
  Query(*this,
        "INSERT INTO inbox (user, device, origin, seq, variant, peer, number, time_ms, content, body, read, "
        "item, target_user, target_device, target_origin, target_seq, timer_s, ends_ms, gone) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        id.user, uint64_t{id.device}, id.origin, id.seq, uint64_t{message.variant}, message.peer,
        message.number, message.time_ms, uint64_t{message.content}, gone == Gone::kNo ? message.body : none,
        uint64_t{mine || !shown || gone != Gone::kNo}, label.kind, label.target.user,
        uint64_t{label.target.device}, label.target.origin, label.target.seq, uint64_t{label.timer_s},
        mine && gone == Gone::kNo ? end_of(label.timer_s) : uint64_t{0}, gone)
      .run();
  if (label.kind == ItemKind::kDelete && id.user == label.target.user)
    remove(label.target, message.peer, Gone::kDeleted);
  if (!shown) note_change(message.peer);
  if (gone != Gone::kNo) return Insert::kKnown;  // nothing of it is to be told
  return known ? Insert::kVariant : Insert::kNew;
}

void SqliteStore::mark_copies(UserId me, DeviceNo device, UserId peer, Origin origin, Seq first, Seq up_to,
                              Mark mark) {
  Query(*this,
        "UPDATE inbox INDEXED BY inbox_untold SET mark=?1 WHERE user=?2 AND device=?3 AND origin=?4 AND "
        "seq>=?5 AND seq<=?6 AND peer=?7 AND mark<3 AND mark<?1",
        mark, me, uint64_t{device}, origin, first, up_to, peer)
      .run();
}

void SqliteStore::expire_copy(UserId me, DeviceNo device, Origin origin, Seq seq) {
  Query(*this, "UPDATE inbox SET mark=5 WHERE user=? AND device=? AND origin=? AND seq=? AND mark<=1", me,
        uint64_t{device}, origin, seq)
      .run();
}

void SqliteStore::mark_inbox_read(UserId peer, const ReadMark& mark) {
  Query(*this,
        "UPDATE inbox INDEXED BY inbox_unread SET read=1, "
        "ends_ms=CASE WHEN timer_s>0 THEN ?5+timer_s*1000 ELSE 0 END "
        "WHERE user=?1 AND device=?2 AND origin=?3 AND seq<=?4 AND read=0",
        peer, uint64_t{mark.device}, mark.origin, mark.up_to, clock_->wall_ms())
      .run();
}

Result<std::vector<ReadMark>> SqliteStore::unread(UserId peer) {
  std::vector<ReadMark> out;
  Query query(*this,
              "SELECT device, origin, max(seq) FROM inbox INDEXED BY inbox_unread "
              "WHERE user=? AND read=0 GROUP BY device, origin ORDER BY device, origin",
              peer);
  while (query.step()) out.push_back({static_cast<DeviceNo>(query.u64(0)), query.u64(1), query.u64(2)});
  return unless_failed(std::move(out));
}

Result<std::vector<Arrival>> SqliteStore::arrivals(uint64_t after, size_t limit) {
  std::vector<Arrival> out;
  Query query(*this,
              "SELECT " PERCH_MESSAGE_COLUMNS
              " FROM inbox WHERE arrival>? AND gone=0 ORDER BY arrival LIMIT ?",
              after, uint64_t{limit});
  while (query.step()) out.push_back(query.message(0));
  return unless_failed(std::move(out));
}

namespace {

// A row that was rejected before it had a number has no place in the order. It stands where it was written:
// between this device's rows before and after it, and there by the time.
void place_unnumbered(std::vector<HistoryLine>& lines, std::vector<HistoryLine> unnumbered) {
  for (HistoryLine& line : unnumbered) {
    auto first = lines.begin(), last = lines.end();
    for (auto it = lines.begin(); it != lines.end(); ++it) {
      if (!it->own_device) continue;
      if (it->row.row < line.row.row) {
        first = it + 1;
      } else if (last == lines.end()) {
        last = it;
      }
    }
    const auto at = std::find_if(first, std::max(first, last),
                                 [&](const HistoryLine& other) { return other.time_ms > line.time_ms; });
    lines.insert(at, std::move(line));
  }
}

}  // namespace

Result<std::vector<HistoryLine>> SqliteStore::history(UserId peer, std::string_view handle, size_t limit) {
  const Reading reading(*this);
  std::vector<HistoryLine> out, unnumbered;
  {
    Query query(*this,
                "SELECT " PERCH_OWN_LINE_COLUMNS
                " FROM outbox WHERE kind=0 AND item=0 AND gone<2 AND ((to_user=?1 AND ?1<>0) OR "
                "(to_user=0 AND handle=?2 AND ?2<>'')) ORDER BY row DESC LIMIT ?3",
                peer, handle, uint64_t{limit});
    while (query.step()) {
      HistoryLine line = query.own_line(0);
      if (line.row.open) line.number = UINT64_MAX;
      (line.number == 0 ? unnumbered : out).push_back(std::move(line));
    }
  }
  if (failed_ != 0) return error_of(failed_);
  std::reverse(out.begin(), out.end());
  std::reverse(unnumbered.begin(), unnumbered.end());
  {
    Query query(*this,
                "SELECT " PERCH_LINE_COLUMNS
                " FROM inbox INDEXED BY inbox_order WHERE peer=?1 AND ?1<>0 AND item=0 AND gone<2 "
                "ORDER BY number DESC, arrival DESC LIMIT ?2",
                peer, uint64_t{limit});
    while (query.step()) out.push_back(query.line_that_came(0));
  }
  if (failed_ != 0) return error_of(failed_);
  std::stable_sort(out.begin(), out.end(),
                   [](const HistoryLine& a, const HistoryLine& b) { return a.number < b.number; });
  place_unnumbered(out, std::move(unnumbered));
  if (out.size() > limit) out.erase(out.begin(), out.end() - static_cast<ptrdiff_t>(limit));
  for (HistoryLine& line : out) {
    if (line.own_device) line.number = line.row.number;
    complete(line, peer);
  }
  return unless_failed(std::move(out));
}

// One side of a place; the nearest first. `number` > 0 where nothing bounds it from below: a row that was
// rejected without one has none. To say it where `number >= ?` stands would have SQLite begin there.
void SqliteStore::add_side(UserId peer, Number number, bool after, size_t limit,
                           std::vector<HistoryLine>& out) {
  const size_t begin = out.size();
  {
    Query own(*this,
              after ? "SELECT " PERCH_OWN_LINE_COLUMNS
                      " FROM outbox INDEXED BY outbox_numbers WHERE kind=0 AND item=0 AND gone<2 AND open=0 "
                      "AND to_user=?1 AND number>=?2 ORDER BY number LIMIT ?3"
                    : "SELECT " PERCH_OWN_LINE_COLUMNS
                      " FROM outbox INDEXED BY outbox_numbers WHERE kind=0 AND item=0 AND gone<2 AND open=0 "
                      "AND to_user=?1 AND number>0 AND number<?2 ORDER BY number DESC LIMIT ?3",
              peer, number, uint64_t{limit});
    while (own.step()) out.push_back(own.own_line(0));
  }
  Query came(*this,
             after ? "SELECT " PERCH_LINE_COLUMNS
                     " FROM inbox INDEXED BY inbox_order WHERE peer=?1 AND item=0 AND gone<2 AND number>=?2 "
                     "ORDER BY number, arrival LIMIT ?3"
                   : "SELECT " PERCH_LINE_COLUMNS
                     " FROM inbox INDEXED BY inbox_order WHERE peer=?1 AND item=0 AND gone<2 AND number<?2 "
                     "ORDER BY number DESC, arrival DESC LIMIT ?3",
             peer, number, uint64_t{limit});
  while (came.step()) out.push_back(came.line_that_came(0));
  const auto first = out.begin() + static_cast<ptrdiff_t>(begin);
  std::stable_sort(first, out.end(), [&](const HistoryLine& a, const HistoryLine& b) {
    return after ? a.number < b.number : a.number > b.number;
  });
  if (out.size() - begin > limit) out.resize(begin + limit);
}

Result<std::vector<HistoryLine>> SqliteStore::history_around(UserId peer, Number number, size_t before,
                                                             size_t after) {
  const Reading reading(*this);
  std::vector<HistoryLine> out, unnumbered;
  if (peer == 0) return out;
  number = std::max<Number>(number, 1);
  add_side(peer, number, false, before, out);
  std::ranges::reverse(out);
  add_side(peer, number, true, after, out);
  RowId first = 0, last = 0;
  for (const HistoryLine& line : out) {
    if (!line.own_device) continue;
    if (first == 0) first = line.row.row;
    last = line.row.row;
  }
  {
    Query query(
        *this,
        "SELECT " PERCH_OWN_LINE_COLUMNS
        " FROM outbox INDEXED BY outbox_order WHERE kind=0 AND item=0 AND gone<2 AND to_user=? AND row>? "
        "AND row<? AND number=0 AND open=0 ORDER BY row",
        peer, first, last);
    while (query.step()) unnumbered.push_back(query.own_line(0));
  }
  place_unnumbered(out, std::move(unnumbered));
  for (HistoryLine& line : out) complete(line, peer);
  return unless_failed(std::move(out));
}

}  // namespace perch::client
