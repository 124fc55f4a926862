#include "client/protocol/device.h"

#include <algorithm>

#include "client/protocol/backoff.h"
#include "codec/frame.h"

namespace perch::client {
namespace {

constexpr size_t kBindRows = 256;  // waiting rows in memory at a time
constexpr std::string_view kReadFailed = "a read failed";

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
      return "the profile cannot be read or written";
  }
  return "unknown";
}

Device::Device(Storage& storage, Clock& clock, Random& random, DeviceEvents& events, Options options)
    : storage_(storage), clock_(clock), random_(random), events_(events), options_(std::move(options)) {}

// --- the user's side ---------------------------------------------------------------------------------------

Result<RowId> Device::send(UserId to, std::string_view handle, uint8_t content, Bytes body) {
  // A longer handle would make a frame that the server closes every session for.
  if ((to != 0) == !handle.empty() || handle.size() > codec::kHandleBytesMax) return Error{Errc::kInvalid};
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
  bind_waiting();
  if (auto committed = storage_.commit(); !committed.ok()) return committed.error();
  counters_.commits++;
  if (state_ == State::kOnline) {
    if (to == 0) resolve_waiting();
    fill();
  }
  return id;
}

Result<size_t> Device::mark_read(UserId peer) {
  if (stop_reason_ == StopReason::kStorage) return Error{Errc::kPoisoned};
  const auto marks = storage_.unread(peer);
  if (!marks.ok()) return marks.error();
  if (marks->empty()) return size_t{0};
  storage_.begin();
  for (const ReadMark& mark : *marks) {
    NewRow row;
    row.kind = RowKind::kRead;
    row.to = peer;
    row.read = mark;
    row.time_ms = clock_.wall_ms();
    storage_.add_row(row);
    storage_.mark_inbox_read(peer, mark);
  }
  bind_waiting();
  if (auto committed = storage_.commit(); !committed.ok()) return committed.error();
  counters_.commits++;
  fill();
  return marks->size();
}

void Device::resolve(std::string_view handle) {
  if (state_ != State::kOnline || wants_close_ || handle.empty() || handle.size() > codec::kHandleBytesMax)
    return;
  ask(std::string(handle));
}

void Device::poke() {
  if (stop_reason_ == StopReason::kStorage) return;
  const auto waiting = storage_.bindable_rows(1);
  if (!waiting.ok()) {
    storage_failed(waiting.error(), kReadFailed);
  } else if (!waiting->empty()) {
    transact();
    bind_waiting();
  }
  if (commit() && state_ == State::kOnline && !wants_close_) {
    resolve_waiting();
    fill();
  }
  flush_events();
}

void Device::set_token(std::string_view token) {
  options_.token = token;
  token_waits_ = true;
  present_token();
  if (state_ != State::kStopped || stop_reason_ != StopReason::kToken) return;
  stop_reason_ = StopReason::kNone;
  if (wants_close_) return;  // on_disconnected() goes on
  state_ = State::kOffline;
  connect_at_ms_ = clock_.mono_ms();
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
  ask_again_.clear();
  cursor_ = said_closed_ = 0;
  counted_ = confirmed_ = 0;
  hold_until_ms_ = goaway_at_ms_ = retry_at_ms_ = 0;
  wants_close_ = told_stuck_ = false;
  why_ = "the connection ended";
  connected_at_ms_ = pinged_at_ms_ = clock_.mono_ms();
  answer_by_ms_ = 0;
  state_ = State::kHello;
  token_waits_ = refreshing_ = false;
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
  if (state_ == State::kStopped && stop_reason_ != StopReason::kNone) return;
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
  answer_by_ms_ = 0;
  const bool was_online = state_ == State::kOnline;
  const auto fed =
      framer_.feed(bytes, codec::kFrameBytesMost, [this](MutableBytes frame) { return on_frame(frame); });
  const bool resolved = in_transaction_ && !asked_handles_.empty();
  if (!commit()) {
    flush_events();
    return;
  }
  if (!fed.ok()) drop("the server sent bytes that are no frame");
  if (state_ == State::kOnline && !wants_close_ && counted_ > confirmed_) {
    emit(codec::confirm(counted_, say_closed()));
    confirmed_ = counted_;
    counters_.confirms++;
  }
  flush_events();
  if (state_ == State::kOnline && !wants_close_) {
    present_token();
    if (!was_online || resolved) poke();
    fill();
    flush_events();
  }
}

void Device::on_timer() {
  keep_deadlines();
  flush_events();  // also what send() and mark_read() must not call back
}

