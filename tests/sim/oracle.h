// Oracle is a small model of what DELIVERY.md promises for messages between two users. It hears of every
// message that is composed and of every commit on a device, looks at the committed state of the disk, and
// names the first promise that is broken. Messages are told apart by their bodies, so that it does not trust
// the ids it checks.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "client/memory_store.h"
#include "core/clock.h"
#include "store_sim.h"

namespace perch::sim {

inline constexpr size_t kNone = SIZE_MAX;

struct OracleDevice {
  UserId user = 0;
  DeviceNo number = 0;  // 0: has never logged in
  const client::MemoryStore* store = nullptr;
  uint64_t restored = 0;      // when its storage was put back to an earlier state
  client::RowId rewound = 0;  // the last row that it had then
  uint64_t gap_told = 0;      // when it was last told that messages for it were dropped
};

class Oracle {
 public:
  Oracle(const SimKv& journal, const SimKv& tables, Clock& clock)
      : journal_(journal), tables_(tables), clock_(clock) {}

  size_t add_device(UserId user, const client::MemoryStore& store);
  void registered(size_t device, DeviceNo number);
  void composed(size_t device, UserId to, client::RowId row, const std::string& body);
  // The device's user has read what was there: it has new rows that say so.
  void marked_read(size_t device);
  void server_stopped() {
    ++num_stops_;
    block_changes_.clear();  // what was asked for has no answer any more
  }
  // Mailboxes are small: a message may be refused, a device may miss some and is told so.
  void allow_overflow() { may_overflow_ = true; }
  // What has waited for so long may be dropped: its sender is told, or the devices that miss it are.
  void allow_expiry(uint64_t ms) { expiry_ms_ = ms; }
  void told_gap(size_t device);
  // A user wants to block another, or no more; and what it wanted last for this pair is on the disk.
  void block_asked(UserId user, UserId whom, bool on);
  void block_answered(UserId user, UserId whom, bool on);
  // A backup of the store was put back: of what it lacks, clients send again what they know as accepted.
  void server_restored();
  // The device's storage is about to become `older`, a copy of it.
  void restoring(size_t device, const client::MemoryStore& older);
  // Commits on a device.
  void received(size_t device, const client::InboxMessage& message, client::Insert insert);
  void row_changed(size_t device, const client::RowStatus& row);
  // True once everything is closed, shown delivered, and everywhere.
  bool converged() const { return !first_missing(); }
  std::optional<std::string> first_missing() const;
  // After convergence: numbers.
  void check_numbers();
  void fail(const std::string& what) {
    if (failure_.empty()) failure_ = what;
  }
  const std::string& failure() const { return failure_; }

  uint64_t num_messages() const { return messages_.size(); }
  uint64_t num_deliveries() const { return num_deliveries_; }
  uint64_t num_renumbered() const { return num_renumbered_; }
  uint64_t num_rejected() const { return num_rejected_; }
  uint64_t num_full() const { return num_full_; }
  uint64_t num_gaps() const { return num_gaps_; }
  uint64_t num_expired() const { return num_expired_; }

