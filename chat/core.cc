#include "chat/core.h"

#include <algorithm>

namespace perch::chat {

using store::OpKind;
using store::Status;
using store::StoreOp;

Core::Core(CoreOptions options, Ring& ring, MeshEndpoint& mesh, Clock& clock, Random& random,
           const Limits& limits, const TokenKeys& keys, std::unique_ptr<store::Reader> reader)
    : options_(std::move(options)),
      ring_(ring),
      mesh_(mesh),
      clock_(clock),
      random_(random),
      limits_(limits),
      keys_(keys),
      reader_(std::move(reader)),
      frames_(options_.id),
      net_(ring, clock, frames_, limits, *this),
      timers_(clock.mono_ms()),
      completions_(512),
      counter_(options_.counter),
      ceiling_(options_.ceiling),
      wall_offset_ms_(static_cast<int64_t>(clock.wall_ms()) - static_cast<int64_t>(clock.mono_ms())) {}

Core::~Core() {
  for (auto& [id, user] : users_) {
    timers_.disarm(user->confirm_timer);
    timers_.disarm(user->expiry_timer);
  }
}

void Core::turn(uint64_t sleep_ns_max) {
  uint64_t now = clock_.mono_ms();
  const uint64_t ms = std::min(timers_.ms_to_next(now), net_.ms_to_next(now));
  uint64_t sleep = ms > 1'000'000 ? sleep_ns_max : std::min(sleep_ns_max, ms * 1'000'000);
  const bool sleeps = sleep > 0 && mesh_.may_sleep();
  const size_t num = ring_.wait(completions_, sleeps ? sleep : 0);
  if (sleeps) mesh_.awake();
  for (size_t i = 0; i < num; ++i) {
    if (completions_[i].user_data != Ring::kWakeUserData) net_.complete(completions_[i]);
  }
  mesh_.drain([this](const Hop& hop) { on_hop(hop); });
  now = clock_.mono_ms();
  if (num < completions_.size()) {  // what has arrived is seen before any deadline
    timers_.advance(now, [this](Timer& timer) {
      if (timer.kind == User::kConfirmTimer) {
        on_confirm_timer(
            *reinterpret_cast<User*>(reinterpret_cast<char*>(&timer) - offsetof(User, confirm_timer)));
      } else {
        on_expiry_timer(
            *reinterpret_cast<User*>(reinterpret_cast<char*>(&timer) - offsetof(User, expiry_timer)));
      }
    });
    net_.tick(now);
  }
  if (!ceiling_asked_ && counter_ + (uint64_t{1} << 31) > ceiling_) {
    ceiling_asked_ = true;
    auto op = std::make_unique<StoreOp>();
    op->kind = OpKind::kCeiling;
    op->amount = uint64_t{1} << 32;
    submit(std::move(op));
  }
  post_refused_again();
  return_leases();
  reader_->release();
  mesh_.publish();
}

void Core::return_leases() {
  for (Frame* frame : frames_.to_return()) post(frame->owner, kHopFrameBack, FrameHop{frame});
  frames_.to_return().clear();
}

// ---- users

User* Core::find_user(UserId id) {
  const auto found = users_.find(id);
  if (found != users_.end()) return found->second.get();
  Result<store::UserRow> row = reader_->user(id);
  if (!row) {  // the snapshot of this turn may be older than what a hop of this turn tells of
    reader_->release();
    row = reader_->user(id);
  }
  if (!row) return nullptr;
  return &put_user(*row);
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
    user->devices[slot] = std::make_unique<Device>();
    user->devices[slot]->registered = true;
    user->devices[slot++]->row = device;
  }
  return *user;
}

store::UserRow Core::row_of(const User& user) const {
  store::UserRow row;
  row.id = user.id;
  row.handle = user.handle;
  row.next_device = user.next_device;
  for (const auto& device : user.devices)
    if (device) row.devices.push_back(device->row);
  return row;
}

// ---- frames

Core::Bound* Core::bound(net::ConnId id) {
  if (id.index >= bound_.size()) return nullptr;
  Bound& at = bound_[id.index];
  return at.user != nullptr && at.generation == id.generation ? &at : nullptr;
}

