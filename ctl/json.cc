#include "ctl/json.h"

#include <fmt/format.h>

#include <utility>

#include "ctl/text.h"

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

int print_pages(const Flags& flags, std::string_view verb, std::string heading,
                std::string (*text)(const Json&)) {
  std::string out;
  if (!flags.json) out = std::move(heading);
  for (uint64_t from = 0;;) {
    const std::optional<std::string> page = ask(flags, fmt::format("{} {}", verb, from));
    if (!page) return kNotDone;
    bool more = false;
    for (const std::string_view line : lines_of(*page)) {
      const std::optional<Json> row = parse_answer(line);
      if (!row) return kNotDone;
      if (row->contains("next")) {
        from = number_at(*row, "next");
        more = true;
      } else if (flags.json) {
        out.append(line) += '\n';
      } else {
        out += text(*row);
      }
    }
    if (const int status = print(out); status != kDone || !more) return status;
    out.clear();
  }
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
