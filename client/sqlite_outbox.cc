// The outbox of a SqliteStore: rows, their ids, what became of them.
#include <algorithm>

#include "client/sqlite_query.h"
#include "core/check.h"

namespace perch::client {

RowId SqliteStore::add_row(const NewRow& row) {
  PERCH_CHECK(in_transaction_);
  if (row.kind == RowKind::kRead) {
    Query(*this,
          "DELETE FROM outbox INDEXED BY outbox_unsent_reads WHERE kind=1 AND open=1 AND sent=0 AND "
          "to_user=? AND read_device=? AND "
          "read_origin=?",
          row.to, uint64_t{row.read.device}, row.read.origin)
        .run();
  }
  Query(*this,
        "INSERT INTO outbox (kind, to_user, handle, content, body, read_device, read_origin, read_up_to, "
        "time_ms) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        row.kind, row.to, row.handle, uint64_t{row.content}, row.body, uint64_t{row.read.device},
        row.read.origin, row.read.up_to, row.time_ms)
      .run();
  const auto id = static_cast<RowId>(sqlite3_last_insert_rowid(db_));
  if (row.kind == RowKind::kMessage) label_row(id, row.to, label_of(row.content, row.body));
  return id;
}

Seq SqliteStore::take_seq() {
  PERCH_CHECK(in_transaction_ && owner_);
  identity_changed_ = true;
  return identity_.next_seq++;
}

void SqliteStore::bind_row(RowId row, UserId to, Seq seq, Bytes frame) {
  Query(*this, "UPDATE outbox SET to_user=?, origin=?, seq=?, frame=? WHERE row=? AND seq=0", to,
        identity_.origin, seq, frame, row)
      .run();
}

void SqliteStore::mark_sent(Seq seq) {
  Query(*this, "UPDATE outbox SET sent=1 WHERE seq=? AND open=1 AND seq>0", seq).run();
}

Result<std::vector<WaitingRow>> SqliteStore::bindable_rows(size_t limit) {
  std::vector<WaitingRow> out;
  Query query(
      *this,
      "SELECT row, kind, CASE WHEN to_user<>0 THEN to_user ELSE h.user END AS target, content, body, "
      "read_device, read_origin, read_up_to FROM outbox LEFT JOIN handles h ON h.handle=outbox.handle "
      "WHERE open=1 AND seq=0 AND target IS NOT NULL ORDER BY row LIMIT ?",
      uint64_t{limit});
  while (query.step()) {
    WaitingRow row;
    row.row = query.u64(0);
    row.kind = static_cast<RowKind>(query.u64(1));
    row.to = query.u64(2);
    row.content = static_cast<uint8_t>(query.u64(3));
    row.body = query.blob(4);
    row.read = {static_cast<DeviceNo>(query.u64(5)), query.u64(6), query.u64(7)};
    out.push_back(std::move(row));
  }
  return unless_failed(std::move(out));
}

Result<std::vector<std::string>> SqliteStore::unresolved_handles() {
  std::vector<std::string> out;
  Query query(*this,
              "SELECT DISTINCT handle FROM outbox WHERE open=1 AND seq=0 AND to_user=0 AND "
              "handle NOT IN (SELECT handle FROM handles)");
  while (query.step()) out.push_back(query.text(0));
  return unless_failed(std::move(out));
}

Result<std::vector<OpenRow>> SqliteStore::open_rows(Seq above, size_t limit) {
  std::vector<OpenRow> out;
  Query query(*this,
              "SELECT row, origin, seq, sent, frame FROM outbox WHERE open=1 AND seq>0 AND seq>? ORDER BY "
              "seq LIMIT ?",
              above, uint64_t{limit});
  while (query.step()) {
    out.push_back({query.u64(0), query.u64(1), query.u64(2), query.u64(3) != 0, query.blob(4)});
  }
  return unless_failed(std::move(out));
}

Seq SqliteStore::lowest_open() {
  Query query(*this, "SELECT seq FROM outbox WHERE open=1 AND seq>0 ORDER BY seq LIMIT 1");
  if (query.step()) return query.u64(0);
  return failed_ == 0 ? 0 : 1;  // unknown: say that nothing is closed, the server then keeps every result
}

Result<RowStatus> SqliteStore::status(RowId row) {
  Query query(*this, "SELECT " PERCH_ROW_COLUMNS " FROM outbox WHERE row=?", row);
  if (query.step()) return query.row(0);
  return failed_ != 0 ? error_of(failed_) : Error{Errc::kNotFound};
}

std::optional<RowStatus> SqliteStore::close_row(Origin origin, Seq seq, Mark mark, uint8_t reason,
                                                Number number, uint64_t time_ms) {
  PERCH_CHECK(in_transaction_);
  RowStatus row;
  bool changes_another = false;
  {
    Query query(*this, "SELECT " PERCH_ROW_COLUMNS ", item FROM outbox WHERE seq=? AND origin=? AND seq>0",
                seq, origin);
    if (!query.step()) return std::nullopt;
    row = query.row(0);
    changes_another = query.u64(kRowColumns) != 0;
  }
  if (!merge_result(row, mark, reason, number, time_ms)) return std::nullopt;
  // The bytes may be needed again only while the row is accepted and not delivered (a restored server).
  // The timer of a message begins with its first result.
  Query(*this,
        "UPDATE outbox SET open=0, mark=?1, reason=?2, number=?3, time_ms=?4, "
        "frame=CASE WHEN ?1=1 THEN frame END, "
        "ends_ms=CASE WHEN timer_s>0 AND gone=0 AND ends_ms=0 THEN ?6+timer_s*1000 ELSE ends_ms END "
        "WHERE row=?5",
        row.mark, uint64_t{row.reason}, row.number, row.time_ms, row.row, clock_->wall_ms())
      .run();
  if (changes_another) note_change(row.to);  // an edit has its place now, or does not count
  return row;
}

std::vector<RowStatus> SqliteStore::reject_handle(std::string_view handle, uint8_t reason) {
  std::vector<RowStatus> out;
  Query query(*this,
              "UPDATE outbox SET open=0, mark=4, reason=? WHERE open=1 AND seq=0 AND to_user=0 AND handle=? "
              "RETURNING " PERCH_ROW_COLUMNS,
              uint64_t{reason}, handle);
  while (query.step()) out.push_back(query.row(0));
  return out;
}

std::vector<RowStatus> SqliteStore::rows_delivered(UserId peer, Origin origin, Seq first, Seq up_to) {
  Query query(
      *this,
      "UPDATE outbox INDEXED BY outbox_accepted SET mark=CASE WHEN read THEN 3 ELSE 2 END, frame=NULL "
      "WHERE to_user=? AND origin=? AND seq>=? AND seq<=? AND seq>0 AND kind=0 AND open=0 AND mark<2 "
      "RETURNING " PERCH_ROW_COLUMNS,
      peer, origin, first, up_to);
  return query.rows();
}

std::vector<RowStatus> SqliteStore::rows_read(UserId peer, Origin origin, Seq up_to) {
  Query(*this,
        "UPDATE outbox INDEXED BY outbox_unread SET read=1 "
        "WHERE to_user=? AND origin=? AND seq<=? AND seq>0 AND kind=0 AND read=0",
        peer, origin, up_to)
      .run();
  Query query(*this,
              "UPDATE outbox INDEXED BY outbox_delivered SET mark=3 "
              "WHERE to_user=? AND origin=? AND seq<=? AND seq>0 AND kind=0 AND mark=2 "
              "RETURNING " PERCH_ROW_COLUMNS,
              peer, origin, up_to);
  return query.rows();
}

std::optional<RowStatus> SqliteStore::expire_row(UserId peer, Origin origin, Seq seq) {
  Query query(*this,
              "UPDATE outbox INDEXED BY outbox_seq SET mark=5, frame=CASE WHEN open THEN frame END "
              "WHERE seq=? AND origin=? AND to_user=? AND seq>0 AND mark<=1 RETURNING " PERCH_ROW_COLUMNS,
              seq, origin, peer);
  if (!query.step()) return std::nullopt;
  const RowStatus out = query.row(0);
  query.run();
  return out;
}

size_t SqliteStore::reopen_accepted() {
  Query(*this,
        "WITH reads AS (SELECT row AS read, read_up_to, max(read_up_to) OVER (PARTITION BY to_user, "
        "read_device, read_origin ORDER BY row ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS later "
        "FROM outbox WHERE kind=1 AND mark<4) "
        "UPDATE outbox SET open=1, mark=0 WHERE open=0 AND mark=1 AND seq>0 AND frame IS NOT NULL AND "
        "row NOT IN (SELECT read FROM reads WHERE later>=read_up_to)")
      .run();
  return failed_ != 0 ? 0 : static_cast<size_t>(sqlite3_changes(db_));
}

}  // namespace perch::client
