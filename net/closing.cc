// How a connection ends: by its deadlines, a violation, its peer, or close().
#include <algorithm>
#include <cerrno>

#include "core/check.h"
#include "net/state.h"

namespace perch::net {
namespace {

constexpr std::string_view kReasons[] = {"peer",          "system",        "bad_frame", "frame_too_large",
                                         "login_timeout", "frame_timeout", "silence",   "send_stall",
                                         "local"};

constexpr uint32_t kFlushMsMax = 5'000;  // close() with frames queued takes no longer than this

static_assert(metric_at(Metric::kClosedPeer, static_cast<unsigned>(CloseReason::kLocal)) ==
              Metric::kClosedLocal);

}  // namespace

std::string_view name_of(CloseReason reason) { return kReasons[static_cast<size_t>(reason)]; }

CloseReason reason_of(int32_t result) {
  switch (-result) {
    case ENOMEM:
    case ENOBUFS:
      return CloseReason::kSystem;
    default:  // 0: end of stream
      return CloseReason::kPeer;
  }
}

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

}  // namespace perch::net
