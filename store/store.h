// What the domain asks of the disk. A core fills a StoreOp, posts its address to the store thread
// (store/writer.h) and gets it back with `status` set, after the flush: no answer is ever given before.
//
// OWNER: the op belongs to the posting core; between post and completion only the store thread touches it.
// ORDER: ops of one core are applied in the order posted, unless one finds no room: then those of its kind
//     wait behind it and others pass (chat/store_thread.h). One batch is one transaction.
// PLACE: a message waits in the journal (one record per message, arrival order) until the mover takes it
//     into the mailbox tables (one row per user, ordered by number). See ARCHITECTURE.md, Storage.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/result.h"
#include "core/types.h"

namespace perch::store {

inline constexpr size_t kDevicesMax = 8;

// Devices of one user that a record still waits for, by number (never by slot: DELIVERY.md H29).
struct Waiting {
  UserId user = 0;
  uint8_t num = 0;
  std::array<DeviceNo, kDevicesMax> devices{};
  bool has(DeviceNo device) const {
    for (uint8_t i = 0; i < num; ++i)
      if (devices[i] == device) return true;
    return false;
  }
  bool add(DeviceNo device) {  // false: there are kDevicesMax already
    if (num == kDevicesMax) return false;
    devices[num++] = device;
    return true;
  }
  void remove(DeviceNo device) {
    for (uint8_t i = 0; i < num; ++i)
      if (devices[i] == device) {
        devices[i] = devices[--num];
        return;
      }
  }
};

// Where a waiting message is, or was: the mover may have been there since. Writer and reader find it by
// `pos`.
struct Place {
  JournalPos pos = 0;     // its record in the journal; kept after a move, as its name
  bool in_table = false;  // known to be row (user, number) of the mailbox tables
};

// High-water mark of "delivered" for one (receiving device, peer, sending device, origin), of a run of
// messages: below `first` may be one that is on no device yet.
struct ReceiptKey {
  UserId user = 0;         // to whom the receipt goes: the sender of the messages …
  DeviceNo to_device = 0;  // … and which of its devices is told
  UserId peer = 0;         // who got them
  DeviceNo device = 0;     // which of the sender's devices sent them
  Origin origin = 0;
  Seq first = 0;
  friend auto operator<=>(const ReceiptKey&, const ReceiptKey&) = default;
};

struct DeviceRow {
  DeviceNo number = 0;
  std::string name;      // the token's `dev`, 1 … 64 bytes
  uint64_t seen_ms = 0;  // served time of its last login, written lazily
  Origin origin = 0;     // last known
  bool overflowed = false;
  bool missed = false;  // what waited for it has expired, and it has not heard of that
};
struct UserRow {
  UserId id = 0;
  std::string handle;  // empty: none
  DeviceNo next_device = 1;
  std::vector<DeviceRow> devices;
};

enum class OpKind : uint8_t {
  kAccept,      // journal: record of a message for all devices in `waiting`
  kConfirm,     // `who` has it: journal, or the row if place.in_table
  kReceipt,     // journal: receipt_key up to `up_to`, still to be told
  kReceiptAck,  // journal: told up to `up_to`
  kExpire,      // as kConfirm for all that wait, and the EXPIRED status for the sender (see expired_for)
  kExpiredAck,  // the sender's device knows
  kResult,      // journal: a mark for `id` with `number` and `delivered`, of a message that has no record
  kUser,        // registry: write `user_row` (devices, overflow, last seen)
  kAccount,  // registry: find or (if `create`) make the user of `handle` or of `user_row.id`; fills user_row
  kBlock,    // registry: `user` blocks `whom`, or, if not `create`, has done so
  kRevoke,   // registry: tokens of `user` issued before `before_ms` are good no more
  kCeiling,  // raise the ceiling by `amount`; fills `ceiling` with the new one
};

enum class Status : uint8_t {
  kPending,   // not applied yet
  kDone,      // on the disk
  kFull,      // no room, for a part of it at least; it may be posted again
  kNotFound,  // kAccount: there is no such user, and none was to be made
  kCorrupt,   // kAccount: the row is there and cannot be read; nothing was written for this op
  kFailed,    // a commit failed, this one or an earlier one: nobody knows what is on the disk
};

// What each kind reads and fills in stands beside the fields; the rest is ignored.
struct StoreOp {
  OpKind kind{};
  Status status = Status::kPending;
  bool waits = true;        // for room, where there is none; else it comes back kFull
  CoreId core = 0;          // who posted it
  void* context = nullptr;  // the poster's

