#include "client/protocol/device.h"

#include <algorithm>

#include "client/protocol/backoff.h"
#include "codec/frame.h"

namespace perch::client {
namespace {

constexpr size_t kBindRows = 256;  // waiting rows given ids in one transaction
constexpr uint64_t kSilenceExtraMs = 15'000;

std::string_view view(const flatbuffers::String* text) {
  return text == nullptr ? std::string_view() : std::string_view(text->data(), text->size());
}

}  // namespace

const char* name_of(StopReason reason) noexcept {
  switch (reason) {
    case StopReason::kNone:
      return "running";
    case StopReason::kReplaced:
      return "another login of this device took over";
    case StopReason::kToken:
      return "the token is not accepted";
    case StopReason::kNoAccount:
      return "no such account";
    case StopReason::kDeviceLimit:
      return "the user has too many devices";
    case StopReason::kVersion:
      return "no common protocol version";
    case StopReason::kOtherUser:
      return "the profile belongs to another user";
    case StopReason::kStorage:
      return "the profile cannot be written";
  }
  return "unknown";
}

Device::Device(Storage& storage, Clock& clock, Random& random, DeviceEvents& events, Options options)
    : storage_(storage), clock_(clock), random_(random), events_(events), options_(std::move(options)) {}

// --- the user's side ---------------------------------------------------------------------------------------

Result<RowId> Device::send(UserId to, std::string_view handle, uint8_t content, Bytes body) {
  if ((to != 0) == !handle.empty()) return Error{Errc::kInvalid};
  if (body.size() > options_.body_bytes_max) return Error{Errc::kTooLarge, options_.body_bytes_max};
  if (stop_reason_ == StopReason::kStorage) return Error{Errc::kPoisoned};
  NewRow row;
  row.to = to;
  row.handle = handle;
  row.content = content;
  row.body.assign(body.begin(), body.end());
  row.time_ms = clock_.wall_ms();
  storage_.begin();
  const RowId id = storage_.add_row(row);
  WaitingRow waiting;
  waiting.to = to != 0 ? to : storage_.user_of(handle);
  if (waiting.to != 0) {
    waiting.content = content;
    waiting.body = std::move(row.body);
    bind(id, waiting);
  }
  if (auto committed = storage_.commit(); !committed.ok()) return committed.error();
  counters_.commits++;
  if (state_ == State::kOnline) {
    if (waiting.to == 0) resolve_waiting();
    fill();
  }
  return id;
}

Result<size_t> Device::mark_read(UserId peer) {
  if (stop_reason_ == StopReason::kStorage) return Error{Errc::kPoisoned};
  const std::vector<ReadMark> marks = storage_.unread(peer);
  if (marks.empty()) return size_t{0};
  storage_.begin();
  for (const ReadMark& mark : marks) {
    NewRow row;
    row.kind = RowKind::kRead;
    row.to = peer;
    row.read = mark;
    row.time_ms = clock_.wall_ms();
    WaitingRow waiting;
    waiting.kind = RowKind::kRead;
    waiting.to = peer;
    waiting.read = mark;
    bind(storage_.add_row(row), waiting);
    storage_.mark_inbox_read(peer, mark);
  }
  if (auto committed = storage_.commit(); !committed.ok()) return committed.error();
  counters_.commits++;
  fill();
  return marks.size();
}

void Device::poke() {
  if (stop_reason_ == StopReason::kStorage) return;
  if (bind_waiting() && state_ == State::kOnline) {
    resolve_waiting();
    fill();
  }
  flush_events();
}

void Device::set_token(std::string_view token) {
  options_.token = token;
  if (state_ == State::kOnline) emit(codec::refresh(options_.token));
  if (state_ == State::kStopped && stop_reason_ == StopReason::kToken && !wants_close_) {
    state_ = State::kOffline;
    stop_reason_ = StopReason::kNone;
    connect_at_ms_ = clock_.mono_ms();
  }
}

// --- the transport's side ----------------------------------------------------------------------------------

void Device::on_connected() {
  PERCH_CHECK(state_ == State::kOffline);
  const Identity& me = storage_.identity();
  framer_ = codec::Framer();
  output_.clear();
  in_flight_.clear();
  asked_.clear();
  asked_handles_.clear();
  cursor_ = 0;
  counted_ = confirmed_ = 0;
  hold_until_ms_ = goaway_at_ms_ = retry_at_ms_ = 0;
  wants_close_ = told_online_ = false;
  why_ = "the connection ended";
  connected_at_ms_ = heard_at_ms_ = pinged_at_ms_ = clock_.mono_ms();
  state_ = State::kHello;
  codec::HelloFields hello;
  hello.token = options_.token;
  hello.origin = me.origin;
  hello.previous_origin = me.previous_origin;
  hello.attempt = ++attempt_;
  hello.incarnation = me.incarnation;
  hello.agent = options_.agent;
  emit(codec::hello(hello));
}

void Device::on_disconnected() {
  const uint64_t now = clock_.mono_ms();
  const std::string why = std::move(why_);
  why_ = "cannot connect";
  wants_close_ = false;
  output_.clear();
  in_flight_.clear();
  framer_ = codec::Framer();
  if (state_ == State::kStopped) return;
  // A server that takes logins and drops them at once must not be hit twice a second by everybody.
  if (state_ == State::kOnline && now - connected_at_ms_ >= kSteadyMs) failures_ = 0;
  if (goaway_at_ms_ != 0) {
    connect_at_ms_ = std::max(now, goaway_at_ms_);  // the server has chosen the spread
    failures_ = 0;
  } else {
    connect_at_ms_ = std::max(now + backoff_ms(failures_, random_), retry_at_ms_);
    failures_++;
  }
  goaway_at_ms_ = 0;
  state_ = State::kOffline;
  events_.on_offline(why.empty() ? "cannot connect" : why);
}

void Device::on_bytes(MutableBytes bytes) {
  if (wants_close_ || (state_ != State::kHello && state_ != State::kOnline)) return;
  heard_at_ms_ = clock_.mono_ms();
  const bool was_online = state_ == State::kOnline;
  const auto fed =
      framer_.feed(bytes, options_.frame_bytes_max, [this](MutableBytes frame) { return on_frame(frame); });
  const bool resolved = in_transaction_ && !asked_handles_.empty();
  if (!commit()) {
    flush_events();
    return;
  }
  if (!fed.ok()) drop("the server sent bytes that are no frame");
  if (state_ == State::kOnline && !wants_close_ && counted_ > confirmed_) {
    emit(codec::confirm(counted_, closed()));
    confirmed_ = counted_;
    counters_.confirms++;
  }
  flush_events();
  if (state_ == State::kOnline && !wants_close_) {
    if (!was_online || resolved) poke();
    fill();
  }
}

void Device::on_timer() {
  const uint64_t now = clock_.mono_ms();
  if (wants_close_) return;
  if (state_ == State::kHello) {
    if (now >= connected_at_ms_ + kWelcomeMsMax) drop("no answer to the login");
    return;
  }
  if (state_ != State::kOnline) return;
  if (goaway_at_ms_ != 0 && now >= goaway_at_ms_) return drop("the server asked to reconnect");
  if (!in_flight_.empty() && now >= in_flight_.front().sent_ms + kResultMsMax)
    return drop("no result in time");
  if (now >= heard_at_ms_ + 2 * ping_ms_ + kSilenceExtraMs) return drop("the server is silent");
  if (now >= pinged_at_ms_ + ping_ms_) {
    pinged_at_ms_ = now;
    emit(codec::ping(closed(), ++nonce_));
  }
  if (hold_until_ms_ != 0 && now >= hold_until_ms_) {
    hold_until_ms_ = 0;
    fill();
  }
}

uint64_t Device::next_timer_ms() const {
  if (wants_close_) return UINT64_MAX;
  if (state_ == State::kHello) return connected_at_ms_ + kWelcomeMsMax;
  if (state_ != State::kOnline) return UINT64_MAX;
  uint64_t next = std::min(pinged_at_ms_ + ping_ms_, heard_at_ms_ + 2 * ping_ms_ + kSilenceExtraMs);
  if (!in_flight_.empty()) next = std::min(next, in_flight_.front().sent_ms + kResultMsMax);
  if (hold_until_ms_ != 0) next = std::min(next, hold_until_ms_);
  if (goaway_at_ms_ != 0) next = std::min(next, goaway_at_ms_);
  return next;
}

// --- frames ------------------------------------------------------------------------------------------------

bool Device::on_frame(MutableBytes bytes) {
  if (wants_close_) return false;
  const auto verified = codec::verify(bytes);
  if (!verified.ok()) {
    if (verified.error().code == Errc::kUnsupported) {  // of a newer server, not counted
      counters_.skipped++;
      return true;
    }
    drop("the server sent a frame that breaks the format");
    return false;
  }
  const wire::Frame& frame = **verified;
  const wire::Payload type = frame.payload_type();
  if (state_ == State::kHello && type != wire::Payload::Welcome && type != wire::Payload::Error &&
      type != wire::Payload::Goaway) {
    drop("the server spoke before the login was answered");
    return false;
  }
  switch (type) {
    case wire::Payload::Welcome:
      on_welcome(*frame.payload_as_Welcome());
      break;
    case wire::Payload::Refreshed:
      break;
    case wire::Payload::Ping:
      emit(codec::pong(frame.payload_as_Ping()->nonce()));
      break;
    case wire::Payload::Pong:
      break;
    case wire::Payload::Goaway:
      // The session stays until then: results on their way need not be repeated.
      goaway_at_ms_ = clock_.mono_ms() + random_.below(uint64_t{frame.payload_as_Goaway()->jitter_ms()} + 1);
      why_ = "the server asked to reconnect";
      break;
    case wire::Payload::Error:
      on_error(*frame.payload_as_Error());
      break;
    case wire::Payload::Resolved:
      on_resolved(frame.payload_as_Resolved()->request(), frame.payload_as_Resolved()->user());
      break;
    case wire::Payload::Message:
      on_message(*frame.route(), *frame.payload_as_Message());
      break;
    case wire::Payload::Read:
      on_read(*frame.route(), *frame.payload_as_Read());
      break;
    case wire::Payload::Receipt:
      on_receipt(*frame.payload_as_Receipt());
      break;
    case wire::Payload::Expired:
      on_expired(*frame.payload_as_Expired());
      break;
    case wire::Payload::Result: {
      const auto& result = *frame.payload_as_Result();
      counters_.results++;
      on_result(result.origin(), result.seq(),
                result.tick() == wire::Tick::Delivered ? Mark::kDelivered : Mark::kAccepted, 0,
                result.number(), result.time_ms());
      break;
    }
    case wire::Payload::Rejected: {
      const auto& rejected = *frame.payload_as_Rejected();
      counters_.rejected++;
      on_result(rejected.origin(), rejected.seq(), Mark::kRejected, static_cast<uint8_t>(rejected.reason()),
                rejected.number(), 0);
      break;
    }
    case wire::Payload::Hold:
      on_hold(*frame.payload_as_Hold());
      break;
    case wire::Payload::NONE:
    case wire::Payload::Hello:
    case wire::Payload::Refresh:
    case wire::Payload::Resolve:
    case wire::Payload::Confirm:
      drop("the server sent a client's frame");
      break;
    default:
      counters_.skipped++;
      break;
  }
  return !wants_close_;
}

void Device::on_welcome(const wire::Welcome& welcome) {
  if (state_ != State::kHello) return drop("a second WELCOME");
  const Identity& me = storage_.identity();
  if (me.user != 0 && me.user != welcome.user()) {
    return stop(StopReason::kOtherUser, "the token is of user " + std::to_string(welcome.user()) +
                                            ", the profile of user " + std::to_string(me.user));
  }
  LoginInfo info;
  info.user = welcome.user();
  info.device = welcome.device();
  info.handle = view(welcome.handle());
  info.boot = welcome.boot();
  info.session = welcome.session();
  info.session_expires_ms = welcome.session_expires_ms();
  info.continuity_broken = welcome.continuity_broken();
  info.overflowed = welcome.overflowed();
  info.new_incarnation = me.incarnation != 0 && me.incarnation != welcome.incarnation();
  transact();
  if (info.new_incarnation) info.num_reopened = storage_.reopen_accepted();
  storage_.set_login(info.user, info.device, welcome.incarnation(), info.handle);
  state_ = State::kOnline;
  told_online_ = true;
  counters_.logins++;
  more_open_ = true;
  window_ = std::max<uint32_t>(1, welcome.window());
  if (welcome.ping_ms() != 0) ping_ms_ = welcome.ping_ms();
  if (welcome.body_bytes_max() != 0) options_.body_bytes_max = welcome.body_bytes_max();
  if (welcome.frame_bytes_max() != 0) options_.frame_bytes_max = welcome.frame_bytes_max();
  tell([this, info] { events_.on_online(info); });
}

void Device::on_message(const wire::Route& route, const wire::Message& message) {
  counted_++;
  counters_.messages++;
  const UserId me = storage_.identity().user;
  InboxMessage in;
  in.id = MessageId{route.from(), route.device(), route.origin(), route.seq()};
  in.peer = route.from() == me ? route.to() : route.from();
  in.number = route.number();
  in.time_ms = route.time_ms();
  in.content = message.content();
  in.body.assign(message.body()->begin(), message.body()->end());
  transact();
  const Insert insert = storage_.insert_message(in);
  switch (insert) {
    case Insert::kKnown:
      counters_.known++;
      return;
    case Insert::kRenumbered:
      counters_.renumbered++;
      break;
    case Insert::kVariant:
      counters_.variants++;
      break;
    case Insert::kNew:
      break;
  }
  tell([this, in = std::move(in), insert] { events_.on_message(in, insert); });
}

void Device::on_read(const wire::Route& route, const wire::Read& read) {
  counted_++;
  transact();
  const Identity& me = storage_.identity();
  if (route.from() == me.user) {  // read on another device of this user
    const ReadMark mark{read.device(), read.origin(), read.up_to()};
    storage_.mark_inbox_read(route.to(), mark);
    tell([this, peer = route.to(), mark] { events_.on_read_elsewhere(peer, mark); });
  } else if (read.device() == me.device) {
    for (const RowStatus& row : storage_.mark_rows(route.from(), read.origin(), read.up_to(), Mark::kRead)) {
      tell([this, row] { events_.on_row(row); });
    }
  } else {
    storage_.mark_copies(me.user, read.device(), route.from(), read.origin(), read.up_to(), Mark::kRead);
  }
}

void Device::on_receipt(const wire::Receipt& receipt) {
  counted_++;
  counters_.receipts++;
  transact();
  const Identity& me = storage_.identity();
  if (receipt.device() != me.device) {
    storage_.mark_copies(me.user, receipt.device(), receipt.peer(), receipt.origin(), receipt.up_to(),
                         Mark::kDelivered);
    return;
  }
  for (const RowStatus& row :
       storage_.mark_rows(receipt.peer(), receipt.origin(), receipt.up_to(), Mark::kDelivered)) {
    tell([this, row] { events_.on_row(row); });
  }
}

void Device::on_expired(const wire::Expired& expired) {
  counted_++;
  transact();
  const Identity& me = storage_.identity();
  if (expired.device() != me.device) {
    storage_.expire_copy(me.user, expired.device(), expired.origin(), expired.seq());
  } else if (auto row = storage_.expire_row(expired.peer(), expired.origin(), expired.seq())) {
    tell([this, row = *row] { events_.on_row(row); });
  }
}

void Device::on_result(Origin origin, Seq seq, Mark mark, uint8_t reason, Number number, uint64_t time_ms) {
  std::erase_if(in_flight_, [&](const InFlight& row) { return row.origin == origin && row.seq == seq; });
  transact();
  storage_.raise_after(number);
  if (auto row = storage_.close_row(origin, seq, mark, reason, number, time_ms)) {
    tell([this, row = *row] { events_.on_row(row); });
  }
}

// Go back: everything from the held row on was not taken and goes out again, in order, not before wait_ms.
void Device::on_hold(const wire::Hold& hold) {
  counters_.holds++;
  if (hold.seq() == 0) return;
  std::erase_if(in_flight_, [&](const InFlight& row) { return row.seq >= hold.seq(); });
  cursor_ = std::min(cursor_, hold.seq() - 1);
  more_open_ = true;
  hold_until_ms_ = clock_.mono_ms() + hold.wait_ms();
  tell([this, reason = hold.reason(), wait_ms = hold.wait_ms()] { events_.on_hold(reason, wait_ms); });
}

void Device::on_error(const wire::Error& error) {
  const std::string text(view(error.text()));
  const wire::ErrorCode code = error.code();
  if (code == wire::ErrorCode::NotFound) return on_resolved(error.request(), 0);
  tell([this, code, text] { events_.on_error(code, text); });
  switch (code) {
    case wire::ErrorCode::Replaced:
      // Our own newer connection took over from this one: nothing to say.
      if (error.origin() == storage_.identity().origin) return drop("replaced by a newer connection");
      return stop(StopReason::kReplaced, text);
    case wire::ErrorCode::TokenInvalid:
    case wire::ErrorCode::TokenExpired:
    case wire::ErrorCode::SessionExpired:
      return stop(StopReason::kToken, text);
    case wire::ErrorCode::NoAccount:
      return stop(StopReason::kNoAccount, text);
    case wire::ErrorCode::DeviceLimit:
      return stop(StopReason::kDeviceLimit, text);
    case wire::ErrorCode::Version:
      return stop(StopReason::kVersion, text);
    case wire::ErrorCode::Busy:
      retry_at_ms_ = clock_.mono_ms() + error.retry_ms() + random_.below(uint64_t{error.retry_ms()} + 1);
      return drop("the server is busy");
    default:
      return drop(text.empty() ? "the server closed the session" : text);
  }
}

void Device::on_resolved(uint64_t request, UserId user) {
  const auto asked = asked_.find(request);
  if (asked == asked_.end()) return;
  const std::string handle = asked->second;
  asked_.erase(asked);
  transact();
  if (user != 0) {
    storage_.set_handle(handle, user);
  } else {
    // As the server does for an id that nobody has. Waiting on would deliver the text to whoever takes the
    // name years later.
    asked_handles_.erase(handle);
    for (const RowStatus& row :
         storage_.reject_handle(handle, static_cast<uint8_t>(wire::RejectReason::NotFound))) {
      tell([this, row] { events_.on_row(row); });
    }
  }
  tell([this, handle, user] { events_.on_resolved(handle, user); });
}

// --- leaves ------------------------------------------------------------------------------------------------

void Device::transact() {
  if (in_transaction_) return;
  storage_.begin();
  in_transaction_ = true;
}

bool Device::commit() {
  if (!in_transaction_) return true;
  in_transaction_ = false;
  counters_.commits++;
  if (storage_.commit().ok()) return true;
  told_.clear();  // none of it happened
  stop(StopReason::kStorage, "a commit failed");
  return false;
}

void Device::emit(const codec::FrameBytes& frame) {
  output_.insert(output_.end(), frame.begin(), frame.end());
}

void Device::flush_events() {
  while (!told_.empty()) {
    const std::vector<std::function<void()>> events = std::exchange(told_, {});
    for (const auto& event : events) event();
  }
}

// REQUIRES: a transaction.
void Device::bind(RowId row, const WaitingRow& what) {
  codec::RouteFields route;
  route.to = what.to;
  route.origin = storage_.identity().origin;
  route.seq = storage_.take_seq();
  const codec::FrameBytes frame =
      what.kind == RowKind::kRead ? codec::read(route, what.read.device, what.read.origin, what.read.up_to)
                                  : codec::message(route, what.content, what.body);
  storage_.bind_row(row, what.to, route.seq, frame);
  // Sent in the same breath: one commit instead of two.
  const bool at_once = state_ == State::kOnline && !wants_close_ && !more_open_ && hold_until_ms_ == 0 &&
                       goaway_at_ms_ == 0 && in_flight_.size() < window_;
  if (at_once) storage_.mark_sent(route.seq);
  more_open_ = true;
}

bool Device::bind_waiting() {
  while (true) {
    const std::vector<WaitingRow> rows = storage_.bindable_rows(kBindRows);
    if (rows.empty()) return true;
    transact();
    for (const WaitingRow& row : rows) bind(row.row, row);
    if (!commit()) return false;
  }
}

void Device::fill() {
  if (state_ != State::kOnline || wants_close_ || !more_open_ || goaway_at_ms_ != 0 || in_transaction_)
    return;
  const uint64_t now = clock_.mono_ms();
  if (now < hold_until_ms_ || in_flight_.size() >= window_) return;
  hold_until_ms_ = 0;
  const size_t room = window_ - in_flight_.size();
  std::vector<OpenRow> rows = storage_.open_rows(cursor_, room);
  more_open_ = rows.size() == room;
  if (rows.empty()) return;
  // A server with a smaller limit than the one this row was composed under would close every session over it.
  const auto fits = [this](const OpenRow& row) { return row.frame.size() <= options_.frame_bytes_max; };
  if (!std::all_of(rows.begin(), rows.end(), fits)) {
    for (const OpenRow& row : rows) {
      if (fits(row)) continue;
      on_result(row.origin, row.seq, Mark::kRejected, static_cast<uint8_t>(wire::RejectReason::TooLarge), 0,
                0);
    }
    std::erase_if(rows, [&](const OpenRow& row) { return !fits(row); });
    more_open_ = true;
    if (!commit()) return flush_events();
    if (rows.empty()) return;
  }
  if (std::any_of(rows.begin(), rows.end(), [](const OpenRow& row) { return !row.sent; })) {
    transact();
    for (const OpenRow& row : rows) {
      if (!row.sent) storage_.mark_sent(row.seq);
    }
    if (!commit()) return flush_events();
  }
  const Seq lowest = closed();
  const Number after = storage_.identity().after;
  for (OpenRow& row : rows) {
    codec::set_progress(row.frame, lowest, after);
    output_.insert(output_.end(), row.frame.begin(), row.frame.end());
    in_flight_.push_back(InFlight{row.origin, row.seq, now});
    cursor_ = row.seq;
    row.sent ? counters_.resent++ : counters_.sent++;
  }
}

void Device::resolve_waiting() {
  for (const std::string& handle : storage_.unresolved_handles()) {
    if (!asked_handles_.insert(handle).second) continue;
    asked_.emplace(++request_, handle);
    emit(codec::resolve(request_, handle));
  }
}

Seq Device::closed() {
  const Seq lowest = storage_.lowest_open();
  return lowest != 0 ? lowest : storage_.identity().next_seq;
}

void Device::drop(std::string_view why) {
  wants_close_ = true;
  why_ = why;
}

void Device::stop(StopReason reason, std::string_view text) {
  state_ = State::kStopped;
  stop_reason_ = reason;
  wants_close_ = true;
  why_ = text;
  tell([this, reason, what = std::string(text)] { events_.on_stopped(reason, what); });
}

}  // namespace perch::client
