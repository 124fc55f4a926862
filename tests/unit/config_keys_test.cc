#include "chat/config_keys.h"

#include <gtest/gtest.h>

#include <set>

namespace perch::chat {
namespace {

// How many fields an aggregate has: the largest number of initializers it takes.
struct Anything {
  template <typename T>
  operator T() const;
};
template <typename T, typename... Initializers>
constexpr size_t num_fields() {
  if constexpr (requires { T{Initializers{}..., Anything{}}; })
    return num_fields<T, Initializers..., Anything>();
  else
    return sizeof...(Initializers);
}

TEST(ConfigKeysTest, EveryFieldOfLimitsHasAKeyOfItsOwn) {
  Config config;
  size_t num_limits = 0;
  for (const ConfigKey& key : config_keys()) {
    if (!key.is_number()) continue;
    if (!std::holds_alternative<uint16_t Config::*>(key.field)) ++num_limits;
    key.set_number(config, num_limits);
  }
  EXPECT_EQ(num_limits, num_fields<Limits>());
  num_limits = 0;
  for (const ConfigKey& key : config_keys()) {
    if (!key.is_number()) continue;
    if (!std::holds_alternative<uint16_t Config::*>(key.field)) ++num_limits;
    EXPECT_EQ(key.number(config), num_limits) << key.path() << " writes where another key does";
  }
}

TEST(ConfigKeysTest, EveryKeyIsWrittenOnceAndHasHelpAndADefaultInItsRange) {
  std::set<std::string> paths;
  const Config defaults;
  for (const ConfigKey& key : config_keys()) {
    EXPECT_TRUE(paths.insert(key.path()).second) << key.path();
    EXPECT_FALSE(key.help.empty()) << key.path();
    if (!key.is_number()) continue;
    EXPECT_LE(key.min, key.number(defaults)) << key.path();
    EXPECT_GE(key.max, key.number(defaults)) << key.path();
  }
  for (const ConfigRelation& relation : config_relations()) {
    EXPECT_NE(find_config_key(relation.larger), nullptr) << relation.larger;
    EXPECT_NE(find_config_key(relation.smaller), nullptr) << relation.smaller;
  }
}

TEST(ConfigKeysTest, NearestIsNearOrNothing) {
  EXPECT_EQ(nearest_config_key("limits.delivery.windw"), "limits.delivery.window");
  EXPECT_EQ(nearest_config_key("window"), "limits.delivery.window");
  EXPECT_EQ(nearest_config_key("limits.store.window"), "limits.delivery.window");
  EXPECT_EQ(nearest_config_key("auto"), "accounts.auto");
  EXPECT_EQ(nearest_config_key("listn"), "listen");
  EXPECT_EQ(nearest_config_key("operations.lisen"), "operations.listen");
  EXPECT_EQ(nearest_config_key("limits.delivry"), "limits.delivery");
  EXPECT_EQ(nearest_config_key("limit"), "limits");
  EXPECT_EQ(nearest_config_key("nothing.like.it"), "");
  EXPECT_EQ(nearest_config_key(""), "");
}

}  // namespace
}  // namespace perch::chat
