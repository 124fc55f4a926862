// Who is restarted and who is sent clients, by the word.
#include "chat/health.h"

#include <gtest/gtest.h>

namespace perch::chat {
namespace {

TEST(HealthTest, OnlyWhatARestartMendsIsNotAlive) {
  for (const Health health : {Health::kStarting, Health::kOk, Health::kFull, Health::kDraining})
    EXPECT_TRUE(is_alive(health)) << name_of(health);
  EXPECT_FALSE(is_alive(Health::kStuck));
  EXPECT_FALSE(is_alive(Health::kPoisoned));
}

TEST(HealthTest, OnlyWhoTakesWorkIsReady) {
  for (const Health health : {Health::kStarting, Health::kStuck, Health::kDraining, Health::kPoisoned})
    EXPECT_FALSE(is_ready(health)) << name_of(health);
  EXPECT_TRUE(is_ready(Health::kOk));
  EXPECT_TRUE(is_ready(Health::kFull));
}

TEST(HealthTest, EachHasAWord) {
  EXPECT_EQ(name_of(Health::kStarting), "starting");
  EXPECT_EQ(name_of(Health::kPoisoned), "poisoned");
}

}  // namespace
}  // namespace perch::chat
