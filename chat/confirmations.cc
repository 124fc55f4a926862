// The recipient's home core: what a device has confirmed, what that means for the record, and when its sender
// is told (delivery.md, Confirmations and receipts).
#include <optional>

#include "chat/core.h"

namespace perch::chat {

void Core::on_confirm(Bound& at, uint64_t count, Seq closed) {
  User& user = *at.user;
  Device& device = *at.device;
  Session& session = *device.session;
  if (count > session.num_confirmed + session.sent.size())
    return fail(session.conn, wire::ErrorCode::Confirm, "a confirmation of more than was sent");
  const int slot = user.slot_of(device.row.number);
  while (session.num_confirmed < count) {
    const Sent sent = session.sent.pop_front();
    session.sent_bytes -= sent.bytes;
    ++session.num_confirmed;
    if (sent.what == Sent::What::kItem) {
      item_confirmed(user, sent.position, slot);
    } else if (sent.what == Sent::What::kReceipt) {
      receipt_confirmed(device, sent.status->key, sent.status->up_to);
    } else {
      expired_confirmed(device, sent.status->id);
    }
  }
  if (session.sent.empty()) device.slow = false;
  closed_up_to(device, closed);
  on_heard(at);
  pump(user, slot);
  send_back_if_left_out(user, device);
}

// Brings the mailboxes up to date with the item's bits. It counts against the devices that it waits for; once
// it waits for none, against those whose CONFIRM is not written, since only that keeps it.
void Core::count(User& user, Item& item) {
  const auto now = item.mask != 0 ? item.mask : static_cast<SlotMask>(item.confirmed | item.unwritten);
  for (size_t slot = 0; slot < kSlots; ++slot) {
    const auto bit = static_cast<SlotMask>(1u << slot);
    if (((now ^ item.counted) & bit) == 0) continue;
    Device& device = *user.devices[slot];
    if (now & bit) {
      ++device.num_waiting;
      device.bytes_waiting += item.frame_bytes;
    } else {
      --device.num_waiting;
      device.bytes_waiting -= item.frame_bytes;
    }
  }
  item.counted = now;
}

void Core::item_confirmed(User& user, uint64_t position, int slot) {
  const auto found = user.items.find(position);
  PERCH_CHECK(found != user.items.end());
  Item& item = found->second;
  const auto bit = static_cast<SlotMask>(1u << slot);
  if ((item.mask & bit) == 0) return;
  item.mask &= static_cast<SlotMask>(~bit);
  switch (item.state) {
    case Item::State::kMemory:
      item.confirmed |= bit;
      if (item.mask != 0) return count(user, item);
      item.confirmed = 0;
      count(user, item);
      post(home(item.id.user), kHopDone, AnswerHop{item.flight, user.id, 0});
      if (item.report == Item::Report::kOwed) owes_nothing(user, item.id, position);
      user.items.erase(found);
      return;
    case Item::State::kStoring:  // CONFIRM is written only after STORED (H21)
      item.confirmed |= bit;
      return count(user, item);
    case Item::State::kStored:
      return write_confirm(user, position, bit);
  }
}

// CONFIRM is written only once the receipt it implies is safe (delivery.md H18).
void Core::write_confirm(User& user, uint64_t position, SlotMask slots) {
  Item& item = user.items.find(position)->second;
  item.confirmed = 0;
  if (item.report != Item::Report::kNotOwed) item.unwritten |= slots;
  count(user, item);
  if (item.report == Item::Report::kOwed) return release_reports(user, item.id);
  if (item.report == Item::Report::kPending) return;
  confirm_record(item.place, item.number, numbers_of(user, slots));
  drop_if_over(user, position);
}

void Core::start_report(User& user, uint64_t position) {
  Item& item = user.items.find(position)->second;
  item.report = Item::Report::kPending;
  post(home(item.id.user), kHopReceipt,
       ReceiptHop{item.id.user, item.id.device, user.id, item.id.origin, item.id.seq, position});
}

// A receipt says "delivered up to seq", so it must not be given while an earlier message of the same sender
// is on no device yet: a device that is newer than that message confirms later ones without ever getting it.
// Reports what may be reported of the messages of this one's origin.
void Core::release_reports(User& user, const MessageId& id) {
  std::optional<Seq> open;  // the first that is on no device; there may be two items of it
  auto at = user.owed.lower_bound({id.user, id.device, id.origin, 0});
  while (at != user.owed.end() && (!open || at->first.seq == *open)) {
    const auto& [owed, position] = *at;
    if (owed.user != id.user || owed.device != id.device || owed.origin != id.origin) return;
    const auto found = user.items.find(position);
    if (found == user.items.end() || found->second.unwritten == 0) {
      open = owed.seq;
      ++at;
    } else {
      start_report(user, position);
      at = user.owed.erase(at);
    }
  }
}

void Core::owes_nothing(User& user, const MessageId& id, uint64_t position) {
  const auto [begin, end] = user.owed.equal_range(id);
  for (auto at = begin; at != end; ++at) {
    if (at->second != position) continue;
    user.owed.erase(at);
    return release_reports(user, id);
  }
}

// Dropped, and its sender will be told: not before that does a receipt cover it (delivery.md H36).
void Core::owes_expired(User& user, const MessageId& id, uint64_t position) {
  user.owed.emplace(id, 0);
  owes_nothing(user, id, position);
}

void Core::drop_if_over(User& user, uint64_t position) {
  const auto found = user.items.find(position);
  const Item& item = found->second;
  if (item.mask != 0 || item.unwritten != 0 || item.report == Item::Report::kPending) return;
  PERCH_CHECK(item.counted == 0);
  user.items.erase(found);
}

}  // namespace perch::chat
