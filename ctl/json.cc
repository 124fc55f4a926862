#include "ctl/json.h"

namespace perch::ctl {
namespace {

const Json* value_at(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto at = object.find(name);
  return at == object.end() ? nullptr : &*at;
}

}  // namespace

int print_json(const Json& json) {
  return print(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::optional<Json> parse_answer(std::string_view line) {
  Json json = Json::parse(line.begin(), line.end(), nullptr, /*allow_exceptions=*/false);
  if (json.is_object()) return json;
  complain(kNotDone,
           "the server's answer is not what was asked for; perchctl and perchd should be of one version");
  return std::nullopt;
}

uint64_t number_at(const Json& object, const char* name) {
  const Json* value = value_at(object, name);
  return value != nullptr && value->is_number_unsigned() ? value->get<uint64_t>() : 0;
}

bool flag_at(const Json& object, const char* name) {
  const Json* value = value_at(object, name);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

std::string text_at(const Json& object, const char* name) {
  const Json* value = value_at(object, name);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

const Json& list_at(const Json& object, const char* name) {
  static const Json kNone = Json::array();
  const Json* value = value_at(object, name);
  return value != nullptr && value->is_array() ? *value : kNone;
}

const Json& object_at(const Json& object, const char* name) {
  static const Json kNone = Json::object();
  const Json* value = value_at(object, name);
  return value != nullptr && value->is_object() ? *value : kNone;
}

}  // namespace perch::ctl
