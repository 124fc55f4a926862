// TimerWheel keeps deadlines of a million objects in intrusive lists: O(1) arm, disarm and expiry, 24 bytes
// each, no allocation. Four levels of 256 slots (Varghese, Lauck 1987, scheme 7).
//
// ON: one core. TIME: milliseconds of any clock that does not go back; a deadline fires in the first
// advance() whose `now` is at or after it, never before.
// LIFETIME: a Timer must be disarmed before it is destroyed; its destructor checks that.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "core/check.h"

namespace perch {

struct TimerNode {
  TimerNode* next = nullptr;
  TimerNode* prev = nullptr;
};

struct Timer : TimerNode {
  uint64_t deadline_ms = 0;
  uint8_t kind = 0;  // the owner's: what this deadline is for
  bool armed() const { return next != nullptr; }
  ~Timer() { PERCH_CHECK(!armed()); }
};

class TimerWheel {
 public:
  explicit TimerWheel(uint64_t now_ms);
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  void arm(Timer& timer, uint64_t deadline_ms);  // rearms if armed; in the past: due at the next advance()
  void disarm(Timer& timer);                     // not armed: nothing
  // Takes every timer whose deadline is <= now off the wheel and calls `fire(timer)`, which may arm and
  // disarm any.
  template <typename Fire>
  void advance(uint64_t now_ms, Fire&& fire) {
    while (Timer* timer = pop_due(now_ms)) fire(*timer);
  }
  // Milliseconds until something may be due: never later than the next deadline, UINT64_MAX if nothing is
  // armed.
  uint64_t ms_to_next(uint64_t now_ms) const;
  size_t size() const { return size_; }  // timers that are armed

 private:
  static constexpr size_t kLevels = 4;
  static constexpr size_t kSlots = 256;
  Timer* pop_due(uint64_t now_ms);
  void place(Timer& timer);
  void cascade(size_t level);
  std::pair<size_t, size_t> first_slot() const;
  uint64_t next_event_ms() const;
  std::array<std::array<TimerNode, kSlots>, kLevels> slots_;
  std::array<std::array<uint64_t, kSlots / 64>, kLevels> occupied_{};  // a bit per slot that has timers
  TimerNode due_;
  TimerNode far_;  // beyond the wheel's 2^32 ms (49 days); looked at when those are over
  uint64_t now_ms_;
  size_t size_ = 0;
};

}  // namespace perch
