#include "client/seq_set.h"

#include <gtest/gtest.h>

#include <set>

#include "core/random.h"

namespace perch::client {
namespace {

TEST(SeqSet, NeighboursAreOneRange) {
  SeqSet set;
  for (Seq seq = 1; seq <= 1000; ++seq) EXPECT_TRUE(set.insert(seq));
  EXPECT_EQ(set.num_ranges(), 1u);
  EXPECT_TRUE(set.insert(1002));
  EXPECT_EQ(set.num_ranges(), 2u);
  EXPECT_TRUE(set.insert(1001)) << "joins both";
  EXPECT_EQ(set.num_ranges(), 1u);
  EXPECT_TRUE(set.insert(0));
  EXPECT_EQ(set.num_ranges(), 1u);
  for (Seq seq = 0; seq <= 1002; ++seq) EXPECT_FALSE(set.insert(seq)) << seq;
}

TEST(SeqSet, AgreesWithAPlainSet) {
  auto random = seeded_random(3);
  for (int round = 0; round < 50; ++round) {
    SeqSet set;
    std::set<Seq> plain;
    for (int i = 0; i < 200; ++i) {
      const Seq seq = random->below(64);
      ASSERT_EQ(set.insert(seq), plain.insert(seq).second) << seq;
      size_t ranges = 0;
      for (const Seq one : plain) ranges += !plain.contains(one + 1);
      ASSERT_EQ(set.num_ranges(), ranges);
    }
  }
}

}  // namespace
}  // namespace perch::client
