// From an accepted socket to frames for the handler.
#include <cerrno>

#include "core/check.h"
#include "core/probe.h"
#include "net/state.h"

namespace perch::net {
namespace {

// A receive of at least so many bytes has filled its buffer, so there may be more: receive again at once.
// With other buffers this is only a hint, the poll finds what is left.
constexpr size_t kFullReceiveBytes = RingOptions{}.buffer_bytes;

}  // namespace

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

}  // namespace perch::net
