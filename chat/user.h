// What one core knows of one user: devices, sessions, what waits, what is in flight from each device.
//
// OWNER and ON: the user's home core. A User is loaded when first needed and stays while the node runs.
#pragma once
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "chat/hops.h"
#include "core/fifo.h"
#include "core/timer_wheel.h"
#include "net/net.h"

namespace perch::chat {

inline constexpr size_t kSlots = store::kDevicesMax;
using SlotMask = uint8_t;

// A message that waits for devices of one user, in memory or on disk. Lists are in order of arrival and a
// device is sent items in that order only (DELIVERY.md H9).
struct Item {
  enum class State : uint8_t { kMemory, kStoring, kStored };
  enum class Report : uint8_t { kNotOwed, kOwed, kPending };  // the receipt to the sender

  MessageId id;
  UserId to = 0;
  Number number = 0;
  uint64_t arrived_ms = 0;  // monotonic; kMemory
  uint64_t taken_ms = 0;    // served time: it expires by this
  FrameRef frame;           // empty once stored and not in memory any more
  uint32_t frame_bytes = 0;
  store::Place place;  // kStored
  FlightRef flight;    // kMemory, kStoring
  State state = State::kMemory;
  Report report = Report::kNotOwed;
  SlotMask mask = 0;       // devices that have not confirmed
  SlotMask sent = 0;       // … of them: sent on the present session
  SlotMask confirmed = 0;  // confirmed before the record was known to be flushed
  SlotMask unwritten = 0;  // confirmed, CONFIRM waits for the receipt to be safe
  SlotMask counted = 0;    // whose mailbox it counts against
};

// A counted frame on its way: answered by CONFIRM, in order.
struct Sent {
  enum class What : uint8_t { kItem, kReceipt, kExpired };
  struct Status {           // rare beside items, so they pay for it with one allocation each
    store::ReceiptKey key;  // kReceipt
    Seq up_to = 0;
    uint64_t told_ms = 0;  // monotonic
    MessageId id;          // kExpired
  };
  What what = What::kItem;
  uint32_t bytes = 0;
  uint64_t position = 0;           // kItem: in User::items
  std::unique_ptr<Status> status;  // of the others
};

// The Timer: its token expires, or it is time to look at that again.
struct Session : Timer {
  static constexpr uint8_t kTimer = 3;  // Timer::kind

  Session() { kind = kTimer; }
  net::ConnId conn;
  uint64_t id = 0;
  Origin origin = 0;
  uint64_t attempt = 0;
  uint64_t expires_ms = 0;  // wall clock; the token's exp
  Fifo<Sent> sent;
  uint64_t num_confirmed = 0;
  uint64_t sent_bytes = 0;
  uint64_t next_position = 0;  // items below were sent on this session or are not for this device
  Number given = 0;            // largest number told on this session
  Seq held = 0;                // SENDs above are ignored until it, or a lower one, comes; 0: none
  bool results_wait = false;   // some that this session was not told yet; they go before all that is counted
  // WELCOME said so, and the device's row does until the device has heard it (Core::on_heard).
  bool told_gap = false;
  bool told_broken = false;
  Fifo<MessageId> expired_to_tell;
  Fifo<store::ReceiptKey> receipts_to_tell;
};

struct Flight;

// A flight of a device. Every frame asks for these two of all flights, so none is touched to find one.
struct Outgoing {
  Origin origin;
  Seq seq;
  Flight* flight;
};

// A record found at start: answers a resend once, if its number allows (DELIVERY.md H7).
struct Mark {
  Number number = 0;
  bool delivered = false;
};

// "Delivered" as far as `up_to`, until the device has confirmed it. It goes two ways at once, and is safe as
// soon as it has come to the end of one: whoever waits for that may then write CONFIRM.
//
//   to the device   here ── queue_receipt ──> queued ── tell_next ──> told ── receipt_confirmed ──> over
//                   on each session anew; one that is raised while it is told is queued and told again
//   to the disk     up_to ── store_receipt ──> asked ── its flush ──> stored; over, it ends there too
struct PendingReceipt {
  Seq up_to = 0;
  Seq asked = 0;           // a RECEIPT row is asked for up to here; 0: none
  Seq stored = 0;          // … and flushed
  uint64_t queued_on = 0;  // the session that has it in receipts_to_tell
  uint64_t told_as = 0;    // which counted frame of the present session told it last
  struct Waiter {
    Seq seq;
    SafeHop who;
    CoreId core;
  };
  std::vector<Waiter> waiters;
};

// DeviceRow::seen_ms is exact while the node runs; a start knows it to a day.
inline constexpr uint64_t kSeenWriteMs = 86'400'000;
inline constexpr uint64_t kNoGap = UINT64_MAX;  // no write has that number

struct Device {
  store::DeviceRow row;
  Origin heard_origin = 0;  // of the last opening that had its WELCOME; a start takes the row's for it
  bool registered = false;  // row is on the disk: no WELCOME before
  uint32_t num_logins = 0;  // that wait for the row to be written
  bool slow = false;
  // It overflowed. Nothing is addressed to it from when this write of the row, which says so, is on the disk,
  // until it logs in: a message never falls into a gap that a stop could hide.
  uint64_t gap_write = kNoGap;
  uint64_t seen_posted_ms = 0;  // row.seen_ms as it was given to the store last
  uint32_t num_waiting = 0;     // items counted against its mailbox, and their bytes
  uint64_t bytes_waiting = 0;
  std::unique_ptr<Session> session;
  std::vector<Outgoing> flights;    // in the order they were taken; until closed
  uint32_t num_without_result = 0;  // of them; at most W
  double rate_used = 0;             // of rate_burst, at rate_ms (monotonic)
  uint64_t rate_ms = 0;
  std::map<std::pair<Origin, Seq>, Mark> marks;
  std::map<store::ReceiptKey, PendingReceipt> receipts;
  std::map<MessageId, UserId> expired;  // to be told: message, and to whom it was

