#include "store/writer.h"

#include <algorithm>

#include "core/check.h"
#include "store/meta.h"
#include "store/reader.h"

namespace perch::store {
namespace {

constexpr uint64_t kGranules = 16;  // the mover knows ages in such parts of its delay
constexpr uint64_t kServedStepMs = 1'000;

}  // namespace

Writer::Writer(Kv& journal, Kv& tables, const Limits& limits, Random& random)
    : journal_(journal),
      tables_(tables),
      limits_(limits),
      random_(random),
      index_(limits.move_after_ms / kGranules) {}

void Writer::apply(std::span<StoreOp* const> batch) {
  PERCH_CHECK(recovered_);
  if (poisoned_) return finish_all(batch, Status::kFailed);
  outcomes_.assign(batch.size(), Outcome::kDone);
  refuse_messages_over_reserve(batch);
  auto written = write_journal(batch, staged_);
  if (!written && written.error().code == Errc::kFull) {
    refuse(batch, [](const StoreOp& op) { return op.kind == OpKind::kAccept; });
    written = write_journal(batch, staged_);
  }
  if (!written && written.error().code == Errc::kFull) {
    refuse(batch, [this](const StoreOp& op) { return !is_row_only(op); });
    written = write_journal(batch, staged_);
  }
  if (!written) {
    poison();
    return finish_all(batch, Status::kFailed);
  }
  next_pos_ = staged_.next_pos;
  ceiling_ = staged_.ceiling;
  served_stored_ms_ = staged_.served_ms;
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
      case Outcome::kCorrupt:
        batch[i]->status = Status::kCorrupt;
        break;
    }
  }
}

void Writer::finish_all(std::span<StoreOp* const> batch, Status status) {
  for (StoreOp* op : batch) op->status = status;
}

// Admission is the cores' work (HOLD STORE_FULL), but what they have taken by then can be more than what is
// left. Once one message has no room none behind it has.
void Writer::refuse_messages_over_reserve(std::span<StoreOp* const> batch) {
  double filled = -1, capacity = 0;
  for (size_t i = 0; i < batch.size(); ++i) {
    const StoreOp& op = *batch[i];
    if (op.kind != OpKind::kAccept) continue;
    if (filled < 0) {
      filled = journal_.fill();
      capacity = static_cast<double>(journal_.capacity_bytes());
    }
    const double bytes = 1.2 * static_cast<double>(op.frame.size()) + 256;
    filled += bytes / capacity;
    if (filled > kMessagesUpTo) outcomes_[i] = Outcome::kFull;
  }
}

template <typename Which>
void Writer::refuse(std::span<StoreOp* const> batch, const Which& which) {
  for (size_t i = 0; i < batch.size(); ++i) outcomes_[i] = which(*batch[i]) ? Outcome::kFull : Outcome::kDone;
}

Result<void> Writer::write_journal(std::span<StoreOp* const> batch, Staged& staged) {
  staged.next_pos = next_pos_;
  staged.ceiling = ceiling_;
  staged.served_ms = served_stored_ms_;
  staged.records.clear();
  staged.row_ops.clear();
  bool begun = false;
  for (size_t i = 0; i < batch.size(); ++i) {
    if (outcomes_[i] == Outcome::kFull) continue;
    StoreOp& op = *batch[i];
    if (!is_row_only(op) && !begun) {
      if (auto r = begin_journal(staged); !r) return r;
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

// With the time that has been served, if it is not as good as known: so it needs no commit of its own.
Result<void> Writer::begin_journal(Staged& staged) {
  if (auto r = journal_.begin(); !r) return r;
  if (served_ms_ < staged.served_ms + kServedStepMs) return {};
  staged.served_ms = served_ms_;
  auto r = put_meta(journal_, kJournalMetaTable, MetaKey::kServed, served_ms_);
  if (!r) journal_.abort();
  return r;
}

Result<void> Writer::store_served() {
  if (poisoned_ || served_ms_ == served_stored_ms_) return {};
  auto stored =
      transact(journal_, [&] { return put_meta(journal_, kJournalMetaTable, MetaKey::kServed, served_ms_); });
  if (stored) served_stored_ms_ = served_ms_;
  if (!stored && stored.error().code != Errc::kFull) poison();
  return stored;
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
    case OpKind::kResult: {
      Record record;
      record.kind = RecordKind::kResult;
      record.id = op.id;
      record.to = op.to;
      record.number = op.number;
      record.delivered = op.delivered;
      return write_record(record, staged);
    }
    case OpKind::kUser:
      return write_user(op.user_row);
    case OpKind::kAccount:
      return write_account(op, outcome);
    case OpKind::kBlock:
      return write_block(op);
    case OpKind::kRevoke:
      return write_revocation(op);
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
  record.no_receipt = op.no_receipt;
  record.num_chunks = static_cast<uint16_t>(chunks);
  record.frame_bytes = static_cast<uint32_t>(op.frame.size());
  record.id = op.id;
  record.to = op.to;
  record.number = op.number;
  record.taken_ms = op.taken_ms;
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

// A record that still holds something for these devices takes the confirmation, even when its row is written
// already: until the mover has finished, a stop makes the record count again.
bool Writer::in_journal(const StoreOp& op) {
  return op.place.pos >= moved_below_ && index_.find(op.place.pos, op.who.user) != nullptr;
}

bool Writer::is_row_only(const StoreOp& op) { return op.kind == OpKind::kConfirm && !in_journal(op); }

// Whatever the poster knows of the mover.
bool Writer::in_tables(const StoreOp& op) { return op.place.in_table || op.place.pos < copied_below_; }

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

// A snapshot begins with its first read.
Result<Cut> Writer::cut() {
  const std::array<uint8_t, 1> key{static_cast<uint8_t>(MetaKey::kFormat)};
  Cut cut{journal_.snapshot(), tables_.snapshot()};
  if (auto begun = cut.journal->get(kJournalMetaTable, key); !begun) return begun.error();
  if (auto begun = cut.tables->get(kTablesMetaTable, key); !begun) return begun.error();
  return cut;
}

std::unique_ptr<Reader> Writer::make_reader() { return store::make_reader(journal_, tables_); }

}  // namespace perch::store
