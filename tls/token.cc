#include "tls/token.h"

#include <openssl/base64.h>
#include <openssl/bytestring.h>
#include <openssl/curve25519.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

namespace perch {
namespace {

using Json = nlohmann::json;

constexpr size_t kHmacBytes = 32;
constexpr size_t kEd25519SignatureBytes = 64;
constexpr int kJsonDepthMax = 8;
constexpr uint64_t kSecondsMax = 253'402'300'799;  // the last of the year 9999
constexpr uint64_t kUserMax = (uint64_t{1} << 63) - 1;
constexpr std::string_view kPemBegin = "-----BEGIN PUBLIC KEY-----";
constexpr std::string_view kPemEnd = "-----END PUBLIC KEY-----";

const uint8_t* bytes_of(std::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }

int digit_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '-') return 62;
  if (c == '_') return 63;
  return -1;
}

// base64url without padding, one spelling per value: bits after the last byte must be zero, so that a
// signature cannot be rewritten into another text that is also good.
std::optional<std::string> decode_base64url(std::string_view text) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::string out;
  out.reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  unsigned num_bits = 0;
  for (char c : text) {
    const int digit = digit_of(c);
    if (digit < 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    num_bits += 6;
    if (num_bits >= 8) {
      num_bits -= 8;
      out.push_back(static_cast<char>(bits >> num_bits & 0xff));
    }
  }
  if ((bits & ((1u << num_bits) - 1)) != 0) return std::nullopt;
  return out;
}

std::string encode_base64url(std::string_view data) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  uint32_t bits = 0;
  unsigned num_bits = 0;
  for (char c : data) {
    bits = bits << 8 | static_cast<uint8_t>(c);
    for (num_bits += 8; num_bits >= 6;) {
      num_bits -= 6;
      out.push_back(kDigits[bits >> num_bits & 63]);
    }
  }
  if (num_bits > 0) out.push_back(kDigits[bits << (6 - num_bits) & 63]);
  return out;
}

// An object without a repeated name and not deeper than kJsonDepthMax. A name twice would let two readers
// of one token see two tokens. The library's own recursion-free parser does the rest.
std::optional<Json> parse_object(std::string_view text) {
  bool twice = false;
  std::vector<std::vector<std::string>> names;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) names.emplace_back();
    if (event == Json::parse_event_t::object_end) names.pop_back();
    if (event == Json::parse_event_t::key) {
      const auto& name = parsed.get_ref<const std::string&>();
      if (std::find(names.back().begin(), names.back().end(), name) != names.back().end()) twice = true;
      names.back().push_back(name);
    }
    if (depth > kJsonDepthMax) twice = true;
    return true;
  };
  Json parsed = Json::parse(text.begin(), text.end(), watch, /*allow_exceptions=*/false);
  if (twice || !parsed.is_object()) return std::nullopt;
  return parsed;
}

const std::string* string_at(const Json& object, const char* name) {
  const auto at = object.find(name);
  return at == object.end() ? nullptr : at->get_ptr<const Json::string_t*>();
}

// A NumericDate: seconds since 1970, whole or not (RFC 7519 2), as milliseconds. Nothing for anything else.
std::optional<uint64_t> ms_at(const Json& object, const char* name) {
  const auto at = object.find(name);
  if (at == object.end() || !at->is_number()) return std::nullopt;
  if (at->is_number_unsigned()) {
    const auto seconds = at->get<uint64_t>();
    if (seconds > kSecondsMax) return std::nullopt;
    return seconds * 1000;
  }
  const double seconds = at->get<double>();
  if (!std::isfinite(seconds) || seconds < 0 || seconds > static_cast<double>(kSecondsMax))
    return std::nullopt;
  return static_cast<uint64_t>(seconds * 1000);
}

bool is_plain(std::string_view text) {  // no control characters: names end up in logs and on terminals
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<uint8_t>(c) >= 0x20 && c != 0x7f; });
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Whoever writes to "42" means the user of that id, so no handle is all digits.
bool is_handle(std::string_view text) {
  return !text.empty() && text.size() <= TokenKeys::kHandleBytesMax &&
         !std::all_of(text.begin(), text.end(), is_digit) &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || is_digit(c) || c == '_' || c == '.' || c == '-';
         });
}

Error malformed() { return {Errc::kInvalid}; }

