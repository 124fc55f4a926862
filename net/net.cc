#include "net/net.h"

#include <algorithm>
#include <cerrno>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/probe.h"
#include "net/acceptor.h"
#include "net/connection.h"
#include "net/connection_table.h"
#include "net/operation.h"
#include "net/peer.h"
#include "net/send_queue.h"

namespace perch::net {
namespace {

constexpr uint32_t kFlushMsMax = 5'000;  // close() with frames queued takes no longer than this
// A receive of at least so many bytes has filled its buffer, so there may be more: receive again at once.
// With other buffers this is only a hint, the poll finds what is left.
constexpr size_t kFullReceiveBytes = RingOptions{}.buffer_bytes;

static_assert(metric_at(Metric::kClosedPeer, static_cast<unsigned>(CloseReason::kLocal)) ==
              Metric::kClosedLocal);

// Who ended a connection whose operation completed with this.
CloseReason reason_of(int32_t result) {
  switch (-result) {
    case ENOMEM:
    case ENOBUFS:
      return CloseReason::kSystem;
    default:  // 0: end of stream
      return CloseReason::kPeer;
  }
}

}  // namespace

struct Net::State {
  Ring& ring;
  Clock& clock;
  MetricsPage& metrics;
  const Limits limits;
  Handler& handler;
  ConnectionTable table;
  TimerWheel wheel;
  SendPool pool;
  Acceptor acceptor;
  // Who was accepted here and has not logged in, by index: who has costs nothing for it.
  std::unordered_map<uint32_t, PeerAddress> strangers;
  std::vector<uint32_t> to_send;  // connections with frames queued since the last tick()
  std::vector<uint32_t> sending_now;
  Connection* feeding = nullptr;  // its bytes are being handed to the handler
  // From the first completion of a turn to the end of its tick() the time is read once.
  uint64_t turn_ms = 0;
  bool in_turn = false;
  bool accepts_paused = false;  // the table is full

  State(Ring& r, Clock& c, MetricsPage& m, const Limits& l, Handler& h)
      : ring(r),
        clock(c),
        metrics(m),
        limits(l),
        handler(h),
        table(l.connections_max),
        wheel(c.mono_ms()),
        acceptor(r, m) {}
  ~State();

  uint64_t now_ms() { return in_turn ? turn_ms : clock.mono_ms(); }
  uint32_t stamp() { return static_cast<uint32_t>(now_ms()); }
  uint64_t user_data(OperationKind kind, const Connection& c) {
    return Operation{kind, c.generation, c.index}.user_data();
  }
  void arm_accepts();

  Connection* admit(Socket socket, bool awaiting);
  void poll(Connection& c);
  void receive(Connection& c);
  void read_on(Connection& c, bool at_once);
  bool has_room(const Connection& c) const { return c.queue.size() < limits.send_queue_frames_max / 2; }
  void list_to_send(Connection& c);
  void start_send(Connection& c);
  void feed(Connection& c, MutableBytes bytes);
  bool hand_over(Connection& c, MutableBytes frame);

  void violate(Connection& c, CloseReason reason = CloseReason::kBadFrame);
  void begin_close(Connection& c, CloseReason reason);
  void abort(Connection& c, CloseReason reason);
  void close_if_quiet(Connection& c);
  void move_if_quiet(Connection& c);

  void on_polled(Connection& c, int32_t result);
  void on_received(Connection& c, const Completion& completion);
  void on_sent(Connection& c, int32_t result);
  void on_moved(Connection& c, int32_t result);
  void on_socket_closed(Connection& c);

