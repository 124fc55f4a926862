#include "core/frame.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "core/check.h"

namespace perch {

void FrameRef::reset() {
  if (lease_ != nullptr && --lease_->refs == 0) lease_->pool->last_reference_gone(lease_);
  lease_ = nullptr;
}

FramePool::~FramePool() = default;

FrameRef FramePool::make(Bytes bytes) {
  void* memory = std::malloc(sizeof(Frame) + bytes.size());
  PERCH_CHECK(memory != nullptr);
  auto* frame = new (memory) Frame{core_, 0, static_cast<uint32_t>(bytes.size())};
  if (!bytes.empty()) std::memcpy(frame->data(), bytes.data(), bytes.size());
  bytes_held_ += frame->size;
  ++frame->leases;
  return take(frame);
}

Frame* FramePool::lend(const FrameRef& ref) {
  PERCH_CHECK(ref.frame()->owner == core_);
  ++ref.frame()->leases;
  return ref.frame();
}

FrameRef FramePool::take(Frame* frame) { return FrameRef(new FrameLease{frame, this, 0}); }

void FramePool::last_reference_gone(FrameLease* lease) {
  Frame* frame = lease->frame;
  delete lease;
  if (frame->owner == core_) {
    returned(frame);
  } else {
    to_return_.push_back(frame);
  }
}

void FramePool::returned(Frame* frame) {
  PERCH_CHECK(frame->owner == core_ && frame->leases > 0);
  if (--frame->leases > 0) return;
  bytes_held_ -= frame->size;
  std::free(frame);
}

}  // namespace perch
