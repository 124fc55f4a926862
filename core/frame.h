// Frame: bytes of one wire frame that several sends, hops and the store refer to without copying.
//
// OWNER: the core that made it allocates and frees it. Another core that gets the frame by a hop holds one
//   *lease* on it and counts its own references without atomics; when the last is gone the lease goes back to
//   the owner by a hop. So count cores, not recipients.
// ON: a FrameRef never leaves the core of its pool; only Frame* travels in a hop, carrying a lease.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "core/types.h"

namespace perch {

class FramePool;
struct Frame;

// One core's counted hold on a Frame. OWNER: `pool`, of that core.
struct FrameLease {
  Frame* frame;
  FramePool* pool;
  uint32_t refs;
};

// The owner's own lease lies in the frame: most frames never leave their core and need no other.
struct alignas(8) Frame {
  CoreId owner;
  uint32_t leases;  // touched on the owner core only
  uint32_t size;
  FrameLease own;
  uint8_t* data() { return reinterpret_cast<uint8_t*>(this + 1); }  // 8-aligned
  MutableBytes bytes() { return {data(), size}; }
};
static_assert(sizeof(Frame) % 8 == 0);  // FlatBuffers reads its scalars in place

// A counted reference to a Frame, empty or not. LIFETIME: not beyond the FramePool it came from.
// REQUIRES of bytes(), size() and frame(): it is not empty.
class FrameRef {
 public:
  FrameRef() = default;
  explicit FrameRef(FrameLease* lease) : lease_(lease) {
    if (lease_) ++lease_->refs;
  }
  FrameRef(const FrameRef& other) : FrameRef(other.lease_) {}
  FrameRef(FrameRef&& other) noexcept : lease_(std::exchange(other.lease_, nullptr)) {}
  FrameRef& operator=(FrameRef other) noexcept {
    std::swap(lease_, other.lease_);
    return *this;
  }
  ~FrameRef() { reset(); }
  inline void reset();
  explicit operator bool() const { return lease_ != nullptr; }
  MutableBytes bytes() const { return lease_->frame->bytes(); }
  uint32_t size() const { return lease_->frame->size; }
  Frame* frame() const { return lease_->frame; }

 private:
  FrameLease* lease_ = nullptr;
};

// ON: one core. Frames are of any size up to 2^32 - 1 bytes; who makes them limits them by bytes_held().
class FramePool {
 public:
  explicit FramePool(CoreId core) : core_(core) {}
  ~FramePool();  // frees nothing: frames that are still referred to are not freed
  // Copies. Without memory the process ends.
  FrameRef make(Bytes bytes);
  // Adds a lease for another core: REQUIRES: called on the owner core; the Frame* then goes into one hop.
  Frame* lend(const FrameRef& frame);
  // Takes the lease that came with a hop. On the owner core itself too. REQUIRES: once for each lend().
  FrameRef take(Frame* frame);
  // A lease came back. REQUIRES: this core owns the frame.
  void returned(Frame* frame);
  // Leases of other cores' frames whose last reference went; the caller posts each back to frame->owner.
  std::vector<Frame*>& to_return() { return to_return_; }
  // Of the frames that this core has made and not freed, without their heads.
  uint64_t bytes_held() const { return bytes_held_; }

 private:
  friend class FrameRef;
  void last_reference_gone(FrameLease* lease);
  CoreId core_;
  uint64_t bytes_held_ = 0;
  std::vector<Frame*> to_return_;
};

void FrameRef::reset() {
  if (lease_ != nullptr && --lease_->refs == 0) lease_->pool->last_reference_gone(lease_);
  lease_ = nullptr;
}

}  // namespace perch
