#include "chat/usable_cpus.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

#include "chat/config.h"

namespace perch::chat {
namespace {

TEST(UsableCpusTest, AreThoseOfTheMaskAndNoMore) {
  const std::vector<unsigned> all = usable_cpus();
  ASSERT_FALSE(all.empty());
  std::vector<unsigned> one;
  uint16_t reactors = 0;
  std::thread([&] {  // a mask of its own
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(all.back(), &set);
    ASSERT_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
    one = usable_cpus();
    reactors = num_reactors({});
  })
      .join();
  EXPECT_EQ(one, std::vector<unsigned>{all.back()});
  EXPECT_EQ(reactors, 1);
}

TEST(UsableCpusTest, GiveAReactorEachUnlessTheirNumberIsSaid) {
  Config config;
  EXPECT_EQ(num_reactors(config), usable_cpus().size());
  config.reactors = 3;
  EXPECT_EQ(num_reactors(config), 3);
}

}  // namespace
}  // namespace perch::chat