bool Core::send(Session& session, const codec::FrameBytes& bytes) {
  if (net_.send(session.conn, frames_.make(bytes))) return true;
  net_.close(session.conn);  // reads nothing: all it is owed is in its list, on disk or in its outbox
  return false;
}

void Core::fail(net::ConnId id, wire::ErrorCode code, std::string_view text, Origin origin) {
  ++counters_.protocol_errors;
  net_.send(id, frames_.make(codec::error(code, text, origin)));
  net_.close(id);
}

void Core::on_frame(net::ConnId id, MutableBytes bytes) {
  const Result<const wire::Frame*> checked = codec::verify(bytes);
  if (!checked) {
    return checked.error().code == Errc::kUnsupported
               ? fail(id, wire::ErrorCode::UnknownFrame, "this server does not know this frame")
               : fail(id, wire::ErrorCode::Malformed, "these bytes are no valid frame");
  }
  const wire::Frame& frame = **checked;
  Bound* at = bound(id);
  if (at == nullptr) {
    if (frame.payload_type() >= wire::Payload::Presence)
      return fail(id, wire::ErrorCode::UnknownFrame, "this server does not know this frame yet");
    if (frame.payload_type() != wire::Payload::Hello) return fail(id, wire::ErrorCode::State, "log in first");
    return on_hello(id, frame);
  }
  Session& session = *at->device->session;
  switch (frame.payload_type()) {
    case wire::Payload::Message:
    case wire::Payload::Read:
      return on_send(*at, bytes, frame);
    case wire::Payload::Confirm:
      return on_confirm(*at, frame.payload_as_Confirm()->count(), frame.payload_as_Confirm()->closed());
    case wire::Payload::Ping:
      closed_up_to(*at->device, frame.payload_as_Ping()->closed());
      if (clock_.wall_ms() >= session.expires_ms)
        return fail(id, wire::ErrorCode::SessionExpired, "the token has expired");
      if (send(session, codec::pong(frame.payload_as_Ping()->nonce())))
        pump(*at->user, at->user->slot_of(at->device->row.number));
      return;
    case wire::Payload::Refresh:
      return on_refresh(*at, frame.payload_as_Refresh()->token()->string_view());
    case wire::Payload::Resolve: {
      const wire::Resolve* ask = frame.payload_as_Resolve();
      const Result<UserId> user = reader_->handle(ask->handle()->string_view());
      send(session, user ? codec::resolved(ask->request(), ask->handle()->string_view(), *user)
                         : codec::error(wire::ErrorCode::NotFound, "no such handle", 0, 0, ask->request()));
      return;
    }
    case wire::Payload::Hello:
    case wire::Payload::Welcome:
    case wire::Payload::Refreshed:
    case wire::Payload::Pong:
    case wire::Payload::Goaway:
    case wire::Payload::Error:
    case wire::Payload::Resolved:
    case wire::Payload::Result:
    case wire::Payload::Rejected:
    case wire::Payload::Hold:
    case wire::Payload::Receipt:
    case wire::Payload::Expired:
      return fail(id, wire::ErrorCode::State, "this frame is not allowed here");
    default:
      return fail(id, wire::ErrorCode::UnknownFrame, "this server does not know this frame yet");
  }
}

void Core::on_violation(net::ConnId id, net::CloseReason reason) {
  ++counters_.protocol_errors;
  wire::ErrorCode code = wire::ErrorCode::Malformed;
  const char* text = "a frame's length is out of bounds";
  switch (reason) {
    case net::CloseReason::kLoginTimeout:
      code = wire::ErrorCode::LoginTimeout;
      text = "no login in time";
      break;
    case net::CloseReason::kFrameTimeout:
      code = wire::ErrorCode::FrameTimeout;
      text = "a frame was not finished in time";
      break;
    case net::CloseReason::kSilence:
      code = wire::ErrorCode::Idle;
      text = "nothing was heard for too long";
      break;
    default:
      break;
  }
  net_.send(id, frames_.make(codec::error(code, text)));
}

