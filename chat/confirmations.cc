// The recipient's home core: what a device has confirmed, what that means for the record, and when its sender
// is told (delivery.md, Confirmations and receipts).
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
      user.items.erase(found);
      return release_reports(user);
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
  if (item.report == Item::Report::kOwed) {
    if (owed_before(user, position)) {
      user.reports_wait = true;
    } else {
      start_report(user, position);
      release_reports(user);
    }
    return;
  }
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
bool Core::owed_before(const User& user, uint64_t position) const {
  const Item& item = user.items.find(position)->second;
  for (auto at = user.items.begin(); at->first < position; ++at) {
    const Item& earlier = at->second;
    if (earlier.report == Item::Report::kOwed && earlier.id.user == item.id.user &&
        earlier.id.device == item.id.device && earlier.id.origin == item.id.origin &&
        earlier.id.seq < item.id.seq)
      return true;
  }
  return false;
}

// An item has stopped owing its receipt: those that waited behind it may go.
void Core::release_reports(User& user) {
  if (!user.reports_wait) return;
  user.reports_wait = false;
  for (auto& [position, item] : user.items) {
    if (item.report != Item::Report::kOwed || item.unwritten == 0) continue;
    if (owed_before(user, position)) {
      user.reports_wait = true;
    } else {
      start_report(user, position);
    }
  }
}

void Core::drop_if_over(User& user, uint64_t position) {
  const auto found = user.items.find(position);
  const Item& item = found->second;
  if (item.mask != 0 || item.unwritten != 0 || item.report == Item::Report::kPending) return;
  PERCH_CHECK(item.counted == 0);
  user.items.erase(found);
}

}  // namespace perch::chat
