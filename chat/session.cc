// A session: one login of one device, from WELCOME to its end.
#include <algorithm>
#include <utility>

#include "chat/core.h"

namespace perch::chat {

void Core::welcome(std::unique_ptr<LoginRequest> login) {
  User* user = find_user(login->user);
  PERCH_CHECK(user != nullptr);
  const int slot = user->slot_of(login->number);
  PERCH_CHECK(slot >= 0);
  Device& device = *user->devices[static_cast<size_t>(slot)];
  device.registered = true;
  // Gone while the login was written, or never adopted. Its index may be another connection's by now, so
  // nothing may be bound to it; and a session that cannot hear replaces none that can.
  if (!net_.writable(login->conn)) return;
  if (is_revoked(login->conn, login->user, login->issued_ms)) return;  // while it was written
  if (device.session) {
    Session& old = *device.session;
    if (old.origin == login->origin && login->attempt < old.attempt)
      return fail(login->conn, wire::ErrorCode::StaleAttempt, "a newer login of this device is here");
    count_error(wire::ErrorCode::Replaced);
    turn_out(*user, device,
             codec::error(wire::ErrorCode::Replaced, "another login took over", login->origin));
  }
  device.session = std::make_unique<Session>();
  Session& session = *device.session;
  session.conn = login->conn;
  session.id = ++num_sessions_;
  session.origin = login->origin;
  session.attempt = login->attempt;
  session.expires_ms = login->expires_ms;
  session.told_gap = device.row.overflowed || device.row.missed;
  session.told_broken = login->continuity_broken;
  device.gap_write = kNoGap;
  arm_session_timer(session);
  if (bound_.size() <= session.conn.index) bound_.resize(session.conn.index + 1);
  bound_[session.conn.index] = {user, &device, session.conn.generation};
  net_.logged_in(session.conn);
  probe::session_begin(options_.id, user->id, device.row.number, session.id);
  log_.debug(Metric::kLogins, "session begins",
             {{"user", user->id},
              {"device", device.row.number},
              {"session", session.id},
              {"connection", session.conn.index}});
  metrics_.add(Metric::kLogins);
  metrics_.set(Metric::kSessions, ++num_sessions_now_);

  codec::WelcomeFields fields;
  fields.boot = options_.boot;
  fields.session = session.id;
  fields.incarnation = options_.incarnation;
  fields.user = user->id;
  fields.device = device.row.number;
  fields.window = static_cast<uint16_t>(limits_.window);
  fields.body_bytes_max = limits_.body_bytes_max;
  fields.frame_bytes_max = limits_.frame_bytes_max;
  fields.ping_ms = limits_.ping_ms;
  fields.time_ms = now_.wall_ms();
  fields.session_expires_ms = login->expires_ms;
  fields.continuity_broken = login->continuity_broken;
  fields.overflowed = session.told_gap;
  fields.handle = user->handle;
  fields.blocks_max = limits_.blocks_max;
  if (!send(session, codec::welcome(fields))) {  // it has gone while its login was on the way
    bound_[session.conn.index] = Bound{};
    return end_session(*user, device);
  }
  session.results_wait = true;  // what the device has not closed is repeated first (DELIVERY.md, Result)
  for (const auto& [id, to] : device.expired) session.expired_to_tell.push_back(id);
  for (auto& [key, pending] : device.receipts) queue_receipt(session, key, pending);
  pump(*user, slot);
}

// A Ping or a Confirm says that WELCOME was taken in: what it told is told. Before, a connection that ends
// would take it along.
void Core::on_heard(Bound& at) {
  Session& session = *at.device->session;
  if (!session.told_gap && !session.told_broken) return;
  store::DeviceRow& row = at.device->row;
  if (std::exchange(session.told_gap, false)) row.overflowed = row.missed = false;
  if (std::exchange(session.told_broken, false)) row.origin = at.device->heard_origin = session.origin;
  write_user(*at.user);
}

// Ends the session from here, at once: what its peer still says changes nothing.
void Core::turn_out(User& user, Device& device, const codec::FrameBytes& last_word) {
  const net::ConnId conn = device.session->conn;
  if (Bound* const at = bound(conn)) *at = Bound{};
  end_session(user, device);
  net_.send(conn, frames_.make(last_word));
  net_.close(conn);
}

// The device's session is over: what it had not confirmed is made safe at once (DELIVERY.md, Forwarding).
void Core::end_session(User& user, Device& device) {
  const int slot = user.slot_of(device.row.number);
  timers_.disarm(*device.session);
  probe::session_end(options_.id, user.id, device.row.number, device.session->id);
  log_.debug(Metric::kSessions, "session ends",
             {{"user", user.id}, {"device", device.row.number}, {"session", device.session->id}});
  device.session.reset();
  note_seen(user, device);
  metrics_.set(Metric::kSessions, --num_sessions_now_);
  device.slow = false;
  const auto bit = static_cast<SlotMask>(1u << slot);
  for (auto& [position, item] : user.items) {
    item.sent &= static_cast<SlotMask>(~bit);
    if (item.mask & bit) need_store(user, item);
  }
  for (auto& [key, pending] : device.receipts) store_receipt(key, pending);
}

void Core::on_refresh(Bound& at, std::string_view token) {
  Session& session = *at.device->session;
  const std::optional<Claims> claims = check_token(session.conn, token);
  if (!claims) return;
  const bool same_user = claims->user != 0 ? claims->user == at.user->id : claims->handle == at.user->handle;
  if (!same_user || claims->dev != at.device->row.name)
    return fail(session.conn, wire::ErrorCode::TokenInvalid, "the token is not valid for this session");
  if (is_revoked(session.conn, at.user->id, claims->iat_ms)) return;
  session.expires_ms = claims->exp_ms;
  arm_session_timer(session);
  send(session, codec::refreshed(session.expires_ms));
}

// `exp` is a time of the wall clock, which may be set, so it is looked at again every hour; a Ping looks too.
void Core::arm_session_timer(Session& session) {
  constexpr uint64_t kLookMs = 3'600'000;
  const uint64_t wall = now_.wall_ms();
  const uint64_t left = session.expires_ms > wall ? session.expires_ms - wall : 0;
  timers_.arm(session, now_.mono_ms() + std::min(left, kLookMs));
}

void Core::on_session_timer(Session& session) {
  const Bound* at = bound(session.conn);
  PERCH_CHECK(at != nullptr);
  if (now_.wall_ms() >= session.expires_ms)
    return fail(session.conn, wire::ErrorCode::SessionExpired, "the token has expired");
  note_seen(*at->user, *at->device);
  arm_session_timer(session);
}

}  // namespace perch::chat
