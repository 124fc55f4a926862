// SendQueue: frames a connection has still to send. SendOperation: those the kernel is sending now.
//
// Both live in pools of their core, so an idle connection holds two null pointers.
// LIFETIME: a SendOperation's message, parts and frames stay put from Ring::send to its completion.
#pragma once
#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/frame.h"

namespace perch::net {

struct SendNode {
  SendNode* next = nullptr;
  FrameRef frame;
};

// Frames of one sendmsg: the kernel's fixed cost is shared by so many.
inline constexpr uint32_t kSendFramesMax = 16;
// No frame joins an operation that has so many bytes: the ring reports progress only at the operation's end,
// and a slow but living peer must be able to take one whole operation within send_stall_ms_max.
inline constexpr size_t kSendBytesMax = 64 * 1024;

struct SendOperation {
  msghdr message{};
  iovec parts[kSendFramesMax];
  FrameRef frames[kSendFramesMax];
  uint32_t num_frames = 0;
  uint32_t num_sent = 0;  // whole frames

  // Drops the first `bytes` of what is left. True: nothing is left.
  bool advance(size_t bytes);
};

// Elements that are taken and given back as they were; grows by blocks up to what was ever in use at once.
// ON: one core. LIFETIME: of the elements: the pool's. REQUIRES: all are given back before it goes.
template <typename T>
class BlockPool {
 public:
  T* take() {
    if (free_.empty()) grow();
    T* element = free_.back();
    free_.pop_back();
    return element;
  }
  void give_back(T* element) { free_.push_back(element); }

 private:
  static constexpr size_t kBlockBytes = 16 * 1024;
  static constexpr size_t kPerBlock = kBlockBytes / sizeof(T) > 0 ? kBlockBytes / sizeof(T) : 1;
  void grow() {
    blocks_.push_back(std::make_unique<T[]>(kPerBlock));
    free_.reserve(blocks_.size() * kPerBlock);
    for (size_t i = kPerBlock; i > 0; --i) free_.push_back(&blocks_.back()[i - 1]);
  }
  std::vector<std::unique_ptr<T[]>> blocks_;
  std::vector<T*> free_;
};

// One core's nodes and operations.
struct SendPool {
  BlockPool<SendNode> nodes;
  BlockPool<SendOperation> operations;
  void give_back(SendOperation* operation);  // lets go of its frames
};

// A ring list, of which one pointer to the last node is enough: the last knows the first. Net bounds it,
// by send_queue_frames_max. All calls of one queue are given the same pool; clear() before it goes.
class SendQueue {
 public:
  bool empty() const { return last_ == nullptr; }
  uint32_t size() const { return size_; }
  void push(SendPool& pool, FrameRef frame);
  FrameRef pop(SendPool& pool);  // REQUIRES: !empty()
  void clear(SendPool& pool);
  // Moves the first frames into an operation that is ready for Ring::send. REQUIRES: !empty()
  SendOperation* take_operation(SendPool& pool);

 private:
  SendNode* last_ = nullptr;
  uint32_t size_ = 0;
};

}  // namespace perch::net
