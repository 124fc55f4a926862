// Query: one use of a prepared statement of a SqliteStore; private to the files of that class. After the
// first failure of a transaction queries do nothing, as storage.h says.
#pragma once
#include <sqlite3.h>

#include <algorithm>
#include <string>
#include <vector>

#include "client/sqlite_store.h"

namespace perch::client {

// What Query::row() reads, in its order. A macro, because statements are put together from literals and known
// by their address.
#define PERCH_ROW_COLUMNS "row, kind, to_user, origin, seq, open, mark, reason, number, time_ms, read"
inline constexpr int kRowColumns = 11;

// What Query::own_line() reads, in its order.
#define PERCH_OWN_LINE_COLUMNS PERCH_ROW_COLUMNS ", content, body, gone, ends_ms"
inline constexpr int kOwnLineColumns = kRowColumns + 4;

// What Query::message() reads, in its order.
#define PERCH_MESSAGE_COLUMNS \
  "arrival, user, device, origin, seq, variant, peer, number, time_ms, content, body, mark"
inline constexpr int kMessageColumns = 12;

// What Query::line_that_came() reads, in its order.
#define PERCH_LINE_COLUMNS PERCH_MESSAGE_COLUMNS ", gone, ends_ms"
inline constexpr int kLineColumns = kMessageColumns + 2;

// Statements and indexes write them as digits: SQLite takes an index over some of the rows only for a
// statement that names them by the same constants.
static_assert(RowKind::kMessage == RowKind{0} && RowKind::kRead == RowKind{1});
static_assert(Mark::kQueued == Mark{0} && Mark::kAccepted == Mark{1} && Mark::kDelivered == Mark{2} &&
              Mark::kRead == Mark{3} && Mark::kRejected == Mark{4} && Mark::kExpired == Mark{5});
// Column `item`: 0 is what is shown as a message, of whatever making.
static_assert(ItemKind::kText == ItemKind{0} && ItemKind::kEdit == ItemKind{1} &&
              ItemKind::kDelete == ItemKind{2} && ItemKind::kReaction == ItemKind{3} &&
              ItemKind::kTimer == ItemKind{4} && ItemKind::kProfile == ItemKind{5});
// Column `gone`.
static_assert(Gone::kNo == Gone{0} && Gone::kDeleted == Gone{1} && Gone::kEnded == Gone{2});

// One read of several queries: the first that fails fails all, so that what the others found is not taken for
// all there is.
class SqliteStore::Reading {
 public:
  explicit Reading(SqliteStore& store) : store_(store) {
    if (!store.in_transaction_) store.failed_ = 0;
    store.reading_ = true;
  }
  ~Reading() { store_.reading_ = false; }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;

 private:
  SqliteStore& store_;
};

// Binds its arguments in order, steps, and hands the statement back clean at its end.
class SqliteStore::Query {
 public:
  template <typename... Args>
  Query(SqliteStore& store, const char* sql, const Args&... args) : store_(store) {
    // A read that failed must not blind the next one.
    if (!store.in_transaction_ && !store.reading_) store.failed_ = 0;
    if (store.failed_ != 0) return;
    sqlite3_stmt*& cached = store.statements_[sql];
    if (cached == nullptr) {
      const int code = sqlite3_prepare_v3(store.db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &cached, nullptr);
      if (code != SQLITE_OK) {
        store.fail(code);
        return;
      }
    }
    statement_ = cached;
    (bind(args), ...);
  }
  ~Query() {
    if (statement_ == nullptr) return;
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  // True: there is a row to read.
  bool step() {
    if (statement_ == nullptr) return false;
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code != SQLITE_DONE) store_.fail(code);
    return false;
  }
  void run() {
    while (step()) {
    }
  }

