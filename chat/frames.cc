// What comes off the connections: frames of clients, violations, ends. And what is said to them.
#include "chat/core.h"

namespace perch::chat {
namespace {

// For later versions: their places in the schema are taken.
bool is_reserved(wire::Payload payload) {
  return payload >= wire::Payload::Presence && payload <= wire::Payload::GroupChange;
}

}  // namespace

Core::Bound* Core::bound(net::ConnId id) {
  if (id.index >= bound_.size()) return nullptr;
  Bound& at = bound_[id.index];
  return at.user != nullptr && at.generation == id.generation ? &at : nullptr;
}

bool Core::send(Session& session, Bytes bytes) {
  if (net_.send(session.conn, frames_.make(bytes))) return true;
  net_.close(session.conn);  // reads nothing: all it is owed is in its list, on disk or in its outbox
  return false;
}

static Metric metric_of(wire::ErrorCode code) {
  static_assert(metric_of(Metric::kErrorMalformed, wire::ErrorCode::Malformed, wire::ErrorCode::MAX) ==
                Metric::kErrorBlockLimit);
  return metric_of(Metric::kErrorMalformed, wire::ErrorCode::Malformed, code);
}

void Core::count_error(wire::ErrorCode code) { metrics_.add(metric_of(code)); }

void Core::log_refused(net::ConnId id, wire::ErrorCode code, std::string_view text) {
  const Bound* at = bound(id);
  log_.refused(metric_of(code), "connection refused",
               {{"error", wire::EnumNameErrorCode(code)},
                {"why", text},
                {"user", at == nullptr ? 0 : at->user->id},
                {"peer", net_.peer_text(id)},
                {"connection", id.index}});
}

void Core::fail(net::ConnId id, wire::ErrorCode code, std::string_view text, Origin origin) {
  count_error(code);
  log_refused(id, code, text);
  const uint32_t retry_ms = code == wire::ErrorCode::Busy ? ToldWaits::kAskAgainMs : 0;
  net_.send(id, frames_.make(codec::error(code, text, origin, retry_ms)));
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
    if (is_reserved(frame.payload_type()))
      return fail(id, wire::ErrorCode::UnknownFrame, "this server does not know this frame yet");
    if (frame.payload_type() != wire::Payload::Hello) return fail(id, wire::ErrorCode::State, "log in first");
    return on_hello(id, frame);
  }
  Session& session = *at->device->session;
  // Its WELCOME has arrived. Where that told of a gap, on_heard() decides.
  if (!session.told_broken) at->device->heard_origin = session.origin;
  switch (frame.payload_type()) {
    case wire::Payload::Message:
    case wire::Payload::Read:
      if (frame.route()->origin() == 0 || frame.route()->seq() == 0)
        return fail(id, wire::ErrorCode::Malformed, "origin and seq of a message are not 0");
      return on_send(*at, bytes, frame);
    case wire::Payload::Confirm:
      return on_confirm(*at, frame.payload_as_Confirm()->count(), frame.payload_as_Confirm()->closed());
    case wire::Payload::Ping:
      closed_up_to(*at->device, frame.payload_as_Ping()->closed());
      if (now_.wall_ms() >= session.expires_ms)
        return fail(id, wire::ErrorCode::SessionExpired, "the token has expired");
      on_heard(*at);
      if (send(session, codec::pong(frame.payload_as_Ping()->nonce())))
        pump(*at->user, at->user->slot_of(at->device->row.number));
      return;
    case wire::Payload::Refresh:
      return on_refresh(*at, frame.payload_as_Refresh()->token()->string_view());
    case wire::Payload::Resolve:
      return on_resolve(session, *frame.payload_as_Resolve());
    case wire::Payload::Block:
      return on_block(*at, *frame.payload_as_Block());
    case wire::Payload::Hello:
    case wire::Payload::Welcome:
    case wire::Payload::Refreshed:
    case wire::Payload::Pong:
    case wire::Payload::Goaway:
    case wire::Payload::Error:
    case wire::Payload::Resolved:
    case wire::Payload::Blocks:
    case wire::Payload::Outcome:
    case wire::Payload::Rejected:
    case wire::Payload::Hold:
    case wire::Payload::Receipt:
    case wire::Payload::Expired:
      return fail(id, wire::ErrorCode::State, "this frame is not allowed here");
    default:
      return fail(id, wire::ErrorCode::UnknownFrame, "this server does not know this frame yet");
  }
}

// A session goes on after either error: that somebody's handle cannot be read is not its trouble.
void Core::on_resolve(Session& session, const wire::Resolve& ask) {
  const std::string_view handle = ask.handle()->string_view();
  const Result<UserId> user = reader_->handle(handle);
  if (user) {
    send(session, codec::resolved(ask.request(), handle, *user));
  } else if (user.error().code == Errc::kNotFound) {
    count_error(wire::ErrorCode::NotFound);
    send(session, codec::error(wire::ErrorCode::NotFound, "no such handle", 0, 0, ask.request()));
  } else {
    log_unreadable(0, handle, user.error().code);
    count_error(wire::ErrorCode::Busy);
    send(session, codec::error(wire::ErrorCode::Busy, "this handle cannot be read", 0, ToldWaits::kAskAgainMs,
                               ask.request()));
  }
}

void Core::on_violation(net::ConnId id, net::CloseReason reason) {
  wire::ErrorCode code = wire::ErrorCode::Malformed;
  const char* text = "these bytes are no frame";
  switch (reason) {
    case net::CloseReason::kFrameTooLarge:
      code = wire::ErrorCode::TooLarge;
      text = "a frame over its limit";
      break;
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
  count_error(code);
  log_refused(id, code, text);
  net_.send(id, frames_.make(codec::error(code, text)));
}

void Core::on_writable(net::ConnId id) {
  const Bound* at = bound(id);
  if (at != nullptr) pump(*at->user, at->user->slot_of(at->device->row.number));
}

void Core::on_closed(net::ConnId id, net::CloseReason reason) {
  log_.debug(Metric::kConnections, "connection closed",
             {{"reason", net::name_of(reason)}, {"connection", id.index}});
  moving_.erase(moving_key(id));  // it ended before it could move
  Bound* at = bound(id);
  if (at == nullptr) return;
  const Bound was = *at;
  *at = Bound{};
  if (was.device->session && was.device->session->conn == id) end_session(*was.user, *was.device);
}

}  // namespace perch::chat
