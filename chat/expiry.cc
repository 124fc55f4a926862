// EXPIRED: what nobody fetched in time is dropped and its sender told (H36 of the delivery rules). A counted
// frame that waits on disk for a device that is away.
#include "chat/core.h"

namespace perch::chat {

using store::OpKind;
using store::StoreOp;

namespace {
constexpr int64_t kWallJumpMs = 3'600'000;    // more than an hour off the monotonic clock: somebody moved it
constexpr uint64_t kExpiryPauseMs = 600'000;  // … then nothing expires until it has held for ten minutes
constexpr uint64_t kFutureLookMs =
    86'400'000;  // all are stamped with times to come: looked at again so often
}  // namespace

bool Core::wall_clock_jumped() {
  const uint64_t now = now_.mono_ms();
  const int64_t offset = static_cast<int64_t>(now_.wall_ms()) - static_cast<int64_t>(now);
  if (std::abs(offset - wall_offset_ms_) > kWallJumpMs) expiry_resumes_ms_ = now + kExpiryPauseMs;
  wall_offset_ms_ = offset;
  return now < expiry_resumes_ms_;
}

void Core::arm_expiry_timer(User& user) {
  if (user.items.empty() || user.expiry_timer.armed()) return;
  const uint64_t due = next_expiry_ms(user);
  const uint64_t wall = now_.wall_ms();
  timers_.arm(user.expiry_timer, now_.mono_ms() + (due > wall ? due - wall : 1));
}

// Of the oldest item, on the wall clock. One that was stamped while the clock was ahead is passed over, since
// it may be due in years, long after those behind it.
uint64_t Core::next_expiry_ms(const User& user) {
  const uint64_t wall = now_.wall_ms();
  for (const auto& [position, item] : user.items)
    if (item.time_ms <= wall) return item.time_ms + limits_.expiry_ms;
  return wall + kFutureLookMs;
}

void Core::on_expiry_timer(User& user) {
  if (wall_clock_jumped()) return timers_.arm(user.expiry_timer, expiry_resumes_ms_);
  const uint64_t wall = now_.wall_ms();
  for (auto at = user.items.begin(); at != user.items.end();) {
    Item& item = at->second;
    const bool from_the_future = item.time_ms > wall;
    if (!from_the_future && item.time_ms + limits_.expiry_ms > wall) break;
    // What is sent on a present session does not expire, nor what was confirmed and is only being written.
    const bool at_rest = !from_the_future && item.state == Item::State::kStored &&
                         (item.sent & item.mask) == 0 && item.confirmed == 0 && item.unwritten == 0 &&
                         item.report != Item::Report::kPending && item.mask != 0;
    if (!at_rest) {
      ++at;
      continue;
    }
    const bool tell = item.report == Item::Report::kOwed;
    submit(drop_op(item, numbers_of(user, item.mask), tell));
    if (tell) owes_expired(user, item.id, at->first);
    metrics_.add(Metric::kExpired);
    item.mask = 0;
    count(user, item);
    at = user.items.erase(at);
  }
  if (user.items.empty()) return;
  const uint64_t due = next_expiry_ms(user);
  timers_.arm(user.expiry_timer, now_.mono_ms() + (due > wall ? due - wall : 60'000));
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
