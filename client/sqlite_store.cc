#include "client/sqlite_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "client/sqlite_query.h"
#include "core/check.h"
#include "core/folder.h"

namespace perch::client {
namespace {

// What a receipt and a read mark find, so that they cost what they change and not the whole conversation: a
// row leaves its index when it is told. The statements name theirs (INDEXED BY), or SQLite would be free to
// take another.
#define PERCH_INDEXES_OF_CHANGES                                                                \
  "CREATE INDEX outbox_accepted ON outbox (to_user, origin, seq) "                              \
  "WHERE kind = 0 AND open = 0 AND mark < 2;"                                                   \
  "CREATE INDEX outbox_unread ON outbox (to_user, origin, seq) WHERE kind = 0 AND read = 0;"    \
  "CREATE INDEX outbox_delivered ON outbox (to_user, origin, seq) WHERE kind = 0 AND mark = 2;" \
  "CREATE INDEX outbox_unsent_reads ON outbox (to_user, read_device, read_origin) "             \
  "WHERE kind = 1 AND open = 1 AND sent = 0;"                                                   \
  "CREATE INDEX inbox_unread ON inbox (user, device, origin, seq) WHERE read = 0;"              \
  "CREATE INDEX inbox_untold ON inbox (user, device, origin, seq) WHERE mark < 3;"
#define PERCH_INDEX_OF_CONVERSATIONS "CREATE INDEX outbox_order ON outbox (to_user, row) WHERE kind = 0;"

// Schema 4; a new database goes on from there.
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
  number INTEGER NOT NULL DEFAULT 0, time_ms INTEGER NOT NULL,
  read INTEGER NOT NULL DEFAULT 0);
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
)" PERCH_INDEXES_OF_CHANGES PERCH_INDEX_OF_CONVERSATIONS;

constexpr const char* kFrom1To2 = R"(
ALTER TABLE outbox ADD COLUMN read INTEGER NOT NULL DEFAULT 0;
UPDATE outbox SET read=1 WHERE mark=3;
)";

constexpr const char* kFrom2To3 = "DROP INDEX inbox_unread;" PERCH_INDEXES_OF_CHANGES;

constexpr const char* kFrom3To4 = PERCH_INDEX_OF_CONVERSATIONS;

// What an item is about, and what becomes of a message. What came before there were items is shown as it was.
#define PERCH_COLUMNS_OF_ITEMS(table)                     \
  "ALTER TABLE " table                                    \
  " ADD COLUMN item INTEGER NOT NULL DEFAULT 0;"          \
  "ALTER TABLE " table                                    \
  " ADD COLUMN target_user INTEGER NOT NULL DEFAULT 0;"   \
  "ALTER TABLE " table                                    \
  " ADD COLUMN target_device INTEGER NOT NULL DEFAULT 0;" \
  "ALTER TABLE " table                                    \
  " ADD COLUMN target_origin INTEGER NOT NULL DEFAULT 0;" \
  "ALTER TABLE " table                                    \
  " ADD COLUMN target_seq INTEGER NOT NULL DEFAULT 0;"    \
  "ALTER TABLE " table                                    \
  " ADD COLUMN timer_s INTEGER NOT NULL DEFAULT 0;"       \
  "ALTER TABLE " table                                    \
  " ADD COLUMN ends_ms INTEGER NOT NULL DEFAULT 0;"       \
  "ALTER TABLE " table " ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;"
// What is shown, in its order; what is said about a message; the last timer and profile; what ends.
constexpr const char* kFrom4To5 = PERCH_COLUMNS_OF_ITEMS("outbox") PERCH_COLUMNS_OF_ITEMS("inbox") R"(
DROP INDEX outbox_order;
DROP INDEX inbox_peer;
CREATE INDEX outbox_order ON outbox (to_user, row) WHERE kind = 0 AND item = 0 AND gone < 2;
CREATE INDEX inbox_order ON inbox (peer, number) WHERE item = 0 AND gone < 2;
CREATE INDEX outbox_remarks ON outbox (target_origin, target_seq) WHERE target_seq <> 0;
CREATE INDEX inbox_remarks ON inbox (target_origin, target_seq) WHERE target_seq <> 0;
CREATE INDEX outbox_settings ON outbox (to_user, item, row) WHERE item >= 4;
CREATE INDEX inbox_settings ON inbox (peer, item, number) WHERE item >= 4;
CREATE INDEX outbox_ends ON outbox (ends_ms) WHERE ends_ms > 0;
CREATE INDEX inbox_ends ON inbox (ends_ms) WHERE ends_ms > 0;
)";

// Any place of a conversation.
constexpr const char* kFrom5To6 =
    "CREATE INDEX outbox_numbers ON outbox (to_user, number) "
    "WHERE kind = 0 AND item = 0 AND gone < 2 AND open = 0;";

}  // namespace

