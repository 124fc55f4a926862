// EXPIRED: what nobody fetched in time is dropped and its sender told (DELIVERY.md H36). A counted
// frame that waits on disk for a device that is away.
#include "chat/core.h"

namespace perch::chat {

using store::OpKind;
using store::StoreOp;

namespace {
constexpr uint64_t kLookAgainMs = 60'000;  // at what is due and may not expire yet
}  // namespace

void Core::arm_expiry_timer(User& user) {
  if (user.items.empty() || user.expiry_timer().armed()) return;
  const uint64_t due = user.items.begin()->second.taken_ms + limits_.expiry_ms;
  const uint64_t now = served_ms();
  timers_.arm(user.expiry_timer(), now_.mono_ms() + (due > now ? due - now : 1));
}

void Core::on_expiry_timer(User& user) {
  const uint64_t now = served_ms();
  SlotMask missed = 0;
  std::vector<std::unique_ptr<StoreOp>> drops;
  for (auto at = user.items.begin(); at != user.items.end();) {
    Item& item = at->second;
    if (item.taken_ms + limits_.expiry_ms > now) break;
    // What is sent on a present session does not expire, nor what was confirmed and is only being written.
    const bool may_expire = item.state == Item::State::kStored && (item.sent & item.mask) == 0 &&
                            item.confirmed == 0 && item.unwritten == 0 &&
                            item.report != Item::Report::kPending && item.mask != 0;
    if (!may_expire) {
      ++at;
      continue;
    }
    const bool tell = item.report == Item::Report::kOwed;
    drops.push_back(drop_op(item, numbers_of(user, item.mask), tell));
    if (tell) owes_expired(user, item.id, at->first);
    metrics_.add(Metric::kExpired);
    missed |= std::exchange(item.mask, 0);
    charge_mailboxes(user, item);
    at = user.items.erase(at);
  }
  if (missed != 0) drop_and_note(user, missed, std::move(drops));
  if (user.items.empty()) return;
  const uint64_t due = user.items.begin()->second.taken_ms + limits_.expiry_ms;
  timers_.arm(user.expiry_timer(), now_.mono_ms() + (due > now ? due - now : kLookAgainMs));
}

// Each of `missed` is told of its gap at its next login, so its row says that before anything is dropped: a
// stop between the two leaves a device that was told too much, and none with a silent gap.
void Core::drop_and_note(User& user, SlotMask missed, std::vector<std::unique_ptr<StoreOp>> drops) {
  bool to_write = user.num_written < user.num_writes;  // that they miss something may be on its way
  for (size_t slot = 0; slot < kSlots; ++slot) {
    if (((missed >> slot) & 1) == 0) continue;
    Device& device = *user.devices[slot];
    to_write |= !std::exchange(device.row.missed, true);
    if (device.session) device.session->told_gap = false;  // that was another one
  }
  if (to_write) return write_user(user, nullptr, std::move(drops));
  for (auto& drop : drops) submit(std::move(drop));
}

// What takes an item from the disk that `who` will never fetch. Its sender is told only if no device of the
// recipient has it: a delivery wins over EXPIRED, and one's own copies are not owed.
std::unique_ptr<StoreOp> Core::drop_op(const Item& item, const store::Waiting& who, bool tell) const {
  auto op = std::make_unique<StoreOp>();
  op->kind = OpKind::kExpire;
  op->id = item.id;
  op->to = item.to;
  op->number = item.number;
  op->place = item.place;
  op->who = who;
  op->expired_for = {item.id.user, 0, {}};
  if (tell) op->expired_for.add(item.id.device);
  return op;
}

void Core::on_expired(const MessageId& id, UserId to) {
  const Result<Device*> loaded = load_device(id.user, id.device);
  if (!loaded) {
    if (loaded.error().code == Errc::kNotFound) submit(expired_ack(id));
    return;  // else the record keeps it
  }
  Device* const device = *loaded;
  device->expired[id] = to;
  if (!device->session) return;
  device->session->expired_to_tell.push_back(id);
  User& user = *find_user(id.user);
  pump(user, user.slot_of(id.device));
}

void Core::expired_confirmed(Device& device, const MessageId& id) {
  if (device.expired.erase(id) != 0) submit(expired_ack(id));
}

std::unique_ptr<StoreOp> Core::expired_ack(const MessageId& id) {
  auto op = std::make_unique<StoreOp>();
  op->kind = OpKind::kExpiredAck;
  op->id = id;
  op->expired_for = {id.user, 0, {}};
  op->expired_for.add(id.device);
  return op;
}

}  // namespace perch::chat
