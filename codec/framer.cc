// The framer has one decision: is a frame whole inside this chunk (hand it out in place) or in pieces
// (collect).
#include "codec/framer.h"

#include <algorithm>

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

}  // namespace

// on_frame may destroy this Framer if it then returns false, so nothing of `this` is touched after a false.
Result<void> Framer::feed(MutableBytes chunk, uint32_t frame_bytes_max,
                          const std::function<bool(MutableBytes)>& on_frame) {
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
    if (!on_frame(frame)) return {};
  }
  if (!chunk.empty()) partial_ = std::make_unique<std::vector<uint8_t>>(chunk.begin(), chunk.end());
  return {};
}

size_t Framer::bytes_held() const {
  return partial_ == nullptr ? 0 : sizeof(*partial_) + partial_->capacity();
}

}  // namespace perch::codec