  // It was refused and never welcomed: nothing was ever kept for it.
  bool is_nobody() const { return !registered && num_logins == 0; }
  // Null: none, or it is closed.
  Flight* flight(Origin origin, Seq seq) const {
    for (const Outgoing& out : flights)
      if (out.origin == origin && out.seq == seq) return out.flight;
    return nullptr;
  }
};

// For the store once this write of the user's row, or a later one, is on the disk.
struct AfterRow {
  uint64_t write = 0;
  std::unique_ptr<store::StoreOp> op;
};

// Bases of User and not members, so that a timer that fires leads back to its user.
struct ConfirmTimer : Timer {};  // the oldest in-memory item or receipt is unconfirmed for confirm_ms_max
struct ExpiryTimer : Timer {};   // the oldest stored item is too old

struct User : ConfirmTimer, ExpiryTimer {
  static constexpr uint8_t kConfirmTimer = 1, kExpiryTimer = 2;  // Timer::kind

  User() {
    confirm_timer().kind = kConfirmTimer;
    expiry_timer().kind = kExpiryTimer;
  }
  ConfirmTimer& confirm_timer() { return *this; }
  ExpiryTimer& expiry_timer() { return *this; }
  UserId id = 0;
  std::string handle;
  DeviceNo next_device = 1;
  bool row_changed = false;  // and no write has been posted since
  bool row_posted = false;   // a write that waits for room is at the store thread; there is never another
  uint64_t num_writes = 0;   // of its row: asked for …
  uint64_t num_written = 0;  // … and flushed, with all before
  std::vector<AfterRow> after_row;
  std::array<std::unique_ptr<Device>, kSlots> devices;
  std::map<uint64_t, Item> items;
  uint64_t next_position = 1;
  // Items that owe a receipt, so they are on no device yet, by sender and seq. One whose drop its sender is
  // still to be told of stands here with position 0.
  std::multimap<MessageId, uint64_t> owed;

  Device* device(DeviceNo number) {
    for (auto& device : devices)
      if (device && device->row.number == number) return device.get();
    return nullptr;
  }
  bool left_out(const Device& device) const { return num_written >= device.gap_write; }
  int slot_of(DeviceNo number) const {
    for (size_t slot = 0; slot < kSlots; ++slot)
      if (devices[slot] && devices[slot]->row.number == number) return static_cast<int>(slot);
    return -1;
  }
};

// One of each per connection, so each fits the size class that jemalloc has for it: 320, 320 and 192 bytes.
// What an idle connection costs in all is measured in perf/results/idle_memory.md.
static_assert(sizeof(User) <= 320);
static_assert(sizeof(Device) <= 320);
static_assert(sizeof(Session) <= 192);

}  // namespace perch::chat
