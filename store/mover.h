// Mover takes what waits long out of the journal into the mailbox tables, in two steps (DELIVERY.md H22):
// copy() writes the rows and flushes; finish() raises moved_below and deletes. A stop between any two commits
// leaves every message in at least one place. The cores are not told: the writer knows from a record's
// position where a confirmation goes, and the reader looks in both places.
//
// ON: the store thread, between two Writer::apply().
#pragma once
#include <cstdint>
#include <vector>

#include "store/writer.h"

namespace perch::store {

class Mover {
 public:
  // How many values one transaction writes, more or less a message, or deletes: a batch of the cores waits so
  // long. A row of one user among many dirties a page of its own; what is deleted lies side by side.
  static constexpr size_t kCopyMax = 1'000;
  static constexpr size_t kEraseMax = 10'000;

  explicit Mover(Writer& writer, size_t copy_max = kCopyMax, size_t erase_max = kEraseMax)
      : writer_(writer), copy_max_(copy_max), erase_max_(erase_max) {}

  // Step 1: rows for what is older than limits.move_after_ms and still waits, as much as one step takes.
  // How many messages that is, each counted for every user it waits for; none, but pending(): only finish()
  // is left. So too where the tables have no room but what is kept for deletes: the first record that still
  // waits then ends the stretch. Not pending(): nothing before that is old.
  // `now_ms`: served time. REQUIRES: !pending(). ERRORS: kPoisoned before. A read that failed: again later.
  // All others poison, too: a record that cannot be read (kCorrupt, detail: its position) would stay, and
  // everything behind it.
  Result<size_t> copy(uint64_t now_ms);
  // Step 2: one transaction. True: done with this stretch, copy() may go on.
  // ERRORS: kFull (again later), kPoisoned before; all others poison.
  Result<bool> finish();
  bool pending() const { return pending_; }

 private:
  struct NewRow;
  size_t num_rows_with_room();
  Result<void> put_rows(std::vector<NewRow>& rows);
  Result<void> read_rows(const Held& held, Snapshot& journal, std::vector<NewRow>& rows);
  Result<void> raise_moved_below(Writer::Staged& staged);
  Result<size_t> erase_some();
  Error failed(Kv& kv, Error error);
  Writer& writer_;
  size_t copy_max_;
  size_t erase_max_;
  JournalPos cut_ = 0;  // everything below is copied or done with
  bool pending_ = false;
};

}  // namespace perch::store
