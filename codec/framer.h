// Framer cuts a byte stream into size-prefixed frames. Whole frames inside one chunk are handed out in place;
// a frame in pieces is put together in a buffer that grows with what was received, never by a declared
// length.
//
// OWNER: one connection. ON: its core. An idle Framer (no frame in progress) holds no heap memory.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "core/result.h"
#include "core/types.h"

namespace perch::codec {

class Framer {
 public:
  // Feeds bytes; calls `on_frame` with each complete frame, prefix included, at an address that
  // kFrameAlignment divides. Bytes of the chunk may be written over. `on_frame` returns false to
  // stop; the rest of the chunk is then dropped. LIFETIME: frame bytes are valid during the call; they may be
  // written to. ERRORS: kTooLarge (declared length over frame_bytes_max), kInvalid (declared length below the
  // smallest frame).
  Result<void> feed(MutableBytes chunk, uint32_t frame_bytes_max,
                    const std::function<bool(MutableBytes)>& on_frame);
  bool in_frame() const { return partial_ != nullptr && !partial_->empty(); }
  size_t bytes_held() const;  // of heap, for the frame in progress: at most twice what has come of it

 private:
  std::unique_ptr<std::vector<uint8_t>> partial_;
};

}  // namespace perch::codec
