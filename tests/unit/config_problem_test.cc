// Problems as lines for people and as JSON for programs.
#include "chat/config_problem.h"

#include <gtest/gtest.h>

namespace perch::chat {
namespace {

TEST(ConfigProblem, IsOneLine) {
  EXPECT_EQ((ConfigProblem{{"f.toml", 7}, "a.b", "is wrong"}).text(), "f.toml:7: a.b: is wrong");
  EXPECT_EQ((ConfigProblem{{"--set", 0}, "a.b", "is wrong"}).text(), "--set: a.b: is wrong");
  EXPECT_EQ((ConfigProblem{{}, "a.b", "is wrong"}).text(), "default: a.b: is wrong");
  EXPECT_EQ((ConfigProblem{{"f.toml", 7}, "", "not TOML"}).text(), "f.toml:7: not TOML");
}

TEST(ConfigProblem, AsJson) {
  EXPECT_EQ(config_report_json({}, {}), "{\"ok\":true,\"problems\":[],\"warnings\":[]}\n");
  const ConfigProblem problems[] = {{{"f.toml", 7}, "a", "say \"x\""}, {{"--set", 0}, "", "\xff"}};
  const std::string warnings[] = {"w"};
  EXPECT_EQ(config_report_json(problems, warnings),
            R"({"ok":false,"problems":[{"source":"f.toml","line":7,"key":"a","problem":"say \"x\""},)"
            R"({"source":"--set","line":null,"key":null,"problem":")"
            "\xef\xbf\xbd"
            R"("}],"warnings":["w"]})"
            "\n");
}

}  // namespace
}  // namespace perch::chat
