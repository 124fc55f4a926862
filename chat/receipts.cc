// Receipts: "delivered up to seq" for messages whose tick could not say it (H17 to H19 of the delivery
// rules), and EXPIRED for those that nobody fetched in time (H36). Both are counted frames and wait on disk
// for a device that is away.
#include <algorithm>

#include "chat/core.h"

namespace perch::chat {

using store::OpKind;
using store::StoreOp;

void Core::on_receipt(const store::ReceiptKey& key, Seq seq, const SafeHop& who, CoreId source) {
  ++counters_.receipts;
  User* user = find_user(key.user);
  Device* device = user ? user->device(key.to_device) : nullptr;
  if (device == nullptr) return post(source, kHopSafe, who);  // nobody is left to be told
  PendingReceipt& pending = device->receipts[key];
  if (seq > pending.up_to) {
    pending.up_to = seq;
    pending.stored = false;
  }
  pending.waiters.push_back({seq, who, source});
  if (device->session) {
    send_receipt(*device, key, pending.up_to);
  } else {
    store_receipt(key, pending.up_to);
  }
}

void Core::send_receipt(Device& device, const store::ReceiptKey& key, Seq up_to) {
  Session& session = *device.session;
  if (!send(session, codec::receipt(key.peer, key.device, key.origin, up_to))) return;
  Sent sent;
  sent.what = Sent::What::kReceipt;
  sent.key = key;
  sent.up_to = up_to;
  session.sent.push_back(sent);
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
  auto op = std::make_unique<StoreOp>();
  op->kind = OpKind::kReceiptAck;
  op->receipt_key = key;
  op->up_to = up_to;
  submit(std::move(op));
}

void Core::on_safe(const SafeHop& hop) {
  if (hop.user == 0) {  // a late DONE of this core's flight: its CONFIRM may follow now
    Flight* flight = flights_.find(hop.flight);
    if (flight == nullptr) return;
    Party* party = flight->party(flight->to);
    if (flight->stored && party->listed) confirm_record(*flight, party->waiting);
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

// ---- expiry

namespace {
constexpr int64_t kWallJumpMs = 3'600'000;    // more than an hour off the monotonic clock: somebody moved it
constexpr uint64_t kExpiryPauseMs = 600'000;  // … then nothing expires until it has held for ten minutes
}  // namespace

bool Core::wall_clock_jumped() {
  const uint64_t now = clock_.mono_ms();
  const int64_t offset = static_cast<int64_t>(clock_.wall_ms()) - static_cast<int64_t>(now);
  if (std::abs(offset - wall_offset_ms_) > kWallJumpMs) expiry_resumes_ms_ = now + kExpiryPauseMs;
  wall_offset_ms_ = offset;
  return now < expiry_resumes_ms_;
}

void Core::arm_expiry_timer(User& user) {
  if (user.items.empty() || user.expiry_timer.armed()) return;
  const uint64_t due = user.items.begin()->second.time_ms + limits_.expiry_ms;
  const uint64_t wall = clock_.wall_ms();
  timers_.arm(user.expiry_timer, clock_.mono_ms() + (due > wall ? due - wall : 1));
}

void Core::on_expiry_timer(User& user) {
  if (wall_clock_jumped()) return timers_.arm(user.expiry_timer, expiry_resumes_ms_);
  const uint64_t wall = clock_.wall_ms();
  for (auto at = user.items.begin(); at != user.items.end();) {
    Item& item = at->second;
    if (item.time_ms + limits_.expiry_ms > wall) break;
    // What is sent on a present session does not expire, nor what was confirmed and is only being written.
    const bool at_rest = item.state == Item::State::kStored && item.sent == 0 && item.confirmed == 0 &&
                         item.unwritten == 0 && item.report != Item::Report::kPending && item.mask != 0;
    if (!at_rest) {
      ++at;
      continue;
    }
    auto op = std::make_unique<StoreOp>();
    op->kind = OpKind::kExpire;
    op->id = item.id;
    op->to = item.to;
    op->number = item.number;
    op->place = item.place;
    op->who = numbers_of(user, item.mask);
    op->expired_for = {item.id.user, 0, {}};
    // Told only if no device of the recipient has it: a delivery wins over EXPIRED, and one's own copies are
    // not owed.
    if (item.report == Item::Report::kOwed) op->expired_for.add(item.id.device);
    submit(std::move(op));
    for (size_t slot = 0; slot < kSlots; ++slot)
      if ((item.mask >> slot) & 1) clear_bit(user, item, static_cast<int>(slot));
    at = user.items.erase(at);
  }
  release_reports(user);
  if (user.items.empty()) return;
  const uint64_t due = user.items.begin()->second.time_ms + limits_.expiry_ms;
  timers_.arm(user.expiry_timer, clock_.mono_ms() + (due > wall ? due - wall : 60'000));
}

void Core::on_expired(const MessageId& id, UserId to) {
  User* user = find_user(id.user);
  Device* device = user ? user->device(id.device) : nullptr;
  if (device == nullptr) return;
  device->expired[id] = to;
  if (device->session) send_expired(*device, id, to);
}

void Core::send_expired(Device& device, const MessageId& id, UserId to) {
  Session& session = *device.session;
  if (!send(session, codec::expired(to, id.device, id.origin, id.seq))) return;
  Sent sent;
  sent.what = Sent::What::kExpired;
  sent.id = id;
  session.sent.push_back(sent);
}

void Core::expired_confirmed(Device& device, const MessageId& id) {
  if (device.expired.erase(id) == 0) return;
  auto op = std::make_unique<StoreOp>();
  op->kind = OpKind::kExpiredAck;
  op->id = id;
  op->expired_for = {id.user, 0, {}};
  op->expired_for.add(id.device);
  submit(std::move(op));
}

}  // namespace perch::chat
