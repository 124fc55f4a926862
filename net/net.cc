#include "net/net.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "net/peer.h"
#include "net/state.h"

namespace perch::net {

// REQUIRES: the ring completes nothing more for this Net.
Net::State::~State() {
  for (uint32_t i = 0; i < table.num_touched(); ++i) {
    Connection& c = table.at(i);
    wheel.disarm(c);
    c.queue.clear(pool);
    if (c.sending != nullptr) pool.give_back(c.sending);
  }
}

void Net::State::arm_accepts() {
  const uint32_t room = limits.connections_max - table.size();
  const bool was_paused = std::exchange(accepts_paused, room == 0);
  if (accepts_paused && !was_paused) metrics.add(Metric::kPausedFull);
  acceptor.arm(room, now_ms());
}

Net::Net(Ring& ring, Clock& clock, MetricsPage& metrics, const Limits& limits, Handler& handler)
    : state_(std::make_unique<State>(ring, clock, metrics, limits, handler)) {}

Net::~Net() = default;

void Net::listen(int listening_socket) {
  state_->acceptor.add(listening_socket);
  state_->arm_accepts();
}

void Net::stop_listening() { state_->acceptor.stop(); }

ConnId Net::adopt(Socket slot) {
  const Connection* c = state_->admit(slot, true);
  return c == nullptr ? ConnId{} : c->id();
}

void Net::logged_in(ConnId id) {
  Connection* c = state_->table.find(id);
  if (c == nullptr || c->state != ConnectionState::kOpen || c->violated) return;
  if (!c->logged_in) {
    c->logged_in = true;
    state_->strangers.erase(c->index);
    c->heard_ms = state_->stamp();
    // Earlier than the silence limit or not, the login deadline's timer finds out what to wait for next.
    state_->expect_by(*c, state_->now_ms() + state_->limits.silence_ms_max);
  }
  c->awaiting = false;
  state_->read_on(*c, false);
}

bool Net::send(ConnId id, FrameRef frame) {
  Connection* c = state_->table.find(id);
  if (c == nullptr || c->state != ConnectionState::kOpen || c->move_pending) return false;
  if (c->queue.size() >= state_->limits.send_queue_frames_max) {
    state_->metrics.add(Metric::kSendQueueFull);
    return false;
  }
  c->queue.push(state_->pool, std::move(frame));
  state_->list_to_send(*c);
  return true;
}

void Net::close(ConnId id) {
  Connection* c = state_->table.find(id);
  if (c == nullptr) return;
  if (c->state == ConnectionState::kMoving) c->close_pending = true;
  if (c->state == ConnectionState::kOpen) state_->begin_close(*c, CloseReason::kLocal);
}

void Net::move(ConnId id, int target_ring, uint64_t cookie) {
  Connection* c = state_->table.find(id);
  if (c == nullptr || c->state != ConnectionState::kOpen || c->violated || c->move_pending) return;
  c->move_pending = true;
  c->move_target = static_cast<uint32_t>(target_ring);
  c->move_cookie = cookie;
  state_->move_if_quiet(*c);
}

std::string Net::peer_text(ConnId id) const {
  if (state_->table.find(id) == nullptr) return {};
  const auto stranger = state_->strangers.find(id.index);
  return stranger == state_->strangers.end() ? std::string() : text_of(stranger->second);
}

bool Net::writable(ConnId id) const {
  const Connection* c = state_->table.find(id);
  return c != nullptr && c->state == ConnectionState::kOpen && !c->move_pending && state_->has_room(*c);
}

bool Net::writable_or_wait(ConnId id) {
  Connection* c = state_->table.find(id);
  if (c == nullptr || c->state != ConnectionState::kOpen || c->move_pending) return false;
  if (state_->has_room(*c)) return true;
  state_->metrics.add(Metric::kPausedSendQueue);
  c->awaits_room = true;
  return false;
}

void Net::complete(const Completion& completion) {
  State& s = *state_;
  if (!s.in_turn) {
    s.turn_ms = s.clock.mono_ms();
    s.in_turn = true;
  }
  const Operation operation = Operation::from(completion.user_data);
  if (operation.kind == OperationKind::kAccept) {
    const Socket socket = s.acceptor.completed(operation.index, completion.result, s.turn_ms);
    if (socket != kNoSocket) {
      if (const Connection* c = s.admit(socket, false); c != nullptr) {
        s.metrics.add(Metric::kAccepted);
        s.strangers.insert_or_assign(c->index, s.acceptor.peer_of(operation.index));
      }
    }
    s.arm_accepts();
    return;
  }
  if (operation.index == kNobody) return;
  Connection& c = s.table.at(operation.index);
  // A slot is given back after its last completion, so a completion for an earlier holder is our own bug.
  PERCH_CHECK(c.generation == operation.generation && c.state != ConnectionState::kFree);
  switch (operation.kind) {
    case OperationKind::kPoll:
      return s.on_polled(c, completion.result);
    case OperationKind::kReceive:
      return s.on_received(c, completion);
    case OperationKind::kSend:
      return s.on_sent(c, completion.result);
    case OperationKind::kClose:
      return s.on_socket_closed(c);
    case OperationKind::kMove:
      return s.on_moved(c, completion.result);
    case OperationKind::kAccept:
      break;
  }
  PERCH_CHECK(!"an operation that net does not make");
}

void Net::tick(uint64_t now_ms) {
  State& s = *state_;
  s.turn_ms = now_ms;
  s.in_turn = true;
  s.wheel.advance(now_ms, [&](Timer& timer) { s.on_deadline(static_cast<Connection&>(timer), now_ms); });
  s.arm_accepts();
  send_queued();
}

// Sending last lets everything that was queued for a connection in this turn share its operations.
void Net::send_queued() {
  State& s = *state_;
  s.sending_now.swap(s.to_send);
  for (const uint32_t index : s.sending_now) {
    Connection& c = s.table.at(index);
    c.send_listed = false;
    s.start_send(c);
  }
  s.sending_now.clear();
  s.in_turn = false;
}

uint64_t Net::ms_to_next(uint64_t now_ms) const {
  if (!state_->to_send.empty()) return 0;
  return std::min(state_->wheel.ms_to_next(now_ms), state_->acceptor.ms_to_next(now_ms));
}

size_t Net::num_connections() const { return state_->table.size(); }

}  // namespace perch::net
