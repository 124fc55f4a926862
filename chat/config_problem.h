// What is wrong with a configuration: where, which key, why and what to do.
#pragma once
#include <compare>
#include <cstdint>
#include <span>
#include <string>

namespace perch::chat {

struct ConfigPlace {
  std::string source = "default";  // a file, or the flag that says it
  uint32_t line = 0;               // of a file; 0: it is none
  std::string text() const;        // "perchd.toml:49"
};

struct ConfigProblem {
  ConfigPlace place;
  std::string key;           // "limits.delivery.window"; empty: it is of none
  std::string why;           // and the remedy
  std::string text() const;  // one line
};

// For programs: one JSON object in one line, {"ok": false, "problems": […], "warnings": […]}.
std::string config_report_json(std::span<const ConfigProblem> problems,
                               std::span<const std::string> warnings);

}  // namespace perch::chat
