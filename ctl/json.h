// JSON as the server answers it and as every command prints it: one value a line, fields in the order in
// which they are given. What an answer lacks reads as nothing: another version is no reason to end.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "ctl/command.h"

namespace perch::ctl {

using Json = nlohmann::ordered_json;

int print_json(const Json& json);  // as print(); what is no UTF-8 is replaced
// Asks `verb` page by page, so that a server with millions is not kept by one question. Each row is printed
// as `text` makes it, below `heading`; with flags.json as it came.
int print_pages(const Flags& flags, std::string_view verb, std::string heading,
                std::string (*text)(const Json&));
// Nothing: it is no JSON object, and that has been said.
std::optional<Json> parse_answer(std::string_view line);
uint64_t number_at(const Json& object, const char* name);
bool flag_at(const Json& object, const char* name);
std::string text_at(const Json& object, const char* name);
const Json& list_at(const Json& object, const char* name);    // LIFETIME: of `object`, or static
const Json& object_at(const Json& object, const char* name);  // likewise

}  // namespace perch::ctl
