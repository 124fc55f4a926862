// Storage is what a device keeps for ever: its outbox, its inbox, and who it is. Device decides, Storage
// remembers; the SQLite profile of the client and the memory store of the simulator and the load generator
// implement it.
//
// TRANSACTIONS: every write happens between begin() and commit(). Writes do not report errors one by one: the
// first failure is remembered, the rest of the transaction does nothing, and commit() rolls back and returns
// it. After a failed commit nothing of the transaction is visible, and the caller must not tell anybody about
// it. A read returns its failure, so that what cannot be read is never taken for what is not there; inside a
// transaction it fails that too.
// ON: one thread.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "client/identity.h"
#include "client/message.h"
#include "client/row.h"
#include "core/result.h"
#include "core/types.h"

namespace perch::client {

// A row as composed. Either `to` is known or `handle` waits to be resolved.
struct NewRow {
  RowKind kind = RowKind::kMessage;
  UserId to = 0;       // 0: unknown yet
  std::string handle;  // empty: `to` is known
  uint8_t content = 0;
  std::vector<uint8_t> body;
  ReadMark read;         // kind kRead only
  uint64_t time_ms = 0;  // this device's wall clock
};

// A row that waits for an id, with what its frame is made of.
struct WaitingRow {
  RowId row = 0;
  RowKind kind = RowKind::kMessage;
  UserId to = 0;
  uint8_t content = 0;
  std::vector<uint8_t> body;
  ReadMark read;
};

// A row with an id and no result.
struct OpenRow {
  RowId row = 0;
  Origin origin = 0;
  Seq seq = 0;
  bool sent = false;           // on any session
  std::vector<uint8_t> frame;  // size-prefixed; `closed` and `after` as they were when it got its id
};

// What a result does to a row, the same for every storage. False if nothing changed.
inline bool merge_result(RowStatus& row, Mark mark, uint8_t reason, Number number, uint64_t time_ms) {
  // A receipt may have said more than an "accepted" that is only repeated; a delivery told by a result beats
  // an expiry; nothing but a rejection takes a mark back.
  const bool take =
      mark == Mark::kRejected || row.mark < mark || (row.mark == Mark::kExpired && mark == Mark::kDelivered);
  if (!row.open && number <= row.number && (!take || row.mark == mark)) return false;
  if (take) row.mark = mark == Mark::kDelivered && row.read ? Mark::kRead : mark;
  if (take && mark == Mark::kRejected) row.reason = reason;
  if (number > row.number) row.number = number;
  if (time_ms != 0) row.time_ms = time_ms;
  row.open = false;
  return true;
}

class Storage {
 public:
  virtual ~Storage() = default;

  // LIFETIME: until the next write.
  virtual const Identity& identity() const = 0;

  // REQUIRES: no transaction is open.
  virtual void begin() = 0;
  // ERRORS: the first failure since begin(); nothing was kept.
  [[nodiscard]] virtual Result<void> commit() = 0;

  // --- who this is: REQUIRES a transaction ---
  // What a WELCOME said; the present origin is then one that the server knows.
  virtual void set_login(UserId user, DeviceNo device, uint64_t incarnation, std::string_view handle) = 0;
  virtual void raise_after(Number number) = 0;                        // smaller ones change nothing
  virtual void set_handle(std::string_view handle, UserId user) = 0;  // it was resolved to that
  // The user a handle was resolved to, 0 if it never was.
  virtual Result<UserId> user_of(std::string_view handle) = 0;

  // --- outbox: writes REQUIRE a transaction ---
  // A read row replaces rows of its key (to, device, origin) that were never sent.
  virtual RowId add_row(const NewRow& row) = 0;
  virtual Seq take_seq() = 0;  // the next one, for good
  // Gives a waiting row its id, (this opening's origin, seq), and its frame, which it copies. Both are fixed
  // from here on.
  virtual void bind_row(RowId row, UserId to, Seq seq, Bytes frame) = 0;
  virtual void mark_sent(Seq seq) = 0;  // before it goes out
  // Waiting rows whose recipient is known, in order of composition.
  virtual Result<std::vector<WaitingRow>> bindable_rows(size_t limit) = 0;
  virtual Result<std::vector<std::string>> unresolved_handles() = 0;  // that rows wait for, each once
  // Open rows with an id and seq > above, in order of seq.
  virtual Result<std::vector<OpenRow>> open_rows(Seq above, size_t limit) = 0;
  virtual Seq lowest_open() = 0;  // 0 if none; 1 if that cannot be read: nothing is said to be closed then
  virtual Result<RowStatus> status(RowId row) = 0;  // kNotFound: there is no such row
  // A result: closes the row; for one already closed only a larger mark or number counts. Nothing if unknown
  // or unchanged.
  virtual std::optional<RowStatus> close_row(Origin origin, Seq seq, Mark mark, uint8_t reason, Number number,
                                             uint64_t time_ms) = 0;
  // Rejects what waits for a handle that nobody has.
  virtual std::vector<RowStatus> reject_handle(std::string_view handle, uint8_t reason) = 0;
  // A receipt: messages to `peer` with first <= seq <= up_to that are accepted are delivered. Not open ones:
  // their own result says what became of them. Returns what changed.
  virtual std::vector<RowStatus> rows_delivered(UserId peer, Origin origin, Seq first, Seq up_to) = 0;
  // The peer has read messages with seq <= up_to. Shown for those that are delivered, now or later. Returns
  // what changed.
  virtual std::vector<RowStatus> rows_read(UserId peer, Origin origin, Seq up_to) = 0;
  // Nobody fetched it in time. Nothing if it is unknown, or delivered, read or rejected already.
  virtual std::optional<RowStatus> expire_row(UserId peer, Origin origin, Seq seq) = 0;
  // Opens rows again that are accepted and not delivered; of reads, which have no receipt of their own, only
  // those that no later one of their key covers. Returns how many.
  virtual size_t reopen_accepted() = 0;

  // --- inbox: writes REQUIRE a transaction ---
  // Sets `variant` of the message when it is kept as one.
  virtual Insert insert_message(InboxMessage& message) = 0;
  // Copies of what this user `me` sent to `peer` from another of its devices, first <= seq <= up_to. A
  // smaller mark changes nothing.
  virtual void mark_copies(UserId me, DeviceNo device, UserId peer, Origin origin, Seq first, Seq up_to,
                           Mark mark) = 0;
  virtual void expire_copy(UserId me, DeviceNo device, Origin origin, Seq seq) = 0;  // as expire_row()
  // This user read a peer's messages, here or on another device.
  virtual void mark_inbox_read(UserId peer, const ReadMark& mark) = 0;
  // The largest unread seq per device and origin of the peer.
  virtual Result<std::vector<ReadMark>> unread(UserId peer) = 0;
};

}  // namespace perch::client
