// JSON as every command prints it: one value a line, fields in the order in which they are given.
#pragma once
#include <nlohmann/json.hpp>

#include "ctl/command.h"

namespace perch::ctl {

using Json = nlohmann::ordered_json;

// As print(). What is no UTF-8 is replaced.
inline int print_json(const Json& json) {
  return print(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace perch::ctl