// --- opening -----------------------------------------------------------------------------------------------

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& dir, Random& random, bool connect,
                                                       int busy_ms, Clock& clock) {
  if (auto made = make_profile_folder(dir); !made.ok()) return made.error();
  std::unique_ptr<SqliteStore> store(new SqliteStore);
  store->clock_ = &clock;
  store->busy_ms_ = busy_ms;
  if (auto opened = store->lock_.open(dir); !opened.ok()) return opened.error();
  // Made by us, so that it is nobody else's to read even in a directory that was there before. One that is
  // there is not opened: to close it would drop the locks of this process's other connections to it.
  const std::string file = dir + "/profile.db";
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd >= 0) {
    ::close(fd);
  } else if (errno != EEXIST) {
    return Error{Errc::kSystem, errno};
  }
  if (auto synced = flush_names(dir); !synced.ok()) return synced.error();
  const int code =
      sqlite3_open_v2(file.c_str(), &store->db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code != SQLITE_OK) return store->error_of(code);
  if (auto set = store->set_up(busy_ms); !set.ok()) return set.error();
  if (connect) {
    if (auto owned = store->try_own(random); !owned.ok()) return owned.error();
  }
  return store;
}

SqliteStore::~SqliteStore() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  if (db_ != nullptr) sqlite3_close(db_);
}

// SQLite does not wait for the lock that changes the mode of a database: another process may just be making
// this one.
bool SqliteStore::write_ahead(int busy_ms) {
  constexpr int kPauseMs = 10;
  for (int waited_ms = 0;; waited_ms += kPauseMs) {
    exec("PRAGMA journal_mode=WAL");
    if ((failed_ & 0xff) != SQLITE_BUSY || waited_ms >= busy_ms) return failed_ == 0;
    failed_ = 0;
    sqlite3_sleep(kPauseMs);
  }
}

Result<void> SqliteStore::set_up(int busy_ms) {
  sqlite3_busy_timeout(db_, busy_ms);
  // What is deleted is overwritten: a message that is gone is to be gone from the disk (PROTOCOL.md, 10.1).
  if (!write_ahead(busy_ms) || !exec("PRAGMA synchronous=FULL") || !exec("PRAGMA secure_delete=ON"))
    return error_of(failed_);
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
  if (failed_ == 0 && version == 0) exec(kSchema);
  if (failed_ == 0 && version == 1) exec(kFrom1To2);
  if (failed_ == 0 && (version == 1 || version == 2)) exec(kFrom2To3);
  if (failed_ == 0 && version >= 1 && version <= 3) exec(kFrom3To4);
  if (failed_ == 0 && version <= 4) exec(kFrom4To5);
  if (failed_ == 0 && version <= 5) exec(kFrom5To6);
  if (failed_ == 0 && version < kSchemaVersion) exec("PRAGMA user_version=6");
  static_assert(kSchemaVersion == 6, "write the step from the version before");
  load_identity();
  return commit();
}

Result<bool> SqliteStore::try_own(Random& random) {
  const auto taken = lock_.try_take();
  if (!taken.ok() || !*taken) return taken;
  begin();
  load_identity();  // an owner before this one may have changed it
  if (welcomed_) identity_.previous_origin = identity_.origin;
  welcomed_ = false;
  do identity_.origin = random.next();
  while (identity_.origin == 0);
  identity_changed_ = true;
  if (auto committed = commit(); !committed.ok()) return committed.error();
  owner_ = true;
  return true;
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
        "after=?, next_seq=?, handle=?",
        identity_.user, uint64_t{identity_.device}, identity_.origin, identity_.previous_origin,
        uint64_t{welcomed_}, identity_.incarnation, identity_.after, identity_.next_seq, identity_.handle)
      .run();
}

void SqliteStore::begin() {
  PERCH_CHECK(!in_transaction_);
  in_transaction_ = true;
  identity_changed_ = false;
  identity_before_ = identity_;
  welcomed_before_ = welcomed_;
  changing_.clear();
  removing_ = false;
  failed_ = 0;
  exec("BEGIN IMMEDIATE");
}

Result<void> SqliteStore::commit() {
  PERCH_CHECK(in_transaction_);
  if (identity_changed_) save_identity();
  exec("COMMIT");
  in_transaction_ = false;
  if (failed_ == 0) {
    changed_.merge(changing_);
    wants_scrub_ = wants_scrub_ || removing_;
    return {};
  }
  const Error error = error_of(failed_);
  failed_ = 0;
  if (sqlite3_get_autocommit(db_) == 0) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
  identity_ = identity_before_;  // not read again: what failed the commit may fail that too
  welcomed_ = welcomed_before_;
  return error;
}

uint64_t SqliteStore::data_version() {
  Query query(*this, "PRAGMA data_version");
  return query.step() ? query.u64(0) : 0;
}

Result<std::string> SqliteStore::setting(std::string_view name) {
  Query query(*this, "SELECT value FROM settings WHERE name=?", name);
  return unless_failed(query.step() ? query.text(0) : std::string());
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

Result<std::string> SqliteStore::handle_of(UserId user) {
  Query query(*this, "SELECT handle FROM handles WHERE user=? ORDER BY handle LIMIT 1", user);
  return unless_failed(query.step() ? query.text(0) : std::string());
}

Result<UserId> SqliteStore::user_of(std::string_view handle) {
  Query query(*this, "SELECT user FROM handles WHERE handle=?", handle);
  return unless_failed(query.step() ? query.u64(0) : UserId{0});
}

}  // namespace perch::client
