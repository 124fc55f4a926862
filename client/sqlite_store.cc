#include "client/sqlite_store.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "core/check.h"

namespace perch::client {
namespace {

constexpr int kBusyMs = 5'000;  // another process of this profile commits for far shorter

// 64-bit words go into SQLite's signed integers bit for bit. Ids are only compared for equality; seq and
// number stay below 2^63, so their order survives.
constexpr const char* kSchema = R"(
CREATE TABLE identity (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  user INTEGER NOT NULL DEFAULT 0, device INTEGER NOT NULL DEFAULT 0,
  origin INTEGER NOT NULL DEFAULT 0, previous_origin INTEGER NOT NULL DEFAULT 0,
  welcomed INTEGER NOT NULL DEFAULT 0, incarnation INTEGER NOT NULL DEFAULT 0,
  after INTEGER NOT NULL DEFAULT 0, next_seq INTEGER NOT NULL DEFAULT 1, handle TEXT NOT NULL DEFAULT '');
INSERT INTO identity (id) VALUES (1);
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE handles (handle TEXT PRIMARY KEY, user INTEGER NOT NULL);
CREATE TABLE outbox (
  row INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL,
  to_user INTEGER NOT NULL, handle TEXT NOT NULL, content INTEGER NOT NULL, body BLOB NOT NULL,
  read_device INTEGER NOT NULL, read_origin INTEGER NOT NULL, read_up_to INTEGER NOT NULL,
  origin INTEGER NOT NULL DEFAULT 0, seq INTEGER NOT NULL DEFAULT 0, frame BLOB,
  open INTEGER NOT NULL DEFAULT 1, sent INTEGER NOT NULL DEFAULT 0,
  mark INTEGER NOT NULL DEFAULT 0, reason INTEGER NOT NULL DEFAULT 0,
  number INTEGER NOT NULL DEFAULT 0, time_ms INTEGER NOT NULL);
CREATE INDEX outbox_waiting ON outbox (row) WHERE open = 1 AND seq = 0;
CREATE INDEX outbox_open ON outbox (seq) WHERE open = 1 AND seq > 0;
CREATE INDEX outbox_seq ON outbox (seq, origin);
CREATE INDEX outbox_peer ON outbox (to_user, origin, seq);
CREATE TABLE inbox (
  arrival INTEGER PRIMARY KEY AUTOINCREMENT,
  user INTEGER NOT NULL, device INTEGER NOT NULL, origin INTEGER NOT NULL, seq INTEGER NOT NULL,
  variant INTEGER NOT NULL, peer INTEGER NOT NULL, number INTEGER NOT NULL, time_ms INTEGER NOT NULL,
  content INTEGER NOT NULL, body BLOB NOT NULL,
  mark INTEGER NOT NULL DEFAULT 0, read INTEGER NOT NULL DEFAULT 0,
  UNIQUE (user, device, origin, seq, variant));
CREATE INDEX inbox_peer ON inbox (peer, number);
CREATE INDEX inbox_unread ON inbox (user) WHERE read = 0;
)";

#define PERCH_ROW_COLUMNS "row, kind, to_user, origin, seq, open, mark, reason, number, time_ms"

}  // namespace

// Binds its arguments in order, steps, and hands the statement back clean at its end.
class SqliteStore::Query {
 public:
  template <typename... Args>
  Query(SqliteStore& store, const char* sql, const Args&... args) : store_(store) {
    if (!store.in_transaction_) store.failed_ = 0;  // a read that failed must not blind the next one
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

  SqliteStore& store_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

// --- opening -----------------------------------------------------------------------------------------------

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& dir, Random& random, bool connect) {
  const std::filesystem::path path(dir);
  std::error_code ignored;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), ignored);
  if (mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) return Error{Errc::kSystem, errno};
  std::unique_ptr<SqliteStore> store(new SqliteStore);
  store->lock_fd_ = ::open((dir + "/profile.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (store->lock_fd_ < 0) return Error{Errc::kSystem, errno};
  if (connect) store->owner_ = flock(store->lock_fd_, LOCK_EX | LOCK_NB) == 0;
  // Made by us, so that it is nobody else's to read even in a directory that was there before.
  const std::string file = dir + "/profile.db";
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return Error{Errc::kSystem, errno};
  ::close(fd);
  const int code =
      sqlite3_open_v2(file.c_str(), &store->db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code != SQLITE_OK) return store->error_of(code);
  if (auto set = store->set_up(random); !set.ok()) return set.error();
  return store;
}

SqliteStore::~SqliteStore() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  if (db_ != nullptr) sqlite3_close(db_);
  if (lock_fd_ >= 0) ::close(lock_fd_);
}

