#include "chat/core.h"

#include <algorithm>

namespace perch::chat {

using store::OpKind;
using store::StoreOp;

Core::Core(CoreOptions options, Ring& ring, MeshEndpoint& mesh, Clock& clock, MetricsPage& metrics, Log& log,
           const Limits& limits, const TokenKeys& keys, std::unique_ptr<store::Reader> reader)
    : options_(std::move(options)),
      ring_(ring),
      mesh_(mesh),
      now_(clock),
      metrics_(metrics),
      log_(log),
      limits_(limits),
      keys_(&keys),
      reader_(std::move(reader)),
      frames_(options_.id),
      net_(ring, clock, metrics, limits, *this),
      timers_(clock.mono_ms()),
      completions_(options_.completions_per_turn),
      counter_(options_.counter),
      ceiling_(options_.ceiling),
      served_{options_.served_ms, clock.mono_ms()} {}

Core::~Core() {
  for (auto& [id, user] : users_) {
    timers_.disarm(user->confirm_timer());
    timers_.disarm(user->expiry_timer());
    for (auto& device : user->devices)
      if (device && device->session) timers_.disarm(*device->session);
  }
}

void Core::turn(uint64_t sleep_ns_max) {
  now_.refresh();
  const uint64_t ms = std::min(timers_.ms_to_next(now_.mono_ms()), net_.ms_to_next(now_.mono_ms()));
  const uint64_t sleep = ms > 1'000'000 ? sleep_ns_max : std::min(sleep_ns_max, ms * 1'000'000);
  const bool sleeps = sleep > 0 && mesh_.may_sleep();
  const size_t num = ring_.wait(completions_, sleeps ? sleep : 0);
  if (sleeps) mesh_.awake();
  now_.refresh();
  if (options_.woken) options_.woken();
  metrics_.add(Metric::kTurns);
  metrics_.add(Metric::kRingCompletions, num);
  for (size_t i = 0; i < num; ++i) {
    if (completions_[i].user_data == Ring::kWakeUserData) {
      metrics_.add(Metric::kRingWakes);
    } else {
      net_.complete(completions_[i]);
    }
  }
  mesh_.drain([this](const Hop& hop) { on_hop(hop); });
  if (deadlines_may_pass(num)) {
    timers_.advance(now_.mono_ms(), [this](Timer& timer) { on_timer(timer); });
    net_.tick(now_.mono_ms());
  } else {
    net_.send_queued();
  }
  if (!ceiling_asked_ && counter_ + (uint64_t{1} << 31) > ceiling_) {
    ceiling_asked_ = true;
    auto op = std::make_unique<StoreOp>();
    op->kind = OpKind::kCeiling;
    op->amount = uint64_t{1} << 32;
    op->waits = false;  // it is asked for again
    submit(std::move(op));
  }
  return_leases();
  reader_->release();
  mesh_.publish();
  publish_gauges();
}

// What has an owner that knows its size is not counted a second time but copied, once a turn.
void Core::publish_gauges() {
  metrics_.set(Metric::kRingEnters, ring_.num_syscalls());
  metrics_.set(Metric::kBuffersFree, ring_.num_buffers_free());
  metrics_.set(Metric::kHopsPosted, mesh_.num_posted());
  metrics_.set(Metric::kHopsDelayed, mesh_.num_delayed());
  metrics_.set(Metric::kHopsWaiting, mesh_.num_waiting_to_publish());
  metrics_.set(Metric::kConnections, net_.num_connections());
  metrics_.set(Metric::kUsers, users_.size());
  metrics_.set(Metric::kFlights, flights_.size());
  metrics_.set(Metric::kFlightBytes, frames_.bytes_held());
}

// What has arrived is seen before any deadline (DELIVERY.md H27): a full turn means that there may be more.
// Peers that never pause must not put deadlines off for ever, so this ends once every connection's read and
// send could have been seen.
bool Core::deadlines_may_pass(size_t num_completions) {
  num_full_turns_ = num_completions == completions_.size() ? num_full_turns_ + 1 : 0;
  const bool all_seen = num_full_turns_ * completions_.size() > 2 * net_.num_connections();
  if (num_full_turns_ > 0 && !all_seen) return false;
  num_full_turns_ = 0;
  return true;
}

void Core::on_timer(Timer& timer) {
  switch (timer.kind) {
    case User::kConfirmTimer:
      return on_confirm_timer(static_cast<User&>(static_cast<ConfirmTimer&>(timer)));
    case User::kExpiryTimer:
      return on_expiry_timer(static_cast<User&>(static_cast<ExpiryTimer&>(timer)));
    case Session::kTimer:
      return on_session_timer(static_cast<Session&>(timer));
  }
  PERCH_CHECK(!"a timer of no known kind");
}

void Core::return_leases() {
  for (Frame* frame : frames_.to_return()) post(frame->owner, kHopFrameBack, FrameHop{frame});
  frames_.to_return().clear();
}

// ---- users

Result<User*> Core::load_user(UserId id) {
  const auto found = users_.find(id);
  if (found != users_.end()) return found->second.get();
  const Result<store::UserRow> row = read_fresh([&] { return reader_->user(id); });
  Result<void> good = row ? load_blocks(id) : row.error();
  if (good) return &put_user(*row);
  if (good.error().code != Errc::kNotFound) log_unreadable(id, "", good.error().code);
  return good.error();
}

User* Core::find_user(UserId id) {
  const Result<User*> user = load_user(id);
  return user ? *user : nullptr;
}

Result<Device*> Core::load_device(UserId user, DeviceNo number) {
  const Result<User*> loaded = load_user(user);
  if (!loaded) return loaded.error();
  Device* device = (*loaded)->device(number);
  if (device == nullptr)
    return Error{(*loaded)->num_written == (*loaded)->num_writes ? Errc::kNotFound : Errc::kBusy};
  return device;
}

void Core::log_unreadable(UserId user, std::string_view handle, Errc why) {
  log_.refused(Metric::kErrorBusy, "an account cannot be read back",
               {{"user", user}, {"handle", handle}, {"error", name_of(why)}});
}

User& Core::put_user(const store::UserRow& row) {
  PERCH_CHECK(home(row.id) == options_.id);
  auto& user = users_[row.id];
  if (user) return *user;
  user = std::make_unique<User>();
  user->id = row.id;
  user->handle = row.handle;
  user->next_device = row.next_device;
  size_t slot = 0;
  for (const store::DeviceRow& device : row.devices) {
    if (slot == kSlots) break;
    auto& place = user->devices[slot++];
    place = std::make_unique<Device>();
    place->registered = true;
    place->row = device;
    place->seen_posted_ms = device.seen_ms;
    place->heard_origin = device.origin;
    if (device.overflowed) place->gap_write = 0;
  }
  return *user;
}

store::UserRow Core::row_of(const User& user) const {
  store::UserRow row;
  row.id = user.id;
  row.handle = user.handle;
  row.next_device = user.next_device;
  for (const auto& device : user.devices)
    if (device && !device->is_nobody()) row.devices.push_back(device->row);
  return row;
}

// ---- hops

void Core::on_hop(const Hop& hop) {
  switch (static_cast<HopKind>(hop.kind)) {
    case kHopLogin: {
      const auto login = hop.as<LoginHop>();
      std::unique_ptr<LoginRequest> request(login.login);
      request->conn = net_.adopt(login.slot);
      if (!request->conn.valid()) return;  // this core is full; net has closed it and the client comes again
      return login_here(std::move(request));
    }
    case kHopMessage:
      return on_message(hop.as<MessageHop>(), hop.source);
    case kHopAdmitted:
      return on_admitted(hop.as<DevicesHop>());
    case kHopRejected:
      return on_rejected(hop.as<AnswerHop>());
    case kHopNeedsStore:
      return on_needs_store(hop.as<DevicesHop>());
    case kHopDone:
      return on_done(hop.as<DoneHop>());
    case kHopStored:
      return on_stored(hop.as<StoredHop>(), hop.source);
    case kHopSettled:
      return on_settled(hop.as<AnswerHop>());
    case kHopReceipt: {
      const auto receipt = hop.as<ReceiptHop>();
      const store::ReceiptKey key{receipt.sender, receipt.device, receipt.peer,
                                  receipt.device, receipt.origin, receipt.first};
      return on_receipt(key, receipt.seq, SafeHop{receipt.peer, receipt.position, {}}, hop.source);
    }
    case kHopSafe:
      return on_safe(hop.as<SafeHop>());
    case kHopExpired:
      return on_expired(hop.as<ExpiredHop>().id, hop.as<ExpiredHop>().to);
    case kHopFrameBack:
      return frames_.returned(hop.as<FrameHop>().frame);
    case kHopStoreDone:
      return on_store_done(hop.as<StoreHop>().op);
    case kHopStoreState: {
      const auto state = hop.as<StoreStateHop>();
      store_full_ = state.full;
      store_poisoned_ |= state.poisoned;
      return;
    }
    case kHopQuestion:
      return answer(hop.as<QuestionHop>(), hop.source);
    case kHopStore:
    case kHopAnswer:
    case kHopCut:
    case kHopCutMade:
      break;
  }
  PERCH_CHECK(!"a hop for another thread reached a reactor");
}

void Core::drain() {
  if (draining_) return;
  draining_ = true;
  net_.stop_listening();
  for (auto& [id, user] : users_) {
    for (auto& device : user->devices) {
      if (device && device->session)
        send(*device->session, codec::goaway(ToldWaits::kDrainingMs, "the server is stopping"));
    }
    for (auto& [position, item] : user->items) need_store(*user, item);
    for (auto& device : user->devices) {
      if (!device) continue;
      for (auto& [key, pending] : device->receipts) store_receipt(key, pending);
      for (const Outgoing& out : device->flights)
        if (out.flight->released) keep_result(*out.flight);
    }
  }
}

bool Core::drained() const {
  if (num_store_ops_ > 0 || mesh_.num_waiting_to_publish() > 0) return false;
  for (const auto& [id, user] : users_)
    for (const auto& device : user->devices)
      if (device && device->num_without_result > 0) return false;
  return true;
}

}  // namespace perch::chat
