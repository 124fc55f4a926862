// token mint: a log-in token, signed with the secret that the server checks tokens by.
//
// perchctl signs and not the server: who may read the secret can make tokens with any program, and who may
// not gets none by asking a socket. A server that knows only a public key cannot sign at all.
#include "tls/token.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/clock.h"
#include "core/random.h"
#include "core/text_file.h"
#include "ctl/backup_folder.h"
#include "ctl/json.h"

namespace perch::ctl {

int run_token_mint(const Flags& flags) {
  constexpr size_t kSecretBytesMax = 64 * 1024;
  Result<TextFile> file = read_text_file(flags.secret_file, kSecretBytesMax);
  if (!file)
    return complain(kNotDone, fmt::format("--secret-file {}: {}", flags.secret_file,
                                          file.error().code == Errc::kSystem
                                              ? std::strerror(static_cast<int>(file.error().detail))
                                              : name_of(file.error().code)));
  std::string& secret = file->text;
  while (secret.ends_with('\n') || secret.ends_with('\r')) secret.pop_back();
  TokenKeys keys;
  if (!keys.add_hs256(flags.kid, secret))
    return complain(kNotDone, fmt::format("--secret-file {}: {} bytes are no secret of {} or more",
                                          flags.secret_file, secret.size(), TokenKeys::kSecretBytesMin));
  const std::string device = flags.device_name.empty()
                                 ? fmt::format("device-{:08x}", system_random()->next() >> 32)
                                 : flags.device_name;
  const uint64_t now_s = system_clock().wall_ms() / 1000;
  const uint64_t expires_s = now_s + static_cast<uint64_t>(flags.valid_s);
  const std::string token = mint_hs256(secret, flags.kid, flags.user, device, expires_s, {}, now_s);
  // Whatever was given, what comes out is a token that a server takes.
  if (!keys.check(token, system_clock().wall_ms()))
    return complain(kUsage,
                    "no token can say that: USER is an id or a handle of a-z 0-9 _ . -, a device's name has "
                    "1 to 64 bytes without control characters");
  if (flags.json)
    return print_json({{"user", flags.user},
                       {"device", device},
                       {"expires", time_text(expires_s * 1000)},
                       {"expires_ms", expires_s * 1000},
                       {"token", token}});
  return print(token + "\n");
}

}  // namespace perch::ctl
