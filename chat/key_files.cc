#include "chat/key_files.h"

#include <fmt/format.h>

#include <cstring>

#include "core/text_file.h"

namespace perch::chat {

std::string read_key_files(const std::vector<TokenKeyFile>& files, TokenKeys& keys,
                           std::vector<std::string>& warnings) {
  constexpr size_t kKeyBytesMax = 64 * 1024;
  for (const TokenKeyFile& named : files) {
    const auto fault = [&named](std::string_view why) {
      return fmt::format("key {}: {}: {}", named.kid, named.file, why);
    };
    Result<TextFile> file = read_text_file(named.file, kKeyBytesMax);
    if (!file)
      return fault(file.error().code == Errc::kTooLarge
                       ? "too large for a key; name another file"
                       : fmt::format("cannot be read: {}; make it readable or name another file",
                                     std::strerror(static_cast<int>(file.error().detail))));
    std::string& text = file->text;
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    if (named.algorithm == TokenKeyFile::Algorithm::kHs256) {
      if (!keys.add_hs256(named.kid, text))
        return fault(fmt::format(
            "a secret of {} bytes is too short; make one of {} or more: head -c 32 /dev/urandom | base64",
            text.size(), TokenKeys::kSecretBytesMin));
      if (file->others_read)
        warnings.push_back(
            fault("everybody on this machine can read this secret; run: chmod o-r " + named.file));
    } else if (!keys.add_eddsa(named.kid, text)) {
      return fault("holds no Ed25519 public key; write it as PEM: openssl pkey -in KEY -pubout");
    }
  }
  return {};
}

}  // namespace perch::chat
