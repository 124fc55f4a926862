#include "client/memory_store.h"

#include <algorithm>
#include <ranges>

#include "core/check.h"

namespace perch::client {

void MemoryStore::reopen(Random& random) {
  if (welcomed_) identity_.previous_origin = identity_.origin;
  welcomed_ = false;
  do identity_.origin = random.next();
  while (identity_.origin == 0);
}

void MemoryStore::begin() {
  PERCH_CHECK(!in_transaction_);
  in_transaction_ = true;
}

Result<void> MemoryStore::commit() {
  PERCH_CHECK(in_transaction_);
  in_transaction_ = false;
  if (failure_) return *failure_;
  num_commits_++;
  return {};
}

void MemoryStore::set_login(UserId user, DeviceNo device, uint64_t incarnation, std::string_view handle) {
  identity_.user = user;
  identity_.device = device;
  identity_.incarnation = incarnation;
  identity_.handle = handle;
  welcomed_ = true;
}

void MemoryStore::raise_after(Number number) { identity_.after = std::max(identity_.after, number); }

void MemoryStore::set_handle(std::string_view handle, UserId user) { handles_[std::string(handle)] = user; }

Result<UserId> MemoryStore::user_of(std::string_view handle) {
  const auto found = handles_.find(handle);
  return found == handles_.end() ? UserId{0} : found->second;
}

RowId MemoryStore::add_row(const NewRow& row) {
  PERCH_CHECK(in_transaction_);
  if (row.kind == RowKind::kRead) {
    std::erase_if(rows_, [&](const auto& entry) {
      const Row& old = entry.second;
      const bool same = old.status.kind == RowKind::kRead && !old.sent && old.status.open &&
                        old.composed.to == row.to && old.composed.read.device == row.read.device &&
                        old.composed.read.origin == row.read.origin;
      if (same) {
        waiting_.erase(entry.first);
        open_.erase(old.status.seq);
        by_seq_.erase(old.status.seq);
      }
      return same;
    });
  }
  const RowId id = next_row_++;
  Row& added = rows_[id];
  added.composed = row;
  added.status.row = id;
  added.status.kind = row.kind;
  added.status.to = row.to;
  added.status.time_ms = row.time_ms;
  waiting_.insert(id);
  return id;
}

void MemoryStore::bind_row(RowId row, UserId to, Seq seq, Bytes frame) {
  PERCH_CHECK(in_transaction_);
  Row& bound = rows_.at(row);
  bound.status.to = to;
  bound.status.origin = identity_.origin;
  bound.status.seq = seq;
  bound.frame.assign(frame.begin(), frame.end());
  if (!keep_history_) bound.composed.body.clear();
  waiting_.erase(row);
  by_seq_[seq] = row;
  open_.insert(seq);
}

void MemoryStore::mark_sent(Seq seq) { rows_.at(by_seq_.at(seq)).sent = true; }

Result<std::vector<WaitingRow>> MemoryStore::bindable_rows(size_t limit) {
  if (read_failure_) return *read_failure_;
  std::vector<WaitingRow> out;
  for (const RowId id : waiting_) {
    if (out.size() == limit) break;
    const Row& row = rows_.at(id);
    const UserId to = row.composed.to != 0 ? row.composed.to : *user_of(row.composed.handle);
    if (to == 0) continue;
    out.push_back({id, row.status.kind, to, row.composed.content, row.composed.body, row.composed.read});
  }
  return out;
}

Result<std::vector<std::string>> MemoryStore::unresolved_handles() {
  if (read_failure_) return *read_failure_;
  std::set<std::string> out;
  for (const RowId id : waiting_) {
    const Row& row = rows_.at(id);
    if (row.composed.to == 0 && *user_of(row.composed.handle) == 0) out.insert(row.composed.handle);
  }
  return std::vector<std::string>(out.begin(), out.end());
}

Result<std::vector<OpenRow>> MemoryStore::open_rows(Seq above, size_t limit) {
  if (read_failure_) return *read_failure_;
  std::vector<OpenRow> out;
  for (auto it = open_.upper_bound(above); it != open_.end() && out.size() < limit; ++it) {
    const Row& row = rows_.at(by_seq_.at(*it));
    out.push_back({row.status.row, row.status.origin, *it, row.sent, row.frame});
  }
  return out;
}

Result<RowStatus> MemoryStore::status(RowId row) {
  const auto found = rows_.find(row);
  if (found == rows_.end()) return Error{Errc::kNotFound};
  return found->second.status;
}

std::optional<RowStatus> MemoryStore::close_row(Origin origin, Seq seq, Mark mark, uint8_t reason,
                                                Number number, uint64_t time_ms) {
  PERCH_CHECK(in_transaction_);
  const auto found = by_seq_.find(seq);
  if (found == by_seq_.end()) return std::nullopt;
  RowStatus& status = rows_.at(found->second).status;
  if (status.origin != origin) return std::nullopt;
  const RowStatus before = status;
  if (!merge_result(status, mark, reason, number, time_ms)) return std::nullopt;
  if (before.open) open_.erase(seq);
  const RowStatus after = status;
  if (!keep_history_) {
    rows_.erase(found->second);
    by_seq_.erase(found);
  }
  return after;
}

std::vector<RowStatus> MemoryStore::reject_handle(std::string_view handle, uint8_t reason) {
  std::vector<RowStatus> out;
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    Row& row = rows_.at(*it);
    if (row.composed.to != 0 || row.composed.handle != handle) {
      ++it;
      continue;
    }
    row.status.open = false;
    row.status.mark = Mark::kRejected;
    row.status.reason = reason;
    out.push_back(row.status);
    it = waiting_.erase(it);
  }
  return out;
}