  void expect_by(Connection& c, uint64_t deadline_ms);
  void on_deadline(Connection& c, uint64_t now);
};

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

// --- deadlines ---------------------------------------------------------------------------------------------

// Makes the timer fire at `deadline_ms` or before.
void Net::State::expect_by(Connection& c, uint64_t deadline_ms) {
  if (!c.armed() || c.deadline_ms > deadline_ms) wheel.arm(c, deadline_ms);
}

// The timer fired: closes if a deadline has really passed, else waits for the earliest that runs.
void Net::State::on_deadline(Connection& c, uint64_t now) {
  uint64_t earliest_ms = UINT64_MAX;
  // True if `limit` milliseconds have gone since the stamp.
  const auto over = [&](uint32_t since_ms, uint32_t limit_ms) {
    const uint32_t gone_ms = static_cast<uint32_t>(now) - since_ms;
    if (gone_ms >= limit_ms) return true;
    earliest_ms = std::min(earliest_ms, now + (limit_ms - gone_ms));
    return false;
  };
  switch (c.state) {
    case ConnectionState::kOpen: {
      if (c.sending != nullptr && over(c.progress_ms, limits.send_stall_ms_max))
        return abort(c, CloseReason::kSendStall);
      if (c.framer.in_frame() && over(c.frame_ms, limits.frame_ms_max))
        return violate(c, CloseReason::kFrameTimeout);
      if (!c.logged_in && over(c.heard_ms, limits.login_ms_max))
        return violate(c, CloseReason::kLoginTimeout);
      if (c.logged_in && over(c.heard_ms, limits.silence_ms_max)) return violate(c, CloseReason::kSilence);
      break;
    }
    case ConnectionState::kFlushing:
      if (over(c.heard_ms, kFlushMsMax)) return abort(c, c.reason);
      break;
    default:
      return;  // ends by itself
  }
  if (earliest_ms != UINT64_MAX) wheel.arm(c, earliest_ms);
}

// --- reading -----------------------------------------------------------------------------------------------

// Null: the table is full and the socket is closed again.
Connection* Net::State::admit(Socket socket, bool awaiting) {
  Connection* c = table.take();
  if (c == nullptr) {
    metrics.add(Metric::kRefused);
    ring.close(socket, Operation{OperationKind::kClose, 0, kNobody}.user_data());
    return nullptr;
  }
  c->state = ConnectionState::kOpen;
  c->socket = socket;
  c->awaiting = awaiting;
  c->heard_ms = stamp();
  expect_by(*c, now_ms() + limits.login_ms_max);
  if (!awaiting) poll(*c);
  return c;
}

void Net::State::poll(Connection& c) {
  PERCH_CHECK(c.read == ReadOperation::kNone);
  c.read = ReadOperation::kPoll;
  ring.poll_readable(c.socket, user_data(OperationKind::kPoll, c));
}

void Net::State::receive(Connection& c) {
  PERCH_CHECK(c.read == ReadOperation::kNone);
  c.read = ReadOperation::kReceive;
  ring.receive(c.socket, user_data(OperationKind::kReceive, c));
}

// Arms the next read operation if the connection is to be read from and has none.
void Net::State::read_on(Connection& c, bool at_once) {
  if (c.read != ReadOperation::kNone || &c == feeding) return;
  const bool reads = c.state == ConnectionState::kFlushing ||
                     (c.state == ConnectionState::kOpen && !c.awaiting && !c.move_pending);
  if (!reads) return;
  if (at_once) {
    receive(c);
  } else {
    poll(c);
  }
}

void Net::State::on_polled(Connection& c, int32_t result) {
  c.read = ReadOperation::kNone;
  if (c.state == ConnectionState::kClosing) return close_if_quiet(c);
  if (result < 0) return abort(c, reason_of(result));
  if (c.move_pending) return move_if_quiet(c);
  read_on(c, true);
}

void Net::State::on_received(Connection& c, const Completion& completion) {
  c.read = ReadOperation::kNone;
  const int32_t result = completion.result;
  if (result > 0) {
    PERCH_CHECK(completion.has_buffer);
    metrics.add(Metric::kBytesIn, static_cast<uint64_t>(result));
    if (c.state == ConnectionState::kOpen) feed(c, completion.bytes);
    ring.give_back(completion.buffer);
  } else if (completion.has_buffer) {
    ring.give_back(completion.buffer);
  }
  if (c.state == ConnectionState::kClosing) return close_if_quiet(c);
  if (c.state == ConnectionState::kClosed) return;  // the handler closed it meanwhile
  if (result > 0) {
    move_if_quiet(c);
    return read_on(c, completion.bytes.size() >= kFullReceiveBytes);
  }
  switch (-result) {
    case EAGAIN:
      move_if_quiet(c);
      return read_on(c, false);
    case ENOBUFS:  // this turn's buffers come back before the next turn's operations start
      metrics.add(Metric::kBuffersExhausted);
      [[fallthrough]];
    case EINTR:
      move_if_quiet(c);
      return read_on(c, true);
    default:
      return abort(c, reason_of(result));
  }
}

// REQUIRES: kOpen. Afterwards the connection may be in any state but kFree and kMoving.
void Net::State::feed(Connection& c, MutableBytes bytes) {
  if (c.move_pending) return violate(c);
  if (c.logged_in) {
    c.heard_ms = stamp();
  } else {
    PERCH_CHECK(!c.awaiting);  // login_bytes may not be that any more
    c.login_bytes += static_cast<uint32_t>(bytes.size());
  }
  const bool was_in_frame = c.framer.in_frame();
  c.frame_done = false;
  feeding = &c;
  const uint32_t frame_bytes_max = c.logged_in ? limits.frame_bytes_max : limits.hello_bytes_max;
  const Result<void> fed =
      c.framer.feed(bytes, frame_bytes_max, [this, &c](MutableBytes frame) { return hand_over(c, frame); });
  feeding = nullptr;
  if (c.state != ConnectionState::kOpen) return;
  const bool in_frame = c.framer.in_frame();
  // Where reading has stopped, nothing may follow the frame that stopped it: a move would lose it.
  const bool stopped = c.awaiting || c.move_pending;
  if (!fed && fed.error().code == Errc::kTooLarge && !stopped) return violate(c, CloseReason::kFrameTooLarge);
  if (!fed || c.surplus || (stopped && in_frame)) return violate(c);
  if (in_frame && (!was_in_frame || c.frame_done)) {
    c.frame_ms = stamp();
    expect_by(c, now_ms() + limits.frame_ms_max);
  }
}

// False: the rest of the chunk is of no interest.
bool Net::State::hand_over(Connection& c, MutableBytes frame) {
  if (c.state != ConnectionState::kOpen) return false;
  c.frame_done = true;
  metrics.add(Metric::kFramesIn);
  probe::frame_in(metrics.core(), c.index, frame.size());
  if (c.awaiting || c.move_pending) {
    c.surplus = true;
    return false;
  }
  if (!c.logged_in) {
    // Judged before the handler sees the frame, so that it need not undo a login.
    c.surplus = c.login_bytes != frame.size();
    if (c.surplus) return false;
    c.awaiting = true;
  }
  handler.on_frame(c.id(), frame);
  return c.state == ConnectionState::kOpen;
}

// --- sending -----------------------------------------------------------------------------------------------

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

// --- ending ------------------------------------------------------------------------------------------------

// REQUIRES: kOpen
void Net::State::violate(Connection& c, CloseReason reason) {
  c.violated = true;
  c.reason = reason;
  c.move_pending = false;
  handler.on_violation(c.id(), reason);
  if (c.state == ConnectionState::kOpen) begin_close(c, reason);
}

// Closes once everything queued is sent. REQUIRES: kOpen
void Net::State::begin_close(Connection& c, CloseReason reason) {
  if (c.queue.empty() && c.sending == nullptr) return abort(c, reason);
  if (!c.violated) c.reason = reason;
  c.state = ConnectionState::kFlushing;
  c.move_pending = false;
  c.heard_ms = stamp();
  expect_by(c, now_ms() + kFlushMsMax);
  read_on(c, false);
}

// Closes without sending more. REQUIRES: kOpen or kFlushing
void Net::State::abort(Connection& c, CloseReason reason) {
  PERCH_CHECK(c.state == ConnectionState::kOpen || c.state == ConnectionState::kFlushing);
  if (c.state == ConnectionState::kOpen && !c.violated) c.reason = reason;
  c.state = ConnectionState::kClosing;
  c.move_pending = false;
  c.queue.clear(pool);
  wheel.disarm(c);
  if (c.in_flight()) ring.shutdown(c.socket);
  close_if_quiet(c);
}

void Net::State::close_if_quiet(Connection& c) {
  if (c.in_flight()) return;
  c.state = ConnectionState::kClosed;
  ring.close(c.socket, user_data(OperationKind::kClose, c));
}

void Net::State::on_socket_closed(Connection& c) {
  PERCH_CHECK(c.state == ConnectionState::kClosed);
  const ConnId id = c.id();
  const CloseReason reason = c.reason;
  const bool moved = c.moved;
  strangers.erase(c.index);
  table.give_back(c);
  metrics.add(moved ? Metric::kMovedOut : metric_at(Metric::kClosedPeer, static_cast<unsigned>(reason)));
  acceptor.connection_closed();
  arm_accepts();
  if (!moved) handler.on_closed(id, reason);
}

// --- moving ------------------------------------------------------------------------------------------------

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

// --- Net ---------------------------------------------------------------------------------------------------

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
