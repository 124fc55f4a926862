#include "store/writer.h"

#include <algorithm>
#include <unordered_map>

#include "core/check.h"
#include "store/reader.h"

namespace perch::store {
namespace {

constexpr uint64_t kCeilingStep = 1ull << 32;
constexpr uint64_t kRestoreStep = 1ull << 45;
// The wall clock is coarse enough for the mover in sixteenths of its delay.
constexpr uint64_t kGranules = 16;

Bytes bytes_of(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

// Begins, runs, commits; aborts at the first error.
template <typename Body>
Result<void> transact(Kv& kv, Body&& body) {
  if (auto begun = kv.begin(); !begun) return begun;
  if (auto done = body(); !done) {
    kv.abort();
    return done;
  }
  return kv.commit();
}

Result<uint64_t> get_meta_or(Kv& kv, Table table, MetaKey key, uint64_t absent) {
  auto value = get_meta(kv, table, key);
  if (!value && value.error().code == Errc::kNotFound) return absent;
  return value;
}

uint64_t draw_nonzero(Random& random) {
  for (;;)
    if (uint64_t value = random.next()) return value;
}

}  // namespace

Result<uint64_t> get_meta(Kv& kv, Table table, MetaKey meta_key) {
  const std::array<uint8_t, 1> key{static_cast<uint8_t>(meta_key)};
  auto value = kv.get(table, key);
  if (!value) return value.error();
  return unpack_number(key, *value);
}

Result<void> put_meta(Kv& kv, Table table, MetaKey meta_key, uint64_t number) {
  const std::array<uint8_t, 1> key{static_cast<uint8_t>(meta_key)};
  Value value;
  pack_number(key, number, value);
  return kv.put(table, key, value.bytes());
}

Writer::Writer(Kv& journal, Kv& tables, const Limits& limits, Random& random)
    : journal_(journal),
      tables_(tables),
      limits_(limits),
      random_(random),
      index_(limits.move_after_ms / kGranules) {}

Result<std::unique_ptr<Writer>> Writer::open(Kv& journal, Kv& tables, const Limits& limits, Random& random) {
  std::unique_ptr<Writer> writer(new Writer(journal, tables, limits, random));
  if (auto opened = writer->open_metas(); !opened) return opened.error();
  return writer;
}

Result<void> Writer::open_metas() {
  uint64_t pair = 0;
  // The tables are only looked at before the journal is written: a newer format there must not cost a
  // ceiling.
  auto snapshot = tables_.snapshot();
  const std::array<uint8_t, 1> format_key{static_cast<uint8_t>(MetaKey::kFormat)};
  if (auto value = snapshot->get(kTablesMetaTable, format_key); value) {
    auto format = unpack_number(format_key, *value);
    if (!format) return format.error();
    if (*format > kFormatVersion) return Error{Errc::kNewerFormat, static_cast<int64_t>(*format)};
  }
  snapshot->release();

  auto journal_done = transact(journal_, [&]() -> Result<void> {
    auto format = get_meta(journal_, kJournalMetaTable, MetaKey::kFormat);
    if (!format && format.error().code != Errc::kNotFound) return format.error();
    if (!format) {
      incarnation_ = draw_nonzero(random_);
      if (auto r = put_meta(journal_, kJournalMetaTable, MetaKey::kFormat, kFormatVersion); !r) return r;
      if (auto r = put_meta(journal_, kJournalMetaTable, MetaKey::kPair, draw_nonzero(random_)); !r) return r;
      if (auto r = put_meta(journal_, kJournalMetaTable, MetaKey::kIncarnation, incarnation_); !r) return r;
      if (auto r = put_meta(journal_, kJournalMetaTable, MetaKey::kCeiling, 0); !r) return r;
    } else if (*format > kFormatVersion) {
      return Error{Errc::kNewerFormat, static_cast<int64_t>(*format)};
    }
    auto ceiling = get_meta(journal_, kJournalMetaTable, MetaKey::kCeiling);
    if (!ceiling) return ceiling.error();
    auto incarnation = get_meta(journal_, kJournalMetaTable, MetaKey::kIncarnation);
    if (!incarnation) return incarnation.error();
    auto stored_pair = get_meta(journal_, kJournalMetaTable, MetaKey::kPair);
    if (!stored_pair) return stored_pair.error();
    auto moved_below = get_meta_or(journal_, kJournalMetaTable, MetaKey::kMovedBelow, 0);
    if (!moved_below) return moved_below.error();
    auto next_pos = get_meta_or(journal_, kJournalMetaTable, MetaKey::kNextPos, 1);
    if (!next_pos) return next_pos.error();
    pair = *stored_pair;
    incarnation_ = *incarnation;
    moved_below_ = *moved_below;
    base_ = *ceiling;
    ceiling_ = base_ + kCeilingStep;
    // Above the ceiling too: a restored backup knows neither the last key nor the last kNextPos.
    next_pos_ = std::max(*next_pos, base_ + 1);
    return put_meta(journal_, kJournalMetaTable, MetaKey::kCeiling, ceiling_);
  });
  if (!journal_done) return journal_done;

  return transact(tables_, [&]() -> Result<void> {
    auto format = get_meta(tables_, kTablesMetaTable, MetaKey::kFormat);
    if (!format && format.error().code != Errc::kNotFound) return format.error();
    if (!format) {
      if (auto r = put_meta(tables_, kTablesMetaTable, MetaKey::kFormat, kFormatVersion); !r) return r;
      return put_meta(tables_, kTablesMetaTable, MetaKey::kPair, pair);
    }
    auto stored_pair = get_meta(tables_, kTablesMetaTable, MetaKey::kPair);
    if (!stored_pair) return stored_pair.error();
    if (*stored_pair != pair) return Error{Errc::kCorrupt};
    return {};
  });
}

Result<void> Writer::mark_restored(Kv& journal, Random& random) {
  return transact(journal, [&]() -> Result<void> {
    auto ceiling = get_meta(journal, kJournalMetaTable, MetaKey::kCeiling);
    if (!ceiling) return ceiling.error();
    if (auto r = put_meta(journal, kJournalMetaTable, MetaKey::kCeiling, *ceiling + kRestoreStep); !r)
      return r;
    return put_meta(journal, kJournalMetaTable, MetaKey::kIncarnation, draw_nonzero(random));
  });
}

// ---- start

struct Writer::Waits {
  struct Message {
    MessageId id;
    UserId to;
    Number number;
    uint64_t time_ms;
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
  if (auto read = recover_journal(waits, marks); !read) return read;
  if (auto read = recover_tables(waits, visitor); !read) return read;
  for (const Held& held : index_.held()) {
    if (held.waiting.num == 0) continue;
    const Waits::Message& message = waits.messages.at(held.pos);
    visitor.item({message.id, message.to, message.number, message.time_ms, message.frame_bytes,
                  Place{held.pos, false}, held.waiting, held.reported});
  }
  for (const RecoveredMark& mark : marks) visitor.mark(mark);
  for (const auto& [key, pending] : index_.receipts()) visitor.receipt({key, pending.up_to});
  for (const auto& [id, pending] : index_.expired()) visitor.expired({id, pending.to, pending.tell});
  recovered_ = true;
  return {};
}

Result<void> Writer::recover_journal(Waits& waits, std::vector<RecoveredMark>& marks) {
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
          waits.messages.emplace(last, Waits::Message{record->id, record->to, record->number, record->time_ms,
                                                      record->frame_bytes});
        }
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
// and waits for nobody whom either of the two no longer names.
Result<void> Writer::recover_tables(Waits& waits, RecoveryVisitor& visitor) {
  auto snapshot = tables_.snapshot();
  Error error{Errc::kSystem};
  bool failed = false;
  std::vector<RowKey> stale;
  auto fail = [&] {
    error = {Errc::kCorrupt};
    failed = true;
    return false;
  };
  for (Table table = 0; table < kNumMailboxTables; ++table) {
    RowKey last;
    uint32_t chunks_left = 0;
    auto scanned = snapshot->scan(table, {}, [&](Bytes key, Bytes value) {
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
      if (held) {
        Waiting gone{last.user, 0, {}};
        for (uint8_t i = 0; i < held->waiting.num; ++i) {
          if (!row->waiting.has(held->waiting.devices[i])) gone.add(held->waiting.devices[i]);
        }
        if (row->reported) held->reported = true;
        if (gone.num == held->waiting.num) stale.push_back(last);
        if (gone.num) index_.remove(twin->second, gone, false);
      } else if (row->pos >= moved_below_ && waits.messages.contains(row->pos)) {
        stale.push_back(last);  // the journal says that nobody waits for it
      } else {
        visitor.item({row->id, row->to, last.number, row->time_ms, row->frame_bytes, Place{row->pos, true},
                      row->waiting, row->reported});
      }
      return true;
    });
    if (failed) return error;
    if (!scanned) return scanned;
    if (chunks_left != 0) return Error{Errc::kCorrupt};
  }
  snapshot->release();
  if (stale.empty()) return {};
  return transact(tables_, [&]() -> Result<void> {
    for (RowKey key : stale) {
      StoreOp drop;
      drop.number = key.number;
      drop.who.user = key.user;
      auto value = tables_.get(mailbox_table(key.user), pack_key(key));
      if (!value) return value.error();
      auto row = unpack_row(pack_key(key), *value, nullptr);
      if (!row) return row.error();
      drop.who = row->waiting;
      if (auto dropped = write_row(drop); !dropped) return dropped;
    }
    return {};
  });
}

// ---- batches

void Writer::apply(std::span<StoreOp* const> batch) {
  PERCH_CHECK(recovered_);
  if (poisoned_) return finish_all(batch, Status::kFailed);
  outcomes_.assign(batch.size(), Outcome::kDone);
  refuse_over_reserve(batch);
  auto written = write_journal(batch, staged_);
  // No room: first without what was not reserved, then (there should be none) without any message.
  for (const bool reserved_too : {false, true}) {
    if (written || written.error().code != Errc::kFull) break;
    for (size_t i = 0; i < batch.size(); ++i) {
      const bool refused = batch[i]->kind == OpKind::kAccept && (reserved_too || !batch[i]->reserved);
      outcomes_[i] = refused ? Outcome::kFull : Outcome::kDone;
    }
    written = write_journal(batch, staged_);
  }
  if (!written) {
    if (written.error().code == Errc::kFull) return finish_all(batch, Status::kFull);
    poison();
    return finish_all(batch, Status::kFailed);
  }
  next_pos_ = staged_.next_pos;
  ceiling_ = staged_.ceiling;
  for (const auto& [pos, record] : staged_.records) index_.apply(pos, record);

  if (!staged_.row_ops.empty()) {
    auto rows = write_rows(staged_.row_ops);
    if (!rows && rows.error().code != Errc::kFull) {
      poison();
      return finish_all(batch, Status::kFailed);
    }
    if (!rows) {
      for (size_t i = 0; i < batch.size(); ++i) {
        if (std::ranges::find(staged_.row_ops, batch[i]) != staged_.row_ops.end())
          outcomes_[i] = Outcome::kFull;
      }
    }
  }
  for (size_t i = 0; i < batch.size(); ++i) {
    switch (outcomes_[i]) {
      case Outcome::kDone:
        batch[i]->status = Status::kDone;
        break;
      case Outcome::kFull:
        batch[i]->status = Status::kFull;
        break;
      case Outcome::kNotFound:
        batch[i]->status = Status::kNotFound;
        break;
    }
  }
}

void Writer::finish_all(std::span<StoreOp* const> batch, Status status) {
  for (StoreOp* op : batch) op->status = status;
}

// Admission is the cores' work (HOLD STORE_FULL), but they look at fill() only now and then.
void Writer::refuse_over_reserve(std::span<StoreOp* const> batch) {
  double filled = -1;
  for (size_t i = 0; i < batch.size(); ++i) {
    const StoreOp& op = *batch[i];
    if (op.kind != OpKind::kAccept) continue;
    if (filled < 0) filled = journal_.fill();
    const double bytes = 1.2 * static_cast<double>(op.frame.size()) + 256;
    filled += bytes / static_cast<double>(limits_.map_bytes);
    if (filled > kReservedFrom && !op.reserved) outcomes_[i] = Outcome::kFull;
  }
}

Result<void> Writer::write_journal(std::span<StoreOp* const> batch, Staged& staged) {
  staged.next_pos = next_pos_;
  staged.ceiling = ceiling_;
  staged.records.clear();
  staged.row_ops.clear();
  bool begun = false;
  for (size_t i = 0; i < batch.size(); ++i) {
    if (outcomes_[i] == Outcome::kFull) continue;
    StoreOp& op = *batch[i];
    const bool row_only = (op.kind == OpKind::kConfirm) && !in_journal(op);
    if (!row_only && !begun) {
      if (auto r = journal_.begin(); !r) return r;
      begun = true;
    }
    if (auto r = write_one(op, outcomes_[i], staged); !r) {
      if (begun) journal_.abort();
      return r;
    }
  }
  if (!begun) return {};
  return journal_.commit();
}

Result<void> Writer::write_one(StoreOp& op, Outcome& outcome, Staged& staged) {
  switch (op.kind) {
    case OpKind::kAccept:
      return write_accept(op, staged);
    case OpKind::kConfirm: {
      if (in_tables(op)) staged.row_ops.push_back(&op);
      if (!in_journal(op)) return {};
      Record record;
      record.kind = RecordKind::kConfirm;
      record.target = op.place.pos;
      record.who = op.who;
      return write_record(record, staged);
    }
    case OpKind::kReceipt:
    case OpKind::kReceiptAck: {
      Record record;
      record.kind = op.kind == OpKind::kReceipt ? RecordKind::kReceipt : RecordKind::kReceiptAck;
      record.receipt_key = op.receipt_key;
      record.up_to = op.up_to;
      return write_record(record, staged);
    }
    case OpKind::kExpire: {
      if (in_tables(op)) staged.row_ops.push_back(&op);
      Record record;
      record.kind = RecordKind::kExpired;
      record.target = in_journal(op) ? op.place.pos : 0;
      record.who = op.who;
      record.id = op.id;
      record.to = op.to;
      record.tell = op.expired_for;
      return write_record(record, staged);
    }
    case OpKind::kExpiredAck: {
      Record record;
      record.kind = RecordKind::kExpiredAck;
      record.id = op.id;
      record.tell = op.expired_for;
      return write_record(record, staged);
    }
    case OpKind::kUser:
      return write_user(op.user_row);
    case OpKind::kAccount:
      return write_account(op, outcome);
    case OpKind::kCeiling:
      staged.ceiling += op.amount;
      op.ceiling = staged.ceiling;
      return put_meta(journal_, kJournalMetaTable, MetaKey::kCeiling, staged.ceiling);
  }
  return {};
}

Result<void> Writer::write_record(const Record& record, Staged& staged) {
  const JournalPos pos = staged.next_pos++;
  const auto key = pack_key(JournalKey{pos, 0});
  Value value;
  pack_record(key, record, {}, value);
  if (auto r = journal_.append(kJournalTable, key, value.bytes()); !r) return r;
  staged.records.emplace_back(pos, record);
  return {};
}

Result<void> Writer::write_accept(StoreOp& op, Staged& staged) {
  const size_t step = chunk_bytes(limits_);
  const size_t chunks = num_chunks(op.frame.size(), step);
  PERCH_CHECK(chunks <= UINT16_MAX && op.num_waiting <= op.waiting.size());
  Record record;
  record.kind = RecordKind::kAccept;
  record.delivered = op.delivered;
  record.num_chunks = static_cast<uint16_t>(chunks);
  record.frame_bytes = static_cast<uint32_t>(op.frame.size());
  record.id = op.id;
  record.to = op.to;
  record.number = op.number;
  record.time_ms = op.time_ms;
  record.waiting = op.waiting;
  record.num_waiting = op.num_waiting;
  const JournalPos pos = staged.next_pos++;
  Value value;
  for (size_t chunk = 0; chunk < chunks; ++chunk) {
    const auto key = pack_key(JournalKey{pos, static_cast<uint16_t>(chunk)});
    const Bytes part = op.frame.subspan(chunk * step, std::min(step, op.frame.size() - chunk * step));
    if (chunk == 0)
      pack_record(key, record, part, value);
    else
      pack_chunk(key, part, value);
    if (auto r = journal_.append(kJournalTable, key, value.bytes()); !r) return r;
  }
  op.place = {pos, false};
  staged.records.emplace_back(pos, record);
  return {};
}

Result<void> Writer::write_user(const UserRow& row) {
  const auto key = pack_key(row.id);
  Value value;
  pack_user(key, row, value);
  if (auto r = journal_.put(kUsersTable, key, value.bytes()); !r) return r;
  if (row.handle.empty()) return {};
  pack_number(bytes_of(row.handle), row.id, value);
  return journal_.put(kHandlesTable, bytes_of(row.handle), value.bytes());
}

Result<void> Writer::write_account(StoreOp& op, Outcome& outcome) {
  outcome = Outcome::kNotFound;
  UserId id = op.user_row.id;
  if (!op.handle.empty()) {
    if (op.handle.size() > kHandleBytesMax) return {};
    auto value = journal_.get(kHandlesTable, bytes_of(op.handle));
    if (!value && value.error().code != Errc::kNotFound) return value.error();
    if (value) {
      auto found = unpack_number(bytes_of(op.handle), *value);
      if (!found) return found.error();
      // Who is named by id stays that user, without a handle that is somebody else's.
      if (id == 0)
        id = *found;
      else if (id != *found)
        op.handle.clear();
    }
  } else if (id == 0) {
    return {};
  }
  if (id != 0) {
    auto value = journal_.get(kUsersTable, pack_key(id));
    if (!value && value.error().code != Errc::kNotFound) return value.error();
    if (value) {
      auto row = unpack_user(pack_key(id), *value);
      if (!row) return row.error();
      op.user_row = std::move(*row);
      outcome = Outcome::kDone;
      return {};
    }
  }
  if (!op.create) return {};
  while (id == 0) {
    id = random_.next() >> 1;
    if (id != 0 && journal_.get(kUsersTable, pack_key(id)).ok()) id = 0;
  }
  // What the caller filled in besides stays: a user made by the first login already has its device.
  op.user_row.id = id;
  if (!op.handle.empty()) op.user_row.handle = op.handle;
  outcome = Outcome::kDone;
  return write_user(op.user_row);
}

// A record that still holds something for these devices takes the confirmation, even when its row is written
// already: until the mover has finished, a stop makes the record count again.
bool Writer::in_journal(const StoreOp& op) {
  return op.place.pos >= moved_below_ && index_.find(op.place.pos, op.who.user) != nullptr;
}

// Also when the poster does not know yet that the mover was there.
bool Writer::in_tables(const StoreOp& op) {
  if (op.place.in_table || op.place.pos < moved_below_) return true;
  const Held* held = index_.find(op.place.pos, op.who.user);
  return held && held->copied;
}

Result<void> Writer::write_rows(std::span<StoreOp* const> row_ops) {
  return transact(tables_, [&]() -> Result<void> {
    for (const StoreOp* op : row_ops)
      if (auto r = write_row(*op); !r) return r;
    return {};
  });
}

Result<void> Writer::write_row(const StoreOp& op) {
  const Table table = mailbox_table(op.who.user);
  const auto key = pack_key(RowKey{op.who.user, op.number, 0});
  auto stored = tables_.get(table, key);
  if (!stored) {
    if (stored.error().code == Errc::kNotFound) return {};  // confirmed before: a repeat
    return stored.error();
  }
  Bytes part;
  auto row = unpack_row(key, *stored, &part);
  if (!row) return row.error();
  for (uint8_t i = 0; i < op.who.num; ++i) row->waiting.remove(op.who.devices[i]);
  if (row->waiting.num == 0) {
    for (uint16_t chunk = 0; chunk < row->num_chunks; ++chunk) {
      if (auto r = tables_.erase(table, pack_key(RowKey{op.who.user, op.number, chunk})); !r) return r;
    }
    return {};
  }
  if (op.kind == OpKind::kConfirm && row->to == op.who.user) row->reported = true;
  Value value;
  pack_row(key, *row, part, value);
  return tables_.put(table, key, value.bytes());
}

double Writer::fill() { return std::max(journal_.fill(), tables_.fill()); }

std::unique_ptr<Reader> Writer::make_reader() { return store::make_reader(journal_, tables_); }

}  // namespace perch::store
