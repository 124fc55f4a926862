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

TEST(ConfigKeysTest, ADifferenceIsSeenInEveryKey) {
  const Config defaults;
  for (const ConfigKey& key : config_keys()) {
    Config other;
    if (key.is_number()) {
      key.set_number(other, key.number(other) + 1);
    } else if (const auto* flag = std::get_if<bool Config::*>(&key.field)) {
      other.*(*flag) = !(other.*(*flag));
    } else if (const auto* text = std::get_if<std::string Config::*>(&key.field)) {
      other.*(*text) += "x";
    } else {
      (other.*std::get<std::vector<std::string> Config::*>(key.field)).push_back("x");
    }
    for (const ConfigKey& each : config_keys())
      EXPECT_EQ(each.same(defaults, other), each.path() != key.path()) << key.path() << ' ' << each.path();
    EXPECT_EQ(changes_text(defaults, other), key.path() + " keys");
  }
}

// What clients were told in WELCOME, what something was made of that size, what timers stand on.
TEST(ConfigKeysTest, WhatIsForAStartOnlyDoesNotReload) {
  for (const char* path :
       {"data", "listen", "reactors", "user", "limits.frames.body_bytes_max", "limits.delivery.window",
        "limits.connections.connections_max", "limits.connections.ping_ms", "limits.delivery.expiry_ms",
        "limits.store.map_bytes", "limits.node.mesh_slots", "log.format"})
    EXPECT_FALSE(find_config_key(path)->reloads) << path;
  EXPECT_TRUE(find_config_key("log.level")->reloads);
  EXPECT_TRUE(find_config_key("limits.delivery.rate_burst")->reloads);
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
