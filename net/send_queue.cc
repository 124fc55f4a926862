#include "net/send_queue.h"

#include "core/check.h"

namespace perch::net {

bool SendOperation::advance(size_t bytes) {
  while (num_sent < num_frames && bytes >= parts[num_sent].iov_len) {
    bytes -= parts[num_sent].iov_len;
    frames[num_sent].reset();
    ++num_sent;
  }
  if (num_sent == num_frames) {
    PERCH_CHECK(bytes == 0);
    return true;
  }
  parts[num_sent].iov_base = static_cast<uint8_t*>(parts[num_sent].iov_base) + bytes;
  parts[num_sent].iov_len -= bytes;
  message.msg_iov = &parts[num_sent];
  message.msg_iovlen = num_frames - num_sent;
  return false;
}

void SendPool::give_back(SendOperation* operation) {
  for (uint32_t i = 0; i < operation->num_frames; ++i) operation->frames[i].reset();
  operations.give_back(operation);
}

void SendQueue::push(SendPool& pool, FrameRef frame) {
  SendNode* node = pool.nodes.take();
  node->frame = std::move(frame);
  if (last_ == nullptr) {
    node->next = node;
  } else {
    node->next = last_->next;
    last_->next = node;
  }
  last_ = node;
  ++size_;
}

FrameRef SendQueue::pop(SendPool& pool) {
  SendNode* first = last_->next;
  if (first == last_) {
    last_ = nullptr;
  } else {
    last_->next = first->next;
  }
  --size_;
  FrameRef frame = std::move(first->frame);
  pool.nodes.give_back(first);
  return frame;
}

void SendQueue::clear(SendPool& pool) {
  while (!empty()) pop(pool);
}

SendOperation* SendQueue::take_operation(SendPool& pool) {
  SendOperation* operation = pool.operations.take();
  operation->num_frames = 0;
  operation->num_sent = 0;
  size_t bytes = 0;
  while (!empty() && operation->num_frames < kSendFramesMax && bytes < kSendBytesMax) {
    const uint32_t i = operation->num_frames++;
    operation->frames[i] = pop(pool);
    const MutableBytes frame = operation->frames[i].bytes();
    operation->parts[i] = {frame.data(), frame.size()};
    bytes += frame.size();
  }
  operation->message = {};
  operation->message.msg_iov = operation->parts;
  operation->message.msg_iovlen = operation->num_frames;
  return operation;
}

}  // namespace perch::net
