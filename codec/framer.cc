// The framer has one decision: is a frame whole inside this chunk (hand it out in place) or in pieces
// (collect). Nearly all frames are multiples of 8 bytes, so those of a chunk lie aligned unless the stream
// was cut at an odd place before it.
#include "codec/framer.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "codec/frame.h"

namespace perch::codec {
namespace {

uint32_t declared_bytes(const uint8_t* prefix) {
  return static_cast<uint32_t>(prefix[0]) | static_cast<uint32_t>(prefix[1]) << 8 |
         static_cast<uint32_t>(prefix[2]) << 16 | static_cast<uint32_t>(prefix[3]) << 24;
}

// The size of the whole frame, prefix included. Compared without adding first: 2^32 - 1 + 4 would wrap.
Result<size_t> whole_bytes(const uint8_t* prefix, uint32_t frame_bytes_max) {
  const uint32_t declared = declared_bytes(prefix);
  if (declared < kFrameBytesMin - kPrefixBytes) return Error{Errc::kInvalid, declared};
  if (frame_bytes_max < kPrefixBytes || declared > frame_bytes_max - kPrefixBytes) {
    return Error{Errc::kTooLarge, frame_bytes_max};
  }
  return size_t{declared} + kPrefixBytes;
}

// `frame` at an aligned address: moved down over bytes that were handed out already, or, where there are too
// few of those, into `copy`.
MutableBytes aligned(MutableBytes frame, const uint8_t* chunk_begin, std::vector<uint8_t>& copy) {
  const size_t past = reinterpret_cast<uintptr_t>(frame.data()) % kFrameAlignment;
  if (past == 0) return frame;
  if (static_cast<size_t>(frame.data() - chunk_begin) < past) {
    copy.assign(frame.begin(), frame.end());
    return {copy.data(), copy.size()};
  }
  uint8_t* to = frame.data() - past;
  std::memmove(to, frame.data(), frame.size());
  return {to, frame.size()};
}

}  // namespace

// on_frame may destroy this Framer if it then returns false, so nothing of `this` is touched after a false.
Result<void> Framer::feed(MutableBytes chunk, uint32_t frame_bytes_max,
                          const std::function<bool(MutableBytes)>& on_frame) {
  const uint8_t* const chunk_begin = chunk.data();
  std::vector<uint8_t> copy;
  if (partial_ != nullptr) {
    std::vector<uint8_t>& partial = *partial_;
    // First the prefix, then what it asks for. A vector grows by doubling what it holds, so the memory behind
    // a frame is at most twice what its peer has really sent.
    if (partial.size() < kPrefixBytes) {
      const size_t take = std::min(kPrefixBytes - partial.size(), chunk.size());
      partial.insert(partial.end(), chunk.begin(), chunk.begin() + static_cast<ptrdiff_t>(take));
      chunk = chunk.subspan(take);
      if (partial.size() < kPrefixBytes) return {};
    }
    const Result<size_t> whole = whole_bytes(partial.data(), frame_bytes_max);
    if (!whole) {
      const Error error = whole.error();
      partial_.reset();
      return error;
    }
    const size_t take = std::min(*whole - partial.size(), chunk.size());
    partial.insert(partial.end(), chunk.begin(), chunk.begin() + static_cast<ptrdiff_t>(take));
    chunk = chunk.subspan(take);
    if (partial.size() < *whole) return {};
    const std::unique_ptr<std::vector<uint8_t>> done = std::move(partial_);
    if (!on_frame({done->data(), done->size()})) return {};
  }

  while (chunk.size() >= kPrefixBytes) {
    const Result<size_t> whole = whole_bytes(chunk.data(), frame_bytes_max);
    if (!whole) return whole.error();
    if (chunk.size() < *whole) break;
    const MutableBytes frame = chunk.first(*whole);
    chunk = chunk.subspan(*whole);
    if (!on_frame(aligned(frame, chunk_begin, copy))) return {};
  }
  if (!chunk.empty()) partial_ = std::make_unique<std::vector<uint8_t>>(chunk.begin(), chunk.end());
  return {};
}

size_t Framer::bytes_held() const {
  return partial_ == nullptr ? 0 : sizeof(*partial_) + partial_->capacity();
}

}  // namespace perch::codec
