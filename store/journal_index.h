// JournalIndex is what the store thread must know of the journal without reading it: which records still hold
// a message for whom, which statuses are still to be told, and how old each stretch of the journal is.
//
// ON: the store thread. Changed only after a commit: it never says more than the disk.
#pragma once
#include <cstdint>
#include <deque>
#include <map>

#include "core/types.h"
#include "store/keyspace.h"
#include "store/store.h"

namespace perch::store {

// What one record still holds for one user; a record has up to two of these.
struct Held {
  JournalPos pos = 0;
  Waiting waiting;         // nobody: done with, swept later
  bool recipient = false;  // the user is the one it was sent to, not the sender's own other devices
  bool reported = false;   // the sender knows that it was delivered, or will, or nothing is owed to it
};

struct PendingReceipt {
  Seq up_to = 0;
  JournalPos pos = 0;
};
struct PendingExpired {
  UserId to = 0;
  Waiting tell;
  JournalPos pos = 0;
};

class JournalIndex {
 public:
  // `granule_ms`: how exactly old_end() knows the age of a record.
  explicit JournalIndex(uint64_t granule_ms) : granule_ms_(granule_ms) {}

  // Applies one record of the journal. REQUIRES: in order of positions.
  void apply(JournalPos pos, const Record& record);
  // Null: nothing of it waits for `user` any more, or the position is not in the journal.
  Held* find(JournalPos pos, UserId user);
  // `confirmed`: they have it; else it expired.
  void remove(JournalPos pos, const Waiting& who, bool confirmed);
  // Everything below is gone from the journal, or rewritten at its head.
  void trim(JournalPos below);
  // Where the part ends that holds nothing younger than `age_ms`: `head` if that is all, 0: there is nothing
  // to take. What is from later than now, since a kill forgot some served time, is from now from then on.
  JournalPos old_end(uint64_t now_ms, uint64_t age_ms, JournalPos head);

  const std::deque<Held>& held() const { return held_; }
  const std::map<ReceiptKey, PendingReceipt>& receipts() const { return receipts_; }
  const std::map<MessageId, PendingExpired>& expired() const { return expired_; }

 private:
  // A stretch of the journal that was written within granule_ms_: one entry instead of a time per record.
  struct Granule {
    JournalPos first = 0;
    JournalPos last = 0;  // its last message
    uint64_t first_ms = 0;
    uint64_t last_ms = 0;
  };
  // Statuses that go round at every trim must not make the next one: without messages only so many records
  // do.
  static constexpr size_t kIdleRecordsMax = 4096;
  void sweep();
  std::deque<Held> held_;  // ordered by position
  size_t num_done_ = 0;
  std::deque<Granule> granules_;
  uint64_t granule_ms_;
  size_t num_records_ = 0;  // since the last trim
  std::map<ReceiptKey, PendingReceipt> receipts_;
  std::map<MessageId, PendingExpired> expired_;
};

}  // namespace perch::store