// Fills `user` or `handle`.
Result<void> read_sub(const Json& payload, Claims* claims) {
  const auto at = payload.find("sub");
  if (at == payload.end()) return malformed();
  if (at->is_number_unsigned()) {
    claims->user = at->get<uint64_t>();
  } else if (const auto* text = at->get_ptr<const Json::string_t*>(); text && is_handle(*text)) {
    claims->handle = *text;
    return {};
  } else if (text && !text->starts_with('0')) {
    const auto parsed = std::from_chars(text->data(), text->data() + text->size(), claims->user);
    if (parsed.ec != std::errc{} || parsed.ptr != text->data() + text->size()) return malformed();
  }
  if (claims->user == 0 || claims->user > kUserMax) return malformed();
  return {};
}

// The claims, and `nbf` apart because it is no property of the session. REQUIRES: a good signature.
Result<Claims> claims_of(const Json& payload, uint64_t* nbf_ms) {
  Claims claims;
  if (auto sub = read_sub(payload, &claims); !sub) return sub.error();
  const auto* dev = string_at(payload, "dev");
  const auto exp_ms = ms_at(payload, "exp");
  if (!exp_ms) return malformed();
  if (!dev || dev->empty() || dev->size() > TokenKeys::kDevBytesMax || !is_plain(*dev)) return malformed();
  if (payload.contains("handle")) {
    const auto* handle = string_at(payload, "handle");
    if (!handle || !is_handle(*handle)) return malformed();
    if (claims.user == 0 && *handle != claims.handle) return malformed();  // which of the two?
    claims.handle = *handle;
  }
  *nbf_ms = 0;
  if (payload.contains("nbf")) {
    const auto nbf = ms_at(payload, "nbf");
    if (!nbf) return malformed();
    *nbf_ms = *nbf;
  }
  if (payload.contains("iat")) {
    const auto iat = ms_at(payload, "iat");
    if (!iat) return malformed();
    claims.iat_ms = *iat;
  }
  claims.dev = *dev;
  claims.exp_ms = *exp_ms;
  return claims;
}

std::array<uint8_t, kHmacBytes> hmac(std::string_view secret, std::string_view data) {
  std::array<uint8_t, kHmacBytes> out;
  unsigned len = 0;
  // Fails only without memory, and then the process ends anyway.
  PERCH_CHECK(
      HMAC(EVP_sha256(), secret.data(), secret.size(), bytes_of(data), data.size(), out.data(), &len));
  PERCH_CHECK(len == out.size());
  return out;
}

std::optional<std::array<uint8_t, 32>> raw_ed25519_key(std::string_view text) {
  std::array<uint8_t, 32> out;
  const auto raw = decode_base64url(text);
  if (!raw || raw->size() != out.size()) return std::nullopt;
  std::copy(raw->begin(), raw->end(), out.begin());
  return out;
}

std::optional<std::array<uint8_t, 32>> pem_ed25519_key(std::string_view text) {
  const size_t begin = text.find(kPemBegin);
  const size_t end = text.find(kPemEnd);
  if (begin == text.npos || end == text.npos || end < begin + kPemBegin.size()) return std::nullopt;
  std::string body;
  for (char c : text.substr(begin + kPemBegin.size(), end - begin - kPemBegin.size())) {
    if (c != '\n' && c != '\r' && c != ' ' && c != '\t') body.push_back(c);
  }
  std::vector<uint8_t> der(body.size());
  size_t der_len = 0;
  if (!EVP_DecodeBase64(der.data(), &der_len, der.size(), bytes_of(body), body.size())) return std::nullopt;
  CBS cbs;
  CBS_init(&cbs, der.data(), der_len);
  bssl::UniquePtr<EVP_PKEY> key(EVP_parse_public_key(&cbs));
  std::array<uint8_t, 32> out;
  size_t len = out.size();
  if (!key || CBS_len(&cbs) != 0 || EVP_PKEY_id(key.get()) != EVP_PKEY_ED25519) return std::nullopt;
  if (!EVP_PKEY_get_raw_public_key(key.get(), out.data(), &len) || len != out.size()) return std::nullopt;
  return out;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlank);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

}  // namespace

TokenKeys::~TokenKeys() {
  for (auto& [kid, key] : keys_) {
    if (auto* hs256 = std::get_if<Hs256>(&key)) OPENSSL_cleanse(hs256->secret.data(), hs256->secret.size());
  }
}

Result<void> TokenKeys::add(std::string_view kid, Key key) {
  if (kid.empty() || kid.size() > kKidBytesMax)
    return Error{Errc::kInvalid, static_cast<int64_t>(kKidBytesMax)};
  if (!keys_.emplace(kid, std::move(key)).second) return Error{Errc::kExists};
  return {};
}

