// Receipts: "delivered up to seq" for messages whose tick could not say it (H17 to H19 of the delivery
// rules). They are counted frames and wait on disk for a device that is away.
#include <algorithm>
#include <utility>

#include "chat/core.h"

namespace perch::chat {

using store::OpKind;
using store::StoreOp;

void Core::on_receipt(const store::ReceiptKey& key, Seq seq, const SafeHop& who, CoreId source) {
  metrics_.add(Metric::kReceipts);
  User* user = find_user(key.user);
  Device* device = user ? user->device(key.to_device) : nullptr;
  if (device == nullptr) return post(source, kHopSafe, who);  // nobody is left to be told
  PendingReceipt& pending = device->receipts[key];
  const bool raised = seq > pending.up_to;
  if (raised) {
    pending.up_to = seq;
    pending.stored = false;
  }
  pending.waiters.push_back({seq, who, source});
  if (!device->session) return store_receipt(key, pending.up_to);
  if (!raised) return;  // told on this session, or queued
  queue_receipt(*device->session, key, pending);
  pump(*user, user->slot_of(key.to_device));
}

void Core::queue_receipt(Session& session, const store::ReceiptKey& key, PendingReceipt& pending) {
  if (std::exchange(pending.queued_on, session.id) != session.id) session.receipts_to_tell.push_back(key);
}

// Tells a device the next status. EXPIRED goes first: a receipt may cover what has expired (delivery.md H36).
bool Core::tell_next(Device& device) {
  Session& session = *device.session;
  if (session.expired_to_tell.empty() && session.receipts_to_tell.empty()) return false;
  if (!has_room(session)) return false;
  Sent sent;
  sent.status = std::make_unique<Sent::Status>();
  if (!session.expired_to_tell.empty()) {
    const MessageId id = session.expired_to_tell.pop_front();
    const auto found = device.expired.find(id);
    if (found == device.expired.end()) return true;  // queued twice, confirmed between
    sent.what = Sent::What::kExpired;
    sent.status->id = id;
    if (!send(session, codec::expired(found->second, id.device, id.origin, id.seq))) return false;
  } else {
    const store::ReceiptKey key = session.receipts_to_tell.pop_front();
    PendingReceipt& pending = device.receipts.at(key);
    pending.queued_on = 0;
    sent.what = Sent::What::kReceipt;
    sent.status->key = key;
    sent.status->up_to = pending.up_to;
    if (!send(session, codec::receipt(key.peer, key.device, key.origin, pending.up_to))) return false;
  }
  session.sent.push_back(std::move(sent));
  return true;
}

void Core::store_receipt(const store::ReceiptKey& key, Seq up_to) {
  auto op = std::make_unique<StoreOp>();
  op->kind = OpKind::kReceipt;
  op->receipt_key = key;
  op->up_to = up_to;
  submit(std::move(op));
}

void Core::receipt_safe(PendingReceipt& pending, Seq up_to) {
  auto keep = pending.waiters.begin();
  for (const PendingReceipt::Waiter& waiter : pending.waiters) {
    if (waiter.seq <= up_to) {
      post(waiter.core, kHopSafe, waiter.who);
    } else {
      *keep++ = waiter;
    }
  }
  pending.waiters.erase(keep, pending.waiters.end());
}

void Core::receipt_confirmed(Device& device, const store::ReceiptKey& key, Seq up_to) {
  const auto found = device.receipts.find(key);
  if (found == device.receipts.end()) return;
  receipt_safe(found->second, up_to);
  if (found->second.up_to > up_to) return;
  device.receipts.erase(found);
  submit(receipt_ack(key, up_to));
}

std::unique_ptr<StoreOp> Core::receipt_ack(const store::ReceiptKey& key, Seq up_to) {
  auto op = std::make_unique<StoreOp>();
  op->kind = OpKind::kReceiptAck;
  op->receipt_key = key;
  op->up_to = up_to;
  return op;
}

void Core::on_safe(const SafeHop& hop) {
  if (hop.user == 0) {  // a late DONE of this core's flight: its CONFIRM may follow now
    Flight* flight = flights_.find(hop.flight);
    if (flight == nullptr) return;
    Party* party = flight->party(flight->to);
    if (flight->stored && party->listed) confirm_record(flight->place, flight->number, party->waiting);
    party->settled = true;
    return forget_if_over(*flight);
  }
  User* user = find_user(hop.user);
  if (user == nullptr) return;
  const auto found = user->items.find(hop.position);
  if (found == user->items.end()) return;
  Item& item = found->second;
  item.report = Item::Report::kNotOwed;
  const SlotMask slots = item.unwritten;
  item.unwritten = 0;
  if (slots != 0) {
    write_confirm(*user, hop.position, slots);
  } else {
    drop_if_over(*user, hop.position);
  }
}

}  // namespace perch::chat
