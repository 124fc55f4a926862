// The configuration as an operator's file.
#include <fmt/format.h>

#include "chat/config_keys.h"

namespace perch::chat {
namespace {

// A TOML basic string.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out.append({'\\', c});
    else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f)
      out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    else
      out += c;
  }
  return out + '"';
}

std::string value_text(const ConfigKey& key, const Config& config) {
  if (key.is_number()) return fmt::format("{}", key.number(config));
  if (const auto* flag = std::get_if<bool Config::*>(&key.field)) return config.*(*flag) ? "true" : "false";
  if (const auto* text = std::get_if<std::string Config::*>(&key.field)) return quoted(config.*(*text));
  std::string out;
  for (const std::string& item : config.*std::get<std::vector<std::string> Config::*>(key.field))
    out += (out.empty() ? "" : ", ") + quoted(item);
  return '[' + out + ']';
}

std::string token_keys_text(const std::vector<TokenKeyFile>& keys) {
  std::string out =
      "# Keys that check log-in tokens, one [[keys]] each. A token names its key with kid; the algorithm "
      "belongs to\n"
      "# the key: HS256 (file: a secret of 32 bytes or more) or EdDSA (file: an Ed25519 public key, PEM).\n";
  for (const TokenKeyFile& key : keys)
    out +=
        fmt::format("[[keys]]\nkid = {}\nalgorithm = \"{}\"\nfile = {}\n", quoted(key.kid),
                    key.algorithm == TokenKeyFile::Algorithm::kHs256 ? "HS256" : "EdDSA", quoted(key.file));
  return out;
}

}  // namespace

std::string config_text(const Config& config) {
  const Config defaults;
  std::string out =
      "# Configuration of perchd. Every key is here, with its default and what happens at it.\n"
      "# perchd --check-config --config FILE says whether a file is right. SIGHUP makes a running perchd "
      "read it "
      "again:\n# keys marked so, and those of log-in tokens, change, all or, if anything is wrong, none. The "
      "others "
      "are for a start.\n\n";
  std::string_view table;
  for (const ConfigKey& key : config_keys()) {
    if (key.table != table) {
      if (table.empty()) out += token_keys_text(config.keys);
      table = key.table;
      out += fmt::format("\n[{}]\n", table);
    }
    out += fmt::format("# {} (default {}", key.help, value_text(key, defaults));
    if (key.is_number()) out += fmt::format("; {} to {}", key.min, key.max);
    out += key.reloads ? "; SIGHUP)\n" : ")\n";
    out += fmt::format("{} = {}\n", key.name, value_text(key, config));
  }
  return out;
}

}  // namespace perch::chat