Result<void> SqliteStore::set_up(Random& random) {
  sqlite3_busy_timeout(db_, kBusyMs);
  if (!exec("PRAGMA journal_mode=WAL") || !exec("PRAGMA synchronous=FULL")) return error_of(failed_);
  begin();  // two processes may make one profile at the same time
  uint64_t version = 0;
  {
    Query query(*this, "PRAGMA user_version");
    if (query.step()) version = query.u64(0);
  }
  if (failed_ == 0 && version > kSchemaVersion) {
    exec("ROLLBACK");
    in_transaction_ = false;
    return Error{Errc::kNewerFormat, static_cast<int64_t>(version)};
  }
  if (failed_ == 0 && version == 0) {
    exec(kSchema);
    exec("PRAGMA user_version=1");
  }
  static_assert(kSchemaVersion == 1, "write the step from the version before");
  load_identity();
  if (owner_) {
    if (welcomed_) identity_.previous_origin = identity_.origin;
    welcomed_ = false;
    do identity_.origin = random.next();
    while (identity_.origin == 0);
    identity_changed_ = true;
  }
  return commit();
}

bool SqliteStore::exec(const char* sql) {
  if (failed_ != 0) return false;
  const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(code);
  return code == SQLITE_OK;
}

void SqliteStore::fail(int code) {
  if (failed_ == 0) failed_ = code;
}

Error SqliteStore::error_of(int code) const {
  switch (code & 0xff) {
    case SQLITE_FULL:
      return Error{Errc::kFull, code};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Error{Errc::kBusy, code};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR:
      return Error{Errc::kCorrupt, code};
    default:
      return Error{Errc::kSystem, db_ == nullptr ? 0 : sqlite3_system_errno(db_)};
  }
}

void SqliteStore::load_identity() {
  Query query(*this,
              "SELECT user, device, origin, previous_origin, welcomed, incarnation, after, next_seq, handle "
              "FROM identity");
  if (!query.step()) return;
  identity_.user = query.u64(0);
  identity_.device = static_cast<DeviceNo>(query.u64(1));
  identity_.origin = query.u64(2);
  identity_.previous_origin = query.u64(3);
  welcomed_ = query.u64(4) != 0;
  identity_.incarnation = query.u64(5);
  identity_.after = query.u64(6);
  identity_.next_seq = query.u64(7);
  identity_.handle = query.text(8);
}

void SqliteStore::save_identity() {
  Query(*this,
        "UPDATE identity SET user=?, device=?, origin=?, previous_origin=?, welcomed=?, incarnation=?, "
        "after=?, "
        "next_seq=?, handle=?",
        identity_.user, uint64_t{identity_.device}, identity_.origin, identity_.previous_origin,
        uint64_t{welcomed_}, identity_.incarnation, identity_.after, identity_.next_seq, identity_.handle)
      .run();
}

void SqliteStore::begin() {
  PERCH_CHECK(!in_transaction_);
  in_transaction_ = true;
  identity_changed_ = false;
  failed_ = 0;
  exec("BEGIN IMMEDIATE");
}

