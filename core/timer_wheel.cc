#include "core/timer_wheel.h"

#include <bit>
#include <utility>

namespace perch {
namespace {

bool is_empty(const TimerNode& list) { return list.next == &list; }

void push_back(TimerNode& list, TimerNode& node) {
  node.next = &list;
  node.prev = list.prev;
  list.prev->next = &node;
  list.prev = &node;
}

void unlink(TimerNode& node) {
  node.prev->next = node.next;
  node.next->prev = node.prev;
  node.next = node.prev = nullptr;
}

// Moves all of `from` to the empty list `to`.
void take_all(TimerNode& from, TimerNode& to) {
  to.next = to.prev = &to;
  if (is_empty(from)) return;
  to.next = from.next;
  to.prev = from.prev;
  to.next->prev = to.prev->next = &to;
  from.next = from.prev = &from;
}

constexpr uint64_t kNothing = UINT64_MAX;
constexpr unsigned kSlotBits = 8;
constexpr unsigned kWheelBits = 32;

}  // namespace

TimerWheel::TimerWheel(uint64_t now_ms) : now_ms_(now_ms) {
  for (auto& level : slots_) {
    for (TimerNode& slot : level) slot.next = slot.prev = &slot;
  }
  due_.next = due_.prev = &due_;
  far_.next = far_.prev = &far_;
}

void TimerWheel::arm(Timer& timer, uint64_t deadline_ms) {
  disarm(timer);
  timer.deadline_ms = deadline_ms;
  place(timer);
  ++size_;
}

void TimerWheel::disarm(Timer& timer) {
  if (!timer.armed()) return;
  TimerNode* neighbour = timer.next == timer.prev ? timer.next : nullptr;
  unlink(timer);
  --size_;
  // With one neighbour on both sides that was the list's head: the slot is empty now. Its index follows from
  // its address, so that a timer need not carry it.
  const TimerNode* first = &slots_.front().front();
  const TimerNode* last = &slots_.back().back();
  if (neighbour != nullptr && neighbour >= first && neighbour <= last) {
    const auto index = static_cast<size_t>(neighbour - first);
    occupied_[index / kSlots][index % kSlots / 64] &= ~(uint64_t{1} << index % 64);
  }
}

// The level is the highest byte in which the deadline differs from now. So every timer of a level is due
// before every timer of the level above, and only slots ahead of now's own are occupied.
void TimerWheel::place(Timer& timer) {
  const uint64_t deadline_ms = timer.deadline_ms;
  if (deadline_ms <= now_ms_) return push_back(due_, timer);
  const auto bits = static_cast<unsigned>(std::bit_width(deadline_ms ^ now_ms_));
  if (bits > kWheelBits) return push_back(far_, timer);
  const size_t level = (bits - 1) / kSlotBits;
  const size_t slot = deadline_ms >> (level * kSlotBits) & (kSlots - 1);
  push_back(slots_[level][slot], timer);
  occupied_[level][slot / 64] |= uint64_t{1} << slot % 64;
}

// The first occupied slot of the lowest level that has one; kLevels if the wheel is empty.
std::pair<size_t, size_t> TimerWheel::first_slot() const {
  for (size_t level = 0; level < kLevels; ++level) {
    for (size_t word = 0; word < kSlots / 64; ++word) {
      const uint64_t bits = occupied_[level][word];
      if (bits != 0) return {level, word * 64 + static_cast<size_t>(std::countr_zero(bits))};
    }
  }
  return {kLevels, 0};
}

// When the wheel has something to do next: a slot begins, or its 2^32 ms are over and `far_` is looked at.
uint64_t TimerWheel::next_event_ms() const {
  const auto [level, slot] = first_slot();
  if (level == kLevels) return is_empty(far_) ? kNothing : ((now_ms_ >> kWheelBits) + 1) << kWheelBits;
  const uint64_t above = ~uint64_t{0} << (level + 1) * kSlotBits;
  return (now_ms_ & above) | uint64_t{slot} << level * kSlotBits;
}

// now_ms_ has become the beginning of that slot: what is in it goes to lower levels, or is due.
void TimerWheel::cascade(size_t level) {
  TimerNode moving;
  if (level == kLevels) {
    take_all(far_, moving);
  } else {
    const size_t slot = now_ms_ >> (level * kSlotBits) & (kSlots - 1);
    take_all(slots_[level][slot], moving);
    occupied_[level][slot / 64] &= ~(uint64_t{1} << slot % 64);
  }
  while (!is_empty(moving)) {
    auto* timer = static_cast<Timer*>(moving.next);
    unlink(*timer);
    place(*timer);
  }
}

// Jumps from event to event, so that a long gap costs what is armed in it and not its length.
Timer* TimerWheel::pop_due(uint64_t now_ms) {
  while (is_empty(due_)) {
    const uint64_t event_ms = next_event_ms();
    if (event_ms > now_ms || event_ms == kNothing) {
      if (now_ms > now_ms_) now_ms_ = now_ms;
      return nullptr;
    }
    const size_t level = first_slot().first;
    now_ms_ = event_ms;
    cascade(level);
  }
  auto* timer = static_cast<Timer*>(due_.next);
  unlink(*timer);
  --size_;
  return timer;
}

uint64_t TimerWheel::ms_to_next(uint64_t now_ms) const {
  if (!is_empty(due_)) return 0;
  const uint64_t event_ms = next_event_ms();
  if (event_ms == kNothing) return kNothing;
  return event_ms > now_ms ? event_ms - now_ms : 0;
}

}  // namespace perch
