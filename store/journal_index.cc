#include "store/journal_index.h"

#include <algorithm>

namespace perch::store {

void JournalIndex::apply(JournalPos pos, const Record& record) {
  ++num_records_;
  switch (record.kind) {
    case RecordKind::kAccept: {
      for (uint8_t i = 0; i < record.num_waiting; ++i) {
        if (record.waiting[i].num == 0) continue;
        const bool recipient = record.waiting[i].user == record.to;
        held_.push_back({pos, record.waiting[i], recipient, record.delivered || record.no_receipt});
      }
      if (granules_.empty() || record.taken_ms > granules_.back().first_ms + granule_ms_) {
        granules_.push_back({pos, pos, record.taken_ms, record.taken_ms});
      }
      granules_.back().last = pos;
      granules_.back().last_ms = std::max(granules_.back().last_ms, record.taken_ms);
      break;
    }
    case RecordKind::kConfirm:
      remove(record.target, record.who, true);
      break;
    case RecordKind::kReceipt: {
      PendingReceipt& pending = receipts_[record.receipt_key];
      if (record.up_to >= pending.up_to) pending = {record.up_to, pos};
      break;
    }
    case RecordKind::kReceiptAck: {
      const auto found = receipts_.find(record.receipt_key);
      if (found != receipts_.end() && found->second.up_to <= record.up_to) receipts_.erase(found);
      break;
    }
    case RecordKind::kExpired:
      if (record.target) remove(record.target, record.who, false);
      if (record.tell.num) expired_[record.id] = {record.to, record.tell, pos};
      break;
    case RecordKind::kExpiredAck: {
      const auto found = expired_.find(record.id);
      if (found == expired_.end()) break;
      for (uint8_t i = 0; i < record.tell.num; ++i) found->second.tell.remove(record.tell.devices[i]);
      if (found->second.tell.num == 0) expired_.erase(found);
      break;
    }
    case RecordKind::kResult:
      break;  // waits for nobody
  }
}

Held* JournalIndex::find(JournalPos pos, UserId user) {
  auto at = std::lower_bound(held_.begin(), held_.end(), pos,
                             [](const Held& held, JournalPos wanted) { return held.pos < wanted; });
  for (; at != held_.end() && at->pos == pos; ++at) {
    if (at->waiting.user == user && at->waiting.num) return &*at;
  }
  return nullptr;
}

void JournalIndex::remove(JournalPos pos, const Waiting& who, bool confirmed) {
  Held* held = find(pos, who.user);
  if (!held) return;
  for (uint8_t i = 0; i < who.num; ++i) held->waiting.remove(who.devices[i]);
  // A confirmation is written only when its receipt is safe (DELIVERY.md, Confirmations and receipts).
  if (confirmed && held->recipient) held->reported = true;
  if (held->waiting.num) return;
  ++num_done_;
  sweep();
}

void JournalIndex::sweep() {
  while (!held_.empty() && held_.front().waiting.num == 0) {
    held_.pop_front();
    --num_done_;
  }
  // Confirmations come in any order: one that waits long must not keep all behind it in memory.
  if (num_done_ > 1024 && num_done_ > held_.size() / 2) {
    std::erase_if(held_, [](const Held& held) { return held.waiting.num == 0; });
    num_done_ = 0;
  }
}

void JournalIndex::trim(JournalPos below) {
  while (!held_.empty() && held_.front().pos < below) {
    if (held_.front().waiting.num == 0) --num_done_;
    held_.pop_front();
  }
  while (!granules_.empty() && granules_.front().last < below) granules_.pop_front();
  num_records_ = 0;
}

JournalPos JournalIndex::old_end(uint64_t now_ms, uint64_t age_ms, JournalPos head) {
  for (Granule& granule : granules_) {
    granule.first_ms = std::min(granule.first_ms, now_ms);
    granule.last_ms = std::min(granule.last_ms, now_ms);
  }
  if (granules_.empty()) {
    return num_records_ > kIdleRecordsMax + 2 * (receipts_.size() + expired_.size()) ? head : 0;
  }
  if (granules_.front().last_ms + age_ms > now_ms) return 0;
  for (const Granule& granule : granules_)
    if (granule.last_ms + age_ms > now_ms) return granule.first;
  return head;
}

}  // namespace perch::store