// Does `change` to the messages to `peer` from there to there. Returns those for which it is true.
template <typename Change>
std::vector<RowStatus> MemoryStore::change_rows(UserId peer, Origin origin, Seq first, Seq up_to,
                                                Change change) {
  PERCH_CHECK(in_transaction_);
  std::vector<RowStatus> out;
  for (auto it = by_seq_.lower_bound(first); it != by_seq_.end() && it->first <= up_to; ++it) {
    RowStatus& row = rows_.at(it->second).status;
    if (row.kind != RowKind::kMessage || row.to != peer || row.origin != origin) continue;
    if (change(row)) out.push_back(row);
  }
  return out;
}

std::vector<RowStatus> MemoryStore::rows_delivered(UserId peer, Origin origin, Seq first, Seq up_to) {
  return change_rows(peer, origin, first, up_to, [](RowStatus& row) {
    if (row.open || row.mark >= Mark::kDelivered) return false;
    row.mark = row.read ? Mark::kRead : Mark::kDelivered;
    return true;
  });
}

std::vector<RowStatus> MemoryStore::rows_read(UserId peer, Origin origin, Seq up_to) {
  return change_rows(peer, origin, 0, up_to, [](RowStatus& row) {
    row.read = true;
    if (row.mark != Mark::kDelivered) return false;
    row.mark = Mark::kRead;
    return true;
  });
}

std::optional<RowStatus> MemoryStore::expire_row(UserId peer, Origin origin, Seq seq) {
  const auto found = by_seq_.find(seq);
  if (found == by_seq_.end()) return std::nullopt;
  RowStatus& status = rows_.at(found->second).status;
  if (status.origin != origin || status.to != peer || status.mark > Mark::kAccepted) return std::nullopt;
  status.mark = Mark::kExpired;
  return status;
}

