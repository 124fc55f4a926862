// The sender's home core: taking messages, and the one result each of them gets (DELIVERY.md, Taking and
// Result).
#include <algorithm>
#include <utility>

#include "chat/core.h"

namespace perch::chat {

using store::OpKind;
using store::Status;
using store::StoreOp;

static Metric metric_of(wire::HoldReason reason) {
  static_assert(metric_of(Metric::kHeldRate, wire::HoldReason::Rate, wire::HoldReason::MAX) ==
                Metric::kHeldDraining);
  return metric_of(Metric::kHeldRate, wire::HoldReason::Rate, reason);
}

static Metric metric_of(wire::RejectReason reason) {
  static_assert(metric_of(Metric::kRejectedNotFound, wire::RejectReason::NotFound, wire::RejectReason::MAX) ==
                Metric::kRejectedNotMember);
  return metric_of(Metric::kRejectedNotFound, wire::RejectReason::NotFound, reason);
}

void Core::hold(Session& session, const wire::Route& route, wire::HoldReason reason, uint32_t wait_ms) {
  const Metric row = metric_of(reason);
  metrics_.add(row);
  const Bound* at = bound(session.conn);
  log_.refused(row, "message held",
               {{"reason", wire::EnumNameHoldReason(reason)}, {"user", at == nullptr ? 0 : at->user->id}});
  session.held = route.seq();
  send(session, codec::hold(route.origin(), route.seq(), reason, wait_ms));
}

void Core::on_send(Bound& at, MutableBytes bytes, const wire::Frame& frame) {
  Device& device = *at.device;
  Session& session = *device.session;
  const wire::Route& route = *frame.route();
  const net::ConnId conn = session.conn;
  closed_up_to(device, route.closed());
  if (session.held != 0) {
    if (route.seq() > session.held) return;
    session.held = 0;
  }
  // 1. A flight with this id: its result, if there is one. Never two flights for one id.
  if (Flight* const flight = device.flight(route.origin(), route.seq())) {
    session.given = std::max(session.given, flight->number);
    flight->sent_on = session.id;
    if (flight->released) give_result(device, *flight);
    return;
  }
  // 2. A record found at start answers once, if its number is above all this device was ever told.
  const auto mark = device.marks.find({route.origin(), route.seq()});
  if (mark != device.marks.end() && mark->second.number > std::max(session.given, route.after())) {
    Flight& flight = flights_.make();
    flight.id = {at.user->id, device.row.number, route.origin(), route.seq()};
    flight.to = route.to();
    flight.number = session.given = mark->second.number;
    flight.time_ms = now_.wall_ms();
    flight.delivered = mark->second.delivered;
    flight.outcome = flight.delivered ? Flight::Outcome::kDelivered : Flight::Outcome::kAccepted;
    flight.handed = flight.stored = true;
    add_flight(device, flight);
    return release_results(device);
  }
  // 3. Not now.
  if (draining_) return hold(session, route, wire::HoldReason::Draining, ToldWaits::kDrainingMs);
  if (store_full_) return hold(session, route, wire::HoldReason::StoreFull, ToldWaits::kStoreFullMs);
  if (num_flights_open_ >= limits_.flights_max || frames_.bytes_held() >= limits_.flight_bytes_max ||
      counter_ + 1 >= ceiling_ || closes_too_little(device))
    return hold(session, route, wire::HoldReason::Busy, ToldWaits::kBusyMs);
  if (device.num_without_result >= limits_.window) {
    // It counts what it sent on this session. Others are of a storage that it has no more.
    const auto sent = std::ranges::count_if(device.flights, [&session](const Outgoing& out) {
      return !out.flight->released && out.flight->sent_on == session.id;
    });
    if (static_cast<size_t>(sent) >= limits_.window)
      return fail(conn, wire::ErrorCode::Window, "more messages without result than allowed");
    return hold(session, route, wire::HoldReason::Busy, ToldWaits::kBusyMs);
  }
  if (would_be_covered(at.user->id, device, route))
    return hold(session, route, wire::HoldReason::Busy, ToldWaits::kBusyMs);
  const uint64_t now = now_.mono_ms();
  const double refilled = static_cast<double>(now - device.rate_ms) * limits_.rate_per_second / 1000.0;
  device.rate_used = std::max(0.0, device.rate_used - refilled);
  device.rate_ms = now;
  if (device.rate_used + 1 > limits_.rate_burst)
    return hold(session, route, wire::HoldReason::Rate, 1000 / std::max(1u, limits_.rate_per_second) + 1);
  device.rate_used += 1;

  // 4. Stamp it, and send it home.
  Flight& flight = flights_.make();
  flight.id = {at.user->id, device.row.number, route.origin(), route.seq()};
  flight.to = route.to();
  flight.number = session.given = (++counter_ << 10) | options_.id;
  flight.time_ms = now_.wall_ms();
  flight.wants_receipt = frame.payload_type() == wire::Payload::Message && flight.to != at.user->id;
  add_flight(device, flight);
  metrics_.add(Metric::kTaken);
  probe::message_taken(options_.id, at.user->id, flight.number, bytes.size());
  const wire::Message* message = frame.payload_as_Message();
  const bool too_large = message != nullptr && message->body()->size() > limits_.body_bytes_max;
  if (too_large || route.scope() != wire::Scope::User || route.to() == 0) {
    reject(flight, too_large                            ? wire::RejectReason::TooLarge
                   : route.scope() != wire::Scope::User ? wire::RejectReason::NotMember
                                                        : wire::RejectReason::NotFound);
    return release_results(device);
  }
  flight.frame = frames_.make(bytes);
  codec::stamp(flight.frame.bytes(), {at.user->id, device.row.number, flight.number, flight.time_ms});

  const auto add_party = [&flight](UserId user) -> Party& {
    Party& party = flight.parties[flight.num_parties++];
    party.user = user;
    party.waiting.user = user;
    return party;
  };
  if (flight.to != at.user->id) add_party(flight.to);
  // The sender's other devices, as registered now.
  const store::Waiting own = numbers_of(*at.user, addressed(*at.user, flight.frame.size(), &device));
  if (own.num > 0) add_party(at.user->id).waiting = own;
  if (flight.num_parties == 0) {  // a note to oneself, and there is no other device
    resolve_if_known(flight);
    return;
  }
  // The sender's own copies go out only once the recipient's core has admitted the message (DELIVERY.md H11).
  const UserId first = flight.parties[0].user;
  post(home(first), kHopMessage, MessageHop{flight.ref, frames_.lend(flight.frame), first});
}

// By a receipt that the device may still have to hear: it would say "delivered" of what is taken only now
// (DELIVERY.md H18d).
bool Core::would_be_covered(UserId user, const Device& device, const wire::Route& route) {
  const DeviceNo number = device.row.number;
  const auto runs = [&](Seq first) {
    return device.receipts.lower_bound({user, number, route.to(), number, route.origin(), first});
  };
  return std::any_of(runs(0), runs(route.seq() + 1),
                     [&](const auto& run) { return run.second.up_to >= route.seq(); });
}

void Core::add_flight(Device& device, Flight& flight) {
  flight.sent_on = device.session->id;
  device.flights.push_back({flight.id.origin, flight.id.seq, &flight});
  ++device.num_without_result;
  ++num_flights_open_;
}

template <typename Which>
void Core::close_rows(Device& device, const Which& which) {
  std::erase_if(device.flights, [&](const Outgoing& out) {
    if (!out.flight->released || !which(out)) return false;
    out.flight->closed = true;
    forget_if_over(*out.flight);
    return true;
  });
}

void Core::closed_up_to(Device& device, Seq closed) {
  close_rows(device, [closed](const Outgoing& out) { return out.seq < closed; });
  for (auto it = device.marks.begin(); it != device.marks.end();)
    it = it->first.second < closed ? device.marks.erase(it) : std::next(it);
}

// Its results are kept until it closes them, so a device that never does is held, alone. Rows taken after one
// without a result cannot be closed yet; by the order of taking, because what `seq` says is the peer's.
//
// Nothing closes the rows of a storage that the device has no more: it was set up anew, put back from a
// copy, or kept in memory. On every session open rows are sent in order of `seq`. So when a new one comes,
// each that was taken before and was not sent on this session is closed at the device, or gone with its
// storage.
// REQUIRES: a row that is new.
bool Core::closes_too_little(Device& device) {
  const size_t max = size_t{limits_.unclosed_windows_max} * limits_.window;
  if (device.flights.size() - device.num_without_result < max) return false;
  const uint64_t session = device.session->id;
  close_rows(device, [session](const Outgoing& out) { return out.flight->sent_on != session; });
  const auto open =
      std::ranges::find_if(device.flights, [](const Outgoing& out) { return !out.flight->released; });
  return static_cast<size_t>(open - device.flights.begin()) >= max;
}

void Core::forget_if_over(Flight& flight) {
  if (!flight.released) return;
  if (flight.handed && !flight.stored) return;  // the store thread still has its bytes
  for (uint8_t i = 0; i < flight.num_parties; ++i)
    if (!flight.parties[i].settled && flight.outcome != Flight::Outcome::kRejected) return;
  if (!std::exchange(flight.over, true)) --num_flights_open_;
  if (flight.closed) flights_.drop(flight);
}

Device* Core::sender_of(const Flight& flight) {
  User* user = find_user(flight.id.user);
  return user ? user->device(flight.id.device) : nullptr;
}

void Core::on_admitted(const DevicesHop& hop) {
  Flight* flight = flights_.find(hop.flight);
  if (flight == nullptr) return;
  Party* party = flight->party(hop.user);
  PERCH_CHECK(party != nullptr);
  if (party->state == Party::State::kNoAnswer) {
    party->state = Party::State::kAdmitted;
    party->waiting = waiting_of(hop);
  }
  if (flight->num_parties == 2 && party == &flight->parties[0]) {
    const UserId own = flight->parties[1].user;
    post(options_.id, kHopMessage, MessageHop{flight->ref, frames_.lend(flight->frame), own});
  }
}

void Core::reject(Flight& flight, wire::RejectReason reason) {
  flight.outcome = Flight::Outcome::kRejected;
  flight.reason = reason;
  const Metric row = metric_of(reason);
  metrics_.add(row);
  log_.refused(row, "message rejected",
               {{"reason", wire::EnumNameRejectReason(reason)}, {"user", flight.id.user}});
}

void Core::on_rejected(const AnswerHop& hop) {
  Flight* flight = flights_.find(hop.flight);
  if (flight == nullptr) return;
  reject(*flight, static_cast<wire::RejectReason>(hop.reason));
  if (Device* device = sender_of(*flight)) release_results(*device);
}

void Core::on_needs_store(const DevicesHop& hop) {
  Flight* flight = flights_.find(hop.flight);
  PERCH_CHECK(flight != nullptr);
  Party* party = flight->party(hop.user);
  PERCH_CHECK(party != nullptr && party->state != Party::State::kDone);
  party->state = Party::State::kNeedsStore;
  if (!flight->handed) party->waiting = waiting_of(hop);
  flight->delivered |= hop.delivered;
  if (Device* device = sender_of(*flight)) hand_over(*device, *flight);
}

void Core::hand_over(Device& device, Flight& flight) {
  if (flight.handed || flight.outcome == Flight::Outcome::kRejected) return;
  // Every earlier unresolved message of this device in this conversation first (DELIVERY.md H8).
  for (const auto& [origin, seq, earlier] : device.flights) {
    if (earlier == &flight) break;
    if (earlier->to == flight.to && !earlier->resolved()) hand_over(device, *earlier);
  }
  flight.handed = true;
  metrics_.add(Metric::kToStore);
  auto op = std::make_unique<StoreOp>();
  op->kind = OpKind::kAccept;
  op->id = flight.id;
  op->to = flight.to;
  op->number = flight.number;
  op->taken_ms = served_ms();
  op->delivered = flight.delivered;
  op->no_receipt = !flight.wants_receipt;
  op->frame = flight.frame.bytes();
  for (uint8_t i = 0; i < flight.num_parties; ++i) {
    Party& party = flight.parties[i];
    if (party.state == Party::State::kDone) continue;
    // The answer of an earlier message's recipient is here: hops of one pair arrive in order. Own devices are
    // known since the message was taken.
    PERCH_CHECK(party.waiting.num > 0 || party.state != Party::State::kNoAnswer);
    if (party.is_nobody()) continue;
    party.listed = true;
    op->waiting[op->num_waiting++] = party.waiting;
  }
  // For nobody at all: its result alone is kept, which the sender must not get any sooner than if somebody
  // were away (DELIVERY.md H31).
  if (op->num_waiting == 0) op->kind = OpKind::kResult;
  static_assert(sizeof(FlightRef) == sizeof(void*));
  std::memcpy(&op->context, &flight.ref, sizeof(FlightRef));
  submit(std::move(op));
}

void Core::on_accept_flushed(StoreOp& op) {
  FlightRef ref;
  std::memcpy(static_cast<void*>(&ref), &op.context, sizeof(FlightRef));
  Flight* flight = flights_.find(ref);
  PERCH_CHECK(flight != nullptr && flight->handed);
  if (op.status != Status::kDone) return;  // no tick; the node is stopping
  flight->stored = true;
  metrics_.add(Metric::kStored);
  flight->place = op.place;
  for (uint8_t i = 0; i < flight->num_parties; ++i) {
    Party& party = flight->parties[i];
    if (party.is_nobody()) party.settled = true;
    if (!party.listed) continue;
    if (party.state == Party::State::kDone) {
      confirm_record(flight->place, flight->number, party.waiting);
      party.settled = true;
    } else {
      post(home(party.user), kHopStored,
           StoredHop{flight->ref, party.user, flight->number, flight->place, flight->delivered});
    }
  }
  resolve_if_known(*flight);
}

void Core::on_done(const DoneHop& hop) {
  Flight* flight = flights_.find(hop.flight);
  PERCH_CHECK(flight != nullptr);
  Party* party = flight->party(hop.user);
  PERCH_CHECK(party != nullptr);
  party->state = Party::State::kDone;
  const bool recipient = hop.user == flight->to;
  // The tick said accepted only: the second one travels as a receipt, and CONFIRM follows it (DELIVERY.md
  // H17).
  const bool late = recipient && flight->released && !flight->delivered && flight->wants_receipt;
  if (recipient) flight->delivered = true;
  if (!flight->handed || flight->stored) party->settled = true;
  if (late) {
    const store::ReceiptKey key{flight->id.user,   flight->id.device, flight->to,
                                flight->id.device, flight->id.origin, hop.first};
    party->settled = false;  // until on_safe
    on_receipt(key, flight->id.seq, SafeHop{0, 0, flight->ref}, options_.id);
  } else if (flight->stored && party->listed) {
    confirm_record(flight->place, flight->number, party->waiting);
  }
  resolve_if_known(*flight);
}

void Core::on_settled(const AnswerHop& hop) {
  Flight* flight = flights_.find(hop.flight);
  if (flight == nullptr) return;  // a DONE that crossed STORED settled it, and its row is closed
  Party* party = flight->party(hop.user);
  // A DONE that crossed STORED has arrived before this; if it waits for its receipt, on_safe settles it.
  if (party->state == Party::State::kDone) return;
  party->settled = true;
  forget_if_over(*flight);
}

void Core::resolve_if_known(Flight& flight) {
  if (!flight.resolved()) {
    bool all_done = true;
    for (uint8_t i = 0; i < flight.num_parties; ++i)
      all_done &= flight.parties[i].state == Party::State::kDone;
    if (all_done && !flight.handed) flight.delivered = true;
    if (!all_done && !flight.stored) return;
    if (flight.handed && !flight.stored) return;  // its bytes are at the store thread; the flush is near
    flight.outcome = flight.delivered ? Flight::Outcome::kDelivered : Flight::Outcome::kAccepted;
    if (Device* device = sender_of(flight)) release_results(*device);
    return;
  }
  forget_if_over(flight);
}

// Results of one device in one conversation are given in the order of seq (DELIVERY.md H6).
void Core::release_results(Device& device) {
  for (size_t i = 0; i < device.flights.size(); ++i) {
    Flight& flight = *device.flights[i].flight;
    if (flight.released || !flight.resolved()) continue;
    bool blocked = false;
    for (size_t j = 0; j < i && !blocked; ++j)
      blocked = device.flights[j].flight->to == flight.to && !device.flights[j].flight->resolved();
    if (blocked) continue;
    flight.released = true;
    flight.frame.reset();  // every device has it, or its record
    --device.num_without_result;
    if (flight.outcome != Flight::Outcome::kRejected && flight.delivered)
      flight.outcome = Flight::Outcome::kDelivered;
    if (draining_) keep_result(flight);
    give_result(device, flight);
    forget_if_over(flight);
  }
}

// At a drain: a result that the sender has not closed outlives the stop, so that a message sent again keeps
// its number. Losing it is safe. One with a record has that, a rejected one is judged anew.
void Core::keep_result(const Flight& flight) {
  if (flight.stored || flight.outcome != Flight::Outcome::kDelivered) return;
  auto op = std::make_unique<StoreOp>();
  op->kind = OpKind::kResult;
  op->waits = false;
  op->id = flight.id;
  op->to = flight.to;
  op->number = flight.number;
  op->delivered = true;
  submit(std::move(op));
}

// Results wait in the flights rather than overrun the connection's queue; then later ones wait behind them.
void Core::give_result(Device& device, Flight& flight) {
  if (!device.session) return;
  Session& session = *device.session;
  if (!session.results_wait && net_.writable_or_wait(session.conn)) return tell_result(session, flight);
  session.results_wait = true;
  flight.told_on = 0;
}

void Core::tell_result(Session& session, Flight& flight) {
  flight.told_on = session.id;
  probe::result_given(options_.id, flight.id.user, flight.number, static_cast<unsigned>(flight.outcome));
  if (flight.outcome == Flight::Outcome::kRejected) {
    send(session, codec::rejected(flight.id.origin, flight.id.seq, flight.number, flight.reason));
  } else {
    const auto tick =
        flight.outcome == Flight::Outcome::kDelivered ? wire::Tick::Delivered : wire::Tick::Accepted;
    metrics_.add(tick == wire::Tick::Delivered ? Metric::kResultDelivered : Metric::kResultAccepted);
    send(session, results_.fill(flight.id.origin, flight.id.seq, flight.number, flight.time_ms, tick));
  }
}

// True: the session has been told every result that there is.
bool Core::give_waiting_results(Device& device) {
  Session& session = *device.session;
  if (!session.results_wait) return true;
  for (const Outgoing& out : device.flights) {
    if (!out.flight->released || out.flight->told_on == session.id) continue;
    if (!net_.writable_or_wait(session.conn)) return false;
    tell_result(session, *out.flight);
  }
  session.results_wait = false;
  return true;
}

}  // namespace perch::chat
