#include "chat/key_files.h"

#include <fmt/format.h>

#include <cstring>

#include "core/text_file.h"

namespace perch::chat {

namespace {

// What is wrong with it, or nothing.
std::string read_key_file(const TokenKeyFile& named, TokenKeys& keys, bool& others_read) {
  constexpr size_t kKeyBytesMax = 64 * 1024;
  Result<TextFile> file = read_text_file(named.file, kKeyBytesMax);
  if (!file)
    return file.error().code == Errc::kTooLarge
               ? "too large for a key; name another file"
               : fmt::format("cannot be read: {}; make it readable or name another file",
                             std::strerror(static_cast<int>(file.error().detail)));
  std::string& text = file->text;
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  if (named.algorithm == TokenKeyFile::Algorithm::kHs256) {
    if (!keys.add_hs256(named.kid, text))
      return fmt::format(
          "a secret of {} bytes is too short; make one of {} or more: head -c 32 /dev/urandom | base64",
          text.size(), TokenKeys::kSecretBytesMin);
    others_read = file->others_read;
  } else if (!keys.add_eddsa(named.kid, text)) {
    return "holds no Ed25519 public key; write it as PEM: openssl pkey -in KEY -pubout";
  }
  return {};
}

}  // namespace

std::vector<ConfigProblem> read_key_files(const std::vector<TokenKeyFile>& files, TokenKeys& keys,
                                          std::vector<std::string>& warnings) {
  std::vector<ConfigProblem> problems;
  for (const TokenKeyFile& named : files) {
    const auto problem = [&named](std::string why) {
      return ConfigProblem{{named.file, 0}, fmt::format("key {}", named.kid), std::move(why)};
    };
    bool others_read = false;
    if (std::string why = read_key_file(named, keys, others_read); !why.empty())
      problems.push_back(problem(std::move(why)));
    if (others_read)
      warnings.push_back(
          problem("everybody on this machine can read this secret; run: chmod o-r " + named.file).text());
  }
  return problems;
}

}  // namespace perch::chat