void Device::keep_deadlines() {
  const uint64_t now = clock_.mono_ms();
  if (wants_close_) return;
  if (state_ == State::kHello) {
    if (now >= connected_at_ms_ + kWelcomeMsMax) drop("no answer to the login");
    return;
  }
  if (state_ != State::kOnline) return;
  if (goaway_at_ms_ != 0 && now >= goaway_at_ms_) {
    leave();
    return drop("the server asked to reconnect");
  }
  if (!in_flight_.empty() && now >= in_flight_.front().sent_ms + kResultMsMax)
    return drop("no result in time");
  if (answer_by_ms_ != 0 && now >= answer_by_ms_) return drop("the server is silent");
  if (now >= pinged_at_ms_ + ping_ms_) {
    pinged_at_ms_ = now;
    if (answer_by_ms_ == 0) answer_by_ms_ = now + kAnswerMsMax;
    emit(codec::ping(say_closed(), ++nonce_));
  }
  if (hold_until_ms_ != 0 && now >= hold_until_ms_) {
    hold_until_ms_ = 0;
    fill();
  }
  while (!ask_again_.empty() && now >= ask_again_.begin()->first) {
    const std::string handle = std::move(ask_again_.extract(ask_again_.begin()).mapped());
    asked_handles_.erase(handle);
    ask(handle);
  }
}

uint64_t Device::next_timer_ms() const {
  if (wants_close_) return UINT64_MAX;
  if (state_ == State::kHello) return connected_at_ms_ + kWelcomeMsMax;
  if (state_ != State::kOnline) return UINT64_MAX;
  uint64_t next = pinged_at_ms_ + ping_ms_;
  if (answer_by_ms_ != 0) next = std::min(next, answer_by_ms_);
  if (!in_flight_.empty()) next = std::min(next, in_flight_.front().sent_ms + kResultMsMax);
  if (hold_until_ms_ != 0) next = std::min(next, hold_until_ms_);
  if (goaway_at_ms_ != 0) next = std::min(next, goaway_at_ms_);
  if (!ask_again_.empty()) next = std::min(next, ask_again_.begin()->first);
  return next;
}

void Device::leave() {
  if (state_ != State::kOnline || wants_close_) return;
  const Seq said = said_closed_;
  if (say_closed() != said) emit(codec::ping(said_closed_, ++nonce_));
}

// --- leaves ------------------------------------------------------------------------------------------------

void Device::transact() {
  if (in_transaction_) return;
  storage_.begin();
  in_transaction_ = true;
  num_told_before_ = told_.size();
}

bool Device::commit() {
  if (!in_transaction_) return true;
  in_transaction_ = false;
  counters_.commits++;
  const auto committed = storage_.commit();
  if (committed.ok()) return true;
  told_.resize(num_told_before_);  // none of it happened
  storage_failed(committed.error(), "a commit failed");
  return false;
}

// A lock that another program holds on the profile goes away, and nothing has been written: what the session
// was told and has not confirmed comes again on the next one. Without a session the next login asks again.
void Device::storage_failed(Error error, std::string_view text) {
  if (error.code != Errc::kBusy) return stop(StopReason::kStorage, text);
  if (state_ == State::kHello || state_ == State::kOnline) drop("the profile is locked by another program");
}

void Device::emit(const codec::FrameBytes& frame) {
  output_.insert(output_.end(), frame.begin(), frame.end());
}

void Device::present_token() {
  if (!token_waits_ || state_ != State::kOnline || wants_close_ || goaway_at_ms_ != 0) return;
  token_waits_ = false;
  refreshing_ = true;
  emit(codec::refresh(options_.token));
}

void Device::flush_events() {
  while (!told_.empty() || told_last_) {
    const std::vector<std::function<void()>> events = std::exchange(told_, {});
    for (const auto& event : events) event();
    if (const auto last = std::exchange(told_last_, nullptr)) last();
  }
}

// REQUIRES: a transaction.
void Device::bind(const WaitingRow& row) {
  codec::RouteFields route;
  route.to = row.to;
  route.origin = storage_.identity().origin;
  route.seq = storage_.take_seq();
  const codec::FrameBytes frame = row.kind == RowKind::kRead
                                      ? codec::read(route, row.read.device, row.read.origin, row.read.up_to)
                                      : codec::message(route, row.content, row.body);
  storage_.bind_row(row.row, row.to, route.seq, frame);
  // Sent in the same breath: one commit instead of two.
  const bool at_once = state_ == State::kOnline && !wants_close_ && !more_open_ && hold_until_ms_ == 0 &&
                       goaway_at_ms_ == 0 && in_flight_.size() < window_ && fits(frame);
  if (at_once) {
    storage_.mark_sent(route.seq);
    marked_at_once_ = route.seq;
  }
  more_open_ = true;
}

