// erase: a server that is not running holds nothing of a user any more.
//
// The store is written anew without it, because what a database deletes stays on its pages until they are
// used again. A stop on the way leaves the store as it was, or one from which a part of the user is gone:
// erase again.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <map>
#include <set>

#include "ctl/backup_folder.h"
#include "ctl/json.h"
#include "ctl/new_store.h"
#include "ctl/text.h"
#include "store/folder_lock.h"
#include "store/journal_index.h"
#include "store/keyspace.h"
#include "store/store_lmdb.h"

namespace perch::ctl {
namespace {

using store::Record;
using store::RecordKind;
using store::Table;

class Erasing {
 public:
  // The store as it is. ERRORS of all: those of Kv; kNotFound: no such user.
  Result<void> open(const std::string& data) {
    // Never written to, but for names that a newer perchd knows; larger than any that perchd makes.
    constexpr uint64_t kMapBytes = uint64_t{1} << 40;
    auto journal = store::open_lmdb(path_in(data, "journal"), store::kJournalTableNames, kMapBytes);
    if (!journal) return journal.error();
    auto tables = store::open_lmdb(path_in(data, "tables"), store::kMailboxTableNames, kMapBytes);
    if (!tables) return tables.error();
    journal_kv_ = std::move(*journal);
    tables_kv_ = std::move(*tables);
    journal_ = journal_kv_->snapshot();
    tables_ = tables_kv_->snapshot();
    return {};
  }
  uint64_t bytes() { return journal_kv_->used_bytes() + tables_kv_->used_bytes(); }

  Result<void> find(std::string_view who) {
    const auto parsed = std::from_chars(who.data(), who.data() + who.size(), user_);
    if (parsed.ec != std::errc{} || parsed.ptr != who.data() + who.size()) {
      const Bytes key{reinterpret_cast<const uint8_t*>(who.data()), who.size()};
      const auto value = journal_->get(store::kHandlesTable, key);
      if (!value) return value.error();
      const auto id = store::unpack_number(key, *value);
      if (!id) return id.error();
      user_ = *id;
    }
    const auto row = journal_->get(store::kUsersTable, store::pack_key(user_));
    return row ? Result<void>() : row.error();
  }

  // What of the journal still waits, and who is owed a word about what goes.
  Result<void> look() {
    const auto meta = [&](store::MetaKey name, uint64_t absent) -> Result<uint64_t> {
      const std::array<uint8_t, 1> key{static_cast<uint8_t>(name)};
      const auto value = journal_->get(store::kJournalMetaTable, key);
      if (!value && value.error().code == Errc::kNotFound) return absent;
      return value ? store::unpack_number(key, *value) : value.error();
    };
    const Result<uint64_t> moved_below = meta(store::MetaKey::kMovedBelow, 0);
    if (!moved_below) return moved_below.error();
    const Result<uint64_t> next_pos = meta(store::MetaKey::kNextPos, 1);
    if (!next_pos) return next_pos.error();
    next_pos_ = *next_pos;
    std::map<JournalPos, MessageId> to_user;
    Result<void> read = scan(*journal_, store::kJournalTable, [&](Bytes key, Bytes value) -> Result<void> {
      const auto at = store::unpack_journal_key(key);
      if (!at) return at.error();
      next_pos_ = std::max(next_pos_, at->pos + 1);
      if (at->chunk > 0 || at->pos < *moved_below) return {};
      const auto record = store::unpack_record(key, value, nullptr);
      if (!record) return record.error();
      index_.apply(at->pos, *record);
      if (record->kind == RecordKind::kAccept && record->to == user_) to_user[at->pos] = record->id;
      return {};
    });
    if (!read) return read;
    for (const store::Held& held : index_.held())
      if (held.waiting.num > 0 && held.waiting.user == user_ && held.recipient && !held.reported)
        owed_.insert(to_user.at(held.pos));
    return scan(*tables_, store::mailbox_table(user_), [&](Bytes key, Bytes value) -> Result<void> {
      const auto at = store::unpack_row_key(key);
      if (!at) return at.error();
      if (at->user != user_ || at->chunk > 0) return {};
      const auto row = store::unpack_row(key, value, nullptr);
      if (!row) return row.error();
      if (row->to == user_ && !row->reported) owed_.insert(row->id);
      return {};
    });
  }

