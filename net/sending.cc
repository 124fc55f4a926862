// From queued frames to the socket.
#include "net/state.h"

namespace perch::net {

void Net::State::list_to_send(Connection& c) {
  if (c.send_listed) return;
  c.send_listed = true;
  to_send.push_back(c.index);
}

void Net::State::start_send(Connection& c) {
  const bool sends = c.state == ConnectionState::kOpen || c.state == ConnectionState::kFlushing;
  if (!sends || c.sending != nullptr || c.queue.empty()) return;
  c.sending = c.queue.take_operation(pool);
  c.progress_ms = stamp();
  if (c.state == ConnectionState::kOpen) expect_by(c, now_ms() + limits.send_stall_ms_max);
  ring.send(c.socket, &c.sending->message, user_data(OperationKind::kSend, c));
}

void Net::State::on_sent(Connection& c, int32_t result) {
  const bool sent = result > 0 && c.sending->advance(static_cast<size_t>(result));
  if (result > 0) metrics.add(Metric::kBytesOut, static_cast<uint64_t>(result));
  if (sent) metrics.add(Metric::kFramesOut, c.sending->num_frames);
  if (result > 0 && !sent && c.state != ConnectionState::kClosing) {
    c.progress_ms = stamp();
    ring.send(c.socket, &c.sending->message, user_data(OperationKind::kSend, c));
    return;
  }
  pool.give_back(c.sending);
  c.sending = nullptr;
  if (c.state == ConnectionState::kClosing) return close_if_quiet(c);
  if (result <= 0) return abort(c, reason_of(result));
  if (c.awaits_room && has_room(c)) {
    c.awaits_room = false;
    if (c.state == ConnectionState::kOpen) handler.on_writable(c.id());
  }
  if (!c.queue.empty()) return list_to_send(c);
  if (c.state == ConnectionState::kFlushing) return abort(c, c.reason);
  move_if_quiet(c);
}

}  // namespace perch::net
