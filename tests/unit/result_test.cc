#include "core/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

namespace perch {
namespace {

Result<int> half_of(int number) {
  if (number % 2 != 0) return Error{Errc::kInvalid, number};
  return number / 2;
}

Result<void> even(int number) {
  if (const auto half = half_of(number); !half) return half.error();
  return {};
}

TEST(Result, IsAValueOrAnError) {
  EXPECT_TRUE(half_of(4).ok());
  EXPECT_EQ(*half_of(4), 2);
  EXPECT_FALSE(half_of(3));
  EXPECT_EQ(half_of(3).error(), (Error{Errc::kInvalid, 3}));
  EXPECT_NE(half_of(3).error(), (Error{Errc::kInvalid, 5}));
  EXPECT_NE(half_of(3).error(), (Error{Errc::kDenied, 3}));
  EXPECT_TRUE(even(4).ok());
  EXPECT_EQ(even(3).error(), (Error{Errc::kInvalid, 3}));
}

TEST(Result, GivesItsValueAway) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  EXPECT_EQ(**result, 7);
  const std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 7);
  EXPECT_TRUE(result.ok()) << "moved from, still not an error";
  Result<std::string> text(std::string("long enough to live on the heap"));
  EXPECT_EQ(text->size(), text.value().size());
}

TEST(ResultDeathTest, TheOtherHalfIsOurBug) {
  EXPECT_DEATH((void)*half_of(3), "must be true");
  EXPECT_DEATH((void)half_of(4).error(), "must be true");
  EXPECT_DEATH((void)even(4).error(), "must be true");
}

TEST(Result, EveryErrorHasAName) {
  std::set<std::string> names;
  for (auto code = static_cast<uint16_t>(Errc::kSystem); code <= static_cast<uint16_t>(Errc::kStopped);
       ++code) {
    EXPECT_TRUE(names.insert(name_of(static_cast<Errc>(code))).second) << code;
  }
  EXPECT_EQ(names.count("unknown"), 0u);
  EXPECT_STREQ(name_of(static_cast<Errc>(999)), "unknown");
}

}  // namespace
}  // namespace perch
