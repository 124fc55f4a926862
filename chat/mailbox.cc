// The recipient's home core: one list per user, handed to each device in order (DELIVERY.md, Forwarding).
#include <algorithm>
#include <utility>

#include "chat/core.h"

namespace perch::chat {

using store::OpKind;
using store::StoreOp;

store::Waiting Core::numbers_of(const User& user, SlotMask mask) const {
  store::Waiting waiting;
  waiting.user = user.id;
  for (size_t slot = 0; slot < kSlots; ++slot)
    if ((mask >> slot) & 1) waiting.add(user.devices[slot]->row.number);
  return waiting;
}

void Core::on_message(const MessageHop& hop, CoreId source) {
  FrameRef frame = frames_.take(hop.frame);
  const wire::Route& route = *codec::trusted(frame.bytes())->route();
  counter_ = std::max(counter_, route.number() >> 10);  // a reply is larger than what it answers (H13)
  const bool own = route.from() == hop.user;
  const bool is_message = codec::trusted(frame.bytes())->payload_type() == wire::Payload::Message;
  const auto reject = [&](wire::RejectReason reason) {
    post(source, kHopRejected, AnswerHop{hop.flight, hop.user, static_cast<uint8_t>(reason)});
  };
  const Result<User*> loaded = load_user(hop.user);
  if (!loaded)
    return reject(loaded.error().code == Errc::kNotFound ? wire::RejectReason::NotFound
                                                         : wire::RejectReason::MailboxFull);
  User* const user = *loaded;

  SlotMask mask = 0;
  if (own) {  // as registered when the message was taken, on this very core
    const Flight* flight = flights_.find(hop.flight);
    PERCH_CHECK(flight != nullptr);
    const Party& party = flight->num_parties == 1 ? flight->parties[0] : flight->parties[1];
    for (uint8_t i = 0; i < party.waiting.num; ++i) {
      const int slot = user->slot_of(party.waiting.devices[i]);
      if (slot >= 0) mask |= static_cast<SlotMask>(1u << slot);
    }
  } else {
    const bool for_nobody = blocks(hop.user, route.from());
    mask = for_nobody ? takers(*user, frame.size(), nullptr).take : addressed(*user, frame.size(), nullptr);
    if (mask == 0) {
      const bool known = std::ranges::any_of(
          user->devices, [](const auto& device) { return device != nullptr && device->registered; });
      return reject(known ? wire::RejectReason::MailboxFull : wire::RejectReason::NotFound);
    }
    if (for_nobody) return take_for_nobody(hop, source);
  }
  if (mask == 0)  // the own devices it was for have been removed since
    return post(source, kHopDone, DoneHop{hop.flight, hop.user, 0});

  Item item;
  item.id = {route.from(), route.device(), route.origin(), route.seq()};
  item.to = route.to();
  item.number = route.number();
  item.arrived_ms = now_.mono_ms();
  item.taken_ms = served_ms();
  item.frame_bytes = frame.size();
  item.frame = std::move(frame);
  item.flight = hop.flight;
  item.report = !own && is_message ? Item::Report::kOwed : Item::Report::kNotOwed;
  item.mask = mask;
  charge_mailboxes(*user, item);
  const store::Waiting addressed = numbers_of(*user, mask);
  post(source, kHopAdmitted, DevicesHop{hop.flight, hop.user, addressed.devices, addressed.num, false});

  const uint64_t position = user->next_position++;
  if (item.report == Item::Report::kOwed) user->owed.emplace(item.id, position);
  user->items.emplace(position, std::move(item));
  bool wait = true;
  for (size_t slot = 0; slot < kSlots; ++slot) {
    if (((mask >> slot) & 1) == 0) continue;
    pump(*user, static_cast<int>(slot));
    const auto at = user->items.find(position);
    PERCH_CHECK(at != user->items.end());
    wait &= ((at->second.sent >> slot) & 1) && !user->devices[slot]->slow;
  }
  Item& here = user->items.find(position)->second;
  if (!wait || draining_) {
    need_store(*user, here);
  } else {
    metrics_.add(Metric::kForwardedLive);
    probe::delivered_live(options_.id, user->id, here.number);
    arm_confirm_timer(*user);
  }
}

// Sends a device what is next for it while its window is open: first the results that wait, then what is
// counted. What it is told of its own messages and what waits for it go turn about, so that neither waits for
// the end of the other.
void Core::pump(User& user, int slot) {
  Device& device = *user.devices[static_cast<size_t>(slot)];
  if (!device.session || !give_waiting_results(device)) return;
  for (bool more = true; more;) {
    more = tell_next(device);
    more |= deliver_next(user, slot);
  }
}

bool Core::has_room(const Session& session) {
  if (session.sent.size() < limits_.unconfirmed_frames_max) return net_.writable_or_wait(session.conn);
  metrics_.add(Metric::kPausedFrames);
  return false;
}

bool Core::deliver_next(User& user, int slot) {
  Session& session = *user.devices[static_cast<size_t>(slot)]->session;
  const auto bit = static_cast<SlotMask>(1u << slot);
  for (auto at = user.items.lower_bound(session.next_position); at != user.items.end(); ++at) {
    Item& item = at->second;
    if ((item.mask & bit) != 0 && (item.sent & bit) == 0) {
      if (!has_room(session)) return false;
      if (session.sent_bytes > 0 && session.sent_bytes + item.frame_bytes > limits_.unconfirmed_bytes_max) {
        metrics_.add(Metric::kPausedBytes);
        return false;
      }
      if (!deliver(user, slot, at->first, item)) return false;
      session.next_position = at->first + 1;
      return true;
    }
    session.next_position = at->first + 1;
  }
  return false;
}

bool Core::deliver(User& user, int slot, uint64_t position, Item& item) {
  Session& session = *user.devices[static_cast<size_t>(slot)]->session;
  FrameRef frame = item.frame;
  if (!frame) {
    std::vector<uint8_t> bytes;
    const Result<void> read = read_fresh([&] {
      bytes.clear();
      return reader_->frame(user.id, item.number, item.place, bytes);
    });
    if (!read) {  // flushed and not confirmed, so it was there: the disk has changed it. Nothing false is
                  // handed over.
      log_.write(LogLevel::kError, "a stored message cannot be read back; stopping",
                 {{"user", user.id}, {"number", item.number}, {"error", name_of(read.error().code)}});
      store_poisoned_ = true;
      return false;
    }
    frame = frames_.make(bytes);
    metrics_.add(Metric::kHandedOver);
    probe::handed_over(options_.id, user.id, item.number, frame.size());
  }
  if (!net_.send(session.conn, frame)) return false;
  item.sent |= static_cast<SlotMask>(1u << slot);
  Sent sent;
  sent.what = Sent::What::kItem;
  sent.bytes = item.frame_bytes;
  sent.position = position;
  session.sent.push_back(std::move(sent));
  session.sent_bytes += item.frame_bytes;
  return true;
}

// The item's record is asked for; its sender gets the tick once it is flushed.
void Core::need_store(User& user, Item& item) {
  if (item.state != Item::State::kMemory) return;
  item.state = Item::State::kStoring;
  metrics_.add(Metric::kNeedStore);
  probe::need_store(options_.id, user.id, item.number);
  const store::Waiting waiting = numbers_of(user, item.mask);
  const bool delivered = item.confirmed != 0 && user.id == item.to;
  post(home(item.id.user), kHopNeedsStore,
       DevicesHop{item.flight, user.id, waiting.devices, waiting.num, delivered});
}

void Core::on_stored(const StoredHop& hop, CoreId source) {
  User* user = find_user(hop.user);
  PERCH_CHECK(user != nullptr);
  for (auto at = user->items.rbegin(); at != user->items.rend(); ++at) {
    Item& item = at->second;
    if (item.number != hop.number || item.state == Item::State::kStored) continue;
    const uint64_t position = at->first;
    item.state = Item::State::kStored;
    item.place = hop.place;
    item.frame.reset();
    if (hop.told_delivered && std::exchange(item.report, Item::Report::kNotOwed) == Item::Report::kOwed)
      owes_nothing(*user, item.id, position);
    if (item.confirmed != 0) write_confirm(*user, position, item.confirmed);
    arm_expiry_timer(*user);
    break;
  }
  post(source, kHopSettled, AnswerHop{hop.flight, hop.user, 0});
}

// One deadline per user: what is in memory and unconfirmed for longest (DELIVERY.md H27).
void Core::arm_confirm_timer(User& user) {
  if (!user.confirm_timer().armed())
    timers_.arm(user.confirm_timer(), now_.mono_ms() + limits_.confirm_ms_max);
}

void Core::on_confirm_timer(User& user) {
  const uint64_t next = std::min(store_late_items(user), store_late_receipts(user));
  if (next != UINT64_MAX) timers_.arm(user.confirm_timer(), next);
}

// When to look again, or UINT64_MAX.
uint64_t Core::store_late_items(User& user) {
  const auto oldest =
      std::ranges::find_if(user.items, [](auto& at) { return at.second.state == Item::State::kMemory; });
  if (oldest == user.items.end()) return UINT64_MAX;
  const uint64_t due = oldest->second.arrived_ms + limits_.confirm_ms_max;
  if (due > now_.mono_ms()) return due;
  for (size_t slot = 0; slot < kSlots; ++slot)
    if ((oldest->second.mask >> slot) & 1) {
      if (!std::exchange(user.devices[slot]->slow, true)) metrics_.add(Metric::kSlow);
    }
  for (auto& [position, item] : user.items) need_store(user, item);
  return UINT64_MAX;
}

}  // namespace perch::chat