  // kAccept
  MessageId id;
  UserId to = 0;
  Number number = 0;
  uint64_t taken_ms = 0;    // served time, when the record was asked for
  bool delivered = false;   // a recipient's device is known to have it
  bool no_receipt = false;  // a read mark, or a note to oneself: nothing is reported back
  Bytes frame;              // as it goes to devices; LIFETIME: until completion
  std::array<Waiting, 2> waiting{};
  uint8_t num_waiting = 0;
  // kAccept: set by the store. kConfirm, kExpire: whose.
  Place place;
  // kConfirm, kExpire: which user's devices, with `number` above for rows of the tables.
  Waiting who;
  // kReceipt, kReceiptAck
  ReceiptKey receipt_key;
  Seq up_to = 0;
  // kExpire, kExpiredAck: `id` says which message; the sender's devices that must be told.
  Waiting expired_for;
  // kUser, kAccount
  UserRow user_row;
  std::string handle;
  bool create = false;
  // kBlock (with `create`), kRevoke
  UserId user = 0;
  UserId whom = 0;
  uint64_t before_ms = 0;  // wall clock
  // kCeiling
  uint64_t amount = 0;
  uint64_t ceiling = 0;
};

// One message that waits, as found at start. `waiting` is what is left of it for one user.
struct RecoveredItem {
  MessageId id;
  UserId to = 0;
  Number number = 0;
  uint64_t taken_ms = 0;  // served time
  uint32_t frame_bytes = 0;
  Place place;
  Waiting waiting;        // never empty
  bool reported = false;  // its sender knows "delivered", or will, or nothing is owed to it
};
// A record of the journal, confirmed or not, as a mark for its sender (DELIVERY.md, Taking 2).
struct RecoveredMark {
  MessageId id;
  UserId to = 0;
  Number number = 0;
  bool delivered = false;
};
struct RecoveredReceipt {
  ReceiptKey key;
  Seq up_to = 0;
};
struct RecoveredExpired {
  MessageId id;
  UserId to = 0;
  Waiting tell;
};

// Gets everything that waits, at start. Items of one user come in no particular order.
class RecoveryVisitor {
 public:
  virtual ~RecoveryVisitor() = default;
  virtual void item(const RecoveredItem& item) = 0;
  virtual void mark(const RecoveredMark& mark) = 0;
  virtual void receipt(const RecoveredReceipt& receipt) = 0;
  virtual void expired(const RecoveredExpired& expired) = 0;
  // Looked at before each record: a long journal must not keep a process that is to end.
  virtual bool stopped() { return false; }
};

// Reads for one core what was committed, from the memory map: a page that is not in memory is waited for. ON:
// that core. LIFETIME: it goes before the environments.
class Reader {
 public:
  virtual ~Reader() = default;
  // Appends the frame's bytes to `out`. ERRORS: kNotFound, kCorrupt (checksum), kSystem.
  virtual Result<void> frame(UserId user, Number number, const Place& place, std::vector<uint8_t>& out) = 0;
  virtual Result<UserRow> user(UserId id) = 0;                 // ERRORS: kNotFound, kCorrupt, kSystem
  virtual Result<UserId> handle(std::string_view handle) = 0;  // ERRORS: kNotFound, kCorrupt, kSystem
  // All users from `from` on, in order of id, until `visit` returns false; `row` of one that cannot be read
  // is kCorrupt. ERRORS: kSystem, kCorrupt.
  virtual Result<void> users(UserId from,
                             const std::function<bool(UserId id, const Result<UserRow>& row)>& visit) = 0;
  // Whom the user blocks, or, if not `now`, did before, in order of id, until `visit` returns false. ERRORS:
  // kSystem, kCorrupt.
  virtual Result<void> blocks(UserId user, const std::function<bool(UserId whom, bool now)>& visit) = 0;
  // Tokens of the user issued before that (wall clock) are revoked. ERRORS: kNotFound: none is; kCorrupt,
  // kSystem.
  virtual Result<uint64_t> revoked_before(UserId user) = 0;
  // Of all users from `from` on, in order of id, until `visit` returns false. ERRORS: kSystem, kCorrupt.
  virtual Result<void> revocations(UserId from,
                                   const std::function<bool(UserId user, uint64_t before_ms)>& visit) = 0;
  // Lets go of the pages that the reads since the last call have pinned; the next read sees the newest
  // commit. Once a loop turn.
  virtual void release() = 0;
};

}  // namespace perch::store