Result<void> SqliteStore::commit() {
  PERCH_CHECK(in_transaction_);
  if (identity_changed_) save_identity();
  exec("COMMIT");
  in_transaction_ = false;
  if (failed_ == 0) return {};
  const Error error = error_of(failed_);
  failed_ = 0;
  if (sqlite3_get_autocommit(db_) == 0) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
  load_identity();
  failed_ = 0;
  return error;
}

uint64_t SqliteStore::data_version() {
  Query query(*this, "PRAGMA data_version");
  return query.step() ? query.u64(0) : 0;
}

std::string SqliteStore::setting(std::string_view name) {
  Query query(*this, "SELECT value FROM settings WHERE name=?", name);
  return query.step() ? query.text(0) : std::string();
}

void SqliteStore::set_setting(std::string_view name, std::string_view value) {
  Query(*this, "INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value=excluded.value",
        name, value)
      .run();
}

// --- who this is -------------------------------------------------------------------------------------------

void SqliteStore::set_login(UserId user, DeviceNo device, uint64_t incarnation, std::string_view handle) {
  identity_.user = user;
  identity_.device = device;
  identity_.incarnation = incarnation;
  identity_.handle = handle;
  welcomed_ = true;
  identity_changed_ = true;
}

void SqliteStore::raise_after(Number number) {
  if (number <= identity_.after) return;
  identity_.after = number;
  identity_changed_ = true;
}

void SqliteStore::set_handle(std::string_view handle, UserId user) {
  Query(*this, "INSERT INTO handles VALUES (?, ?) ON CONFLICT (handle) DO UPDATE SET user=excluded.user",
        handle, user)
      .run();
}

UserId SqliteStore::user_of(std::string_view handle) {
  Query query(*this, "SELECT user FROM handles WHERE handle=?", handle);
  return query.step() ? query.u64(0) : 0;
}

// --- outbox ------------------------------------------------------------------------------------------------

