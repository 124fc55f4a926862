// Handoff: the newest value of one thread for another. One that was not taken when the next comes is dropped.
//
// ON: offer() one thread, take() another one. No lock; to look in vain costs the reader one relaxed load.
#pragma once
#include <atomic>
#include <memory>

namespace perch {

template <typename T>
class Handoff {
 public:
  Handoff() = default;
  ~Handoff() { delete next_.load(std::memory_order_acquire); }
  Handoff(const Handoff&) = delete;
  Handoff& operator=(const Handoff&) = delete;

  void offer(std::unique_ptr<T> value) { delete next_.exchange(value.release(), std::memory_order_acq_rel); }
  // Null: nothing new.
  std::unique_ptr<T> take() {
    if (next_.load(std::memory_order_relaxed) == nullptr) return nullptr;
    return std::unique_ptr<T>(next_.exchange(nullptr, std::memory_order_acq_rel));
  }

 private:
  std::atomic<T*> next_{nullptr};
};

}  // namespace perch
