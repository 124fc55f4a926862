// Receipts: "delivered from seq to seq" for messages whose tick could not say it (DELIVERY.md H17 to
// H18e). They are counted frames and wait on disk for a device that is away.
#include <algorithm>
#include <utility>

#include "chat/core.h"

namespace perch::chat {

using store::OpKind;
using store::StoreOp;

void Core::on_receipt(store::ReceiptKey key, Seq seq, const SafeHop& who, CoreId source) {
  metrics_.add(Metric::kReceipts);
  const Result<Device*> loaded = load_device(key.user, key.to_device);
  if (!loaded)
    return loaded.error().code == Errc::kNotFound ? post(source, kHopSafe, who)
                                                  : store_for_a_start(key, {seq, who, source});
  User& user = *find_user(key.user);
  Device* const device = *loaded;
  key.first = behind_flights(*device, key, seq);
  note_delivered(*device, key.origin, seq);
  PendingReceipt& pending = device->receipts[key];
  pending.up_to = std::max(pending.up_to, seq);
  if (seq <= pending.stored) {
    post(source, kHopSafe, who);
  } else {
    pending.waiters.push_back({seq, who, source});
  }
  if (!device->session) return store_receipt(key, pending);
  // Also if it has heard one that goes further: the row may have been open then, and a receipt is for closed
  // rows.
  queue_receipt(*device->session, key, pending);
  pump(user, user.slot_of(key.to_device));
  // As with messages: what is not told at once, or to a slow device, is stored at once; else in time.
  if (device->slow || pending.queued_on == device->session->id) return store_receipt(key, pending);
  arm_confirm_timer(user);
}

// Where the run of a receipt begins that has just come, since it may have crossed messages on their way to
// the recipient's list, which run_of() did not find there. Those are without an answer here: what comes from
// one core comes in order, so the answer to each is behind the receipt (DELIVERY.md H18e).
Seq Core::behind_flights(const Device& device, const store::ReceiptKey& key, Seq seq) {
  Seq first = key.first;
  for (const Outgoing& out : device.flights) {
    if (out.origin != key.origin || out.seq < first || out.seq >= seq || out.flight->resolved()) continue;
    const Party* const party = out.flight->party(key.peer);
    if (party != nullptr && party->state == Party::State::kNoAnswer) first = out.seq + 1;
  }
  return first;
}

// From now on its result says so: a device whose row is open learns it from that (DELIVERY.md H18c).
void Core::note_delivered(Device& device, Origin origin, Seq seq) {
  const auto mark = device.marks.find({origin, seq});
  if (mark != device.marks.end()) mark->second.delivered = true;
  Flight* const flight = device.flight(origin, seq);
  if (flight == nullptr) return;
  flight->delivered = true;
  if (flight->outcome == Flight::Outcome::kAccepted) flight->outcome = Flight::Outcome::kDelivered;
}

void Core::queue_receipt(Session& session, const store::ReceiptKey& key, PendingReceipt& pending) {
  if (std::exchange(pending.queued_on, session.id) != session.id) session.receipts_to_tell.push_back(key);
}

// Tells a device the next status. EXPIRED goes first: a receipt may cover what has expired (DELIVERY.md H36).
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
    pending.told_as = session.num_confirmed + session.sent.size() + 1;
    sent.what = Sent::What::kReceipt;
    sent.status->key = key;
    sent.status->up_to = pending.up_to;
    sent.status->told_ms = now_.mono_ms();
    if (!send(session, codec::receipt(key.peer, key.device, key.origin, key.first, pending.up_to)))
      return false;
  }
  session.sent.push_back(std::move(sent));
  return true;
}

void Core::store_receipt(const store::ReceiptKey& key, PendingReceipt& pending) {
  if (pending.asked >= pending.up_to) return;
  pending.asked = pending.up_to;
  auto op = std::make_unique<StoreOp>();
  op->kind = OpKind::kReceipt;
  op->receipt_key = key;
  op->up_to = pending.up_to;
  submit(std::move(op));
}

// Its device is being removed, or the row cannot be read now. The receipt waits on the disk for a start that
// knows, and the recipient's CONFIRM for no longer than that it is there.
void Core::store_for_a_start(const store::ReceiptKey& key, const PendingReceipt::Waiter& waiter) {
  auto op = std::make_unique<StoreOp>();
  op->kind = OpKind::kReceipt;
  op->receipt_key = key;
  op->up_to = waiter.seq;
  op->context = new PendingReceipt::Waiter(waiter);
  submit(std::move(op));
}

// A device that leaves a receipt unconfirmed for confirm_ms_max is slow, and its receipts are stored, so that
// the recipients' CONFIRMs do not wait for it. When to look again, or UINT64_MAX.
uint64_t Core::store_late_receipts(User& user) {
  uint64_t next = UINT64_MAX;
  for (const auto& device : user.devices) {
    if (!device || !device->session) continue;
    uint64_t due = UINT64_MAX;  // of the oldest
    const Fifo<Sent>& sent = device->session->sent;
    for (size_t i = 0; i < sent.size() && due == UINT64_MAX; ++i) {
      if (sent[i].what != Sent::What::kReceipt) continue;
      if (device->receipts.at(sent[i].status->key).asked >= sent[i].status->up_to) continue;
      due = sent[i].status->told_ms + limits_.confirm_ms_max;
    }
    if (due > now_.mono_ms()) {
      next = std::min(next, due);
      continue;
    }
    if (!std::exchange(device->slow, true)) metrics_.add(Metric::kSlow);
    for (auto& [key, pending] : device->receipts) store_receipt(key, pending);
  }
  return next;
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
  PERCH_CHECK(found != device.receipts.end());
  receipt_safe(found->second, up_to);
  if (found->second.queued_on != 0 || found->second.told_as != device.session->num_confirmed) return;
  const bool on_disk = found->second.asked > 0;
  device.receipts.erase(found);
  if (on_disk) submit(receipt_ack(key, up_to));
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
  charge_mailboxes(*user, item);
  if (slots != 0) {
    write_confirm(*user, hop.position, slots);
  } else {
    drop_if_over(*user, hop.position);
  }
}

}  // namespace perch::chat
