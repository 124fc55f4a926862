// Every key of the configuration, and every way to write it wrong.
#include "chat/config.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "chat/config_keys.h"

namespace perch::chat {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string toml_of(const ConfigKey& key, const std::string& value) {
  return key.table.empty() ? fmt::format("{} = {}\n", key.name, value)
                           : fmt::format("\n[{}]\n{} = {}\n", key.table, key.name, value);
}

std::string error_of(const std::string& toml) {
  ConfigLoader loader;
  return loader.read_text(toml, "f.toml");
}

// What a node needs beside the line under test.
constexpr const char* kNeeded = "data = \"d\"\n[[keys]]\nkid = \"k\"\nalgorithm = \"HS256\"\nfile = \"f\"\n";

std::string check_with(const std::string& toml) {
  ConfigLoader loader;
  const std::string error = loader.read_text(kNeeded + toml, "f.toml");
  return error.empty() ? loader.check() : error;
}

void expect_one_line(const std::string& error, const std::string& where, const std::string& key) {
  EXPECT_THAT(error, StartsWith(where));
  EXPECT_THAT(error, HasSubstr(key));
  EXPECT_THAT(error, Not(HasSubstr("\n")));
}

TEST(Config, DefaultsOfThePackagedFileAreThoseOfTheCode) {
  std::ifstream in(PERCH_SOURCE_DIR "/chat/perchd.toml");
  std::stringstream text;
  text << in.rdbuf();
  ConfigLoader loader;
  ASSERT_EQ(loader.read_text(text.str(), "perchd.toml"), "");
  EXPECT_EQ(loader.check(), "");
  // Made with `perchd --config chat/perchd.toml --print-config`: mend it so after a key has changed.
  EXPECT_EQ(config_text(loader.config()), text.str());
  EXPECT_FALSE(loader.config().accounts_auto);
  for (const ConfigKey& key : config_keys()) {
    if (!key.is_number()) continue;
    EXPECT_EQ(key.number(loader.config()), key.number(Config())) << key.path();
  }
}

TEST(Config, NumbersTakeTheirBoundsAndNothingBeyond) {
  for (const ConfigKey& key : config_keys()) {
    if (!key.is_number()) continue;
    const std::string where = key.table.empty() ? "f.toml:1: " : "f.toml:3: ";
    for (const uint64_t good : {key.min, key.max}) {
      ConfigLoader loader;
      EXPECT_EQ(loader.read_text(toml_of(key, std::to_string(good)), "f.toml"), "");
      EXPECT_EQ(key.number(loader.config()), good) << key.path();
    }
    const std::string range = fmt::format("{} to {}", key.min, key.max);
    for (const std::string& bad :
         {std::to_string(static_cast<int64_t>(key.min) - 1), std::to_string(key.max + 1)}) {
      const std::string error = error_of(toml_of(key, bad));
      expect_one_line(error, where, key.path());
      EXPECT_THAT(error, HasSubstr(bad + " is out of range"));
      EXPECT_THAT(error, HasSubstr(range));
    }
    for (const char* bad : {"\"7\"", "7.5", "true", "[7]", "1979-05-27"}) {
      const std::string error = error_of(toml_of(key, bad));
      expect_one_line(error, where, key.path());
      EXPECT_THAT(error, HasSubstr("give an integer from " + range));
    }
    for (const char* bad : {"", "x", "7x", "7.5", "99999999999999999999"}) {
      ConfigLoader loader;
      const std::string text = bad;
      expect_one_line(loader.set("--flag", key.path(), {&text, 1}), "--flag: ", key.path());
    }
  }
}

TEST(Config, OtherKeysTakeTheirTypeOnly) {
  for (const ConfigKey& key : config_keys()) {
    if (key.is_number()) continue;
    const bool text = std::holds_alternative<std::string Config::*>(key.field);
    const bool flag = std::holds_alternative<bool Config::*>(key.field);
    const std::string where = key.table.empty() ? "f.toml:1: " : "f.toml:3: ";
    expect_one_line(error_of(toml_of(key, "7")), where, key.path());
    expect_one_line(error_of(toml_of(key, "[7]")), where, key.path());
    if (!text) expect_one_line(error_of(toml_of(key, "\"x\"")), where, key.path());
    if (!flag) expect_one_line(error_of(toml_of(key, "true")), where, key.path());
    EXPECT_EQ(error_of(toml_of(key, text ? "\"x\"" : flag ? "true" : "[\"a\", \"b\"]")), "") << key.path();
  }
}

TEST(Config, UnknownKeysNameTheNearest) {
  const struct {
    const char* toml;
    const char* meant;
  } cases[] = {
      {"reactor = 1", "f.toml:1: reactor: no such key; did you mean reactors?"},
      {"[limits.delivry]\nwindow = 3",
       "f.toml:1: limits.delivry: no such key; did you mean limits.delivery?"},
      {"\n\nwindow = 3", "f.toml:3: window: no such key; did you mean limits.delivery.window?"},
      {"[limits.frames]\nbody_byte_max = 1",
       "f.toml:2: limits.frames.body_byte_max: no such key; did you mean limits.frames.body_bytes_max?"},
      {"[acounts]\nauto = true", "f.toml:1: acounts: no such key; did you mean accounts?"},
      {"zzzzzz = 1", "f.toml:1: zzzzzz: no such key; see perchd --print-config for all keys"},
  };
  for (const auto& [toml, meant] : cases) EXPECT_EQ(error_of(toml), meant);
  EXPECT_EQ(error_of("limits = 3"), "f.toml:1: limits: is no table; write [limits] above its keys");
}

TEST(Config, WhatIsWrongIsToldByLineAndTheRestIsRead) {
  ConfigLoader loader;
  const std::string first = loader.read_text(
      "zz = 1\n[limits.delivery]\nrate_burst = 3\nwindw = 3\n[accounts]\nauto = 3\n[[keys]]\nkid = 1\n",
      "f.toml");
  EXPECT_EQ(loader.problems().front().text(), first);
  std::vector<uint32_t> lines;
  for (const ConfigProblem& problem : loader.problems()) lines.push_back(problem.place.line);
  EXPECT_EQ(lines, (std::vector<uint32_t>{1, 4, 6, 8}));
  EXPECT_EQ(loader.config().limits.rate_burst, 3u);
  EXPECT_EQ(loader.set("--set", "limits.delivery.rate_burst=4"), "");
  EXPECT_EQ(loader.config().limits.rate_burst, 4u);
  EXPECT_EQ(loader.set("--set", "data"), "--set: data: no value; write --set KEY=VALUE");
  EXPECT_EQ(loader.problems().size(), 5u);
  EXPECT_EQ(ConfigLoader().check_all().size(), 2u);  // no folder, no key
}

TEST(Config, WhatIsNoTomlNamesTheLine) {
  for (const char* toml :
       {"data = ", "data = \"a", "[limits", "data = 1\ndata = 2", "= 3", "\x80", "a = [1,\n\n"})
    expect_one_line(error_of(std::string("\n") + toml), "f.toml:", "not TOML");
  EXPECT_THAT(error_of("reactors = 1\n\nreactors = 2\n"), StartsWith("f.toml:3: not TOML"));
}

TEST(Config, TokenKeys) {
  const std::string good = "[[keys]]\nkid = \"a\"\nalgorithm = \"EdDSA\"\nfile = \"p\"\n";
  ConfigLoader loader;
  ASSERT_EQ(loader.read_text(good + "[[keys]]\nkid = \"b\"\nalgorithm = \"HS256\"\nfile = \"q\"\n", "f.toml"),
            "");
  ASSERT_EQ(loader.config().keys.size(), 2u);
  EXPECT_EQ(loader.config().keys[0], (TokenKeyFile{"a", TokenKeyFile::Algorithm::kEdDsa, "p"}));
  EXPECT_EQ(loader.config().keys[1], (TokenKeyFile{"b", TokenKeyFile::Algorithm::kHs256, "q"}));
  // A flag replaces the key of its kid.
  EXPECT_EQ(loader.set_token_key("--secret-file", {"a", TokenKeyFile::Algorithm::kHs256, "r"}), "");
  ASSERT_EQ(loader.config().keys.size(), 2u);
  EXPECT_EQ(loader.config().keys[1].file, "r");

  const struct {
    const char* toml;
    const char* says;
  } cases[] = {
      {"keys = 3", "f.toml:1: keys: is no list of tables"},
      {"keys = [3]", "f.toml:1: keys: is no list of tables"},
      {"[keys]\nkid = \"a\"", "f.toml:1: keys: is no list of tables"},
      {"[[keys]]\nkid = \"a\"\nfile = \"f\"", "f.toml:1: keys: a key needs kid, algorithm and file"},
      {"[[keys]]\nkid = 1", "f.toml:2: keys.kid: is no string"},
      {"[[keys]]\nkit = \"a\"", "f.toml:2: keys.kit: no such key"},
      {"[[keys]]\nkid = \"a\"\nalgorithm = \"RS256\"\nfile = \"f\"",
       "f.toml:1: keys.algorithm: RS256 is unknown"},
      {"[[keys]]\nkid = \"\"\nalgorithm = \"HS256\"\nfile = \"f\"", "f.toml:1: keys.kid: has 0 bytes"},
      {"[[keys]]\nkid = \"a\"\nalgorithm = \"HS256\"\nfile = \"\"", "f.toml:1: keys.file: is empty"},
  };
  for (const auto& [toml, says] : cases) EXPECT_THAT(error_of(toml), StartsWith(says));
  EXPECT_THAT(error_of(good + good), StartsWith("f.toml:5: keys.kid: a is there twice"));
}

TEST(Config, WhatKeysMustNotSayTogether) {
  for (const ConfigRelation& relation : config_relations()) {
    const ConfigKey& larger = *find_config_key(relation.larger);
    const ConfigKey& smaller = *find_config_key(relation.smaller);
    Config config;
    const uint64_t least = relation.factor * smaller.number(config) + relation.margin;
    const std::string number = std::to_string(least - 1);
    if (least - 1 >= larger.min) {  // else its own range has refused it
      const std::string error = check_with(toml_of(larger, number));
      expect_one_line(error, "f.toml:", larger.path() + ": " + number + " is too small");
    }
    // The other way round the line is that of the key that was set.
    const uint64_t most = (larger.number(config) - relation.margin) / relation.factor;
    if (most + 1 <= smaller.max) {
      const std::string error = check_with(toml_of(smaller, std::to_string(most + 1)));
      expect_one_line(error, "f.toml:", smaller.path());
    }
  }
  EXPECT_THAT(check_with("[limits.node]\nmesh_slots = 1000"),
              StartsWith("f.toml:7: limits.node.mesh_slots: 1000 is no power of two; give 1024"));
}

TEST(Config, WhatANodeCannotDoWithout) {
  ConfigLoader loader;
  EXPECT_THAT(loader.check(), HasSubstr("data: no folder"));
  ASSERT_EQ(loader.read_text("data = \"d\"", "f.toml"), "");
  EXPECT_THAT(loader.check(), HasSubstr("keys: nobody could log in"));
  ASSERT_EQ(loader.set_token_key("--secret-file", {"k", TokenKeyFile::Algorithm::kHs256, "f"}), "");
  EXPECT_EQ(loader.check(), "");
  const std::string bad = "localhost";
  ASSERT_EQ(loader.set("--listen", "listen", {&bad, 1}), "");
  EXPECT_THAT(loader.check(), StartsWith("--listen: listen: localhost: not an address"));
  ASSERT_EQ(loader.read_text("listen = []", "f.toml"), "");
  EXPECT_THAT(loader.check(), StartsWith("f.toml:1: listen: no address"));
}

TEST(Config, FlagsWinAndPrintedTextGivesTheSameConfiguration) {
  ConfigLoader loader;
  ASSERT_EQ(loader.read_text("reactors = 3\n[accounts]\nauto = true\n", "f.toml"), "");
  const std::string four = "4", odd = "a \"b\" \\ \x01 ü", addresses[] = {"127.0.0.1:1", "[::1]:2"};
  ASSERT_EQ(loader.set("--reactors", "reactors", {&four, 1}), "");
  ASSERT_EQ(loader.set("--data", "data", {&odd, 1}), "");
  ASSERT_EQ(loader.set("--listen", "listen", addresses), "");
  ASSERT_EQ(loader.set_token_key("-", {odd, TokenKeyFile::Algorithm::kEdDsa, odd}), "");
  EXPECT_EQ(loader.config().reactors, 4);

  ConfigLoader again;
  ASSERT_EQ(again.read_text(config_text(loader.config()), "printed"), "");
  EXPECT_EQ(config_text(again.config()), config_text(loader.config()));
  EXPECT_EQ(again.config().data_dir, odd);
  EXPECT_EQ(again.config().listen, (std::vector<std::string>{"127.0.0.1:1", "[::1]:2"}));
  EXPECT_EQ(again.config().keys, loader.config().keys);
  EXPECT_TRUE(again.config().accounts_auto);
}

}  // namespace
}  // namespace perch::chat