 private:
  // A row of an outbox: a message, or a read mark.
  struct Composed {
    size_t device;
    UserId to;
    client::RowId row;
    Seq seq;
    uint64_t at;                     // when it was composed
    uint64_t at_ms;                  // … on the clock of the world
    uint64_t stops;                  // of the server, then
    std::vector<size_t> owed;        // devices that were registered then
    bool may_be_for_nobody = false;  // its recipient has, or may have, blocked its sender
    bool is_for_nobody = false;      // … has, from before it was composed and until it is closed
  };
  struct Sent : Composed {
    std::string body;
    bool recipient_known;  // at least one of `owed` is the recipient's
    std::set<size_t> has;
    std::set<size_t> had;  // … before they were restored
    // Its sender was restored since: to where it did not know the message yet, or the row's state is an
    // earlier one and it may go out again under the same id.
    std::optional<client::RowStatus> gone;
    bool rewound = false;
    bool to_send_again = false;    // its row was accepted by a server that came back from a copy
    std::set<size_t> lost;         // owed it when a server came back that does not know
    std::set<size_t> lost_number;  // … or its last number only
    bool renumbered = false;
    bool closed = false;
    size_t question = kNone;  // a message the sender had seen then
    Number question_number = 0;
  };
  struct SentRead : Composed {
    client::ReadMark mark;
    MessageId id;
    bool accepted = false;  // its row was closed so: from then on it is safe
  };
  void compose(size_t device, UserId to, client::RowId row, Composed& out);
  const client::RowStatus& status(const Sent& sent) const;
  MessageId id_of(const Sent& sent) const {
    return {devices_[sent.device].user, devices_[sent.device].number, status(sent).origin, sent.seq};
  }
  Number number_on(const Sent& sent, size_t device) const;
  bool on_disk(const MessageId& id, size_t device) const;
  bool knows_gap(const Composed& row, size_t device) const { return devices_[device].gap_told > row.at; }
  bool gap_noted(size_t device) const;
  // Whether it can have been taken twice: only a stop makes the server forget what is not on the disk.
  bool may_be_taken_again(const Composed& row) const { return row.stops != num_stops_; }
  // The device was told, or the disk says that it must be told, that it has a gap which this may be in.
  bool may_be_in_gap(const Composed& row, size_t device) const {
    return knows_gap(row, device) || ((may_overflow_ || may_have_expired(row)) && gap_noted(device));
  }
  bool may_be_kept_from(const Composed& row, size_t device) const {
    return row.may_be_for_nobody && devices_[device].user == row.to;
  }
  bool may_miss(const Sent& sent, size_t device) const {
    return may_be_kept_from(sent, device) || sent.had.contains(device) || sent.lost.contains(device) ||
           may_be_in_gap(sent, device);
  }
  bool may_have_expired(const Composed& row) const {
    return expiry_ms_ != 0 && clock_.mono_ms() >= row.at_ms + expiry_ms_;
  }
  void read_changed(SentRead& read, const client::RowStatus& row);
  bool knows_read(const SentRead& read, size_t device) const;
  bool may_miss_read(const SentRead& read, size_t device) const;
  std::string describe(const SentRead& read) const;
  std::optional<std::string> first_missing_read() const;
  std::string name(size_t device) const;
  std::string describe(const Sent& sent) const;
  void check_safe(const Sent& sent);
  void note_lost(Sent& sent);
  template <typename Which>
  void may_be_for_nobody(const Which& which);

  const SimKv& journal_;
  const SimKv& tables_;
  Clock& clock_;
  std::vector<OracleDevice> devices_;
  std::vector<Sent> messages_;
  std::map<std::string, size_t> by_body_;
  std::map<std::pair<size_t, client::RowId>, size_t> by_row_;
  std::vector<SentRead> reads_;
  using Pair = std::pair<UserId, UserId>;  // who, whom
  std::set<Pair> ever_blocked_, may_block_, blocks_;
  std::map<Pair, int> block_changes_;  // asked for and not answered
  std::map<std::pair<size_t, client::RowId>, size_t> read_by_row_;
  std::map<std::tuple<size_t, size_t, UserId>, Seq>
      arrived_;                                             // receiving device, sending device, conversation
  std::map<std::tuple<size_t, UserId>, size_t> last_from_;  // device, peer: the largest number seen
  std::string failure_;
  uint64_t now_ = 0;  // counts what is heard
  uint64_t num_stops_ = 0;
  uint64_t server_restored_ = 0;  // when a backup of the store was last put back
  bool may_overflow_ = false;
  uint64_t expiry_ms_ = 0;
  uint64_t num_deliveries_ = 0;
  uint64_t num_renumbered_ = 0;
  uint64_t num_rejected_ = 0;
  uint64_t num_full_ = 0;
  uint64_t num_gaps_ = 0;
  uint64_t num_expired_ = 0;
};

}  // namespace perch::sim