  uint64_t u64(int column) const { return static_cast<uint64_t>(sqlite3_column_int64(statement_, column)); }
  std::vector<uint8_t> blob(int column) const {
    const auto* data = static_cast<const uint8_t*>(sqlite3_column_blob(statement_, column));
    if (data == nullptr) return {};
    return {data, data + sqlite3_column_bytes(statement_, column)};
  }
  std::string text(int column) const {
    const std::vector<uint8_t> bytes = blob(column);
    return {bytes.begin(), bytes.end()};
  }
  RowStatus row(int c) const {  // PERCH_ROW_COLUMNS from column c on
    RowStatus out;
    out.row = u64(c);
    out.kind = static_cast<RowKind>(u64(c + 1));
    out.to = u64(c + 2);
    out.origin = u64(c + 3);
    out.seq = u64(c + 4);
    out.open = u64(c + 5) != 0;
    out.mark = static_cast<Mark>(u64(c + 6));
    out.reason = static_cast<uint8_t>(u64(c + 7));
    out.number = u64(c + 8);
    out.time_ms = u64(c + 9);
    out.read = u64(c + 10) != 0;
    return out;
  }
  HistoryLine own_line(int c) const {  // PERCH_OWN_LINE_COLUMNS from column c on
    HistoryLine out;
    out.mine = out.own_device = true;
    out.row = row(c);
    out.id = {store_.identity_.user, store_.identity_.device, out.row.origin, out.row.seq};
    out.mark = out.row.mark;
    out.number = out.row.number;
    out.time_ms = out.row.time_ms;
    out.content = static_cast<uint8_t>(u64(c + kRowColumns));
    out.body = blob(c + kRowColumns + 1);
    out.shown = u64(c + kRowColumns + 2) == 0 ? Shown::kText : Shown::kDeleted;
    out.ends_ms = u64(c + kRowColumns + 3);
    return out;
  }
  HistoryLine line_that_came(int c) const {  // PERCH_LINE_COLUMNS from column c on
    Arrival came = message(c);
    InboxMessage& in = came.message;
    HistoryLine line;
    line.mine = in.id.user == store_.identity_.user;
    line.id = in.id;
    line.arrival = came.arrival;
    line.mark = in.mark;
    line.number = in.number;
    line.time_ms = in.time_ms;
    line.content = in.content;
    line.variant = in.variant;
    line.body = std::move(in.body);
    line.shown = u64(c + kMessageColumns) == 0 ? Shown::kText : Shown::kDeleted;
    line.ends_ms = u64(c + kMessageColumns + 1);
    return line;
  }
  // All there are, in order of seq: RETURNING has none.
  std::vector<RowStatus> rows() {
    std::vector<RowStatus> out;
    while (step()) out.push_back(row(0));
    std::ranges::sort(out, {}, &RowStatus::seq);
    return out;
  }
  Arrival message(int c) const {  // PERCH_MESSAGE_COLUMNS from column c on
    Arrival out;
    out.arrival = u64(c);
    InboxMessage& in = out.message;
    in.id = {u64(c + 1), static_cast<DeviceNo>(u64(c + 2)), u64(c + 3), u64(c + 4)};
    in.variant = static_cast<uint32_t>(u64(c + 5));
    in.peer = u64(c + 6);
    in.number = u64(c + 7);
    in.time_ms = u64(c + 8);
    in.content = static_cast<uint8_t>(u64(c + 9));
    in.body = blob(c + 10);
    in.mark = static_cast<Mark>(u64(c + 11));
    return out;
  }

 private:
  void bind(uint64_t value) { sqlite3_bind_int64(statement_, ++bound_, static_cast<sqlite3_int64>(value)); }
  void bind(std::string_view text) {
    sqlite3_bind_text(statement_, ++bound_, text.data() == nullptr ? "" : text.data(),
                      static_cast<int>(text.size()), SQLITE_TRANSIENT);
  }
  void bind(const std::string& text) { bind(std::string_view(text)); }
  void bind(Bytes bytes) {
    if (bytes.empty()) {
      sqlite3_bind_zeroblob(statement_, ++bound_, 0);
    } else {
      sqlite3_bind_blob(statement_, ++bound_, bytes.data(), static_cast<int>(bytes.size()), SQLITE_TRANSIENT);
    }
  }
  void bind(const std::vector<uint8_t>& bytes) { bind(Bytes(bytes)); }
  void bind(Mark mark) { bind(static_cast<uint64_t>(mark)); }
  void bind(RowKind kind) { bind(static_cast<uint64_t>(kind)); }
  void bind(ItemKind kind) { bind(static_cast<uint64_t>(kind)); }
  void bind(Gone gone) { bind(static_cast<uint64_t>(gone)); }

  SqliteStore& store_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

}  // namespace perch::client