  Result<void> write(NewStore& out) {
    for (Table table = 0; table < store::kJournalTableNames.size(); ++table) {
      Result<void> written = scan(*journal_, table, [&](Bytes key, Bytes value) {
        if (table == store::kJournalTable) return record(key, value, out);
        const bool goes = table == store::kHandlesTable ? store::unpack_number(key, value).ok() &&
                                                              *store::unpack_number(key, value) == user_
                          : table == store::kJournalMetaTable
                              ? false
                              : key.size() >= 8 && store::unpack_user_key(key.first(8)) == user_;
        num_erased_ += goes;
        return goes ? Result<void>() : out.put(true, table, key, value);
      });
      if (!written) return written;
      if (table == store::kJournalTable)
        if (auto told = tell_senders(out); !told) return told;
    }
    for (Table table = 0; table < store::kMailboxTableNames.size(); ++table) {
      Result<void> written = scan(*tables_, table, [&](Bytes key, Bytes value) {
        if (table == store::kTablesMetaTable) return out.put(false, table, key, value);
        return row(table, key, value, out);
      });
      if (!written) return written;
    }
    return out.commit();
  }

  UserId user() const { return user_; }
  uint64_t num_erased() const { return num_erased_; }
  uint64_t num_kept_messages() const { return num_kept_messages_; }
  uint64_t num_kept_statuses() const { return num_kept_statuses_; }

 private:
  static Result<void> scan(store::Snapshot& snapshot, Table table,
                           const std::function<Result<void>(Bytes key, Bytes value)>& visit) {
    Result<void> visited;
    Result<void> read = snapshot.scan(table, {}, [&](Bytes key, Bytes value) {
      visited = visit(key, value);
      return visited.ok();
    });
    return visited ? read : visited;
  }

  Result<void> record(Bytes key, Bytes value, NewStore& out) {
    const auto at = store::unpack_journal_key(key);
    if (!at) return at.error();
    if (at->chunk > 0) {  // goes with its first
      num_erased_ += drops_;
      return drops_ ? Result<void>() : out.put(true, store::kJournalTable, key, value);
    }
    Bytes part;
    auto record = store::unpack_record(key, value, &part);
    if (!record) return record.error();
    bool changed = false;
    drops_ = is_erased(at->pos, *record, changed);
    num_erased_ += drops_;
    if (drops_) return {};
    if (!changed) return out.put(true, store::kJournalTable, key, value);
    store::Value packed;
    store::pack_record(key, *record, part, packed);
    return out.put(true, store::kJournalTable, key, packed.bytes());
  }

  // `changed`: what stays of it is another record.
  bool is_erased(JournalPos pos, Record& record, bool& changed) {
    switch (record.kind) {
      case RecordKind::kAccept: {
        const bool is_own = record.id.user == user_ || record.to == user_;
        uint8_t num = 0;
        bool others_wait = false;
        for (uint8_t i = 0; i < record.num_waiting; ++i) {
          const store::Waiting waiting = record.waiting[i];
          if (waiting.user == user_) continue;
          others_wait |= index_.find(pos, waiting.user) != nullptr;
          record.waiting[num++] = waiting;
        }
        changed = num != record.num_waiting;
        record.num_waiting = num;
        if (!is_own || others_wait) {
          num_kept_messages_ += is_own;
          return false;
        }
        return true;
      }
      case RecordKind::kConfirm:
        return record.who.user == user_;
      case RecordKind::kReceipt:
      case RecordKind::kReceiptAck:
        num_kept_statuses_ += record.receipt_key.user != user_ && record.receipt_key.peer == user_;
        return record.receipt_key.user == user_;
      case RecordKind::kExpired:
        // It also says of a record that others miss it: that stays, and nobody is told.
        if (record.id.user == user_ && (record.target == 0 || record.who.user == user_)) return true;
        changed = record.id.user == user_;
        if (changed) record.tell.num = 0;
        num_kept_statuses_ += record.who.user == user_ || record.to == user_ || changed;
        return false;
      case RecordKind::kExpiredAck:
        return record.id.user == user_;
      case RecordKind::kResult:
        num_kept_statuses_ += record.id.user != user_ && record.to == user_;
        return record.id.user == user_;
    }
    return false;
  }

