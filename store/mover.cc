#include "store/mover.h"

#include <algorithm>

#include "core/check.h"
#include "store/meta.h"

namespace perch::store {

struct Mover::NewRow {
  Table table;
  std::array<uint8_t, kRowKeyBytes> key;
  std::vector<uint8_t> value;
};

Result<size_t> Mover::copy(uint64_t now_ms) {
  PERCH_CHECK(!pending_ && writer_.recovered_);
  if (writer_.poisoned_) return Error{Errc::kPoisoned};
  if (auto dropped = writer_.drop_stale(); !dropped) {
    if (dropped.error().code == Errc::kFull) return size_t{0};
    return failed(writer_.tables_, dropped.error());
  }
  if (now_ms < writer_.limits_.move_after_ms) return size_t{0};
  JournalPos cut = writer_.index_.old_end(now_ms, writer_.limits_.move_after_ms, writer_.next_pos_);
  if (cut <= writer_.moved_below_) return size_t{0};
  const size_t rows_max = std::min(copy_max_, num_rows_with_room());

  std::vector<NewRow> rows;
  size_t num_moved = 0;
  JournalPos last = 0;
  const auto& held = writer_.index_.held();
  auto journal = writer_.journal_.snapshot();
  auto at = held.begin();
  for (; at != held.end() && at->pos < cut; ++at) {
    if (at->waiting.num == 0) continue;
    // A record's users go together: finish() cuts between records.
    if (rows.size() >= rows_max && at->pos != last) {
      cut = at->pos;
      break;
    }
    if (auto read = read_rows(*at, *journal, rows); !read) {
      if (read.error().code == Errc::kCorrupt) writer_.poison();
      return read.error();
    }
    last = at->pos;
    ++num_moved;
  }
  journal->release();

  if (!rows.empty()) {
    if (auto put = put_rows(rows); !put) {
      if (put.error().code != Errc::kFull) return put.error();
      cut = held.front().pos;
      num_moved = 0;
    }
  }
  if (cut <= writer_.moved_below_) return size_t{0};
  cut_ = cut;
  writer_.copied_below_ = std::max(writer_.copied_below_, cut);
  pending_ = true;
  return num_moved;
}

Result<void> Mover::put_rows(std::vector<NewRow>& rows) {
  // In key order a page of the tables is dirtied once.
  std::ranges::sort(rows, [](const NewRow& a, const NewRow& b) {
    return a.table != b.table ? a.table < b.table : a.key < b.key;
  });
  Kv& tables = writer_.tables_;
  if (auto begun = tables.begin(); !begun) return failed(tables, begun.error());
  for (const NewRow& row : rows) {
    if (auto put = tables.put(row.table, row.key, row.value); !put) return failed(tables, put.error());
  }
  if (auto flushed = tables.commit(); !flushed) return failed(tables, flushed.error());
  return {};
}

// As for messages in the journal: over kReservedFrom the tables serve deletes (DELIVERY.md H23). What is held
// back here fills the journal, and then messages are held.
size_t Mover::num_rows_with_room() {
  constexpr double kPageBytes = 4096;  // a row dirties one of its own
  Kv& tables = writer_.tables_;
  const double room = (kReservedFrom - tables.fill()) * static_cast<double>(tables.capacity_bytes());
  return room < kPageBytes ? 0 : static_cast<size_t>(room / kPageBytes);
}

Result<void> Mover::read_rows(const Held& held, Snapshot& journal, std::vector<NewRow>& rows) {
  const auto corrupt = Error{Errc::kCorrupt, static_cast<int64_t>(held.pos)};
  const UserId user = held.waiting.user;
  Number number = 0;
  Value value;
  uint16_t num_chunks = 1;
  for (uint16_t chunk = 0; chunk < num_chunks; ++chunk) {
    const auto key = pack_key(JournalKey{held.pos, chunk});
    auto stored = journal.get(kJournalTable, key);
    if (!stored) return stored.error().code == Errc::kNotFound ? corrupt : stored.error();
    if (chunk == 0) {
      Bytes part;
      auto record = unpack_record(key, *stored, &part);
      if (!record || record->kind != RecordKind::kAccept) return corrupt;
      number = record->number;
      num_chunks = record->num_chunks;
      const Row row{held.reported, num_chunks, record->frame_bytes, held.pos,
                    record->id,    record->to, record->taken_ms,    held.waiting};
      pack_row(pack_key(RowKey{user, number, 0}), row, part, value);
    } else {
      auto part = unpack_chunk(key, *stored);
      if (!part) return corrupt;
      pack_chunk(pack_key(RowKey{user, number, chunk}), *part, value);
    }
    const Bytes bytes = value.bytes();
    rows.push_back(
        {mailbox_table(user), pack_key(RowKey{user, number, chunk}), {bytes.begin(), bytes.end()}});
  }
  return {};
}

Result<bool> Mover::finish() {
  PERCH_CHECK(pending_);
  if (writer_.poisoned_) return Error{Errc::kPoisoned};
  Kv& journal = writer_.journal_;
  Writer::Staged staged;
  staged.next_pos = writer_.next_pos_;
  if (auto begun = journal.begin(); !begun) return failed(journal, begun.error());
  const bool first = writer_.moved_below_ < cut_;
  if (first) {
    if (auto raised = raise_moved_below(staged); !raised) return failed(journal, raised.error());
  }
  auto erased = erase_some();
  if (!erased) return failed(journal, erased.error());
  if (auto flushed = journal.commit(); !flushed) return failed(journal, flushed.error());
  if (first) {
    for (const auto& [pos, record] : staged.records) writer_.index_.apply(pos, record);
    writer_.index_.trim(cut_);
    writer_.moved_below_ = cut_;
    writer_.next_pos_ = staged.next_pos;
  }
  if (*erased < erase_max_) pending_ = false;
  return !pending_;
}

// Statuses that are still to be told have no place in the tables: they go round to the journal's head.
Result<void> Mover::raise_moved_below(Writer::Staged& staged) {
  for (const auto& [key, pending] : writer_.index_.receipts()) {
    if (pending.pos >= cut_) continue;
    Record record;
    record.kind = RecordKind::kReceipt;
    record.receipt_key = key;
    record.up_to = pending.up_to;
    if (auto r = writer_.write_record(record, staged); !r) return r;
  }
  for (const auto& [id, pending] : writer_.index_.expired()) {
    if (pending.pos >= cut_) continue;
    Record record;
    record.kind = RecordKind::kExpired;
    record.id = id;
    record.to = pending.to;
    record.tell = pending.tell;
    if (auto r = writer_.write_record(record, staged); !r) return r;
  }
  Kv& journal = writer_.journal_;
  if (auto r = put_meta(journal, kJournalMetaTable, MetaKey::kMovedBelow, cut_); !r) return r;
  return put_meta(journal, kJournalMetaTable, MetaKey::kNextPos, staged.next_pos);
}

Result<size_t> Mover::erase_some() {
  // From the very first key: an earlier run may have stopped in the middle.
  std::vector<std::array<uint8_t, kJournalKeyBytes>> keys;
  bool corrupt = false;
  auto scanned = writer_.journal_.scan(kJournalTable, {}, [&](Bytes bytes, Bytes) {
    auto key = unpack_journal_key(bytes);
    corrupt = !key;
    if (!key || key->pos >= cut_ || keys.size() == erase_max_) return false;
    keys.push_back(pack_key(*key));
    return true;
  });
  if (!scanned) return scanned.error();
  if (corrupt) return Error{Errc::kCorrupt};
  for (const auto& key : keys) {
    if (auto r = writer_.journal_.erase(kJournalTable, key); !r) return r.error();
  }
  return keys.size();
}

Error Mover::failed(Kv& kv, Error error) {
  kv.abort();  // after a commit there is nothing left to abort, and that is fine
  if (error.code != Errc::kFull) writer_.poison();
  return error;
}

}  // namespace perch::store
