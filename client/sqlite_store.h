// SqliteStore is a profile on disk: DIR/profile.db, SQLite in WAL mode with synchronous=FULL, because what is
// confirmed to the server is deleted there (DELIVERY.md H33); and DIR/profile.lock, whose flock says which
// process may connect.
//
// Several processes may open one profile. The one that holds the lock owns it: it draws a new origin,
// connects, and gives ids to rows. The others only add rows without an id and read; ids come from the owner,
// so that a profile put back from a backup never uses an id twice.
//
// ON: one thread. ERRORS: as storage.h says: of writes at commit(), of each read in its result (kBusy,
// kCorrupt, kSystem; detail: SQLite's code or errno).
#pragma once
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "client/fold.h"
#include "client/item.h"
#include "client/message.h"
#include "client/profile_folder.h"
#include "client/storage.h"
#include "core/clock.h"
#include "core/random.h"

struct sqlite3;
struct sqlite3_stmt;

namespace perch::client {

// Whether a message's contents have been removed, for good.
enum class Gone : uint8_t {
  kNo = 0,
  kDeleted = 1,  // by its author
  kEnded = 2,    // its timer has ended: it is shown nowhere, not even as gone
};

class SqliteStore final : public Storage {
 public:
  static constexpr int kSchemaVersion = 6;
  static constexpr int kBusyMs = 5'000;  // another process of this profile commits for far shorter

  // Opens the profile in `dir`, making it if it is missing (mode 0700; it holds a token). With `connect` it
  // tries to become the owner; owner() tells. Whoever holds a lock is waited for as long as busy_ms, here and
  // later. LIFETIME: `clock`, by whose wall time timers end, outlives the store. ERRORS: kNewerFormat
  // (detail: its version), kSystem (detail: errno or 0), kCorrupt and kBusy (detail: SQLite's code).
  static Result<std::unique_ptr<SqliteStore>> open(const std::string& dir, Random& random, bool connect,
                                                   int busy_ms = kBusyMs, Clock& clock = system_clock());
  ~SqliteStore() override;
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;

  bool owner() const { return owner_; }
  // Becomes the owner, as open() tries to, unless another process is: then false. May be called again after
  // an error. ERRORS: kSystem (no lock can be had at all), those of a commit.
  Result<bool> try_own(Random& random);
  // Changes when another process has committed; which way says nothing.
  uint64_t data_version();
  // Small texts kept with the profile: "server", "token". Empty if never set.
  Result<std::string> setting(std::string_view name);
  void set_setting(std::string_view name, std::string_view value);  // REQUIRES: a transaction
  // A handle that was resolved to `user`; empty if none was.
  Result<std::string> handle_of(UserId user);
  // The last `limit` messages with `peer`, oldest first: by number, own open rows last, rows that were
  // rejected without a number where they were written. `handle`, if not empty, adds rows that wait for it.
  Result<std::vector<HistoryLine>> history(UserId peer, std::string_view handle, size_t limit);
  // Of the messages with `peer` that have a number: the last `before` under `number` and the first `after`
  // from it on, oldest first, with the rows between them that were rejected without one. Costs what it
  // returns.
  Result<std::vector<HistoryLine>> history_around(UserId peer, Number number, size_t before, size_t after);
  // All there are, that with the latest message first. Costs their number, not that of their messages.
  Result<std::vector<Conversation>> conversations();
  // The latest `limit` texts that contain `text`, the oldest first; upper and lower case of a-z are the same.
  // `peer` 0: of every conversation. Reads every text there is.
  Result<std::vector<Found>> search(std::string_view text, UserId peer, size_t limit);

  // Received messages with arrival > after, in order of arrival; not what is gone.
  Result<std::vector<Arrival>> arrivals(uint64_t after, size_t limit);

  // --- what messages contain (PROTOCOL.md, 10); sqlite_items.cc ---
  // The message of that id, as it stands now. ERRORS: kNotFound: it is not here, is gone because its timer
  // has ended, or is nothing that is shown as a message.
  Result<Found> message(const MessageId& id);
  // The last item of that kind in the conversation, in its order; of `by`, 0: of either. Nothing if there is
  // none.
  Result<std::optional<Item>> last_item(UserId peer, std::string_view handle, UserId by, ItemKind kind);
  // To whom else something was sent that is shown as a message: users, and handles that wait. Reads every
  // row.
  Result<std::vector<Conversation>> recipients();
  // A row that has no id yet gets another text, or is no more. False: it has one by now, is not there, or is
  // no text. REQUIRES: a transaction.
  bool change_unnamed(RowId row, std::string_view text);
  bool withdraw_unnamed(RowId row);
  // Removes the contents of what has ended by now; a transaction of its own, if there is any. Before it, what
  // has ended is still told.
  Result<void> forget_ended();
  // Removed contents are in the journal until it is cut off. False: another process is reading just now;
  // to be tried again.
  bool scrub();
  bool wants_scrub() const { return wants_scrub_; }
  // The conversations of which something was committed that changes messages told before.
  std::set<UserId> take_changed() { return std::exchange(changed_, {}); }