Result<void> TokenKeys::add_hs256(std::string_view kid, std::string_view secret) {
  if (secret.size() < kSecretBytesMin) return Error{Errc::kInvalid, static_cast<int64_t>(kSecretBytesMin)};
  return add(kid, Hs256{std::string(secret)});
}

Result<void> TokenKeys::add_eddsa(std::string_view kid, std::string_view public_key) {
  const auto text = trimmed(public_key);
  const auto raw = text.starts_with("-----") ? pem_ed25519_key(text) : raw_ed25519_key(text);
  if (!raw) return malformed();
  return add(kid, EdDsa{*raw});
}

bool TokenKeys::signature_good(const Key& key, std::string_view signed_part, std::string_view signature) {
  if (const auto* hs256 = std::get_if<Hs256>(&key)) {
    const auto expected = hmac(hs256->secret, signed_part);
    return signature.size() == expected.size() &&
           CRYPTO_memcmp(expected.data(), signature.data(), expected.size()) == 0;
  }
  return signature.size() == kEd25519SignatureBytes &&
         ED25519_verify(bytes_of(signed_part), signed_part.size(), bytes_of(signature),
                        std::get<EdDsa>(key).public_key.data()) == 1;
}

Result<Claims> TokenKeys::check(std::string_view jwt, uint64_t now_ms) const {
  if (jwt.size() > kTokenBytesMax) return Error{Errc::kInvalid, static_cast<int64_t>(kTokenBytesMax)};
  const size_t dot = jwt.find('.');
  const size_t last_dot = jwt.rfind('.');
  if (dot == jwt.npos || dot == last_dot || jwt.find('.', dot + 1) != last_dot) return malformed();

  const auto header_text = decode_base64url(jwt.substr(0, dot));
  const auto payload_text = decode_base64url(jwt.substr(dot + 1, last_dot - dot - 1));
  const auto signature = decode_base64url(jwt.substr(last_dot + 1));
  if (!header_text || !payload_text || !signature) return malformed();

  const auto header = parse_object(*header_text);
  if (!header) return malformed();
  const auto* alg = string_at(*header, "alg");
  // `crit` names extensions a reader must understand; there are none here (RFC 7515 4.1.11).
  if (!alg || header->contains("crit")) return malformed();

  auto found = keys_.end();
  if (header->contains("kid")) {
    const auto* kid = string_at(*header, "kid");
    if (!kid) return malformed();
    found = keys_.find(*kid);
  } else if (keys_.size() == 1) {
    found = keys_.begin();
  }
  if (found == keys_.end()) return Error{Errc::kDenied};
  const bool is_hs256 = std::holds_alternative<Hs256>(found->second);
  if (*alg != (is_hs256 ? "HS256" : "EdDSA")) return Error{Errc::kDenied};
  if (!signature_good(found->second, jwt.substr(0, last_dot), *signature)) return Error{Errc::kDenied};

  const auto payload = parse_object(*payload_text);
  if (!payload) return malformed();
  uint64_t nbf_ms = 0;
  auto claims = claims_of(*payload, &nbf_ms);
  if (!claims) return claims;
  if (now_ms >= claims->exp_ms) return Error{Errc::kExpired};
  if (now_ms < nbf_ms) return Error{Errc::kDenied};
  return claims;
}

std::string mint_hs256(std::string_view secret, std::string_view kid, std::string_view sub,
                       std::string_view dev, uint64_t exp_s, std::string_view handle, uint64_t iat_s) {
  const Json header = {{"alg", "HS256"}, {"typ", "JWT"}, {"kid", std::string(kid)}};
  Json payload = {{"sub", std::string(sub)}, {"dev", std::string(dev)}, {"exp", exp_s}};
  if (!handle.empty()) payload["handle"] = std::string(handle);
  if (iat_s != 0) payload["iat"] = iat_s;
  // Bytes that are no UTF-8 are replaced rather than thrown about.
  const auto text = [](const Json& json) {
    return encode_base64url(json.dump(-1, ' ', false, Json::error_handler_t::replace));
  };
  std::string token = text(header) + '.' + text(payload);
  const auto signature = hmac(secret, token);
  token += '.';
  token += encode_base64url({reinterpret_cast<const char*>(signature.data()), signature.size()});
  return token;
}

}  // namespace perch