void Core::on_closed(net::ConnId id, net::CloseReason) {
  moving_.erase(id.index);  // it ended before it could move
  Bound* at = bound(id);
  if (at == nullptr) return;
  const Bound was = *at;
  *at = Bound{};
  if (was.device->session && was.device->session->conn == id) end_session(*was.user, *was.device);
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
      return on_done(hop.as<AnswerHop>());
    case kHopStored:
      return on_stored(hop.as<StoredHop>(), hop.source);
    case kHopSettled:
      return on_settled(hop.as<AnswerHop>());
    case kHopReceipt: {
      const auto receipt = hop.as<ReceiptHop>();
      const store::ReceiptKey key{receipt.sender, receipt.device, receipt.peer, receipt.device,
                                  receipt.origin};
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
    case kHopMoved:
      return on_moved(hop.as<MovedHop>());
    case kHopMovedEnd:
      return mesh_.post(hop.source, Hop::make(kHopMovedEnd, StoreStateHop{}));
    case kHopStoreState: {
      const auto state = hop.as<StoreStateHop>();
      store_full_ = state.full;
      store_poisoned_ |= state.poisoned;
      return;
    }
    case kHopStore:
      break;
  }
  PERCH_CHECK(!"a hop for the store thread reached a reactor");
}

void Core::submit(std::unique_ptr<StoreOp> op) {
  op->core = options_.id;
  ++num_store_ops_;
  post(options_.store, kHopStore, StoreHop{op.release()});
}

// Another process may fill the disk between admission and commit. What was taken is then neither lost nor
// answered: its op is posted again until there is room, and no further message is taken meanwhile. A login is
// answered BUSY.
bool Core::keep_if_refused(std::unique_ptr<StoreOp>& op) {
  switch (op->kind) {
    case OpKind::kAccept:
    case OpKind::kConfirm:
    case OpKind::kReceipt:
    case OpKind::kReceiptAck:
    case OpKind::kExpire:
    case OpKind::kExpiredAck:
      op->status = Status::kPending;
      refused_.push_back(std::move(op));
      return true;
    case OpKind::kUser:
    case OpKind::kAccount:
    case OpKind::kCeiling:
      return false;
  }
  return false;
}

void Core::post_refused_again() {
  constexpr uint64_t kRetryMs = 200;
  const uint64_t now = clock_.mono_ms();
  if (refused_.empty() || now < refused_retry_ms_) return;
  refused_retry_ms_ = now + kRetryMs;
  for (auto& op : std::exchange(refused_, {})) submit(std::move(op));
}

void Core::on_store_done(StoreOp* raw) {
  std::unique_ptr<StoreOp> op(raw);
  --num_store_ops_;
  if (op->status == Status::kFailed)
    store_poisoned_ = true;  // no tick on it; the node stops, devices send again
  if (op->status == Status::kFull && keep_if_refused(op)) return;
  switch (op->kind) {
    case OpKind::kAccept:
      return on_accept_flushed(*op);
    case OpKind::kReceipt: {
      User* user = find_user(op->receipt_key.user);
      Device* device = user ? user->device(op->receipt_key.to_device) : nullptr;
      if (device == nullptr || op->status != Status::kDone) return;
      const auto found = device->receipts.find(op->receipt_key);
      if (found == device->receipts.end()) return;
      if (found->second.up_to <= op->up_to) found->second.stored = true;
      return receipt_safe(found->second, op->up_to);
    }
    case OpKind::kCeiling:
      if (op->status == Status::kDone) ceiling_ = std::max(ceiling_, op->ceiling);
      ceiling_asked_ = false;
      return;
    case OpKind::kAccount: {
      std::unique_ptr<LoginRequest> login(static_cast<LoginRequest*>(op->context));
      if (op->status == Status::kNotFound)
        return fail(login->conn, wire::ErrorCode::NoAccount, "there is no such account");
      if (op->status != Status::kDone) return fail(login->conn, wire::ErrorCode::Busy, "come again later");
      login->user = op->user_row.id;
      return send_home(std::move(login));
    }
    case OpKind::kUser: {
      if (op->context == nullptr) return;
      std::unique_ptr<LoginRequest> login(static_cast<LoginRequest*>(op->context));
      if (op->status != Status::kDone) return fail(login->conn, wire::ErrorCode::Busy, "come again later");
      return welcome(std::move(login));
    }
    case OpKind::kExpire:
      // Written with the drop, so the sender is told in any case: now, or at its next login after a restart.
      if (op->status == Status::kDone && op->expired_for.num > 0)
        post(home(op->id.user), kHopExpired, ExpiredHop{op->id, op->to});
      return;
    case OpKind::kConfirm:
    case OpKind::kReceiptAck:
    case OpKind::kExpiredAck:
      return;
  }
}