  // In a process that is not the owner: as it was at opening or at the last reload_identity(). A failed read
  // changes nothing.
  const Identity& identity() const override { return identity_; }
  void reload_identity() { load_identity(); }
  void begin() override;
  Result<void> commit() override;
  void set_login(UserId user, DeviceNo device, uint64_t incarnation, std::string_view handle) override;
  void raise_after(Number number) override;
  void set_handle(std::string_view handle, UserId user) override;
  Result<UserId> user_of(std::string_view handle) override;
  RowId add_row(const NewRow& row) override;
  Seq take_seq() override;
  void bind_row(RowId row, UserId to, Seq seq, Bytes frame) override;
  void mark_sent(Seq seq) override;
  Result<std::vector<WaitingRow>> bindable_rows(size_t limit) override;
  Result<std::vector<std::string>> unresolved_handles() override;
  Result<std::vector<OpenRow>> open_rows(Seq above, size_t limit) override;
  Seq lowest_open() override;
  Result<RowStatus> status(RowId row) override;
  std::optional<RowStatus> close_row(Origin origin, Seq seq, Mark mark, uint8_t reason, Number number,
                                     uint64_t time_ms) override;
  std::vector<RowStatus> reject_handle(std::string_view handle, uint8_t reason) override;
  std::vector<RowStatus> rows_delivered(UserId peer, Origin origin, Seq first, Seq up_to) override;
  std::vector<RowStatus> rows_read(UserId peer, Origin origin, Seq up_to) override;
  std::optional<RowStatus> expire_row(UserId peer, Origin origin, Seq seq) override;
  size_t reopen_accepted() override;
  Insert insert_message(InboxMessage& message) override;
  void mark_copies(UserId me, DeviceNo device, UserId peer, Origin origin, Seq first, Seq up_to,
                   Mark mark) override;
  void expire_copy(UserId me, DeviceNo device, Origin origin, Seq seq) override;
  void mark_inbox_read(UserId peer, const ReadMark& mark) override;
  Result<std::vector<ReadMark>> unread(UserId peer) override;

 private:
  class Query;    // one use of a prepared statement
  class Reading;  // several that are one read

  SqliteStore() = default;
  Result<void> set_up(int busy_ms);
  bool write_ahead(int busy_ms);
  bool exec(const char* sql);  // false: failed, remembered
  void load_identity();
  void save_identity();
  void fail(int code);
  // The columns that say what an item is about.
  struct Label {
    ItemKind kind = ItemKind::kText;  // kText: shown as a message
    MessageId target;                 // of kEdit, kDelete and kReaction
    uint32_t timer_s = 0;             // of a text
  };
  static Label label_of(uint8_t content, Bytes body);
  uint64_t end_of(uint32_t timer_s) const;  // of a timer that starts now; 0: none
  // What the target's contents are, or would be if it came now.
  Gone gone_of(const MessageId& target, UserId peer);
  void remove(const MessageId& id, UserId peer, Gone gone);  // with the edits of it and the reactions to it
  void label_row(RowId row, UserId to, const Label& label);  // of the outbox
  std::optional<Found> find(const MessageId& id);
  std::vector<Remark> remarks(const MessageId& id, UserId peer);
  void add_side(UserId peer, Number number, bool after, size_t limit, std::vector<HistoryLine>& out);
  void complete(HistoryLine& line, UserId peer);       // from as it was sent to as it stands
  void complete_text(HistoryLine& line, UserId peer);  // … without the message that it answers
  void note_change(UserId peer) { changing_.insert(peer); }
  // What a read found, unless it failed.
  template <typename T>
  Result<T> unless_failed(T found) const {
    if (failed_ != 0) return error_of(failed_);
    return found;
  }
  Error error_of(int code) const;

  Clock* clock_ = nullptr;
  sqlite3* db_ = nullptr;
  int busy_ms_ = 0;
  ProfileLock lock_;
  bool owner_ = false;
  bool in_transaction_ = false;
  bool reading_ = false;
  bool identity_changed_ = false;
  bool welcomed_ = false;  // the present origin got a WELCOME
  bool welcomed_before_ = false;
  // After a process that was killed, who knows what its journal holds.
  bool wants_scrub_ = true;
  bool removing_ = false;                // this transaction removes contents
  std::set<UserId> changing_, changed_;  // by this transaction; by those committed
  int failed_ = 0;                       // SQLite's code of the first failure in this transaction
  Identity identity_, identity_before_;  // … and as it was before this transaction
  std::unordered_map<const char*, sqlite3_stmt*> statements_;  // by the literal's address
};

}  // namespace perch::client
