// Flight: a message that was taken and whose outbox row is not closed yet. It decides the one result its
// sender gets.
//
// OWNER and ON: the sender's home core. It lives until the sender has closed the row *and* every home core it
// was sent to has said its last word (DONE, REJECTED or SETTLED).
#pragma once
#include <deque>
#include <vector>

#include "chat/hops.h"
#include "codec/frame.h"
#include "core/frame.h"

namespace perch::chat {

struct Party {
  enum class State : uint8_t { kNoAnswer, kAdmitted, kNeedsStore, kDone };
  UserId user = 0;
  State state = State::kNoAnswer;
  bool listed = false;     // named in the record
  bool settled = false;    // no further word will come
  store::Waiting waiting;  // devices not known to have it

  // It blocks the sender.
  bool is_nobody() const {
    return waiting.num == 0 && (state == State::kAdmitted || state == State::kNeedsStore);
  }
};

struct Flight {
  enum class Outcome : uint8_t { kNone, kAccepted, kDelivered, kRejected };
  FlightRef ref;
  MessageId id;
  UserId to = 0;
  Number number = 0;
  uint64_t time_ms = 0;
  FrameRef frame;  // until the result
  std::array<Party, 2> parties{};
  uint8_t num_parties = 0;
  Outcome outcome = Outcome::kNone;
  wire::RejectReason reason = wire::RejectReason::NotFound;
  bool wants_receipt = false;  // a message to somebody else: no read mark, no note
  bool handed = false;         // its record is at the store thread
  bool stored = false;         // … and flushed
  bool delivered = false;      // a device of the recipient is known to have it
  bool released = false;       // the result is given to whatever session there is
  bool closed = false;         // the sender has committed the result
  bool over = false;           // it has its result, and no core will say more of it
  uint64_t told_on = 0;        // the session that was told the result
  uint64_t sent_on = 0;        // … that sent the row last
  store::Place place;

  bool resolved() const { return outcome != Outcome::kNone; }
  Party* party(UserId user) {
    for (uint8_t i = 0; i < num_parties; ++i)
      if (parties[i].user == user) return &parties[i];
    return nullptr;
  }
};

class FlightTable {
 public:
  Flight& make() {
    uint32_t index;
    if (free_.empty()) {
      index = static_cast<uint32_t>(flights_.size());
      flights_.emplace_back();
      generations_.push_back(0);
    } else {
      index = free_.back();
      free_.pop_back();
    }
    Flight& flight = flights_[index];
    flight = Flight{};
    flight.ref = {index, ++generations_[index]};
    ++num_;
    return flight;
  }
  Flight* find(FlightRef ref) {
    if (ref.index >= flights_.size() || generations_[ref.index] != ref.generation) return nullptr;
    return &flights_[ref.index];
  }
  void drop(Flight& flight) {
    ++generations_[flight.ref.index];
    free_.push_back(flight.ref.index);
    flight.frame.reset();
    --num_;
  }
  size_t size() const { return num_; }

 private:
  std::deque<Flight> flights_;  // stable addresses
  std::vector<uint32_t> generations_;
  std::vector<uint32_t> free_;
  size_t num_ = 0;
};

}  // namespace perch::chat
