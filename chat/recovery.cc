// What waited when the node stopped, handed to its home core before the first turn.
#include <algorithm>

#include "chat/core.h"

namespace perch::chat {

void Core::item(const store::RecoveredItem& found) {
  PERCH_CHECK(home(found.waiting.user) == options_.id);
  const Result<User*> loaded = load_user(found.waiting.user);
  if (!loaded && loaded.error().code != Errc::kNotFound) return;  // kept until its row can be read
  Item item;
  item.id = found.id;
  item.to = found.to;
  item.number = found.number;
  item.taken_ms = found.taken_ms;
  item.frame_bytes = found.frame_bytes;
  item.place = found.place;
  item.state = Item::State::kStored;
  const bool owed = found.waiting.user == found.to && !found.reported;
  item.report = owed ? Item::Report::kOwed : Item::Report::kNotOwed;
  if (!loaded) return orphans_.push_back(drop_op(item, found.waiting, owed));
  User* const user = *loaded;
  store::Waiting gone{user->id, 0, {}};
  for (uint8_t i = 0; i < found.waiting.num; ++i) {
    const int slot = user->slot_of(found.waiting.devices[i]);
    if (slot < 0) {
      gone.add(found.waiting.devices[i]);
      continue;
    }
    item.mask |= static_cast<SlotMask>(1u << slot);
  }
  charge_mailboxes(*user, item);
  if (gone.num > 0) orphans_.push_back(drop_op(item, gone, item.mask == 0 && owed));
  if (item.mask == 0 && owed) user->owed.emplace(item.id, 0);
  if (item.mask != 0) user->items.emplace(user->next_position++, std::move(item));
}

void Core::mark(const store::RecoveredMark& found) {
  PERCH_CHECK(home(found.id.user) == options_.id);
  User* user = find_user(found.id.user);
  Device* device = user ? user->device(found.id.device) : nullptr;
  if (device == nullptr) return;
  Mark& mark = device->marks[{found.id.origin, found.id.seq}];
  if (found.number >= mark.number) mark = {found.number, found.delivered};
}

void Core::receipt(const store::RecoveredReceipt& found) {
  PERCH_CHECK(home(found.key.user) == options_.id);
  const Result<Device*> device = load_device(found.key.user, found.key.to_device);
  if (!device) {
    if (device.error().code == Errc::kNotFound) orphans_.push_back(receipt_ack(found.key, found.up_to));
    return;
  }
  PendingReceipt& pending = (*device)->receipts[found.key];
  pending.up_to = std::max(pending.up_to, found.up_to);
  pending.asked = pending.stored = pending.up_to;
}

void Core::expired(const store::RecoveredExpired& found) {
  PERCH_CHECK(home(found.id.user) == options_.id);
  const Result<Device*> device = load_device(found.id.user, found.id.device);
  if (!device) {
    if (device.error().code == Errc::kNotFound) orphans_.push_back(expired_ack(found.id));
    return;
  }
  (*device)->expired[found.id] = found.to;
}

void Core::recovered() {
  now_.refresh();
  served_ = {options_.served_ms, now_.mono_ms()};  // reading the store was not serving it
  for (auto& op : std::exchange(orphans_, {})) submit(std::move(op));
  for (auto& [id, user] : users_) {
    std::vector<Item> items;
    for (auto& [position, item] : user->items) items.push_back(std::move(item));
    std::stable_sort(items.begin(), items.end(),
                     [](const Item& a, const Item& b) { return a.number < b.number; });
    user->items.clear();
    user->next_position = 1;
    for (Item& item : items) {
      if (item.report == Item::Report::kOwed) user->owed.emplace(item.id, user->next_position);
      user->items.emplace(user->next_position++, std::move(item));
    }
    arm_expiry_timer(*user);
  }
}

}  // namespace perch::chat
