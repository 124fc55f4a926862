// TokenKeys checks the JSON Web Tokens devices log in with: one compact JWS (RFC 7515, RFC 7519) signed with
// HMAC-SHA256 by the operator's secret or with Ed25519 (RFC 8037) by the operator's private key, of which
// the server knows the public half only.
//
// ON: any core; check() is const and touches nothing shared. Filled once at start, then left alone.
// NEVER: picks an algorithm from the token (it is bound to the key that `kid` names), fetches a key, trusts
//        a byte of the payload before the signature over it is good.
// COST: HS256 about 8 us, most of it JSON (perf/budgets.md); EdDSA the check of a signature more. A small
//       heap for the JSON of one login.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>

#include "core/result.h"

namespace perch {

// What a good token says. Views of nothing: it outlives the token. Its `sub` is a user id or a handle, and
// each user has one spelling: digits are an id without leading zeros, anything else must be a handle.
struct Claims {
  uint64_t user = 0;    // 1 … 2^63 - 1: the id in `sub`; 0: `handle` is the `sub`
  std::string dev;      // 1 … 64 bytes, the device's name within its user
  std::string handle;   // empty (only beside an id), or 1 … 32 of [a-z0-9_.-], not all of them digits
  uint64_t exp_ms = 0;  // the session ends then; milliseconds since 1970
  uint64_t iat_ms = 0;  // issued then; 0: it does not say, and counts as older than any other
};

class TokenKeys {
 public:
  static constexpr size_t kTokenBytesMax = 3 * 1024;
  static constexpr size_t kSecretBytesMin = 32;  // RFC 7518 3.2: no shorter than the hash
  static constexpr size_t kDevBytesMax = 64;
  static constexpr size_t kHandleBytesMax = 32;
  static constexpr size_t kKidBytesMax = 64;

  TokenKeys() = default;
  TokenKeys(const TokenKeys&) = delete;
  TokenKeys& operator=(const TokenKeys&) = delete;
  TokenKeys(TokenKeys&&) = default;
  TokenKeys& operator=(TokenKeys&&) = default;
  ~TokenKeys();  // wipes the secrets

  // A token may leave `kid` out only while there is exactly one key.
  // ERRORS: kInvalid for a kid of 0 or more than kKidBytesMax bytes or a secret of fewer than
  //         kSecretBytesMin (detail); kExists for a kid that has a key.
  Result<void> add_hs256(std::string_view kid, std::string_view secret);

  // `public_key`: PEM SubjectPublicKeyInfo ("-----BEGIN PUBLIC KEY-----"), or the 32 bytes as base64url
  // without padding (the `x` of a JWK).
  // ERRORS: as above; kInvalid for anything that is no Ed25519 public key.
  Result<void> add_eddsa(std::string_view kid, std::string_view public_key);

  size_t num_keys() const { return keys_.size(); }

  // Claims of `jwt` if it is signed by one of the keys and valid at `now_ms` (wall clock).
  // ERRORS: kInvalid: not a token of the form this server takes, whoever signed it;
  //         kDenied: unknown key, other algorithm than the key's, wrong signature, or not valid yet (`nbf`);
  //         kExpired: good but for its `exp`.
  // A token whose signature is bad is only ever kDenied or kInvalid: nobody learns more from a forgery.
  Result<Claims> check(std::string_view jwt, uint64_t now_ms) const;

 private:
  struct Hs256 {
    std::string secret;
  };
  struct EdDsa {
    std::array<uint8_t, 32> public_key;
  };
  using Key = std::variant<Hs256, EdDsa>;

  Result<void> add(std::string_view kid, Key key);
  static bool signature_good(const Key& key, std::string_view signed_part, std::string_view signature);

  std::map<std::string, Key, std::less<>> keys_;
};

// Mints a token, for tests, benchmarks and tools; a server never does. `exp_s`: seconds since 1970; `handle`
// may be empty; `iat_s` 0: it does not say. Nothing is looked at: what TokenKeys::check() refuses can be
// minted.
std::string mint_hs256(std::string_view secret, std::string_view kid, std::string_view sub,
                       std::string_view dev, uint64_t exp_s, std::string_view handle = {},
                       uint64_t iat_s = 0);

}  // namespace perch
