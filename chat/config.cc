#include "chat/config.h"

#include <fmt/format.h>
#include <toml++/toml.h>  // built without exceptions, as this library is: parse() gives a result

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

#include "chat/config_keys.h"
#include "chat/usable_cpus.h"
#include "core/check.h"
#include "core/log.h"
#include "core/text_file.h"
#include "net/listen.h"
#include "tls/token.h"

static_assert(!TOML_EXCEPTIONS);

namespace perch::chat {
namespace {

constexpr size_t kConfigBytesMax = 1 << 20;
constexpr std::string_view kSeeAll = "see perchd --print-config for all keys";

std::string wanted(const ConfigKey& key) {
  if (key.is_number()) return fmt::format("an integer from {} to {}", key.min, key.max);
  if (std::holds_alternative<bool Config::*>(key.field)) return "true or false";
  if (std::holds_alternative<std::string Config::*>(key.field)) return "a string";
  return "a list of strings";
}

// Puts a value of the right type into its field. Empty, or what is wrong with it.
std::string store(Config& config, const ConfigKey& key, int64_t value) {
  if (!key.is_number()) return fmt::format("is an integer; give {}", wanted(key));
  if (value < 0 || static_cast<uint64_t>(value) < key.min || static_cast<uint64_t>(value) > key.max)
    return fmt::format("{} is out of range; give {}", value, wanted(key));
  key.set_number(config, static_cast<uint64_t>(value));
  return {};
}

std::string store(Config& config, const ConfigKey& key, const toml::node& value) {
  if (const auto* integer = value.as_integer()) return store(config, key, integer->get());
  if (const auto* flag = std::get_if<bool Config::*>(&key.field); flag && value.is_boolean()) {
    config.*(*flag) = value.as_boolean()->get();
    return {};
  }
  if (const auto* text = std::get_if<std::string Config::*>(&key.field); text && value.is_string()) {
    config.*(*text) = value.as_string()->get();
    return {};
  }
  if (const auto* list = std::get_if<std::vector<std::string> Config::*>(&key.field);
      list && value.is_array()) {
    std::vector<std::string> texts;
    for (const toml::node& item : *value.as_array()) {
      if (!item.is_string()) return fmt::format("holds something that is no string; give {}", wanted(key));
      texts.push_back(item.as_string()->get());
    }
    config.*(*list) = std::move(texts);
    return {};
  }
  constexpr std::pair<toml::node_type, std::string_view> kKinds[] = {
      {toml::node_type::string, "string"},
      {toml::node_type::floating_point, "fraction"},
      {toml::node_type::boolean, "boolean"},
      {toml::node_type::table, "table"},
      {toml::node_type::array, "list"}};
  std::string_view kind = "date or time";
  for (const auto& [type, name] : kKinds)
    if (value.type() == type) kind = name;
  return fmt::format("is a {}; give {}", kind, wanted(key));
}

// What a flag says: text that is read as the key's type.
std::string store(Config& config, const ConfigKey& key, std::span<const std::string> values) {
  PERCH_CHECK(!values.empty());
  const std::string& last = values.back();
  if (key.is_number()) {
    int64_t number = 0;
    const auto [end, failure] = std::from_chars(last.data(), last.data() + last.size(), number);
    if (failure != std::errc() || end != last.data() + last.size())
      return fmt::format("{} is no integer; give {}", last, wanted(key));
    return store(config, key, number);
  }
  if (const auto* flag = std::get_if<bool Config::*>(&key.field)) {
    if (last != "true" && last != "false") return fmt::format("is {}; give {}", last, wanted(key));
    config.*(*flag) = last == "true";
  } else if (const auto* text = std::get_if<std::string Config::*>(&key.field)) {
    config.*(*text) = last;
  } else {
    config.*std::get<std::vector<std::string> Config::*>(key.field) = {values.begin(), values.end()};
  }
  return {};
}

std::string unknown_key(std::string_view key) {
  const std::string nearest = nearest_config_key(key);
  return nearest.empty() ? fmt::format("no such key; {}", kSeeAll)
                         : fmt::format("no such key; did you mean {}?", nearest);
}

bool is_table_of_keys(const std::string& path) {
  const auto keys = config_keys();
  return std::any_of(keys.begin(), keys.end(),
                     [&path](const ConfigKey& key) { return key.path().starts_with(path + '.'); });
}

}  // namespace

// The [[keys]] of a file.
struct ConfigLoader::TokenKeyReader {
  static void read(ConfigLoader& loader, const toml::node& value, std::string_view file_name) {
    const auto fault = [&](const auto& part, std::string_view field, std::string why) {
      loader.add({std::string(file_name), part.source().begin.line}, fmt::format("keys{}", field),
                 std::move(why));
    };
    constexpr const char* kNoTables = "is no list of tables; write [[keys]] above each key";
    const toml::array* keys = value.as_array();
    if (keys == nullptr) return fault(value, "", kNoTables);
    for (const toml::node& item : *keys) {
      if (!item.is_table()) {
        fault(item, "", kNoTables);
        continue;
      }
      const size_t before = loader.problems_.size();
      std::optional<std::string> kid, algorithm, file;
      for (const auto& [name, field] : *item.as_table()) {
        auto* target = name.str() == "kid"         ? &kid
                       : name.str() == "algorithm" ? &algorithm
                       : name.str() == "file"      ? &file
                                                   : nullptr;
        const std::string path = fmt::format(".{}", name.str());
        if (target == nullptr)
          fault(name, path, "no such key; a key has kid, algorithm and file");
        else if (!field.is_string())
          fault(name, path, "is no string; give a string");
        else
          *target = field.as_string()->get();
      }
      if (loader.problems_.size() > before) continue;
      const auto same_kid = [&kid](const TokenKeyFile& other) { return other.kid == *kid; };
      if (!kid || !algorithm || !file) {
        fault(item, "", "a key needs kid, algorithm and file; add what lacks");
      } else if (*algorithm != "HS256" && *algorithm != "EdDSA") {
        fault(item, ".algorithm", fmt::format("{} is unknown; give HS256 or EdDSA", *algorithm));
      } else if (std::ranges::any_of(loader.config_.keys, same_kid)) {
        fault(item, ".kid", fmt::format("{} is there twice; rename one", *kid));
      } else {
        const auto bound =
            *algorithm == "HS256" ? TokenKeyFile::Algorithm::kHs256 : TokenKeyFile::Algorithm::kEdDsa;
        loader.put_token_key({std::string(file_name), item.source().begin.line}, {*kid, bound, *file});
      }
    }
  }
};

std::string ConfigLoader::read_file(const std::string& path) {
  const Result<TextFile> file = read_text_file(path, kConfigBytesMax);
  if (file) return read_text(file->text, path);
  const size_t before = problems_.size();
  add({path, 0}, "",
      fmt::format("cannot be read: {}; name a readable file with --config",
                  file.error().code == Errc::kTooLarge
                      ? "too large for a configuration"
                      : std::strerror(static_cast<int>(file.error().detail))));
  return first_since(before);
}

std::string ConfigLoader::read_text(std::string_view text, std::string_view file_name) {
  const size_t before = problems_.size();
  const toml::parse_result parsed = toml::parse(text);
  const auto at = [file_name](const auto& part) {
    return ConfigPlace{std::string(file_name), part.source().begin.line};
  };
  if (!parsed) {
    std::string why(parsed.error().description());
    std::replace(why.begin(), why.end(), '\n', ' ');
    add(at(parsed.error()), "", fmt::format("not TOML: {}; correct the line", why));
    return first_since(before);
  }
  std::vector<std::pair<std::string, const toml::table*>> open{{"", &parsed.table()}};
  while (!open.empty()) {
    const auto [prefix, table] = open.back();
    open.pop_back();
    for (const auto& [name, value] : *table) {
      const std::string path = prefix + std::string(name.str());
      if (path == "keys") {
        TokenKeyReader::read(*this, value, file_name);
      } else if (const ConfigKey* key = find_config_key(path)) {
        if (const std::string error = store(config_, *key, value); !error.empty())
          add(at(name), path, error);
        else
          set_by_[path] = at(name);
      } else if (!is_table_of_keys(path)) {
        add(at(name), path, unknown_key(path));
      } else if (!value.is_table()) {
        add(at(name), path, fmt::format("is no table; write [{}] above its keys", path));
      } else {
        open.emplace_back(path + '.', value.as_table());
      }
    }
  }
  // A table hands out its keys by their names; who mends them goes by the lines.
  std::stable_sort(problems_.begin() + static_cast<std::ptrdiff_t>(before), problems_.end(),
                   [](const auto& a, const auto& b) { return a.place.line < b.place.line; });
  return first_since(before);
}

std::string ConfigLoader::set(std::string_view flag, std::string_view path,
                              std::span<const std::string> values) {
  const size_t before = problems_.size();
  const ConfigPlace place{std::string(flag), 0};
  const ConfigKey* key = find_config_key(path);
  if (key == nullptr) {
    add(place, path, unknown_key(path));
  } else if (const std::string error = store(config_, *key, values); !error.empty()) {
    add(place, path, error);
  } else {
    set_by_[std::string(path)] = place;
  }
  return first_since(before);
}

std::string ConfigLoader::set(std::string_view flag, std::string_view key_and_value) {
  const size_t equals = key_and_value.find('=');
  const std::string value(key_and_value.substr(equals == key_and_value.npos ? 0 : equals + 1));
  if (equals != key_and_value.npos) return set(flag, key_and_value.substr(0, equals), {&value, 1});
  const size_t before = problems_.size();
  add({std::string(flag), 0}, key_and_value, fmt::format("no value; write {} KEY=VALUE", flag));
  return first_since(before);
}

std::string ConfigLoader::set_token_key(std::string_view flag, TokenKeyFile key) {
  const size_t before = problems_.size();
  put_token_key({std::string(flag), 0}, std::move(key));
  return first_since(before);
}

void ConfigLoader::put_token_key(const ConfigPlace& place, TokenKeyFile key) {
  if (key.kid.empty() || key.kid.size() > TokenKeys::kKidBytesMax)
    return add(place, "keys.kid",
               fmt::format("has {} bytes; give 1 to {}", key.kid.size(), TokenKeys::kKidBytesMax));
  if (key.file.empty()) return add(place, "keys.file", "is empty; name the file that holds the key");
  std::erase_if(config_.keys, [&key](const TokenKeyFile& old) { return old.kid == key.kid; });
  config_.keys.push_back(std::move(key));
}

void ConfigLoader::add(ConfigPlace place, std::string_view key, std::string why) {
  problems_.push_back({std::move(place), std::string(key), std::move(why)});
}

std::string ConfigLoader::first_since(size_t before) const {
  return problems_.size() == before ? std::string() : problems_[before].text();
}

ConfigPlace ConfigLoader::where(std::string_view key) const {
  const auto found = set_by_.find(key);
  return found == set_by_.end() ? ConfigPlace() : found->second;
}

uint16_t num_reactors(const Config& config) {
  if (config.reactors != 0) return config.reactors;
  return static_cast<uint16_t>(std::min<size_t>(usable_cpus().size(), kReactorsMax));
}

std::string ConfigLoader::check() const {
  const std::vector<ConfigProblem> found = check_all();
  return found.empty() ? std::string() : found.front().text();
}

std::vector<ConfigProblem> ConfigLoader::check_all() const {
  std::vector<ConfigProblem> found;
  const auto fault = [&](std::string_view key, std::string why) {
    found.push_back({where(key), std::string(key), std::move(why)});
  };
  if (config_.data_dir.empty())
    fault("data", "no folder for the store; give --data DIR, or data in the file");
  if (config_.listen.empty()) fault("listen", "no address; give one such as 127.0.0.1:7110");
  for (const std::string& address : config_.listen)
    if (!net::is_address(address))
      fault("listen", fmt::format("{}: not an address; write 127.0.0.1:7110 or [::1]:7110", address));
  if (!config_.operations_listen.empty() && !net::is_address(config_.operations_listen))
    fault("operations.listen", fmt::format("{}: not an address; write 127.0.0.1:9110, or \"\" for none",
                                           config_.operations_listen));
  if (!log_level_of(config_.log_level))
    fault("log.level", fmt::format("{} is none; give {}", config_.log_level, kLogLevelNames));
  if (!log_format_of(config_.log_format))
    fault("log.format", fmt::format("{} is none; give logfmt or json", config_.log_format));
  if (config_.keys.empty())
    fault("keys", "nobody could log in; give --secret-file or --public-key-file, or [[keys]] in the file");
  if (!std::has_single_bit(config_.limits.mesh_slots))
    fault("limits.node.mesh_slots", fmt::format("{} is no power of two; give {}", config_.limits.mesh_slots,
                                                std::bit_ceil(config_.limits.mesh_slots)));
  for (const ConfigRelation& relation : config_relations()) {
    const uint64_t larger = find_config_key(relation.larger)->number(config_);
    const uint64_t least =
        relation.factor * find_config_key(relation.smaller)->number(config_) + relation.margin;
    if (larger >= least) continue;
    const bool smaller_alone = !set_by_.contains(relation.larger) && set_by_.contains(relation.smaller);
    found.push_back({where(smaller_alone ? relation.smaller : relation.larger), std::string(relation.larger),
                     fmt::format("{} is too small beside {}; {}, so give {} or more, or lower {}", larger,
                                 relation.smaller, relation.why, least, relation.smaller)});
  }
  return found;
}

std::string ConfigLoader::check_reload(const Config& running) const {
  for (const ConfigKey& key : config_keys())
    if (!key.reloads && !key.same(config_, running))
      return ConfigProblem{where(key.path()), key.path(),
                           "is for a start only; restart, or put back what it was"}
          .text();
  return {};
}

std::string changes_text(const Config& from, const Config& to) {
  std::string out;
  for (const ConfigKey& key : config_keys())
    if (!key.same(from, to)) out += key.path() + ' ';
  return out + "keys";
}

}  // namespace perch::chat
