#include "core/frame.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace perch {
namespace {

Bytes bytes_of(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

std::string text_of(const FrameRef& ref) {
  return {reinterpret_cast<const char*>(ref.bytes().data()), ref.bytes().size()};
}

TEST(Frame, CopiesItsBytesAndFreesWithTheLastReference) {
  FramePool pool(3);
  std::string text = "a frame";
  FrameRef ref = pool.make(bytes_of(text));
  text[0] = 'X';
  EXPECT_EQ(text_of(ref), "a frame");
  EXPECT_EQ(ref.frame()->owner, 3);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(ref.frame()->data()) % 8, 0u);
  EXPECT_EQ(pool.bytes_held(), 7u);
  {
    FrameRef copy = ref;
    FrameRef moved = std::move(ref);
    EXPECT_FALSE(ref);
    copy = moved;
    moved = moved;  // NOLINT: a reference assigned to itself stays
    EXPECT_EQ(text_of(moved), "a frame");
    ref = copy;
  }
  EXPECT_EQ(pool.bytes_held(), 7u);
  ref.reset();
  ref.reset();
  EXPECT_FALSE(ref);
  EXPECT_EQ(pool.bytes_held(), 0u);
  EXPECT_TRUE(pool.to_return().empty());
}

TEST(Frame, AnEmptyFrameIsAFrame) {
  FramePool pool(0);
  FrameRef ref = pool.make({});
  EXPECT_TRUE(ref);
  EXPECT_EQ(ref.size(), 0u);
}

TEST(Frame, LeasesKeepItUntilTheLastCoreReturnsIts) {
  FramePool owner(0);
  std::array<FramePool, 2> others{FramePool(1), FramePool(2)};
  FrameRef ref = owner.make(bytes_of("shared"));
  std::array<Frame*, 2> hops{owner.lend(ref), owner.lend(ref)};
  EXPECT_EQ(ref.frame()->leases, 3u);
  ref.reset();
  EXPECT_EQ(owner.bytes_held(), 6u);
  for (size_t i = 0; i < 2; ++i) {
    FrameRef there = others[i].take(hops[i]);
    FrameRef second = there;
    EXPECT_EQ(text_of(second), "shared");
    there.reset();
    EXPECT_TRUE(others[i].to_return().empty());  // one lease for the core, however many references
    second.reset();
    ASSERT_EQ(others[i].to_return().size(), 1u);
    EXPECT_EQ(others[i].to_return()[0]->owner, 0);
    EXPECT_EQ(others[i].bytes_held(), 0u);
  }
  owner.returned(others[0].to_return()[0]);
  EXPECT_EQ(owner.bytes_held(), 6u);
  owner.returned(others[1].to_return()[0]);
  EXPECT_EQ(owner.bytes_held(), 0u);
}

TEST(Frame, ALeaseTakenOnTheOwnerItselfGoesBackWithoutAHop) {
  FramePool owner(0);
  FrameRef ref = owner.make(bytes_of("own"));
  FrameRef second = owner.take(owner.lend(ref));
  ref.reset();
  EXPECT_EQ(text_of(second), "own");
  second.reset();
  EXPECT_EQ(owner.bytes_held(), 0u);
  EXPECT_TRUE(owner.to_return().empty());
}

TEST(Frame, TheOwnersLeaseRunsOutAndBeginsAgainWhileAHopIsOnItsWay) {
  FramePool owner(0);
  FrameRef ref = owner.make(bytes_of("own"));
  Frame* hop = owner.lend(ref);
  ref.reset();
  EXPECT_EQ(owner.bytes_held(), 3u);  // the hop's lease keeps it
  FrameRef second = owner.take(hop);
  EXPECT_EQ(text_of(second), "own");
  EXPECT_EQ(second.frame()->leases, 1u);
  FrameRef third = owner.take(owner.lend(second));
  EXPECT_EQ(third.frame()->leases, 1u);
  second.reset();
  EXPECT_EQ(text_of(third), "own");
  third.reset();
  EXPECT_EQ(owner.bytes_held(), 0u);
}

}  // namespace
}  // namespace perch
