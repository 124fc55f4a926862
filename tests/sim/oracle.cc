#include "oracle.h"

#include <algorithm>

#include "codec/frame.h"
#include "store/keyspace.h"

namespace perch::sim {

using client::Insert;
using client::Mark;

size_t Oracle::add_device(UserId user, const client::MemoryStore& store) {
  devices_.push_back({user, 0, &store});
  return devices_.size() - 1;
}

void Oracle::registered(size_t device, DeviceNo number) {
  DeviceNo& known = devices_[device].number;
  if (known != 0 && known != number) fail("H29 a device got another number: " + name(device));
  known = number;
}

void Oracle::told_gap(size_t device) {
  if (!may_overflow_ && expiry_ms_ == 0) fail("H12 told of a gap that cannot be: " + name(device));
  devices_[device].gap_told = ++now_;
  ++num_gaps_;
}

// What was promised to others about its messages stays promised. The device itself forgets what it has not
// got on the copy, and may send again what was closed since.
void Oracle::restoring(size_t device, const client::MemoryStore& older) {
  devices_[device].restored = ++now_;
  devices_[device].rewound = older.rows().empty() ? 0 : older.rows().rbegin()->first;
  std::erase_if(last_from_, [device](const auto& entry) { return std::get<0>(entry.first) == device; });
  std::erase_if(arrived_, [device](const auto& entry) {
    return std::get<0>(entry.first) == device || std::get<1>(entry.first) == device;
  });
  std::erase_if(read_by_row_, [&](const auto& entry) {
    const SentRead& read = reads_[entry.second];
    if (read.device != device) return false;
    const auto row = older.rows().find(read.row);
    return row == older.rows().end() || row->second.status.seq != read.seq ||
           row->second.status.origin != read.id.origin;
  });
  for (Sent& sent : messages_) {
    if (sent.has.contains(device) && !older.inbox().contains(id_of(sent))) {
      sent.has.erase(device);
      sent.had.insert(device);
    }
    if (sent.device != device || sent.gone) continue;
    const auto row = older.rows().find(sent.row);
    if (row == older.rows().end() || row->second.status.seq != sent.seq ||
        row->second.status.origin != status(sent).origin) {
      sent.gone = status(sent);
      by_row_.erase({device, sent.row});
      if (sent.to_send_again) note_lost(sent);
    } else {
      sent.rewound = true;
      // A copy that has not heard of the server's incarnation opens again what was accepted before it.
      const bool opens = server_restored_ != 0 && row->second.status.mark == Mark::kAccepted;
      sent.closed = !row->second.status.open && !opens;
    }
  }
  may_be_for_nobody([this](const Pair& pair) { return may_block_.contains(pair); });
}

void Oracle::server_restored() {
  server_restored_ = ++now_;
  may_block_ = ever_blocked_;  // the copy may be from a time when they did
  blocks_.clear();
  for (Sent& sent : messages_) {
    const client::RowStatus& row = status(sent);
    if (row.mark == Mark::kAccepted && !sent.gone) {
      sent.rewound = sent.to_send_again = true;
      sent.closed = false;
    } else if (!row.open) {
      note_lost(sent);
    }
  }
  may_be_for_nobody([this](const Pair& pair) { return may_block_.contains(pair); });
}

// Of what is not closed.
template <typename Which>
void Oracle::may_be_for_nobody(const Which& which) {
  for (Sent& sent : messages_) {
    const Pair pair{sent.to, devices_[sent.device].user};
    if (!sent.closed && which(pair)) sent.may_be_for_nobody = true;
    if (!sent.closed && !blocks_.contains(pair)) sent.is_for_nobody = false;
  }
  for (SentRead& read : reads_)
    if (!read.accepted && which(Pair{read.to, devices_[read.device].user})) read.may_be_for_nobody = true;
}

void Oracle::block_asked(UserId user, UserId whom, bool on) {
  const Pair pair{user, whom};
  ++block_changes_[pair];
  if (on) {
    ever_blocked_.insert(pair);
    may_block_.insert(pair);
  } else {
    blocks_.erase(pair);
  }
  may_be_for_nobody([&](const Pair& of) { return of == pair && may_block_.contains(of); });
}

void Oracle::block_answered(UserId user, UserId whom, bool on) {
  const Pair pair{user, whom};
  if (--block_changes_[pair] > 0) return;
  if (on) {
    blocks_.insert(pair);
  } else {
    may_block_.erase(pair);
  }
}

// Nobody has it any more who would send it again.
void Oracle::note_lost(Sent& sent) {
  for (size_t device = 0; device < devices_.size(); ++device)
    if (number_on(sent, device) != status(sent).number) sent.lost_number.insert(device);
  for (const size_t device : sent.owed)
    if (!sent.has.contains(device) && !on_disk(id_of(sent), device)) sent.lost.insert(device);
}

std::string Oracle::name(size_t device) const {
  return std::to_string(devices_[device].user) + "/" + std::to_string(device);
}

std::string Oracle::describe(const Sent& sent) const {
  return sent.body.substr(0, sent.body.find(' ')) + " from " + name(sent.device) + " seq " +
         std::to_string(sent.seq) + " to " + std::to_string(sent.to);
}

const client::RowStatus& Oracle::status(const Sent& sent) const {
  if (sent.gone) return *sent.gone;
  return devices_[sent.device].store->rows().at(sent.row).status;
}

void Oracle::compose(size_t device, UserId to, client::RowId row, Composed& out) {
  out.device = device;
  out.to = to;
  out.row = row;
  out.seq = devices_[device].store->rows().at(row).status.seq;
  out.at = ++now_;
  out.at_ms = clock_.mono_ms();
  out.stops = num_stops_;
  const Pair pair{to, devices_[device].user};
  out.may_be_for_nobody = may_block_.contains(pair);
  out.is_for_nobody = blocks_.contains(pair);
  for (size_t other = 0; other < devices_.size(); ++other) {
    if (other == device || devices_[other].number == 0) continue;
    if (devices_[other].user == to || devices_[other].user == devices_[device].user)
      out.owed.push_back(other);
  }
}

void Oracle::composed(size_t device, UserId to, client::RowId row, const std::string& body) {
  Sent sent;
  compose(device, to, row, sent);
  sent.body = body;
  sent.recipient_known = to == devices_[device].user || std::ranges::any_of(sent.owed, [&](size_t other) {
                           return devices_[other].user == to;
                         });
  const auto question = last_from_.find({device, to});
  if (question != last_from_.end()) {
    sent.question = question->second;
    sent.question_number = number_on(messages_[sent.question], device);
  }
  by_body_[body] = messages_.size();
  by_row_[{device, row}] = messages_.size();
  messages_.push_back(std::move(sent));
}

void Oracle::received(size_t device, const client::InboxMessage& message, Insert insert) {
  const std::string body(message.body.begin(), message.body.end());
  const auto found = by_body_.find(body);
  if (found == by_body_.end()) {
    // Which byte is the first that is not the composed one: a lost, doubled or foreign piece shows by its
    // offset.
    size_t same = 0;
    for (const auto& [known, at] : by_body_) {
      size_t i = 0;
      while (i < std::min(known.size(), body.size()) && known[i] == body[i]) ++i;
      if (known.starts_with(body.substr(0, body.find(' ') + 1))) same = std::max(same, i);
    }
    return fail("a device has a message that nobody sent: " + body.substr(0, body.find(' ')) + " at " +
                name(device) + ", of " + std::to_string(body.size()) + " bytes the first " +
                std::to_string(same) + " are right");
  }
  const size_t index = found->second;
  Sent& sent = messages_[index];
  const OracleDevice& sender = devices_[sent.device];
  if (insert == Insert::kVariant) return fail("S2 another message under a known id: " + describe(sent));
  if (insert == Insert::kRenumbered) {
    sent.renumbered = true;
    ++num_renumbered_;
    // A device that was away may learn the new number late, but no number grows after its row is closed.
    if (sent.closed && message.number > status(sent).number && !sent.rewound)
      fail("H5 renumbered after its row was closed: " + describe(sent));
    if (sent.stops == num_stops_ && !sent.rewound) fail("S12 renumbered without a stop: " + describe(sent));
  }
  if (insert == Insert::kNew) {
    ++num_deliveries_;
    if (sent.is_for_nobody && devices_[device].user == sent.to)
      fail("H31 shown to somebody who blocks its sender: " + describe(sent) + " at " + name(device));
    if (device == sent.device) return fail("a message came back to its sender: " + describe(sent));
    if (devices_[device].user != sent.to && devices_[device].user != sender.user)
      return fail("a message reached a stranger: " + describe(sent) + " at " + name(device));
    if (!sent.has.insert(device).second)
      return fail("S2 applied twice: " + describe(sent) + " at " + name(device));
    if (message.id.user != sender.user || message.id.seq != sent.seq ||
        (sender.number != 0 && message.id.device != sender.number))
      fail("a message has the id of another: " + describe(sent));
    if (status(sent).mark == Mark::kRejected && sent.stops == num_stops_ && !sent.rewound)
      fail("S6 rejected and shown: " + describe(sent));
    // Arrival order is promised for what was never rejected. What a stop of the server made be taken again
    // may have been, in an answer that was lost with it, where mailboxes are small or nobody had seen the
    // recipient, or it was for nobody. Nor is it promised then to a device that had registered after it was
    // composed, or has forgotten it, or missed it and was told so.
    const bool rejected_unheard = may_overflow_ || !sent.recipient_known || sent.may_be_for_nobody;
    const bool was_passed_over = sent.had.contains(device) || knows_gap(sent, device) ||
                                 std::ranges::find(sent.owed, device) == sent.owed.end();
    const bool excused = may_be_taken_again(sent) && (rejected_unheard || was_passed_over);
    if (!sent.gone && !sent.rewound && !excused) {
      Seq& last = arrived_[{device, sent.device, sent.to}];
      if (sent.seq < last)
        fail("S5 arrived after seq " + std::to_string(last) + ": " + describe(sent) + " at " + name(device));
      last = std::max(last, sent.seq);
    }
  }
  const UserId peer = sender.user == devices_[device].user ? sent.to : sender.user;
  const auto last = last_from_.find({device, peer});
  if (last == last_from_.end() || number_on(messages_[last->second], device) <= message.number)
    last_from_[{device, peer}] = index;
}

Number Oracle::number_on(const Sent& sent, size_t device) const {
  const auto& inbox = devices_[device].store->inbox();
  const auto found = inbox.find(id_of(sent));
  return found == inbox.end() ? 0 : found->second.message.number;
}

void Oracle::row_changed(size_t device, const client::RowStatus& row) {
  const auto found = by_row_.find({device, row.row});
  if (found == by_row_.end()) {
    const auto read = read_by_row_.find({device, row.row});
    if (read != read_by_row_.end()) read_changed(reads_[read->second], row);
    return;
  }
  Sent& sent = messages_[found->second];
  if (row.mark == Mark::kRejected) {
    if (!sent.closed) ++num_rejected_;
    const bool full = may_overflow_ && row.reason == static_cast<uint8_t>(wire::RejectReason::MailboxFull);
    num_full_ += full;
    if (sent.recipient_known && !full)
      fail("rejected (" + std::to_string(row.reason) + ") though it could be delivered: " + describe(sent));
    // A row that a restored database sends again is a new message to a server that has forgotten it.
    if (!sent.has.empty() && sent.stops == num_stops_ && !sent.rewound)
      fail("S6 shown and rejected: " + describe(sent));
  } else if (row.mark == Mark::kExpired) {
    ++num_expired_;
    if (!may_have_expired(sent)) fail("H36 expired before its time: " + describe(sent));
  } else if ((row.mark == Mark::kDelivered || row.mark == Mark::kRead) && sent.to != devices_[device].user) {
    const auto theirs = [&](size_t other) { return devices_[other].user == sent.to; };
    // A device that was put back to before it heard of an expiry lets a later receipt mark it.
    const bool forgot_expiry = sent.rewound && may_have_expired(sent);
    if (!forgot_expiry && !std::ranges::any_of(sent.has, theirs) && !std::ranges::any_of(sent.had, theirs))
      fail("S1 shown as delivered, but no device of the recipient has it: " + describe(sent));
  }
  if (row.open || sent.closed) return;
  sent.closed = true;
  sent.to_send_again = false;
  for (const auto& [id, other] : devices_[device].store->rows()) {
    if (std::min(id, row.row) > devices_[device].rewound && other.status.to == row.to && other.status.open &&
        other.status.seq != 0 && other.status.seq < row.seq)
      fail("S7 closed before seq " + std::to_string(other.status.seq) + ": " + describe(sent));
  }
  if (row.mark != Mark::kRejected) check_safe(sent);
}

void Oracle::check_safe(const Sent& sent) {
  for (const size_t device : sent.owed) {
    if (sent.has.contains(device) || on_disk(id_of(sent), device)) continue;
    if (may_miss(sent, device)) continue;
    fail("S1 ticked, but neither on " + name(device) + " nor in a flushed record for it: " + describe(sent));
  }
}

// Whether a restart at this moment would find a record that names the device.
bool Oracle::on_disk(const MessageId& id, size_t device) const {
  const OracleDevice& to = devices_[device];
  std::map<JournalPos, bool> named;
  for (const auto& [key, value] : journal_.committed(store::kJournalTable)) {
    const auto at = store::unpack_journal_key(key);
    if (!at || at->chunk != 0) continue;
    const auto record = store::unpack_record(key, value, nullptr);
    if (!record) continue;
    if (record->kind == store::RecordKind::kAccept && record->id == id) {
      for (uint8_t i = 0; i < record->num_waiting; ++i)
        if (record->waiting[i].user == to.user && record->waiting[i].has(to.number)) named[at->pos] = true;
    }
    if (record->kind == store::RecordKind::kConfirm && record->who.user == to.user &&
        record->who.has(to.number))
      named.erase(record->target);
  }
  if (!named.empty()) return true;
  for (const auto& [key, value] : tables_.committed(store::mailbox_table(to.user))) {
    const auto at = store::unpack_row_key(key);
    if (!at || at->chunk != 0 || at->user != to.user) continue;
    const auto row = store::unpack_row(key, value, nullptr);
    if (row && row->id == id && row->waiting.has(to.number)) return true;
  }
  return false;
}

// Whether a restart at this moment would know that messages for the device were dropped.
bool Oracle::gap_noted(size_t device) const {
  const OracleDevice& to = devices_[device];
  const auto& users = journal_.committed(store::kUsersTable);
  const auto key = store::pack_key(to.user);
  const auto found = users.find({key.begin(), key.end()});
  if (found == users.end()) return false;
  const auto row = store::unpack_user(found->first, found->second);
  if (!row) return false;
  return std::ranges::any_of(row->devices, [&](const auto& known) {
    return known.number == to.number && (known.overflowed || known.missed);
  });
}

std::optional<std::string> Oracle::first_missing() const {
  for (const Sent& sent : messages_) {
    const client::RowStatus& row = status(sent);
    if (row.open && sent.gone) continue;  // nobody knows of it any more who could send it
    if (row.open) return "S3 no result: " + describe(sent);
    if (row.mark == Mark::kRejected) continue;
    for (const size_t device : sent.owed)
      if (!sent.has.contains(device) && !may_miss(sent, device))
        return "S3 not on " + name(device) + ": " + describe(sent);
    if (sent.gone || sent.rewound) continue;  // it was told, and the device has forgotten
    // A note to oneself that was stored is not reported back: the sender is its own recipient.
    if (row.mark < Mark::kDelivered && !sent.may_be_for_nobody && sent.to != devices_[sent.device].user)
      return "S8 never shown as delivered: " + describe(sent);
  }
  for (const OracleDevice& device : devices_)
    if (std::ranges::any_of(device.store->rows(), [](const auto& row) { return row.second.status.open; }))
      return "S3 an open read mark of " + std::to_string(device.user);
  return first_missing_read();
}

void Oracle::check_numbers() {
  std::map<Number, const Sent*> numbers;
  std::map<std::tuple<size_t, UserId>, const Sent*> before;  // sending device, conversation
  for (const Sent& sent : messages_) {
    const client::RowStatus& row = status(sent);
    if (row.mark == Mark::kRejected || (sent.gone && row.open)) continue;
    // A restored database may send again what its row's number was dropped for: recipients then have a larger
    // one, and a later answer from the disk may still be the first. A recipient that is restored, or misses
    // what a stop made be taken again, may have the number from before.
    for (const size_t device : sent.has) {
      const bool excused =
          may_be_taken_again(sent) && (devices_[device].restored > sent.at || may_miss(sent, device) ||
                                       sent.lost_number.contains(device));
      if (!sent.rewound && !excused && number_on(sent, device) != row.number)
        fail("S4 number " + std::to_string(row.number) + " at the sender, " +
             std::to_string(number_on(sent, device)) + " at " + name(device) + ": " + describe(sent));
    }
    if (sent.gone || sent.rewound) continue;
    const auto [other, added] = numbers.emplace(row.number, &sent);
    if (!added) fail("S4 one number for " + describe(sent) + " and " + describe(*other->second));
    const Sent*& last = before[{sent.device, sent.to}];
    if (last != nullptr && status(*last).number >= row.number)
      fail("S4 numbers do not grow from " + describe(*last) + " to " + describe(sent));
    last = &sent;
    if (sent.question != kNone) {
      const Sent& question = messages_[sent.question];
      if (!question.gone && !question.rewound && status(question).number == sent.question_number &&
          sent.question_number >= row.number)
        fail("S4 a reply before its question: " + describe(sent) + " after " + describe(question));
    }
  }
}

}  // namespace perch::sim