size_t MemoryStore::reopen_accepted() {
  size_t num = 0;
  std::map<std::tuple<UserId, DeviceNo, Origin>, Seq> covered;  // by later reads
  for (auto& [id, row] : std::views::reverse(rows_)) {
    RowStatus& status = row.status;
    bool again = !status.open && status.mark == Mark::kAccepted;
    if (status.kind == RowKind::kRead && status.mark < Mark::kRejected) {
      const ReadMark& read = row.composed.read;
      Seq& later = covered[{status.to, read.device, read.origin}];
      again = again && later < read.up_to;
      later = std::max(later, read.up_to);
    }
    if (!again) continue;
    status.open = true;
    status.mark = Mark::kQueued;
    open_.insert(status.seq);
    num++;
  }
  return num;
}

// A number moves only to a later place, behind all that its sender had: a known message with a number above
// the largest is renumbered, one with a smaller number is the same again.
Insert MemoryStore::insert_without_history(const InboxMessage& message) {
  Stream& stream = streams_[{message.id.user, message.id.device, message.id.origin}];
  const bool later = message.number > stream.largest;
  if (later) stream.largest = message.number;
  if (stream.seen.insert(message.id.seq)) return Insert::kNew;
  return later ? Insert::kRenumbered : Insert::kKnown;
}

Insert MemoryStore::insert_message(InboxMessage& message) {
  PERCH_CHECK(in_transaction_);
  if (!keep_history_) return insert_without_history(message);
  const auto [it, added] = inbox_.try_emplace(message.id);
  Received& known = it->second;
  if (added) {
    known.message = message;
    known.read = message.id.user == identity_.user;  // a copy of what another device of this user sent
    return Insert::kNew;
  }
  const auto same = [&](const InboxMessage& other) {
    return other.id == message.id && other.content == message.content && other.body == message.body;
  };
  InboxMessage* match = nullptr;
  if (same(known.message)) match = &known.message;
  for (InboxMessage& variant : variants_) {
    if (match == nullptr && same(variant)) match = &variant;
    if (variant.id == message.id) message.variant = std::max(message.variant, variant.variant);
  }
  if (match == nullptr) {
    message.variant++;
    variants_.push_back(message);
    return Insert::kVariant;
  }
  message.variant = match->variant;
  if (message.number <= match->number) return Insert::kKnown;
  match->number = message.number;
  match->time_ms = message.time_ms;
  return Insert::kRenumbered;
}

void MemoryStore::mark_copies(UserId me, DeviceNo device, UserId peer, Origin origin, Seq first, Seq up_to,
                              Mark mark) {
  for (auto it = inbox_.lower_bound(MessageId{me, device, origin, first});
       it != inbox_.end() && it->first <= MessageId{me, device, origin, up_to}; ++it) {
    InboxMessage& copy = it->second.message;
    if (copy.peer == peer && copy.mark < mark) copy.mark = mark;
  }
}

void MemoryStore::expire_copy(UserId me, DeviceNo device, Origin origin, Seq seq) {
  const auto found = inbox_.find(MessageId{me, device, origin, seq});
  if (found == inbox_.end() || found->second.message.mark > Mark::kAccepted) return;
  found->second.message.mark = Mark::kExpired;
}

void MemoryStore::mark_inbox_read(UserId peer, const ReadMark& mark) {
  const MessageId first{peer, mark.device, mark.origin, 0}, last{peer, mark.device, mark.origin, mark.up_to};
  for (auto it = inbox_.lower_bound(first); it != inbox_.end() && it->first <= last; ++it)
    it->second.read = true;
}

Result<std::vector<ReadMark>> MemoryStore::unread(UserId peer) {
  std::map<std::pair<DeviceNo, Origin>, Seq> marks;
  for (auto it = inbox_.lower_bound(MessageId{peer, 0, 0, 0}); it != inbox_.end() && it->first.user == peer;
       ++it) {
    if (!it->second.read) marks[{it->first.device, it->first.origin}] = it->first.seq;
  }
  std::vector<ReadMark> out;
  for (const auto& [key, up_to] : marks) out.push_back({key.first, key.second, up_to});
  return out;
}

}  // namespace perch::client
