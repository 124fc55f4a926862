// What the tests of codec/ share.
#pragma once
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "codec/encode.h"
#include "codec/frame.h"

namespace perch::codec {

using wire::Payload;

inline FrameBytes sample_message(size_t body_bytes, uint64_t seq = 7) {
  std::vector<uint8_t> body(body_bytes);
  std::iota(body.begin(), body.end(), uint8_t{1});
  return message({.to = 42, .origin = 0x1122334455667788, .seq = seq, .closed = 5, .after = 1 << 20}, 0,
                 body);
}

inline const wire::Frame* checked(const FrameBytes& bytes, Payload type) {
  const auto root = verify(bytes);
  EXPECT_TRUE(root.ok()) << "detail " << (root.ok() ? 0 : root.error().detail);
  if (!root.ok()) return nullptr;
  EXPECT_EQ((*root)->payload_type(), type);
  EXPECT_EQ(*root, trusted(bytes));
  return *root;
}

}  // namespace perch::codec
