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
  if (state_ != State::kOnline || session_.wants_close || handle.empty() ||
      handle.size() > codec::kHandleBytesMax)
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
  if (commit() && state_ == State::kOnline && !session_.wants_close) {
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
  if (session_.wants_close) return;  // on_disconnected() goes on
  state_ = State::kOffline;
  connect_at_ms_ = clock_.mono_ms();
}

// --- the transport's side ----------------------------------------------------------------------------------

void Device::on_connected() {
  PERCH_CHECK(state_ == State::kOffline);
  const Identity& me = storage_.identity();
  session_.connected_at_ms = session_.pinged_at_ms = clock_.mono_ms();
  retry_at_ms_ = 0;
  why_ = "the connection ended";
  state_ = State::kHello;
  token_waits_ = false;
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
  const Session ended = std::exchange(session_, {});
  if (state_ == State::kStopped && stop_reason_ != StopReason::kNone) return;
  // A server that takes logins and drops them at once must not be hit twice a second by everybody.
  if (state_ == State::kOnline && now - ended.connected_at_ms >= kSteadyMs) failures_ = 0;
  if (ended.goaway_at_ms != 0) {
    connect_at_ms_ = std::max(now, ended.goaway_at_ms);  // the server has chosen the spread
    failures_ = 0;
  } else {
    connect_at_ms_ = std::max(now + backoff_ms(failures_, random_), retry_at_ms_);
    failures_++;
  }
  state_ = State::kOffline;
  events_.on_offline(why.empty() ? "cannot connect" : why);
}

void Device::on_bytes(MutableBytes bytes) {
  if (session_.wants_close || (state_ != State::kHello && state_ != State::kOnline)) return;
  session_.answer_by_ms = 0;
  const bool was_online = state_ == State::kOnline;
  const auto fed = session_.framer.feed(bytes, codec::kFrameBytesMost,
                                        [this](MutableBytes frame) { return on_frame(frame); });
  const bool resolved = in_transaction_ && !session_.asked_handles.empty();
  if (!commit()) {
    flush_events();
    return;
  }
  if (!fed.ok()) drop("the server sent bytes that are no frame");
  if (state_ == State::kOnline && !session_.wants_close && session_.counted > session_.confirmed) {
    emit(codec::confirm(session_.counted, say_closed()));
    session_.confirmed = session_.counted;
    counters_.confirms++;
  }
  flush_events();
  if (state_ == State::kOnline && !session_.wants_close) {
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
  if (session_.wants_close) return;
  if (state_ == State::kHello) {
    if (now >= session_.connected_at_ms + kWelcomeMsMax) drop("no answer to the login");
    return;
  }
  if (state_ != State::kOnline) return;
  if (session_.goaway_at_ms != 0 && now >= session_.goaway_at_ms) {
    leave();
    return drop("the server asked to reconnect");
  }
  if (!session_.in_flight.empty() && now >= session_.in_flight.front().sent_ms + kResultMsMax)
    return drop("no result in time");
  if (session_.answer_by_ms != 0 && now >= session_.answer_by_ms) return drop("the server is silent");
  if (now >= session_.pinged_at_ms + session_.ping_ms) {
    session_.pinged_at_ms = now;
    if (session_.answer_by_ms == 0) session_.answer_by_ms = now + kAnswerMsMax;
    emit(codec::ping(say_closed(), ++session_.nonce));
  }
  if (session_.hold_until_ms != 0 && now >= session_.hold_until_ms) {
    session_.hold_until_ms = 0;
    fill();
  }
  while (!session_.ask_again.empty() && now >= session_.ask_again.begin()->first) {
    const std::string handle = std::move(session_.ask_again.extract(session_.ask_again.begin()).mapped());
    session_.asked_handles.erase(handle);
    ask(handle);
  }
}

uint64_t Device::next_timer_ms() const {
  if (session_.wants_close) return UINT64_MAX;
  if (state_ == State::kHello) return session_.connected_at_ms + kWelcomeMsMax;
  if (state_ != State::kOnline) return UINT64_MAX;
  uint64_t next = session_.pinged_at_ms + session_.ping_ms;
  if (session_.answer_by_ms != 0) next = std::min(next, session_.answer_by_ms);
  if (!session_.in_flight.empty()) next = std::min(next, session_.in_flight.front().sent_ms + kResultMsMax);
  if (session_.hold_until_ms != 0) next = std::min(next, session_.hold_until_ms);
  if (session_.goaway_at_ms != 0) next = std::min(next, session_.goaway_at_ms);
  if (!session_.ask_again.empty()) next = std::min(next, session_.ask_again.begin()->first);
  return next;
}

void Device::leave() {
  if (state_ != State::kOnline || session_.wants_close) return;
  const Seq said = session_.said_closed;
  if (say_closed() != said) emit(codec::ping(session_.said_closed, ++session_.nonce));
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
  session_.output.insert(session_.output.end(), frame.begin(), frame.end());
}

void Device::present_token() {
  if (!token_waits_ || state_ != State::kOnline || session_.wants_close || session_.goaway_at_ms != 0) return;
  token_waits_ = false;
  session_.refreshing = true;
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
  const bool at_once = state_ == State::kOnline && !session_.wants_close && !session_.more_open &&
                       session_.hold_until_ms == 0 && session_.goaway_at_ms == 0 &&
                       session_.in_flight.size() < session_.window && fits(frame);
  if (at_once) {
    storage_.mark_sent(route.seq);
    session_.marked_at_once = route.seq;
  }
  session_.more_open = true;
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
  if (state_ != State::kOnline || session_.wants_close || !session_.more_open || session_.goaway_at_ms != 0 ||
      in_transaction_)
    return;
  const uint64_t now = clock_.mono_ms();
  if (now < session_.hold_until_ms || session_.in_flight.size() >= session_.window) return;
  session_.hold_until_ms = 0;
  const size_t room = session_.window - session_.in_flight.size();
  auto found = storage_.open_rows(session_.cursor, room);
  if (!found.ok()) return storage_failed(found.error(), kReadFailed);
  std::vector<OpenRow>& rows = *found;
  session_.more_open = rows.size() == room;
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
    session_.output.insert(session_.output.end(), row.frame.begin(), row.frame.end());
    session_.in_flight.push_back(InFlight{row.origin, row.seq, now});
    session_.cursor = row.seq;
    const bool again = row.sent && row.seq != session_.marked_at_once;
    ++(again ? counters_.resent : counters_.sent);
  }
  session_.marked_at_once = 0;
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
    session_.more_open = true;
    if (!std::exchange(session_.told_stuck, true)) {
      tell([this] {
        events_.on_error(ErrorCode::kTooLarge, "a message sent before is over the server's limit now");
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
  session_.more_open = true;
  return commit();
}

void Device::ask(const std::string& handle) {
  if (!session_.asked_handles.insert(handle).second) return;
  session_.asked.emplace(++session_.request, handle);
  emit(codec::resolve(session_.request, handle));
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
  session_.said_closed = lowest != 0 ? lowest : storage_.identity().next_seq;
  return session_.said_closed;
}

void Device::drop(std::string_view why) {
  session_.wants_close = true;
  why_ = why;
}

void Device::stop(StopReason reason, std::string_view text) {
  session_.wants_close = session_.wants_close || state_ == State::kHello || state_ == State::kOnline;
  state_ = State::kStopped;
  stop_reason_ = reason;
  why_ = text;
  told_last_ = [this, reason, what = std::string(text)] { events_.on_stopped(reason, what); };
}

}  // namespace perch::client
