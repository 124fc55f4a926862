#include "store/packer.h"

#include <gtest/gtest.h>

namespace perch::store {
namespace {

constexpr std::array<uint8_t, 3> kKey{1, 2, 3};
constexpr std::array<uint8_t, 3> kOtherKey{1, 2, 4};

TEST(PackerTest, WhatIsPackedIsUnpackedInTheSameOrder) {
  Value value;
  Packer pack(value);
  pack.number<uint16_t>(0x1234);
  pack.flag(true);
  pack.count(2, 3);
  pack.text("ann", 3);
  pack.id({1, 2, 3, 4});
  pack.receipt({5, 6, 7, 8, 9, 10});
  pack.bytes(kOtherKey);
  pack.seal(kKey);
  EXPECT_EQ(value.data[kCrcBytes], 0x12) << "big-endian";

  Unpacker unpack(kKey, value.bytes());
  uint16_t number = 0;
  bool flag = false;
  uint8_t num = 0;
  std::string text;
  MessageId id;
  ReceiptKey receipt;
  unpack.number(number);
  unpack.flag(flag);
  unpack.count(num, 3);
  unpack.text(text, 3);
  unpack.id(id);
  unpack.receipt(receipt);
  EXPECT_EQ(number, 0x1234);
  EXPECT_TRUE(flag);
  EXPECT_EQ(num, 2);
  EXPECT_EQ(text, "ann");
  EXPECT_EQ(id, (MessageId{1, 2, 3, 4}));
  EXPECT_EQ(receipt, (ReceiptKey{5, 6, 7, 8, 9, 10}));
  EXPECT_FALSE(unpack.done()) << "something is left";
  EXPECT_EQ(unpack.rest().size(), 3u);
  EXPECT_TRUE(unpack.done());
}

TEST(PackerTest, AnotherKeysValueIsBad) {
  Value value;
  Packer pack(value);
  pack.number<uint8_t>(1);
  pack.seal(kKey);
  EXPECT_TRUE(Unpacker(kKey, value.bytes()).good());
  EXPECT_FALSE(Unpacker(kOtherKey, value.bytes()).good());
  EXPECT_FALSE(Unpacker(kKey, value.bytes().first(3)).good()) << "no room for a checksum";
}

TEST(PackerTest, OneReadPastTheEndMakesAllOfItBad) {
  Value value;
  Packer pack(value);
  pack.number<uint16_t>(7);
  pack.seal(kKey);
  Unpacker unpack(kKey, value.bytes());
  uint64_t wide = 5;
  unpack.number(wide);
  EXPECT_FALSE(unpack.good());
  EXPECT_EQ(wide, 5u);
  uint8_t narrow = 6;
  unpack.number(narrow);
  EXPECT_EQ(narrow, 6) << "nothing is read behind it";
}

TEST(PackerTest, CountsAndTextsOverTheirBoundAreBad) {
  Value value;
  Packer pack(value);
  pack.count(9, 9);
  pack.seal(kKey);
  Unpacker counts(kKey, value.bytes());
  uint8_t num = 0;
  counts.count(num, 8);
  EXPECT_FALSE(counts.good());
  EXPECT_EQ(num, 0) << "a loop over it ends at once";

  Packer again(value);
  again.text("four", 4);
  again.seal(kKey);
  Unpacker texts(kKey, value.bytes());
  std::string text;
  texts.text(text, 3);
  EXPECT_FALSE(texts.good());
  EXPECT_TRUE(text.empty());
}

}  // namespace
}  // namespace perch::store
