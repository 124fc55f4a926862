// Login: HELLO on the core that accepted, then the connection moves to the user's home core, is bound to a
// device there and gets WELCOME. The device's first login is flushed before (DELIVERY.md H29).
#include "chat/core.h"

namespace perch::chat {

using store::OpKind;
using store::StoreOp;

// Nothing: it is not good, and the connection has been told.
std::optional<Claims> Core::check_token(net::ConnId id, std::string_view token) {
  Result<Claims> claims = keys_->check(token, now_.wall_ms());
  if (claims) return *std::move(claims);
  if (claims.error().code == Errc::kExpired) {
    fail(id, wire::ErrorCode::TokenExpired, "the token has expired");
  } else {
    fail(id, wire::ErrorCode::TokenInvalid, "the token is not valid");
  }
  return std::nullopt;
}

void Core::on_hello(net::ConnId id, const wire::Frame& frame) {
  const wire::Hello& hello = *frame.payload_as_Hello();
  if (hello.origin() == 0) return fail(id, wire::ErrorCode::Malformed, "an origin is not 0");
  if (draining_ || store_poisoned_) return fail(id, wire::ErrorCode::Busy, "the server is stopping");
  if (hello.version_min() > 1 || hello.version_max() < 1)
    return fail(id, wire::ErrorCode::Version, "this server speaks version 1");
  const std::optional<Claims> claims = check_token(id, hello.token()->string_view());
  if (!claims) return;
  if (log_.wants_debug())  // once it is logged in, nobody knows where from
    log_.debug(Metric::kAccepted, "good token",
               {{"user", claims->user},
                {"handle", claims->handle},
                {"peer", net_.peer_text(id)},
                {"connection", id.index}});
  auto login = std::make_unique<LoginRequest>();
  login->conn = id;
  login->handle = claims->handle;
  login->device = claims->dev;
  login->origin = hello.origin();
  login->previous_origin = hello.previous_origin();
  login->attempt = hello.attempt();
  login->expires_ms = claims->exp_ms;
  login->issued_ms = claims->iat_ms;

  // The store thread is asked only for what is not there yet: the account, or the handle the token gives it.
  if (claims->user != 0) {
    login->user = claims->user;
    const Result<store::UserRow> row = reader_->user(claims->user);
    if (!row && row.error().code != Errc::kNotFound) return refuse_unreadable(*login, row.error().code);
    const bool free = row && row->handle.empty() && !login->handle.empty() && !reader_->handle(login->handle);
    if (row && !free) {
      login->handle = row->handle;
      return send_home(std::move(login));
    }
  } else {
    const Result<UserId> known = reader_->handle(login->handle);
    if (!known && known.error().code != Errc::kNotFound) return refuse_unreadable(*login, known.error().code);
    if (known) {
      login->user = *known;
      return send_home(std::move(login));
    }
  }
  auto op = std::make_unique<StoreOp>();
  op->kind = OpKind::kAccount;
  op->waits = false;
  op->user_row.id = login->user;
  op->handle = login->handle;
  op->create = options_.accounts_auto;
  op->context = login.release();
  submit(std::move(op));
}

// Not "no such account": one made anew would take its place.
void Core::refuse_unreadable(const LoginRequest& login, Errc why) {
  log_unreadable(login.user, login.handle, why);
  fail(login.conn, wire::ErrorCode::Busy, "this account cannot be read");
}

void Core::send_home(std::unique_ptr<LoginRequest> login) {
  // Ended while its account was looked up: its index may be another connection's by now, whose move must
  // not carry this login.
  if (!net_.writable(login->conn)) return;
  const CoreId target = home(login->user);
  if (target == options_.id) return login_here(std::move(login));
  const net::ConnId conn = login->conn;
  const uint64_t cookie = moving_key(conn);
  moving_[cookie] = std::move(login);
  net_.move(conn, options_.ring_ids[target], cookie);
}

void Core::on_moved(net::ConnId id, bool ok, Socket slot, uint64_t cookie) {
  const auto found = moving_.find(cookie);
  PERCH_CHECK(found != moving_.end());
  std::unique_ptr<LoginRequest> login = std::move(found->second);
  moving_.erase(found);
  if (!ok) return fail(id, wire::ErrorCode::Busy, "the user's core takes no more connections");
  const CoreId target = home(login->user);
  post(target, kHopLogin, LoginHop{login.release(), slot});
}

namespace {

// Whether the device's history may have a gap: the opening that it names as the one before is neither the
// last that logged in, whose WELCOME may have been lost, nor the last that was heard. A client that was
// welcomed before and is not known was removed since, or this is another server. If there is a gap the row
// keeps the origin by which that was seen, until the device has heard of it.
void meet(Device& device, LoginRequest& login) {
  store::DeviceRow& row = device.row;
  login.continuity_broken = login.previous_origin != row.origin &&
                            login.previous_origin != device.heard_origin && login.origin != row.origin;
  if (!login.continuity_broken) row.origin = login.origin;
}

}  // namespace

void Core::login_here(std::unique_ptr<LoginRequest> login) {
  const Result<User*> loaded = load_user(login->user);
  if (!loaded) {
    return loaded.error().code == Errc::kNotFound
               ? fail(login->conn, wire::ErrorCode::NoAccount, "there is no such account")
               : fail(login->conn, wire::ErrorCode::Busy, "this account cannot be read");
  }
  if (is_revoked(login->conn, login->user, login->issued_ms)) return;
  User* const user = *loaded;
  if (user->handle.empty()) user->handle = login->handle;  // this token has just given it one
  for (auto& device : user->devices) {
    if (device && device->row.name == login->device) {
      login->number = device->row.number;
      const Origin known = device->row.origin;
      meet(*device, *login);
      if (!device->registered) {  // welcome only once it is
        device->row.seen_ms = served_ms();
        return write_user(*user, std::move(login));
      }
      // Now, not by the day: after a stop the next opening would be told of a gap that there is not.
      if (device->row.origin != known) {
        device->row.seen_ms = served_ms();
        write_user(*user);
      }
      note_seen(*user, *device);
      return welcome(std::move(login));
    }
  }
  const int slot = slot_for_new_device(*user);
  if (slot < 0 || user->next_device == UINT16_MAX)
    return fail(login->conn, wire::ErrorCode::DeviceLimit, "this user has as many devices as are allowed");
  auto& place = user->devices[static_cast<size_t>(slot)];
  std::vector<std::unique_ptr<StoreOp>> after;
  if (place != nullptr && place->registered) {
    if (!is_idle(*user, slot))
      return fail(login->conn, wire::ErrorCode::Busy, "the device this one replaces is not at rest yet");
    // A stop before the row is without it makes it a device again, which must know what it missed meanwhile.
    if (!user->left_out(*place)) begin_gaps(*user, static_cast<SlotMask>(1u << slot));
    if (!user->left_out(*place)) return write_user(*user, std::move(login));
    after = remove_device(*user, slot);
    user->row_changed = true;  // whatever becomes of this login, the disk must not say that it is still one
  }
  auto device = std::make_unique<Device>();
  device->row.number = user->next_device++;
  device->row.name = login->device;
  device->row.seen_ms = served_ms();
  login->number = device->row.number;
  meet(*device, *login);
  place = std::move(device);
  write_user(*user, std::move(login), std::move(after));
}

}  // namespace perch::chat
