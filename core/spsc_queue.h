// SpscQueue: one producer thread, one consumer thread, bounded, no locks. One of the three things two threads
// touch (the others: the wake word, the metrics page).
//
// The producer writes slots and publishes them in batches; the consumer reads them and gives the room back in
// batches. Each side keeps a copy of the other's index and reads the shared one only when the copy says full
// or empty, so that in steady state a batch costs one cache-line transfer (Rigtorp, SPSCQueue; Lee et al.
// 2009, MCRingBuffer).
#pragma once
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "core/check.h"

namespace perch {

template <typename T>
class SpscQueue {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  // Capacity is rounded up to a power of two. REQUIRES: capacity > 0. Memory is touched as it is used.
  explicit SpscQueue(uint32_t capacity)
      : mask_(std::bit_ceil(capacity) - 1), slots_(std::make_unique_for_overwrite<T[]>(mask_ + 1)) {
    PERCH_CHECK(capacity > 0);
  }

  // ---- producer
  // False: full. A pushed value is invisible until publish().
  bool push(const T& value) {
    if (producer_.next - producer_.consumed > mask_) {
      producer_.consumed = consumed_.load(std::memory_order_acquire);
      if (producer_.next - producer_.consumed > mask_) return false;
    }
    slots_[producer_.next++ & mask_] = value;
    return true;
  }
  void publish() { published_.store(producer_.next, std::memory_order_release); }

  // ---- consumer
  // Null: empty. LIFETIME: until pop().
  const T* front() {
    if (consumer_.next == consumer_.published) {
      consumer_.published = published_.load(std::memory_order_acquire);
      if (consumer_.next == consumer_.published) return nullptr;
    }
    return &slots_[consumer_.next & mask_];
  }
  void pop() { ++consumer_.next; }  // REQUIRES: front() was not null
  // Gives the popped places back to the producer.
  void release() { consumed_.store(consumer_.next, std::memory_order_release); }

  size_t capacity() const { return mask_ + 1; }

 private:
  // 128 bytes: two lines, because x86 prefetches them in pairs.
  struct alignas(128) Producer {
    uint64_t next = 0, consumed = 0;
  } producer_;
  struct alignas(128) Consumer {
    uint64_t next = 0, published = 0;
  } consumer_;
  alignas(128) std::atomic<uint64_t> published_{0};
  alignas(128) std::atomic<uint64_t> consumed_{0};
  uint64_t mask_;
  std::unique_ptr<T[]> slots_;
};

}  // namespace perch
