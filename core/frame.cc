#include "core/frame.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "core/check.h"

namespace perch {

FramePool::~FramePool() = default;

FrameRef FramePool::make(Bytes bytes) {
  void* memory = std::malloc(sizeof(Frame) + bytes.size());
  PERCH_CHECK(memory != nullptr);
  auto* frame = new (memory) Frame{core_, 1, static_cast<uint32_t>(bytes.size()), {nullptr, this, 0}};
  frame->own.frame = frame;
  if (!bytes.empty()) std::memcpy(frame->data(), bytes.data(), bytes.size());
  bytes_held_ += frame->size;
  return FrameRef(&frame->own);
}

Frame* FramePool::lend(const FrameRef& ref) {
  PERCH_CHECK(ref.frame()->owner == core_);
  ++ref.frame()->leases;
  return ref.frame();
}

FrameRef FramePool::take(Frame* frame) {
  if (frame->owner != core_) return FrameRef(new FrameLease{frame, this, 0});
  if (frame->own.refs > 0) --frame->leases;  // two leases of the owner are one
  return FrameRef(&frame->own);
}

void FramePool::last_reference_gone(FrameLease* lease) {
  Frame* frame = lease->frame;
  if (lease == &frame->own) return returned(frame);
  delete lease;
  to_return_.push_back(frame);
}

void FramePool::returned(Frame* frame) {
  PERCH_CHECK(frame->owner == core_ && frame->leases > 0);
  if (--frame->leases > 0) return;
  bytes_held_ -= frame->size;
  std::free(frame);
}

}  // namespace perch
