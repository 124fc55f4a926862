#include "chat/config_problem.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace perch::chat {

std::string ConfigPlace::text() const { return line == 0 ? source : fmt::format("{}:{}", source, line); }

std::string ConfigProblem::text() const {
  return key.empty() ? fmt::format("{}: {}", place.text(), why)
                     : fmt::format("{}: {}: {}", place.text(), key, why);
}

std::string config_report_json(std::span<const ConfigProblem> problems,
                               std::span<const std::string> warnings) {
  using Json = nlohmann::ordered_json;
  Json report = {{"ok", problems.empty()}, {"problems", Json::array()}, {"warnings", Json::array()}};
  for (const ConfigProblem& problem : problems) {
    Json line, key;  // null
    if (problem.place.line != 0) line = problem.place.line;
    if (!problem.key.empty()) key = problem.key;
    report["problems"].push_back(
        {{"source", problem.place.source}, {"line", line}, {"key", key}, {"problem", problem.why}});
  }
  for (const std::string& warning : warnings) report["warnings"].push_back(warning);
  return report.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace perch::chat