RowId SqliteStore::add_row(const NewRow& row) {
  PERCH_CHECK(in_transaction_);
  if (row.kind == RowKind::kRead) {
    Query(*this,
          "DELETE FROM outbox WHERE kind=1 AND open=1 AND sent=0 AND to_user=? AND read_device=? AND "
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
  return static_cast<RowId>(sqlite3_last_insert_rowid(db_));
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

std::vector<WaitingRow> SqliteStore::bindable_rows(size_t limit) {
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
  return out;
}

std::vector<std::string> SqliteStore::unresolved_handles() {
  std::vector<std::string> out;
  Query query(*this,
              "SELECT DISTINCT handle FROM outbox WHERE open=1 AND seq=0 AND to_user=0 AND "
              "handle NOT IN (SELECT handle FROM handles)");
  while (query.step()) out.push_back(query.text(0));
  return out;
}

std::vector<OpenRow> SqliteStore::open_rows(Seq above, size_t limit) {
  std::vector<OpenRow> out;
  Query query(*this,
              "SELECT row, origin, seq, sent, frame FROM outbox WHERE open=1 AND seq>0 AND seq>? ORDER BY "
              "seq LIMIT ?",
              above, uint64_t{limit});
  while (query.step()) {
    out.push_back({query.u64(0), query.u64(1), query.u64(2), query.u64(3) != 0, query.blob(4)});
  }
  return out;
}

Seq SqliteStore::lowest_open() {
  Query query(*this, "SELECT seq FROM outbox WHERE open=1 AND seq>0 ORDER BY seq LIMIT 1");
  if (query.step()) return query.u64(0);
  return failed_ == 0 ? 0 : 1;  // unknown: say that nothing is closed, the server then keeps every result
}

std::optional<RowStatus> SqliteStore::status(RowId row) {
  Query query(*this, "SELECT " PERCH_ROW_COLUMNS " FROM outbox WHERE row=?", row);
  if (!query.step()) return std::nullopt;
  return query.row(0);
}

std::optional<RowStatus> SqliteStore::close_row(Origin origin, Seq seq, Mark mark, uint8_t reason,
                                                Number number, uint64_t time_ms) {
  PERCH_CHECK(in_transaction_);
  RowStatus row;
  {
    Query query(*this, "SELECT " PERCH_ROW_COLUMNS " FROM outbox WHERE seq=? AND origin=? AND seq>0", seq,
                origin);
    if (!query.step()) return std::nullopt;
    row = query.row(0);
  }
  if (!merge_result(row, mark, reason, number, time_ms)) return std::nullopt;
  // The bytes may be needed again only while the row is accepted and not delivered (a restored server).
  Query(*this,
        "UPDATE outbox SET open=0, mark=?1, reason=?2, number=?3, time_ms=?4, "
        "frame=CASE WHEN ?1=1 THEN frame END WHERE row=?5",
        row.mark, uint64_t{row.reason}, row.number, row.time_ms, row.row)
      .run();
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

std::vector<RowStatus> SqliteStore::mark_rows(UserId peer, Origin origin, Seq up_to, Mark mark) {
  std::vector<RowStatus> out;
  Query query(
      *this,
      "UPDATE outbox SET mark=?1, frame=CASE WHEN open=1 THEN frame END WHERE to_user=?2 AND origin=?3 AND "
      "seq<=?4 AND seq>0 AND kind=0 AND mark<?1 RETURNING " PERCH_ROW_COLUMNS,
      mark, peer, origin, up_to);
  while (query.step()) out.push_back(query.row(0));
  std::sort(out.begin(), out.end(), [](const RowStatus& a, const RowStatus& b) { return a.seq < b.seq; });
  return out;
}

std::optional<RowStatus> SqliteStore::expire_row(UserId peer, Origin origin, Seq seq) {
  Query query(*this,
              "UPDATE outbox SET mark=5 WHERE to_user=? AND origin=? AND seq=? AND seq>0 AND mark<=1 "
              "RETURNING " PERCH_ROW_COLUMNS,
              peer, origin, seq);
  if (!query.step()) return std::nullopt;
  const RowStatus out = query.row(0);
  query.run();
  return out;
}

size_t SqliteStore::reopen_accepted() {
  Query(*this,
        "UPDATE outbox SET open=1, mark=0 WHERE open=0 AND kind=0 AND mark=1 AND seq>0 AND frame IS NOT NULL")
      .run();
  return failed_ != 0 ? 0 : static_cast<size_t>(sqlite3_changes(db_));
}

// --- inbox -------------------------------------------------------------------------------------------------

Insert SqliteStore::insert_message(InboxMessage& message) {
  PERCH_CHECK(in_transaction_);
  const MessageId& id = message.id;
  bool known = false;
  uint64_t arrival = 0, number = 0;
  {
    Query query(*this,
                "SELECT arrival, variant, number, content=?5 AND body=?6 FROM inbox "
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
  // What this user sent from another device is not unread.
  Query(*this,
        "INSERT INTO inbox (user, device, origin, seq, variant, peer, number, time_ms, content, body, read) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        id.user, uint64_t{id.device}, id.origin, id.seq, uint64_t{message.variant}, message.peer,
        message.number, message.time_ms, uint64_t{message.content}, message.body,
        uint64_t{id.user == identity_.user})
      .run();
  return known ? Insert::kVariant : Insert::kNew;
}

void SqliteStore::mark_copies(UserId me, DeviceNo device, UserId peer, Origin origin, Seq up_to, Mark mark) {
  Query(*this,
        "UPDATE inbox SET mark=?1 WHERE user=?2 AND device=?3 AND origin=?4 AND seq<=?5 AND peer=?6 AND "
        "mark<?1",
        mark, me, uint64_t{device}, origin, up_to, peer)
      .run();
}

void SqliteStore::expire_copy(UserId me, DeviceNo device, Origin origin, Seq seq) {
  Query(*this, "UPDATE inbox SET mark=5 WHERE user=? AND device=? AND origin=? AND seq=? AND mark<=1", me,
        uint64_t{device}, origin, seq)
      .run();
}

void SqliteStore::mark_inbox_read(UserId peer, const ReadMark& mark) {
  Query(*this, "UPDATE inbox SET read=1 WHERE user=? AND device=? AND origin=? AND seq<=? AND read=0", peer,
        uint64_t{mark.device}, mark.origin, mark.up_to)
      .run();
}

std::vector<ReadMark> SqliteStore::unread(UserId peer) {
  std::vector<ReadMark> out;
  Query query(*this,
              "SELECT device, origin, max(seq) FROM inbox WHERE user=? AND read=0 GROUP BY device, origin "
              "ORDER BY device, origin",
              peer);
  while (query.step()) out.push_back({static_cast<DeviceNo>(query.u64(0)), query.u64(1), query.u64(2)});
  return out;
}

std::vector<Arrival> SqliteStore::arrivals(uint64_t after, size_t limit) {
  std::vector<Arrival> out;
  Query query(
      *this,
      "SELECT arrival, user, device, origin, seq, variant, peer, number, time_ms, content, body, mark "
      "FROM inbox WHERE arrival>? ORDER BY arrival LIMIT ?",
      after, uint64_t{limit});
  while (query.step()) {
    Arrival next;
    next.arrival = query.u64(0);
    InboxMessage& in = next.message;
    in.id = {query.u64(1), static_cast<DeviceNo>(query.u64(2)), query.u64(3), query.u64(4)};
    in.variant = static_cast<uint32_t>(query.u64(5));
    in.peer = query.u64(6);
    in.number = query.u64(7);
    in.time_ms = query.u64(8);
    in.content = static_cast<uint8_t>(query.u64(9));
    in.body = query.blob(10);
    in.mark = static_cast<Mark>(query.u64(11));
    out.push_back(std::move(next));
  }
  return out;
}

std::vector<HistoryLine> SqliteStore::history(UserId peer, std::string_view handle, size_t limit) {
  std::vector<HistoryLine> out;
  {
    Query query(*this,
                "SELECT " PERCH_ROW_COLUMNS
                ", content, body FROM outbox WHERE kind=0 AND ((to_user=?1 AND ?1<>0) OR "
                "(to_user=0 AND handle=?2 AND ?2<>'')) ORDER BY row DESC LIMIT ?3",
                peer, handle, uint64_t{limit});
    while (query.step()) {
      HistoryLine line;
      line.mine = line.own_device = true;
      line.row = query.row(0);
      line.mark = line.row.mark;
      line.number = line.row.open ? UINT64_MAX : line.row.number;
      line.time_ms = line.row.time_ms;
      line.content = static_cast<uint8_t>(query.u64(10));
      line.body = query.blob(11);
      out.push_back(std::move(line));
    }
  }
  std::reverse(out.begin(), out.end());
  {
    Query query(*this,
                "SELECT user, device, origin, seq, mark, number, time_ms, content, body, variant FROM inbox "
                "WHERE peer=?1 AND ?1<>0 ORDER BY number DESC, arrival DESC LIMIT ?2",
                peer, uint64_t{limit});
    while (query.step()) {
      HistoryLine line;
      line.id = {query.u64(0), static_cast<DeviceNo>(query.u64(1)), query.u64(2), query.u64(3)};
      line.mine = line.id.user == identity_.user;
      line.mark = static_cast<Mark>(query.u64(4));
      line.number = query.u64(5);
      line.time_ms = query.u64(6);
      line.content = static_cast<uint8_t>(query.u64(7));
      line.body = query.blob(8);
      line.variant = static_cast<uint32_t>(query.u64(9));
      out.push_back(std::move(line));
    }
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const HistoryLine& a, const HistoryLine& b) { return a.number < b.number; });
  if (out.size() > limit) out.erase(out.begin(), out.end() - static_cast<ptrdiff_t>(limit));
  for (HistoryLine& line : out) {
    if (line.own_device) line.number = line.row.number;
  }
  return out;
}

}  // namespace perch::client
