// A connection changes cores.
#include "core/check.h"
#include "net/state.h"

namespace perch::net {

void Net::State::move_if_quiet(Connection& c) {
  if (!c.move_pending || c.state != ConnectionState::kOpen || &c == feeding) return;
  if (c.in_flight() || !c.queue.empty()) return;
  c.move_pending = false;
  c.state = ConnectionState::kMoving;
  wheel.disarm(c);
  ring.move(c.socket, static_cast<int>(c.move_target), user_data(OperationKind::kMove, c));
}

void Net::State::on_moved(Connection& c, int32_t result) {
  PERCH_CHECK(c.state == ConnectionState::kMoving);
  const ConnId id = c.id();
  const uint64_t cookie = c.move_cookie;
  if (result >= 0) {
    c.moved = true;
    table.retire(c);
    close_if_quiet(c);  // gives back the slot of this ring alone
    return handler.on_moved(id, true, static_cast<Socket>(result), cookie);
  }
  c.state = ConnectionState::kOpen;
  c.awaiting = true;
  on_deadline(c, now_ms());
  if (c.state != ConnectionState::kOpen) return handler.on_moved(id, false, kNoSocket, cookie);
  const bool close_wanted = c.close_pending;
  c.close_pending = false;
  handler.on_moved(id, false, kNoSocket, cookie);
  if (close_wanted && c.state == ConnectionState::kOpen) begin_close(c, CloseReason::kLocal);
}

}  // namespace perch::net