  // As of whatever a mailbox loses that nobody else has (PROTOCOL.md 7).
  Result<void> tell_senders(NewStore& out) {
    for (const MessageId& id : owed_) {
      if (id.user == user_) continue;
      Record record;
      record.kind = RecordKind::kExpired;
      record.who.user = user_;
      record.id = id;
      record.to = user_;
      record.tell.user = id.user;
      record.tell.add(id.device);
      const auto key = store::pack_key(store::JournalKey{next_pos_++, 0});
      store::Value value;
      store::pack_record(key, record, {}, value);
      if (auto put = out.put(true, store::kJournalTable, key, value.bytes()); !put) return put;
      ++num_kept_statuses_;
    }
    return {};
  }

  Result<void> row(Table table, Bytes key, Bytes value, NewStore& out) {
    const auto at = store::unpack_row_key(key);
    if (!at) return at.error();
    num_erased_ += at->user == user_;
    if (at->user == user_) return {};
    if (at->chunk == 0) {
      const auto row = store::unpack_row(key, value, nullptr);
      if (!row) return row.error();
      num_kept_messages_ += row->id.user == user_ || row->to == user_;
    }
    return out.put(false, table, key, value);
  }

  std::unique_ptr<store::Kv> journal_kv_, tables_kv_;
  std::unique_ptr<store::Snapshot> journal_, tables_;
  UserId user_ = 0;
  store::JournalIndex index_{1};
  std::set<MessageId> owed_;  // EXPIRED, to their senders
  JournalPos next_pos_ = 1;
  bool drops_ = true;  // the message whose parts come; one without its first is being dropped by the mover
  uint64_t num_erased_ = 0, num_kept_messages_ = 0, num_kept_statuses_ = 0;
};

Result<void> erase(Erasing& erasing, const std::string& data, std::string_view who) {
  if (auto removed = remove_unfinished(data); !removed) return removed;
  if (auto opened = erasing.open(data); !opened) return opened;
  if (auto found = erasing.find(who); !found) return found;
  if (auto looked = erasing.look(); !looked) return looked;
  NewStore store(data);
  if (auto opened = store.open(erasing.bytes()); !opened) return opened;
  if (auto written = erasing.write(store); !written) return written;
  return store.put_in_place();
}

}  // namespace

int run_erase(const Flags& flags) {
  if (!is_word(flags.user)) return complain(kUsage, "USER: a user id or a handle");
  std::string data = flags.data_dir;
  while (data.size() > 1 && data.ends_with('/')) data.pop_back();
  if (access(path_in(data, "journal").c_str(), F_OK) != 0)
    return complain(kNotDone, fmt::format("{}: there is no store", data));
  const Result<store::FolderLock> lock = store::FolderLock::take(data);
  if (!lock && lock.error().code == Errc::kBusy)
    return complain(kNotDone,
                    fmt::format("{}: a server runs there; stop it first (perchctl drain --wait): what "
                                "is erased is written anew without it",
                                data));
  if (!lock) return say(data, lock.error());
  Erasing erasing;
  const Result<void> erased = erase(erasing, data, flags.user);
  if (!erased && erased.error().code == Errc::kNotFound)
    return complain(kNotDone, fmt::format("no user {}", flags.user));
  if (!erased) return say(data, erased.error());
  if (flags.json)
    return print_json({{"erased", erasing.user()},
                       {"entries", erasing.num_erased()},
                       {"kept_messages", erasing.num_kept_messages()},
                       {"kept_statuses", erasing.num_kept_statuses()}});
  return print(fmt::format(
      "user {}: {} entries erased\nkept, because they are others': {} messages of this user "
      "that wait for somebody else, {} ticks and expiries for those who wrote to it\n",
      erasing.user(), erasing.num_erased(), erasing.num_kept_messages(), erasing.num_kept_statuses()));
}

}  // namespace perch::ctl
