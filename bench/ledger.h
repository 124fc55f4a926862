// Ledger knows every message of a run by what its body says, independently of the protocol that carries it:
// which arrived, twice, out of order, at the wrong place, and how long after the moment it was meant to be
// sent.
//
// A body begins with: run 8, intended 8 (monotonic ns), sender 4, seq 4 (from 0), in the machine's byte
// order. ON: one thread.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "bench/histogram.h"
#include "core/types.h"

namespace perch::bench {

inline constexpr size_t kBodyBytesMin = 24;

class Ledger {
 public:
  // `partner` of each connection gets what it sends; `run` tells this run's messages from those of earlier
  // ones.
  Ledger(uint64_t run, std::vector<uint32_t> partner);

  // What lies in [begin_ns, end_ns) is measured; everything is checked.
  void set_window(uint64_t begin_ns, uint64_t end_ns);

  // The next message of `sender`, written over the beginning of `body`.
  // REQUIRES: body.size() >= kBodyBytesMin.
  void compose(uint32_t sender, uint64_t intended_ns, MutableBytes body);
  // A body came to `recipient`. The sender, unless it is a message of another run or a repetition.
  std::optional<uint32_t> arrived(uint32_t recipient, Bytes body, uint64_t now_ns);

  uint32_t num_connections() const { return static_cast<uint32_t>(partner_.size()); }
  uint32_t partner(uint32_t connection) const { return partner_[connection]; }
  uint64_t num_sent() const { return num_sent_; }
  uint64_t num_delivered() const { return num_delivered_; }  // each message once
  uint64_t num_duplicated() const { return num_duplicated_; }
  uint64_t num_reordered() const { return num_reordered_; }  // came after a later one of its sender
  uint64_t num_astray() const { return num_astray_; }        // came to somebody else
  uint64_t num_foreign() const { return num_foreign_; }      // of another run
  uint64_t num_delivered_in_window() const { return num_delivered_in_window_; }  // by arrival
  const Histogram& latency_ns() const { return latency_ns_; }  // of those intended in the window
  const Histogram& lag_ns() const { return lag_ns_; }  // from intended to composed: the generator's own

 private:
  struct Sender {
    uint32_t next_seq = 0;
    uint32_t highest = 0;  // seq + 1 that has arrived
    std::vector<bool> seen;
  };
  bool in_window(uint64_t ns) const { return ns >= begin_ns_ && ns < end_ns_; }

  uint64_t run_;
  std::vector<uint32_t> partner_;
  std::vector<Sender> senders_;
  uint64_t begin_ns_ = 0, end_ns_ = 0;
  uint64_t num_sent_ = 0, num_delivered_ = 0, num_duplicated_ = 0, num_reordered_ = 0;
  uint64_t num_astray_ = 0, num_foreign_ = 0;
  uint64_t num_delivered_in_window_ = 0;
  Histogram latency_ns_, lag_ns_;
};

}  // namespace perch::bench
