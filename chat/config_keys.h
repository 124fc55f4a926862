// The keys of the configuration: the one table that reading, checking and printing go by.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "chat/config.h"

namespace perch::chat {

using ConfigField = std::variant<std::string Config::*, std::vector<std::string> Config::*, bool Config::*,
                                 uint16_t Config::*, uint32_t Limits::*, uint64_t Limits::*>;

struct ConfigKey {
  std::string_view table;  // "limits.frames"; empty: above all tables
  std::string_view name;
  ConfigField field;
  std::string_view help;
  uint64_t min = 0;  // of numbers
  uint64_t max = 0;
  bool reloads = false;  // SIGHUP changes it

  std::string path() const;  // "limits.frames.body_bytes_max"
  bool is_number() const;
  // REQUIRES: is_number()
  uint64_t number(const Config& config) const;
  void set_number(Config& config, uint64_t value) const;
  bool same(const Config& a, const Config& b) const;
};

std::span<const ConfigKey> config_keys();
const ConfigKey* find_config_key(std::string_view path);  // null: there is none
// The path that `path` was probably meant to be; empty: none is near.
std::string nearest_config_key(std::string_view path);

// A number that must not be below another one: `larger` >= factor * `smaller` + margin.
struct ConfigRelation {
  std::string_view larger;
  std::string_view smaller;
  uint64_t factor;
  uint64_t margin;
  std::string_view why;
};
std::span<const ConfigRelation> config_relations();

}  // namespace perch::chat
