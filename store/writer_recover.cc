// Writer: reading all that waits, at start.
#include <algorithm>
#include <unordered_map>

#include "core/check.h"
#include "store/meta.h"
#include "store/writer.h"

namespace perch::store {

struct Writer::Waits {
  struct Message {
    MessageId id;
    UserId to;
    Number number;
    uint64_t taken_ms;
    uint32_t frame_bytes;
  };
  struct KeyHash {
    size_t operator()(const std::pair<UserId, Number>& key) const {
      return (key.first * 0x9e3779b97f4a7c15u) ^ (key.second * 0xc2b2ae3d27d4eb4fu);
    }
  };
  std::unordered_map<JournalPos, Message> messages;                           // of what is held
  std::unordered_map<std::pair<UserId, Number>, JournalPos, KeyHash> by_key;  // the same
};

Result<void> Writer::recover(RecoveryVisitor& visitor) {
  PERCH_CHECK(!recovered_);
  Waits waits;
  std::vector<RecoveredMark> marks;
  if (auto read = recover_journal(waits, marks, visitor); !read) return read;
  if (auto read = recover_tables(waits, visitor); !read) return read;
  for (const Held& held : index_.held()) {
    if (held.waiting.num == 0) continue;
    if (visitor.stopped()) return Error{Errc::kStopped};
    const Waits::Message& message = waits.messages.at(held.pos);
    visitor.item({message.id, message.to, message.number, message.taken_ms, message.frame_bytes,
                  Place{held.pos, false}, held.waiting, held.reported});
  }
  for (const RecoveredMark& mark : marks) visitor.mark(mark);
  for (const auto& [key, pending] : index_.receipts()) visitor.receipt({key, pending.up_to});
  for (const auto& [id, pending] : index_.expired()) visitor.expired({id, pending.to, pending.tell});
  recovered_ = true;
  return {};
}

Result<void> Writer::recover_journal(Waits& waits, std::vector<RecoveredMark>& marks,
                                     RecoveryVisitor& visitor) {
  auto snapshot = journal_.snapshot();
  std::vector<std::pair<JournalPos, size_t>> mark_of;  // by position; in order, since the scan is
  Error error{Errc::kSystem};
  bool failed = false;
  JournalPos last = 0;
  uint32_t chunks_left = 0;  // of the accept last seen
  auto fail = [&](Errc code) {
    error = {code, static_cast<int64_t>(last)};
    failed = true;
    return false;
  };
  auto scanned =
      snapshot->scan(kJournalTable, pack_key(JournalKey{moved_below_, 0}), [&](Bytes key, Bytes value) {
        if (visitor.stopped()) return fail(Errc::kStopped);
        auto journal_key = unpack_journal_key(key);
        if (!journal_key) return fail(Errc::kCorrupt);
        if (journal_key->chunk > 0) {
          if (journal_key->pos != last || chunks_left == 0) return fail(Errc::kCorrupt);
          --chunks_left;
          if (!unpack_chunk(key, value)) return fail(Errc::kCorrupt);
          return true;
        }
        if (chunks_left != 0) return fail(Errc::kCorrupt);
        last = journal_key->pos;
        auto record = unpack_record(key, value, nullptr);
        if (!record) return fail(Errc::kCorrupt);
        if (record->kind == RecordKind::kAccept) {
          chunks_left = record->num_chunks - 1;
          mark_of.emplace_back(last, marks.size());
          marks.push_back({record->id, record->to, record->number, record->delivered});
          waits.messages.emplace(last, Waits::Message{record->id, record->to, record->number,
                                                      record->taken_ms, record->frame_bytes});
        }
        if (record->kind == RecordKind::kResult)
          marks.push_back({record->id, record->to, record->number, record->delivered});
        if (record->kind == RecordKind::kConfirm) {
          const auto at =
              std::lower_bound(mark_of.begin(), mark_of.end(), std::pair{record->target, size_t{0}});
          if (at != mark_of.end() && at->first == record->target &&
              marks[at->second].to == record->who.user) {
            marks[at->second].delivered = true;
          }
        }
        index_.apply(last, *record);
        return true;
      });
  if (failed) return error;
  if (!scanned) return scanned;
  if (chunks_left != 0) return Error{Errc::kCorrupt, static_cast<int64_t>(last)};
  next_pos_ = std::max(next_pos_, last + 1);
  for (const Held& held : index_.held()) {
    if (held.waiting.num) waits.by_key[{held.waiting.user, waits.messages.at(held.pos).number}] = held.pos;
  }
  return {};
}

// A row whose record is still in the journal is a move that a stop cut short: it counts once, as the record,
// and waits for nobody whom either of the two no longer names. The record is made so in the index, the row on
// the disk: a stop between the commits of a confirmation leaves it with a device that nobody would ever take
// out.
Result<void> Writer::recover_tables(Waits& waits, RecoveryVisitor& visitor) {
  auto snapshot = tables_.snapshot();
  Error error{Errc::kSystem};
  bool failed = false;
  auto fail = [&](Errc code = Errc::kCorrupt) {
    error = {code};
    failed = true;
    return false;
  };
  for (Table table = 0; table < kNumMailboxTables; ++table) {
    RowKey last;
    uint32_t chunks_left = 0;
    auto scanned = snapshot->scan(table, {}, [&](Bytes key, Bytes value) {
      if (visitor.stopped()) return fail(Errc::kStopped);
      auto row_key = unpack_row_key(key);
      if (!row_key) return fail();
      if (row_key->chunk > 0) {
        if (chunks_left == 0 || row_key->user != last.user || row_key->number != last.number) return fail();
        --chunks_left;
        return unpack_chunk(key, value) ? true : fail();
      }
      if (chunks_left != 0) return fail();
      last = *row_key;
      auto row = unpack_row(key, value, nullptr);
      if (!row) return fail();
      chunks_left = row->num_chunks - 1;
      const auto twin = waits.by_key.find({last.user, last.number});
      Held* held = twin == waits.by_key.end() ? nullptr : index_.find(twin->second, last.user);
      const auto drop = [&](bool confirmed) {
        StoreOp& op = stale_.emplace_back();
        op.kind = confirmed ? OpKind::kConfirm : OpKind::kExpire;
        op.number = last.number;
        op.who.user = last.user;
        for (uint8_t i = 0; i < row->waiting.num; ++i) {
          if (!held || !held->waiting.has(row->waiting.devices[i])) op.who.add(row->waiting.devices[i]);
        }
        if (op.who.num == 0) stale_.pop_back();
      };
      if (held) {
        drop(held->reported);
        Waiting gone{last.user, 0, {}};
        for (uint8_t i = 0; i < held->waiting.num; ++i) {
          if (!row->waiting.has(held->waiting.devices[i])) gone.add(held->waiting.devices[i]);
        }
        if (row->reported) held->reported = true;
        // Confirmations go to both, as in the run that wrote the row.
        copied_below_ = std::max(copied_below_, twin->second + 1);
        if (gone.num) index_.remove(twin->second, gone, false);
      } else if (row->pos >= moved_below_ && waits.messages.contains(row->pos)) {
        drop(false);  // the journal says that nobody waits for it
      } else {
        visitor.item({row->id, row->to, last.number, row->taken_ms, row->frame_bytes, Place{row->pos, true},
                      row->waiting, row->reported});
      }
      return true;
    });
    if (failed) return error;
    if (!scanned) return scanned;
    if (chunks_left != 0) return Error{Errc::kCorrupt};
  }
  snapshot->release();
  // A full server must be able to start and to empty itself.
  if (auto dropped = drop_stale(); !dropped && dropped.error().code != Errc::kFull) return dropped;
  return {};
}

Result<void> Writer::drop_stale() {
  if (stale_.empty()) return {};
  auto dropped = transact(tables_, [&]() -> Result<void> {
    for (const StoreOp& op : stale_)
      if (auto written = write_row(op); !written) return written;
    return {};
  });
  if (dropped) stale_.clear();
  return dropped;
}

}  // namespace perch::store