// REQUIRES: a transaction.
void Device::bind_waiting() {
  while (true) {
    const auto rows = storage_.bindable_rows(kBindRows);
    if (!rows.ok()) return;  // commit() says so
    for (const WaitingRow& row : *rows) bind(row);
    if (rows->size() < kBindRows) return;
  }
}

void Device::fill() {
  if (state_ != State::kOnline || wants_close_ || !more_open_ || goaway_at_ms_ != 0 || in_transaction_)
    return;
  const uint64_t now = clock_.mono_ms();
  if (now < hold_until_ms_ || in_flight_.size() >= window_) return;
  hold_until_ms_ = 0;
  const size_t room = window_ - in_flight_.size();
  auto found = storage_.open_rows(cursor_, room);
  if (!found.ok()) return storage_failed(found.error(), kReadFailed);
  std::vector<OpenRow>& rows = *found;
  more_open_ = rows.size() == room;
  if (rows.empty()) return;
  if (!leave_out_oversized(rows) || rows.empty()) return;
  if (std::any_of(rows.begin(), rows.end(), [](const OpenRow& row) { return !row.sent; })) {
    transact();
    for (const OpenRow& row : rows) {
      if (!row.sent) storage_.mark_sent(row.seq);
    }
    if (!commit()) return;
  }
  const Seq lowest = say_closed();
  const Number after = storage_.identity().after;
  for (OpenRow& row : rows) {
    codec::set_progress(row.frame, lowest, after);
    output_.insert(output_.end(), row.frame.begin(), row.frame.end());
    in_flight_.push_back(InFlight{row.origin, row.seq, now});
    cursor_ = row.seq;
    const bool again = row.sent && row.seq != marked_at_once_;
    ++(again ? counters_.resent : counters_.sent);
  }
  marked_at_once_ = 0;
}

// A server closes every session over a frame that is larger than its limit, and that may be smaller than the
// one a row was composed under. False: the commit failed.
bool Device::leave_out_oversized(std::vector<OpenRow>& rows) {
  const auto stuck = std::find_if(rows.begin(), rows.end(),
                                  [this](const OpenRow& row) { return row.sent && !fits(row.frame); });
  if (stuck != rows.end()) {
    // It may have been taken before the limit shrank: only the server's answer closes it. What is behind it
    // waits too, or it would be overtaken.
    rows.erase(stuck, rows.end());
    more_open_ = true;
    if (!std::exchange(told_stuck_, true)) {
      tell([this] {
        events_.on_error(wire::ErrorCode::TooLarge, "a message sent before is over the server's limit now");
      });
    }
  }
  const auto rejects = [this](const OpenRow& row) { return !fits(row.frame); };
  if (std::none_of(rows.begin(), rows.end(), rejects)) return true;
  for (const OpenRow& row : rows) {
    if (!rejects(row)) continue;
    on_result(row.origin, row.seq, Mark::kRejected, static_cast<uint8_t>(wire::RejectReason::TooLarge), 0, 0);
  }
  std::erase_if(rows, rejects);
  more_open_ = true;
  return commit();
}

void Device::ask(const std::string& handle) {
  if (!asked_handles_.insert(handle).second) return;
  asked_.emplace(++request_, handle);
  emit(codec::resolve(request_, handle));
}

void Device::resolve_waiting() {
  const auto handles = storage_.unresolved_handles();
  if (!handles.ok()) return storage_failed(handles.error(), kReadFailed);
  for (const std::string& handle : *handles) ask(handle);
}

// Never before retry_ms, and not all at once.
uint64_t Device::retry_at(uint32_t retry_ms) {
  return clock_.mono_ms() + retry_ms + random_.below(uint64_t{retry_ms} + 1);
}

Seq Device::say_closed() {
  const Seq lowest = storage_.lowest_open();
  said_closed_ = lowest != 0 ? lowest : storage_.identity().next_seq;
  return said_closed_;
}

void Device::drop(std::string_view why) {
  wants_close_ = true;
  why_ = why;
}

void Device::stop(StopReason reason, std::string_view text) {
  wants_close_ = wants_close_ || state_ == State::kHello || state_ == State::kOnline;
  state_ = State::kStopped;
  stop_reason_ = reason;
  why_ = text;
  told_last_ = [this, reason, what = std::string(text)] { events_.on_stopped(reason, what); };
}

}  // namespace perch::client
