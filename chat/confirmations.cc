// The recipient's home core: what a device has confirmed, what that means for the record, and when its sender
// is told (DELIVERY.md, Confirmations and receipts).
#include <algorithm>

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
void Core::charge_mailboxes(User& user, Item& item) {
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
      if (item.mask != 0) return charge_mailboxes(user, item);
      item.confirmed = 0;
      charge_mailboxes(user, item);
      post(home(item.id.user), kHopDone, DoneHop{item.flight, user.id, run_of(user, item.id)});
      if (item.report == Item::Report::kOwed) owes_nothing(user, item.id, position);
      user.items.erase(found);
      return;
    case Item::State::kStoring:  // CONFIRM is written only after STORED (H21)
      item.confirmed |= bit;
      return charge_mailboxes(user, item);
    case Item::State::kStored:
      return write_confirm(user, position, bit);
  }
}

// CONFIRM is written only once the receipt it implies is safe (DELIVERY.md H18).
void Core::write_confirm(User& user, uint64_t position, SlotMask slots) {
  Item& item = user.items.find(position)->second;
  item.confirmed = 0;
  if (item.report == Item::Report::kOwed) start_report(user, position);
  if (item.report == Item::Report::kPending) {
    item.unwritten |= slots;
    return charge_mailboxes(user, item);
  }
  charge_mailboxes(user, item);
  confirm_record(item.place, item.number, numbers_of(user, slots));
  drop_if_over(user, position);
}

void Core::start_report(User& user, uint64_t position) {
  Item& item = user.items.find(position)->second;
  item.report = Item::Report::kPending;
  owes_nothing(user, item.id, position);
  post(home(item.id.user), kHopReceipt,
       ReceiptHop{item.id.user, item.id.device, user.id, item.id.origin, run_of(user, item.id), item.id.seq,
                  position});
}

// A receipt says "delivered, from seq to seq", so none may cover an earlier message of the same sender that
// is on no device yet: a device that is newer than that message confirms later ones without ever getting it.
// Where the run begins that one for this message may cover. Nothing waits for the earlier message: its device
// may be switched off for ever (DELIVERY.md H18b). Of somebody who was ever blocked it is for this message
// alone: one before it may have been for nobody (DELIVERY.md H31).
Seq Core::run_of(const User& user, const MessageId& id) const {
  if (ever_blocked(user.id, id.user)) return id.seq;
  auto at = user.owed.lower_bound(id);
  if (at == user.owed.begin()) return 0;
  const MessageId& before = (--at)->first;
  const bool same = before.user == id.user && before.device == id.device && before.origin == id.origin;
  return same ? before.seq + 1 : 0;
}

void Core::owes_nothing(User& user, const MessageId& id, uint64_t position) {
  const auto [begin, end] = user.owed.equal_range(id);
  const auto found =
      std::find_if(begin, end, [position](const auto& owed) { return owed.second == position; });
  if (found != end) user.owed.erase(found);
}

// Dropped, and its sender will be told: not before that does a receipt cover it (DELIVERY.md H36).
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
