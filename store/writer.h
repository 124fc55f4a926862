// Writer turns batches of StoreOps into transactions: the journal's first, then the tables'.
//
// ON: one thread, the store's. Synchronous: apply() returns after the flush.
// POISON: after a commit that failed for anything but room nothing more is written; reads go on.
// ROOM: of the journal's map (or what it could have of the disk) messages get kMessagesUpTo; the rest serves
//     confirmations, moves and deletes (DELIVERY.md H23). A batch without room is written without its
//     messages, and if that has none either, what it deletes from the tables is deleted all the same.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/limits.h"
#include "core/random.h"
#include "core/result.h"
#include "store/backup_writer.h"
#include "store/journal_index.h"
#include "store/keyspace.h"
#include "store/kv.h"
#include "store/store.h"

namespace perch::store {

inline constexpr double kReservedFrom = 0.9;   // from here on what was taken before gets room
inline constexpr double kMessagesUpTo = 0.95;  // … up to here
inline constexpr int64_t kTablesMissing = -1;  // no position

// writer.cc batches · writer_open.cc · writer_recover.cc · writer_registry.cc users and handles.
class Writer {
 public:
  // Checks the formats, raises the ceiling by 2^32 and flushes that; makes an empty store where there is
  // none. REQUIRES: `journal` opened with kJournalTableNames, `tables` with kMailboxTableNames; both outlive
  // it. ERRORS: kNewerFormat or, for an older one, kUnsupported (detail: the format); kCorrupt (also: journal
  // and tables of different stores; detail kTablesMissing: the journal has moved messages into tables that
  // are not there); those of Kv.
  static Result<std::unique_ptr<Writer>> open(Kv& journal, Kv& tables, const Limits& limits, Random& random);

  // Reads all that waits; tables before journal. REQUIRES: once, before the first apply().
  // ERRORS: kCorrupt, detail the journal's position or 0 for a row; kStopped: the visitor wanted no more, and
  // nothing was changed; those of Kv.
  Result<void> recover(RecoveryVisitor& visitor);

  // One transaction for each environment that is touched. Sets status, and what the kind fills in, after the
  // flush. kFull: the op may be posted again.
  void apply(std::span<StoreOp* const> batch);

  void poison() { poisoned_ = true; }  // for good; every later op comes back kFailed
  bool poisoned() const { return poisoned_; }
  struct Room {  // as Kv has it
    double fill;
    uint64_t used_bytes;
  };
  Room journal_room() { return {journal_.fill(), journal_.used_bytes()}; }
  Room tables_room() { return {tables_.fill(), tables_.used_bytes()}; }
  // Numbers start above base(), which no earlier run has reached, and stay below ceiling().
  uint64_t base() const { return base_; }
  uint64_t ceiling() const { return ceiling_; }
  uint64_t incarnation() const { return incarnation_; }
  // Served time (core/served_time.h), as the store has it: where a run begins.
  uint64_t served_ms() const { return served_stored_ms_; }
  // It is so much now; the next commits of apply() say so.
  void set_served(uint64_t ms) { served_ms_ = ms; }
  // A commit for that alone: at the end of a run, or in a long silence. ERRORS: kFull; others of Kv poison.
  Result<void> store_served();

  // Both environments as they are now: what a stop at this moment would leave. It holds on to pages that are
  // replaced from now on, so their room is not used again before it goes. ON: the writer's thread, between
  // two calls of anything that writes. ERRORS: those of Kv.
  Result<Cut> cut();
  // Any thread may call it; the reader then belongs to one, and goes before the environments.
  std::unique_ptr<Reader> make_reader();

  // What ceiling() was when the store was used last. ERRORS: kNotFound: a new store; kCorrupt; those of Kv.
  static Result<uint64_t> stored_ceiling(Kv& journal);
  // A backup was put back: new incarnation, ceiling raised to 2^45 above its own and above `last_used`, the
  // ceiling of whatever ran here last (DELIVERY.md H28). On a store not in use. ERRORS: as above.
  static Result<void> mark_restored(Kv& journal, uint64_t last_used, Random& random);

 private:
  friend class Mover;
  enum class Outcome : uint8_t { kDone, kFull, kNotFound, kCorrupt };
  struct Staged {  // what a transaction would change in memory, once it is on the disk
    JournalPos next_pos = 0;
    uint64_t ceiling = 0;
    uint64_t served_ms = 0;
    std::vector<std::pair<JournalPos, Record>> records;
    std::vector<StoreOp*> row_ops;
  };
  struct Waits;

  Writer(Kv& journal, Kv& tables, const Limits& limits, Random& random);
  Result<void> open_metas();
  Result<void> recover_journal(Waits& waits, std::vector<RecoveredMark>& marks, RecoveryVisitor& visitor);
  Result<void> recover_tables(Waits& waits, RecoveryVisitor& visitor);
  Result<void> drop_stale();  // ERRORS: kFull: later again; those of Kv
  void refuse_messages_over_reserve(std::span<StoreOp* const> batch);
  template <typename Which>
  void refuse(std::span<StoreOp* const> batch, const Which& which);
  Result<void> write_journal(std::span<StoreOp* const> batch, Staged& staged);
  Result<void> begin_journal(Staged& staged);
  Result<void> write_one(StoreOp& op, Outcome& outcome, Staged& staged);
  Result<void> write_accept(StoreOp& op, Staged& staged);
  Result<void> write_record(const Record& record, Staged& staged);
  Result<void> write_account(StoreOp& op, Outcome& outcome);
  Result<void> write_user(UserRow& row);
  Result<UserRow> read_user(UserId id);
  Result<void> write_block(const StoreOp& op);
  Result<void> write_revocation(const StoreOp& op);
  bool in_journal(const StoreOp& op);
  bool in_tables(const StoreOp& op);
  bool is_row_only(const StoreOp& op);
  Result<void> write_rows(std::span<StoreOp* const> row_ops);
  Result<void> write_row(const StoreOp& op);
  void finish_all(std::span<StoreOp* const> batch, Status status);

  Kv& journal_;
  Kv& tables_;
  Limits limits_;
  Random& random_;
  JournalIndex index_;
  std::vector<Outcome> outcomes_;
  Staged staged_;
  // Devices that rows name and records do not, as found at start. Until the rows are without them the records
  // must stay: the next start would take the rows at their word.
  std::vector<StoreOp> stale_;
  JournalPos next_pos_ = 0;
  JournalPos moved_below_ = 0;
  JournalPos copied_below_ = 0;  // the rows of what still waited below are written
  uint64_t base_ = 0;
  uint64_t ceiling_ = 0;
  uint64_t incarnation_ = 0;
  uint64_t served_ms_ = 0;
  uint64_t served_stored_ms_ = 0;
  bool poisoned_ = false;
  bool recovered_ = false;
};

}  // namespace perch::store
