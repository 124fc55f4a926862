// Config: everything a node is told. ConfigLoader reads it from a TOML file, then from flags, which win.
//
// Every key stands once, in the table of config_keys.cc; reading, checking and printing follow that table.
// ON: one thread, before anything else has started.
// ERRORS: one line: where (file:line or flag), which key, what is wrong, what to do. Empty: none. What is
//     wrong is left out and the rest is read on, so problems() has all of them.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/config_problem.h"
#include "core/limits.h"

namespace perch::chat {

// A key that checks tokens. The algorithm belongs to the key and is never taken from a token.
struct TokenKeyFile {
  enum class Algorithm : uint8_t { kHs256, kEdDsa };
  std::string kid;
  Algorithm algorithm = Algorithm::kHs256;
  std::string file;  // kHs256: the secret; kEdDsa: the public key, PEM
  friend bool operator==(const TokenKeyFile&, const TokenKeyFile&) = default;
};

struct Config {
  std::string data_dir;
  std::vector<std::string> listen{"127.0.0.1:7110"};
  uint16_t reactors = 0;  // 0: num_reactors() says
  std::string user;
  bool accounts_auto = false;
  std::string operations_listen;  // empty: no such listener
  std::string log_level = "info";
  std::string log_format = "logfmt";
  std::vector<TokenKeyFile> keys;
  Limits limits;
};

inline constexpr uint16_t kReactorsMax = 1023;  // a number has ten bits for its core

// Of `config`, or one for each CPU that this process may run on.
uint16_t num_reactors(const Config& config);

class ConfigLoader {
 public:
  const Config& config() const { return config_; }

  [[nodiscard]] std::string read_file(const std::string& path);
  [[nodiscard]] std::string read_text(std::string_view toml, std::string_view file_name);
  // What `flag` says of the key named `key`, as in "limits.delivery.rate_burst". A list takes all `values`,
  // any other key the last of them.
  [[nodiscard]] std::string set(std::string_view flag, std::string_view key,
                                std::span<const std::string> values);
  // The same, said in one text: "limits.delivery.rate_burst=3".
  [[nodiscard]] std::string set(std::string_view flag, std::string_view key_and_value);
  // A key with the same kid is replaced.
  [[nodiscard]] std::string set_token_key(std::string_view flag, TokenKeyFile key);
  // All that was wrong with what was read and set; of a file by its lines.
  const std::vector<ConfigProblem>& problems() const { return problems_; }
  // What no key can be asked alone: is something missing, do two of them contradict each other?
  [[nodiscard]] std::string check() const;
  std::vector<ConfigProblem> check_all() const;  // … each of them
  // Could a server that runs with `running` go on with this? Not if a key differs that is for a start only.
  [[nodiscard]] std::string check_reload(const Config& running) const;

 private:
  struct TokenKeyReader;
  void put_token_key(const ConfigPlace& place, TokenKeyFile key);
  void add(ConfigPlace place, std::string_view key, std::string why);
  std::string first_since(size_t before) const;  // … so many problems
  ConfigPlace where(std::string_view key) const;

  Config config_;
  std::map<std::string, ConfigPlace, std::less<>> set_by_;
  std::vector<ConfigProblem> problems_;
};

// What differs, by keys' names, and always "keys": their files may have changed.
std::string changes_text(const Config& from, const Config& to);

// The whole configuration as TOML, each key with its default and what it means. Reading it gives `config`
// again.
std::string config_text(const Config& config);

}  // namespace perch::chat