void Core::drain() {
  if (draining_) return;
  draining_ = true;
  net_.stop_listening();
  for (auto& [id, user] : users_) {
    for (auto& device : user->devices) {
      if (device && device->session) send(*device->session, codec::goaway(2000, "the server is stopping"));
    }
    for (auto& [position, item] : user->items) need_store(*user, item);
    for (auto& device : user->devices) {
      if (!device) continue;
      for (auto& [key, pending] : device->receipts)
        if (!pending.stored) store_receipt(key, pending.up_to);
    }
  }
}

bool Core::drained() const {
  if (num_store_ops_ > 0 || !refused_.empty() || mesh_.num_waiting_to_publish() > 0) return false;
  for (const auto& [id, user] : users_)
    for (const auto& device : user->devices)
      if (device)
        for (const Flight* flight : device->flights)
          if (!flight->released) return false;
  return true;
}

// ---- what was there at start

void Core::item(const store::RecoveredItem& found) {
  if (home(found.waiting.user) != options_.id) return;
  User* user = find_user(found.waiting.user);
  if (user == nullptr) return;
  Item item;
  item.id = found.id;
  item.to = found.to;
  item.number = found.number;
  item.time_ms = found.time_ms;
  item.frame_bytes = found.frame_bytes;
  item.place = found.place;
  item.state = Item::State::kStored;
  const bool owed = found.waiting.user == found.to && found.id.user != found.to && !found.reported;
  item.report = owed ? Item::Report::kOwed : Item::Report::kNotOwed;
  for (uint8_t i = 0; i < found.waiting.num; ++i) {
    const int slot = user->slot_of(found.waiting.devices[i]);
    if (slot < 0) continue;
    item.mask |= static_cast<SlotMask>(1u << slot);
    Device& device = *user->devices[static_cast<size_t>(slot)];
    ++device.num_waiting;
    device.bytes_waiting += item.frame_bytes;
  }
  if (item.mask != 0) user->items.emplace(user->next_position++, std::move(item));
}

void Core::mark(const store::RecoveredMark& found) {
  if (home(found.id.user) != options_.id) return;
  User* user = find_user(found.id.user);
  Device* device = user ? user->device(found.id.device) : nullptr;
  if (device == nullptr) return;
  Mark& mark = device->marks[{found.id.origin, found.id.seq}];
  if (found.number >= mark.number) mark = {found.number, found.delivered};
}

void Core::receipt(const store::RecoveredReceipt& found) {
  if (home(found.key.user) != options_.id) return;
  User* user = find_user(found.key.user);
  Device* device = user ? user->device(found.key.to_device) : nullptr;
  if (device == nullptr) return;
  PendingReceipt& pending = device->receipts[found.key];
  pending.up_to = std::max(pending.up_to, found.up_to);
  pending.stored = true;
}

void Core::expired(const store::RecoveredExpired& found) {
  if (home(found.id.user) != options_.id) return;
  User* user = find_user(found.id.user);
  Device* device = user ? user->device(found.id.device) : nullptr;
  if (device != nullptr) device->expired[found.id] = found.to;
}

void Core::recovered() {
  for (auto& [id, user] : users_) {
    std::vector<Item> items;
    for (auto& [position, item] : user->items) items.push_back(std::move(item));
    std::stable_sort(items.begin(), items.end(),
                     [](const Item& a, const Item& b) { return a.number < b.number; });
    user->items.clear();
    user->next_position = 1;
    for (Item& item : items) user->items.emplace(user->next_position++, std::move(item));
    arm_expiry_timer(*user);
  }
}

}  // namespace perch::chat
