// Which devices a user has, which of them a message is for, and when one is forgotten (DELIVERY.md H12, H29).
#include <algorithm>

#include "chat/core.h"

namespace perch::chat {

using store::StoreOp;

// Written lazily: a storm of logins must not become a storm of writes.
void Core::note_seen(User& user, Device& device) {
  device.row.seen_ms = served_ms();
  if (device.registered && device.seen_posted_ms + kSeenWriteMs < device.row.seen_ms) write_user(user);
}

bool Core::unseen_for(const Device& device, uint64_t ms) const {
  return !device.session && device.row.seen_ms + ms < served_ms();
}

// The user's devices that can take a message of so many bytes, and those that cannot; not the one that sends
// it.
Core::Takers Core::takers(const User& user, size_t bytes, const Device* sender) {
  Takers takers;
  for (size_t slot = 0; slot < kSlots; ++slot) {
    const Device* device = user.devices[slot].get();
    // A record that names a device whose row was lost with the server would wait for ever, or for the next
    // device that gets its number.
    if (device == nullptr || device == sender || !device->registered || user.left_out(*device)) continue;
    const auto bit = static_cast<SlotMask>(1u << slot);
    const bool unseen = unseen_for(*device, limits_.device_unseen_ms);
    if (unseen) metrics_.add(Metric::kUnseen);
    const bool full = device->num_waiting >= limits_.mailbox_items_max ||
                      device->bytes_waiting + bytes > limits_.mailbox_bytes_max;
    (unseen || full ? takers.miss : takers.take) |= bit;
  }
  return takers;
}

// Those that a message is for. Where somebody takes it, a device that cannot has a gap from here on, as soon
// as that is on the disk; until then it is one of them.
SlotMask Core::addressed(User& user, size_t bytes, const Device* sender) {
  auto [mask, missed] = takers(user, bytes, sender);
  if (missed == 0 || (mask == 0 && sender == nullptr)) return mask;
  const SlotMask begun = begin_gaps(user, missed);
  for (size_t slot = 0; slot < kSlots; ++slot) {
    if (((missed >> slot) & 1) == 0) continue;
    const Device& device = *user.devices[slot];
    if (!user.left_out(device)) mask |= static_cast<SlotMask>(1u << slot);
    if (((begun >> slot) & 1) == 0) continue;
    metrics_.add(Metric::kOverflowed);
    log_.refused(Metric::kOverflowed, "device overflowed: it has a gap from here on",
                 {{"user", user.id}, {"device", device.row.number}}, LogLevel::kWarn);
  }
  return mask;
}

// Which of them had none yet.
SlotMask Core::begin_gaps(User& user, SlotMask missed) {
  SlotMask begun = 0;
  bool to_write = user.num_written < user.num_writes;  // that it has a gap may be on its way, or refused
  for (size_t slot = 0; slot < kSlots; ++slot) {
    if (((missed >> slot) & 1) == 0 || user.devices[slot]->gap_write != kNoGap) continue;
    Device& device = *user.devices[slot];
    begun |= static_cast<SlotMask>(1u << slot);
    to_write |= !std::exchange(device.row.overflowed, true);
    if (device.session) device.session->told_gap = false;  // that was another one
  }
  if (to_write) write_user(user);
  for (size_t slot = 0; slot < kSlots; ++slot)
    if ((begun >> slot) & 1) user.devices[slot]->gap_write = user.num_writes;
  return begun;
}

// It has taken all that waited for it, and nothing more is kept for it: it logs in again, is told, and is
// addressed from then on.
void Core::send_back_if_left_out(const User& user, const Device& device) {
  if (!device.session || !device.session->sent.empty() || !user.left_out(device)) return;
  const auto bit = static_cast<SlotMask>(1u << user.slot_of(device.row.number));
  if (std::ranges::any_of(user.items, [bit](const auto& at) { return (at.second.mask & bit) != 0; })) return;
  fail(device.session->conn, wire::ErrorCode::SlowReader,
       "messages for this device were dropped; log in again");
}

// Where a further device goes: a free slot, or that of the device unseen longest, if that is long enough.
// -1: none.
int Core::slot_for_new_device(const User& user) {
  int free = -1, oldest = -1;
  size_t num = 0;
  for (int slot = 0; slot < static_cast<int>(kSlots); ++slot) {
    const Device* device = user.devices[static_cast<size_t>(slot)].get();
    if (device == nullptr || device->is_nobody()) {
      if (free < 0) free = slot;
      continue;
    }
    ++num;
    if (!device->registered || !unseen_for(*device, limits_.device_removable_ms)) continue;
    if (oldest < 0 || device->row.seen_ms < user.devices[static_cast<size_t>(oldest)]->row.seen_ms)
      oldest = slot;
  }
  return num < limits_.devices_max && free >= 0 ? free : oldest;
}

// Nothing of it is on its way: no message of its own without a result, no record of one for it being written
// or taken and still to come into the list, no confirmation that waits for a receipt, its own or one for it.
bool Core::is_idle(const User& user, int slot) const {
  const Device& device = *user.devices[static_cast<size_t>(slot)];
  if (device.num_without_result > 0) return false;
  if (std::ranges::any_of(device.receipts, [](const auto& at) { return !at.second.waiters.empty(); }))
    return false;
  const auto bit = static_cast<SlotMask>(1u << slot);
  for (const auto& [position, item] : user.items) {
    if ((item.confirmed | item.unwritten) & bit) return false;
    if ((item.mask & bit) && item.state != Item::State::kStored) return false;
  }
  const DeviceNo number = device.row.number;
  for (const auto& other : user.devices) {
    if (!other) continue;
    for (const Outgoing& out : other->flights) {
      const Party* own = out.flight->party(user.id);
      if (own != nullptr && own->state == Party::State::kNoAnswer && !out.flight->resolved() &&
          own->waiting.has(number))
        return false;
    }
  }
  return true;
}

// Empties a slot. What the disk still has for the device goes with the ops that come back: they are for after
// the row, so that a stop in between leaves things for nobody, which recovery clears, and not a device with a
// gap.
// REQUIRES: is_idle(), left_out().
std::vector<std::unique_ptr<StoreOp>> Core::remove_device(User& user, int slot) {
  std::vector<std::unique_ptr<StoreOp>> ops;
  Device& device = *user.devices[static_cast<size_t>(slot)];
  const auto bit = static_cast<SlotMask>(1u << slot);
  for (auto at = user.items.begin(); at != user.items.end();) {
    const auto next = std::next(at);
    Item& item = at->second;
    if (item.mask & bit) {
      const store::Waiting who = numbers_of(user, bit);
      item.mask &= static_cast<SlotMask>(~bit);
      charge_mailboxes(user, item);
      // Nobody else has it or waits for it: its sender is told.
      const bool tell = item.mask == 0 && item.unwritten == 0 && item.report == Item::Report::kOwed;
      ops.push_back(drop_op(item, who, tell));
      if (tell) owes_expired(user, item.id, at->first);
      drop_if_over(user, at->first);
    }
    at = next;
  }
  for (const auto& [key, pending] : device.receipts)
    if (pending.asked > 0) ops.push_back(receipt_ack(key, pending.up_to));
  for (const auto& [id, to] : device.expired) ops.push_back(expired_ack(id));
  for (const Outgoing& out : device.flights) {
    out.flight->closed = true;
    forget_if_over(*out.flight);
  }
  user.devices[static_cast<size_t>(slot)].reset();
  metrics_.add(Metric::kDevicesRemoved);
  return ops;
}

}  // namespace perch::chat
