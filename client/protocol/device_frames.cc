// What a Device does with each frame of the server. Writes join the transaction of the bytes that came in;
// device.cc commits it, then tells.
#include <algorithm>

#include "client/protocol/device.h"
#include "codec/frame.h"

namespace perch::client {
namespace {

std::string_view view(const flatbuffers::String* text) {
  return text == nullptr ? std::string_view() : std::string_view(text->data(), text->size());
}

// By what can be told of it.
bool is_counted(const codec::Envelope& frame) {
  switch (frame.payload_type) {
    case wire::Payload::Message:
    case wire::Payload::Read:
      return frame.route != nullptr;
    case wire::Payload::Receipt:
    case wire::Payload::Expired:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool Device::on_frame(MutableBytes bytes) {
  if (session_.wants_close) return false;
  const auto verified = codec::verify(bytes);
  if (!verified.ok()) {
    if (verified.error().code == Errc::kUnsupported) {  // of a newer server, not counted
      counters_.skipped++;
      return true;
    }
    const auto told = codec::envelope(bytes);
    if (state_ == State::kOnline && told.ok() && is_counted(*told)) {
      on_unreadable(told->route);
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
      session_.refreshing = false;
      break;
    case wire::Payload::Pong:
      break;
    case wire::Payload::Goaway:
      // The session stays until then: results on their way need not be repeated.
      session_.goaway_at_ms =
          clock_.mono_ms() + random_.below(uint64_t{frame.payload_as_Goaway()->jitter_ms()} + 1);
      why_ = "the server asked to reconnect";
      break;
    case wire::Payload::Error:
      on_error(*frame.payload_as_Error());
      break;
    case wire::Payload::Resolved:
      on_resolved(frame.payload_as_Resolved()->request(), frame.payload_as_Resolved()->user());
      break;
    case wire::Payload::Message:
    case wire::Payload::Read:
      // For a conversation of a kind that is not known here, which must not pass for the one with its author.
      if (frame.route()->scope() != wire::Scope::User) {
        on_unreadable(frame.route());
      } else if (const auto* message = frame.payload_as_Message()) {
        on_message(*frame.route(), *message);
      } else {
        on_read(*frame.route(), *frame.payload_as_Read());
      }
      break;
    case wire::Payload::Receipt:
      on_receipt(*frame.payload_as_Receipt());
      break;
    case wire::Payload::Expired:
      on_expired(*frame.payload_as_Expired());
      break;
    case wire::Payload::Outcome: {
      const auto& outcome = *frame.payload_as_Outcome();
      counters_.results++;
      on_result(outcome.origin(), outcome.seq(),
                outcome.tick() == wire::Tick::Delivered ? Mark::kDelivered : Mark::kAccepted, 0,
                outcome.number(), outcome.time_ms());
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
    case wire::Payload::Ping:
    case wire::Payload::Resolve:
    case wire::Payload::Confirm:
      drop("the server sent a client's frame");
      break;
    default:
      counters_.skipped++;
      break;
  }
  return !session_.wants_close;
}

// Not a reason to end the session: the server verifies no field that is newer than itself, so a peer can put
// anything there, and the same frame would come at every login.
void Device::on_unreadable(const wire::Route* route) {
  session_.counted++;
  counters_.unreadable++;
  MessageId id;
  if (route != nullptr) id = MessageId{route->from(), route->device(), route->origin(), route->seq()};
  tell([this, id] { events_.on_unreadable(id); });
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
  counters_.logins++;
  session_.more_open = true;
  session_.window = std::max<uint32_t>(1, welcome.window());
  if (welcome.ping_ms() != 0) session_.ping_ms = welcome.ping_ms();
  if (welcome.body_bytes_max() != 0) options_.body_bytes_max = welcome.body_bytes_max();
  if (welcome.frame_bytes_max() != 0) options_.frame_bytes_max = welcome.frame_bytes_max();
  tell([this, info] { events_.on_online(info); });
}

void Device::on_message(const wire::Route& route, const wire::Message& message) {
  session_.counted++;
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
  session_.counted++;
  transact();
  const Identity& me = storage_.identity();
  if (route.from() == me.user) {  // read on another device of this user
    const ReadMark mark{read.device(), read.origin(), read.up_to()};
    storage_.mark_inbox_read(route.to(), mark);
    tell([this, peer = route.to(), mark] { events_.on_read_elsewhere(peer, mark); });
  } else if (read.device() == me.device) {
    for (const RowStatus& row : storage_.rows_read(route.from(), read.origin(), read.up_to())) {
      tell([this, row] { events_.on_row(row); });
    }
  } else {
    storage_.mark_copies(me.user, read.device(), route.from(), read.origin(), 0, read.up_to(), Mark::kRead);
  }
}

void Device::on_receipt(const wire::Receipt& receipt) {
  session_.counted++;
  counters_.receipts++;
  transact();
  const Identity& me = storage_.identity();
  if (receipt.device() != me.device) {
    storage_.mark_copies(me.user, receipt.device(), receipt.peer(), receipt.origin(), receipt.first(),
                         receipt.up_to(), Mark::kDelivered);
    return;
  }
  for (const RowStatus& row :
       storage_.rows_delivered(receipt.peer(), receipt.origin(), receipt.first(), receipt.up_to())) {
    tell([this, row] { events_.on_row(row); });
  }
}

void Device::on_expired(const wire::Expired& expired) {
  session_.counted++;
  transact();
  const Identity& me = storage_.identity();
  if (expired.device() != me.device) {
    storage_.expire_copy(me.user, expired.device(), expired.origin(), expired.seq());
  } else if (auto row = storage_.expire_row(expired.peer(), expired.origin(), expired.seq())) {
    tell([this, row = *row] { events_.on_row(row); });
  }
}

void Device::on_result(Origin origin, Seq seq, Mark mark, uint8_t reason, Number number, uint64_t time_ms) {
  std::erase_if(session_.in_flight,
                [&](const InFlight& row) { return row.origin == origin && row.seq == seq; });
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
  std::erase_if(session_.in_flight, [&](const InFlight& row) { return row.seq >= hold.seq(); });
  session_.cursor = std::min(session_.cursor, hold.seq() - 1);
  session_.more_open = true;
  session_.hold_until_ms = clock_.mono_ms() + hold.wait_ms();
  tell([this, reason = hold.reason(), wait_ms = hold.wait_ms()] {
    events_.on_hold(static_cast<HoldReason>(reason), wait_ms);
  });
}

void Device::on_error(const wire::Error& error) {
  const std::string text(view(error.text()));
  const wire::ErrorCode code = error.code();
  if (code == wire::ErrorCode::NotFound) return on_resolved(error.request(), 0);
  tell([this, code, text] { events_.on_error(static_cast<ErrorCode>(code), text); });
  if (code == wire::ErrorCode::Busy && put_off(error.request(), error.retry_ms())) return;
  switch (code) {
    case wire::ErrorCode::Replaced:
      // Our own newer connection took over from this one: nothing to say.
      if (error.origin() == storage_.identity().origin) return drop("replaced by a newer connection");
      return stop(StopReason::kReplaced, text);
    case wire::ErrorCode::TokenInvalid:
    case wire::ErrorCode::TokenExpired:
    case wire::ErrorCode::SessionExpired:
      // A session may end by its old token while the new one is on its way.
      if (token_waits_ || (session_.refreshing && code == wire::ErrorCode::SessionExpired))
        return drop("the token was not accepted, the next one is tried");
      return stop(StopReason::kToken, text);
    case wire::ErrorCode::NoAccount:
      return stop(StopReason::kNoAccount, text);
    case wire::ErrorCode::DeviceLimit:
      return stop(StopReason::kDeviceLimit, text);
    case wire::ErrorCode::Version:
      return stop(StopReason::kVersion, text);
    case wire::ErrorCode::Busy:
      retry_at_ms_ = retry_at(error.retry_ms());
      return drop("the server is busy");
    default:
      return drop(text.empty() ? "the server closed the session" : text);
  }
}

// The server cannot read that handle now. It stays among those asked for, so that nobody asks before then.
bool Device::put_off(uint64_t request, uint32_t retry_ms) {
  const auto asked = session_.asked.find(request);
  if (asked == session_.asked.end()) return false;
  session_.ask_again.emplace(retry_at(retry_ms), std::move(asked->second));
  session_.asked.erase(asked);
  return true;
}

void Device::on_resolved(uint64_t request, UserId user) {
  const auto asked = session_.asked.find(request);
  if (asked == session_.asked.end()) return;
  const std::string handle = asked->second;
  session_.asked.erase(asked);
  transact();
  if (user != 0) {
    storage_.set_handle(handle, user);
  } else {
    // As the server does for an id that nobody has. Waiting on would deliver the text to whoever takes the
    // name years later.
    session_.asked_handles.erase(handle);
    for (const RowStatus& row :
         storage_.reject_handle(handle, static_cast<uint8_t>(wire::RejectReason::NotFound))) {
      tell([this, row] { events_.on_row(row); });
    }
  }
  tell([this, handle, user] { events_.on_resolved(handle, user); });
}

}  // namespace perch::client
