// Any cut of a stream gives the same frames, and memory follows what came.
#include "codec/framer.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/unit/codec_fixture.h"

namespace perch::codec {
namespace {

struct Collected {
  std::vector<FrameBytes> frames;
  std::function<bool(MutableBytes)> take() {
    return [this](MutableBytes frame) {
      frames.emplace_back(frame.begin(), frame.end());
      return true;
    };
  }
};

TEST(Framer, EverySplit) {
  const std::vector<FrameBytes> frames = {ping(1, 2), sample_message(100), pong(3), sample_message(0)};
  FrameBytes stream;
  for (const FrameBytes& frame : frames) stream.insert(stream.end(), frame.begin(), frame.end());
  const uint32_t frame_bytes_max = 4096;
  for (size_t first = 0; first <= stream.size(); ++first) {
    for (size_t second = first; second <= stream.size(); second += 13) {
      FrameBytes bytes = stream;
      const MutableBytes all = bytes;
      Framer framer;
      Collected got;
      ASSERT_TRUE(framer.feed(all.first(first), frame_bytes_max, got.take()).ok());
      ASSERT_TRUE(framer.feed(all.subspan(first, second - first), frame_bytes_max, got.take()).ok());
      ASSERT_TRUE(framer.feed(all.subspan(second), frame_bytes_max, got.take()).ok());
      ASSERT_EQ(got.frames, frames);
      ASSERT_FALSE(framer.in_frame());
      ASSERT_EQ(framer.bytes_held(), 0u);
    }
  }
}

// Wherever a frame lies in the chunk, whatever its neighbours' sizes.
TEST(Framer, FramesAreAligned) {
  const std::vector<FrameBytes> frames = {sample_message(3), pong(3), sample_message(100)};
  for (size_t offset = 0; offset < 2 * kFrameAlignment; ++offset) {
    for (size_t cut = 0; cut < 2 * kFrameAlignment; ++cut) {
      // The first frame's end, up to `cut`, came before, so that the rest begins anywhere.
      FrameBytes stream;
      for (const FrameBytes& frame : frames) stream.insert(stream.end(), frame.begin(), frame.end());
      FrameBytes bytes(offset + stream.size());
      std::copy(stream.begin(), stream.end(), bytes.begin() + static_cast<ptrdiff_t>(offset));
      const MutableBytes all = MutableBytes(bytes).subspan(offset);
      Framer framer;
      std::vector<FrameBytes> got;
      const auto take = [&](MutableBytes frame) {
        EXPECT_EQ(reinterpret_cast<uintptr_t>(frame.data()) % kFrameAlignment, 0u) << offset << ' ' << cut;
        got.emplace_back(frame.begin(), frame.end());
        return true;
      };
      ASSERT_TRUE(framer.feed(all.first(cut), 4096, take).ok());
      ASSERT_TRUE(framer.feed(all.subspan(cut), 4096, take).ok());
      ASSERT_EQ(got, frames);
    }
  }
}

TEST(Framer, OneByteAtATime) {
  const FrameBytes frame = sample_message(5000);
  Framer framer;
  Collected got;
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < frame.size(); ++i) {
      uint8_t byte = frame[i];
      ASSERT_TRUE(framer.feed({&byte, 1}, 8192, got.take()).ok());
      ASSERT_EQ(framer.in_frame(), i + 1 < frame.size());
      // Memory follows what came, not what was declared.
      ASSERT_LE(framer.bytes_held(), 2 * (i + 1) + sizeof(std::vector<uint8_t>));
    }
  }
  EXPECT_EQ(got.frames, (std::vector<FrameBytes>{frame, frame, frame}));
}

TEST(Framer, WholeFramesAreHandedOutInPlace) {
  FrameBytes bytes = ping(1, 2);
  Framer framer;
  const uint8_t* seen = nullptr;
  ASSERT_TRUE(
      framer.feed(bytes, 4096, [&](MutableBytes frame) { return (seen = frame.data()) != nullptr; }).ok());
  EXPECT_EQ(seen, bytes.data());
}

TEST(Framer, StopDropsTheRest) {
  for (const size_t split : {size_t{0}, size_t{10}}) {
    FrameBytes bytes = ping(1, 2);
    const FrameBytes more = sample_message(10);
    bytes.insert(bytes.end(), more.begin(), more.end());
    const MutableBytes all = bytes;
    auto framer = std::make_unique<Framer>();
    int calls = 0;
    const std::function<bool(MutableBytes)> stop = [&](MutableBytes) {
      ++calls;
      framer.reset();  // allowed, if the answer is false
      return false;
    };
    Framer& borrowed = *framer;
    ASSERT_TRUE(borrowed.feed(all.first(split), 4096, stop).ok());
    ASSERT_TRUE(borrowed.feed(all.subspan(split), 4096, stop).ok());
    EXPECT_EQ(calls, 1);
  }
}

TEST(Framer, DeclaredLengths) {
  const uint32_t max = 4096;
  struct Case {
    uint32_t declared;
    bool ok;
    Errc code;
  };
  for (const Case& c : {Case{0, false, Errc::kInvalid}, Case{1, false, Errc::kInvalid},
                        Case{kFrameBytesMin - kPrefixBytes - 1, false, Errc::kInvalid},
                        Case{kFrameBytesMin - kPrefixBytes, true, {}}, Case{max - kPrefixBytes, true, {}},
                        Case{max - kPrefixBytes + 1, false, Errc::kTooLarge},
                        Case{max, false, Errc::kTooLarge}, Case{max + 1, false, Errc::kTooLarge},
                        Case{1u << 31, false, Errc::kTooLarge}, Case{UINT32_MAX, false, Errc::kTooLarge}}) {
    for (const size_t split : {size_t{4}, size_t{1}, size_t{3}}) {
      uint8_t prefix[4];
      std::memcpy(prefix, &c.declared, 4);
      Framer framer;
      Collected got;
      Result<void> answer = framer.feed({prefix, split}, max, got.take());
      if (split < 4) {
        ASSERT_TRUE(answer.ok());
        answer = framer.feed({prefix + split, 4 - split}, max, got.take());
      }
      ASSERT_EQ(answer.ok(), c.ok) << c.declared;
      if (!c.ok) {
        EXPECT_EQ(answer.error().code, c.code) << c.declared;
      }
      EXPECT_TRUE(got.frames.empty());
      EXPECT_EQ(framer.in_frame(), c.ok);
      EXPECT_LE(framer.bytes_held(), 64u);
    }
  }
}

}  // namespace
}  // namespace perch::codec
