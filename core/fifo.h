// Fifo: a queue in one block that doubles when it is full. An empty std::deque holds 576 bytes of heap, which
// every idle session would pay for; an empty Fifo holds nothing, or a block of at most kKeptMax elements.
//
// ON: one thread. Not bounded: who pushes is. T is default-constructible and movable; a free place keeps a
// moved-from T.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "core/check.h"

namespace perch {

template <typename T>
class Fifo {
 public:
  static constexpr uint32_t kKeptMax = 8;

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  T& front() { return (*this)[0]; }  // REQUIRES: !empty()
  const T& front() const { return (*this)[0]; }
  T& operator[](size_t i) {
    PERCH_CHECK(i < size_);
    return block_[(head_ + i) & (capacity_ - 1)];
  }
  const T& operator[](size_t i) const { return const_cast<Fifo&>(*this)[i]; }
  // Moves the elements if the block is full: no reference outlives it.
  void push_back(T value) {
    if (size_ == capacity_) grow();
    block_[(head_ + size_++) & (capacity_ - 1)] = std::move(value);
  }
  T pop_front() {  // REQUIRES: !empty()
    T value = std::move(front());
    head_ = (head_ + 1) & (capacity_ - 1);
    if (--size_ == 0 && capacity_ > kKeptMax) clear();
    return value;
  }
  void clear() { *this = Fifo(); }

  Fifo() = default;
  Fifo(Fifo&& other) noexcept { *this = std::move(other); }
  Fifo& operator=(Fifo&& other) noexcept {
    block_ = std::move(other.block_);
    capacity_ = std::exchange(other.capacity_, 0);
    head_ = std::exchange(other.head_, 0);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

 private:
  void grow() {
    const uint32_t capacity = capacity_ == 0 ? 4 : capacity_ * 2;
    PERCH_CHECK(capacity > capacity_);
    auto block = std::make_unique<T[]>(capacity);
    for (uint32_t i = 0; i < size_; ++i) block[i] = std::move((*this)[i]);
    block_ = std::move(block);
    capacity_ = capacity;
    head_ = 0;
  }

  std::unique_ptr<T[]> block_;
  uint32_t capacity_ = 0;  // a power of two, or 0
  uint32_t head_ = 0;
  uint32_t size_ = 0;
};

}  // namespace perch
