#include "tls/token.h"

#include <gtest/gtest.h>

#include <string>

namespace perch {
namespace {

constexpr uint64_t kNowMs = 1'700'000'000'000;
constexpr uint64_t kExpS = 1'800'000'000;
constexpr std::string_view kSecret = "a secret of more than thirty-two bytes";
constexpr std::string_view kOther = "another secret of the same good length";

std::string base64url(std::string_view data) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  for (size_t i = 0; i < data.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (i + k < data.size() ? static_cast<uint8_t>(data[i + k]) : 0);
    for (size_t k = 0; k < std::min<size_t>(3, data.size() - i) + 1; ++k)
      out += digits[bits >> (18 - 6 * k) & 63];
  }
  return out;
}

// Tokens of known keys over texts of any kind: signed with the secret by an independent HMAC below, so that
// a payload the minting function would never write can still carry a good signature.
std::string hmac_sha256(std::string_view key, std::string_view data);
std::string signed_token(std::string_view header, std::string_view payload,
                         std::string_view secret = kSecret) {
  std::string token = base64url(header) + "." + base64url(payload);
  return token + "." + base64url(hmac_sha256(secret, token));
}

// SHA-256 as FIPS 180-4 writes it; the check itself uses BoringSSL's.
std::string sha256(std::string data) {
  static const uint32_t k[64] = {
      0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
      0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
      0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
      0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
      0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
      0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
      0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
      0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
  uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  const uint64_t num_bits = data.size() * 8;
  data += '\x80';
  while (data.size() % 64 != 56) data += '\0';
  for (int i = 7; i >= 0; --i) data += static_cast<char>(num_bits >> (8 * i) & 0xff);
  const auto turn = [](uint32_t x, int n) { return x >> n | x << (32 - n); };
  for (size_t at = 0; at < data.size(); at += 64) {
    uint32_t w[64];
    for (size_t i = 0; i < 16; ++i) {
      w[i] = 0;
      for (size_t b = 0; b < 4; ++b) w[i] = w[i] << 8 | static_cast<uint8_t>(data[at + 4 * i + b]);
    }
    for (size_t i = 16; i < 64; ++i) {
      const uint32_t s0 = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3;
      const uint32_t s1 = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10;
      w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t v[8];
    std::copy(h, h + 8, v);
    for (size_t i = 0; i < 64; ++i) {
      const uint32_t s1 = turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25);
      const uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
      const uint32_t s0 = turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22);
      const uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
      for (size_t j = 7; j > 0; --j) v[j] = v[j - 1];
      v[4] += t1;
      v[0] = t1 + t2;
    }
    for (size_t i = 0; i < 8; ++i) h[i] += v[i];
  }
  std::string out;
  for (uint32_t x : h) {
    for (int i = 3; i >= 0; --i) out += static_cast<char>(x >> (8 * i) & 0xff);
  }
  return out;
}

std::string hmac_sha256(std::string_view key, std::string_view data) {
  std::string block(key.size() > 64 ? sha256(std::string(key)) : std::string(key));
  block.resize(64);
  std::string inner = block, outer = block;
  for (char& c : inner) c ^= 0x36;
  for (char& c : outer) c ^= 0x5c;
  return sha256(outer + sha256(inner + std::string(data)));
}

const std::string kHeader = R"({"alg":"HS256","kid":"dev"})";
std::string payload_with(std::string_view more, std::string_view sub = R"("7")") {
  return R"({"sub":)" + std::string(sub) + R"(,"dev":"phone","exp":1800000000)" + std::string(more) + "}";
}

class TokenTest : public ::testing::Test {
 protected:
  TokenTest() { EXPECT_TRUE(keys_.add_hs256("dev", kSecret).ok()); }
  Errc error_of(std::string_view jwt, uint64_t now_ms = kNowMs) {
    auto claims = keys_.check(jwt, now_ms);
    EXPECT_FALSE(claims.ok()) << jwt;
    return claims.ok() ? Errc{} : claims.error().code;
  }
  TokenKeys keys_;
};

TEST_F(TokenTest, MintedTokenIsGood) {
  auto claims = keys_.check(mint_hs256(kSecret, "dev", "7", "phone", kExpS, "alice"), kNowMs);
  ASSERT_TRUE(claims.ok());
  EXPECT_EQ(claims->user, 7u);
  EXPECT_EQ(claims->dev, "phone");
  EXPECT_EQ(claims->handle, "alice");
  EXPECT_EQ(claims->exp_ms, kExpS * 1000);
  EXPECT_TRUE(keys_.check(signed_token(kHeader, payload_with("")), kNowMs).ok());
}

TEST_F(TokenTest, SubMayBeANumber) {
  auto claims = keys_.check(signed_token(kHeader, payload_with("", "9223372036854775807")), kNowMs);
  ASSERT_TRUE(claims.ok());
  EXPECT_EQ(claims->user, 9223372036854775807u);
  for (const char* sub : {"-1", "0", "9223372036854775808", "1.5", "null", "[]", "true", "1e30"}) {
    EXPECT_EQ(error_of(signed_token(kHeader, payload_with("", sub))), Errc::kInvalid) << sub;
  }
}

// Two spellings of one user, or one that nobody can write to, are worse than a refusal.
TEST_F(TokenTest, SubIsAnIdOrAHandle) {
  auto by_handle = keys_.check(signed_token(kHeader, payload_with("", R"("a.b-c_7")")), kNowMs);
  ASSERT_TRUE(by_handle.ok());
  EXPECT_EQ(by_handle->user, 0u);
  EXPECT_EQ(by_handle->handle, "a.b-c_7");
  for (const char* sub : {"", "0", "00", "007", "+7", " 7", "7 ", "9223372036854775808",
                          "18446744073709551616", "@x", "ADA", "a b", "ä", "a\\u0007", "a\u0007"}) {
    EXPECT_EQ(error_of(signed_token(kHeader, payload_with("", '"' + std::string(sub) + '"'))), Errc::kInvalid)
        << sub;
  }
  // Beside a handle, `handle` can only say the same; and 42 is the user of that id.
  const auto with_handle = [](std::string_view sub, std::string_view handle) {
    return signed_token(kHeader, payload_with(R"(,"handle":")" + std::string(handle) + '"', sub));
  };
  EXPECT_TRUE(keys_.check(with_handle(R"("ann")", "ann"), kNowMs).ok());
  EXPECT_EQ(error_of(with_handle(R"("ann")", "bob")), Errc::kInvalid);
  EXPECT_EQ(error_of(with_handle("7", "42")), Errc::kInvalid);
}

// RFC 7515 A.1 gives key, signing input and signature of an HS256 token that has no claims of ours: its
// signature holds, so it is refused for its claims, while one changed bit makes it a forgery.
TEST_F(TokenTest, Rfc7515Vector) {
  const std::string key =
      "\x03\x23\x35\x4b\x2b\x0f\xa5\xbc\x83\x7e\x06\x65\x77\x7b\xa6\x8f\x5a\xb3\x28\xe6\xf0\x54\xc9\x28\xa9"
      "\x0f"
      "\x84\xb2\xd2\x50\x2e\xbf\xd3\xfb\x5a\x92\xd2\x06\x47\xef\x96\x8a\xb4\xc3\x77\x62\x3d\x22\x3d\x2e\x21"
      "\x72"
      "\x05\x2e\x4f\x08\xc0\xcd\x9a\xf5\x67\xd0\x80\xa3";
  ASSERT_EQ(key.size(), 64u);
  const std::string token =
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
      "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
  TokenKeys keys;
  ASSERT_TRUE(keys.add_hs256("rfc", key).ok());
  EXPECT_EQ(keys.check(token, kNowMs).error().code, Errc::kInvalid);
  std::string forged = token;
  forged[forged.size() - 3] = 'x';
  EXPECT_EQ(keys.check(forged, kNowMs).error().code, Errc::kDenied);
  // And the vector pins this test's own HMAC, on which the other cases rest.
  EXPECT_EQ(base64url(hmac_sha256(key, token.substr(0, token.rfind('.')))),
            token.substr(token.rfind('.') + 1));
}

// RFC 8037 A.4: the payload is a sentence, so again a good signature shows as a payload refused.
TEST(TokenEdDsaTest, Rfc8037Vector) {
  const std::string x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
  const std::string token =
      "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
      "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
  // The same key as SubjectPublicKeyInfo.
  const std::string pem =
      "-----BEGIN PUBLIC KEY-----\n"
      "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
      "-----END PUBLIC KEY-----\n";
  for (const std::string& text : {x, x + "\n", pem}) {
    TokenKeys keys;
    ASSERT_TRUE(keys.add_eddsa("op", text).ok());
    EXPECT_EQ(keys.check(token, kNowMs).error().code, Errc::kInvalid);
    std::string forged = token;
    forged[forged.size() - 10] = 'x';
    EXPECT_EQ(keys.check(forged, kNowMs).error().code, Errc::kDenied);
  }
}

// Signed once with the RFC 8032 test key 1, whose public half is RFC 8037's `x`.
TEST(TokenEdDsaTest, GoodClaims) {
  const std::string token =
      "eyJhbGciOiJFZERTQSIsImtpZCI6Im9wIn0."
      "eyJzdWIiOiI3IiwiZGV2IjoicGhvbmUiLCJleHAiOjE4MDAwMDAwMDB9."
      "GKNx2vSjO_51qPsjfsuqx4ckKmEZiD6ne7YgBWQqZw6ODDUpx-O1vhopJdyPEDMQQms_cCxplnMUPLZJk5MCAQ";
  TokenKeys keys;
  ASSERT_TRUE(keys.add_eddsa("op", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").ok());
  ASSERT_TRUE(keys.add_hs256("dev", kSecret).ok());
  auto claims = keys.check(token, kNowMs);
  ASSERT_TRUE(claims.ok());
  EXPECT_EQ(claims->user, 7u);
  EXPECT_EQ(claims->dev, "phone");
  EXPECT_EQ(keys.check(token, kExpS * 1000).error().code, Errc::kExpired);
}

TEST(TokenEdDsaTest, OtherKeysAreRefused) {
  TokenKeys keys;
  const char* p256 =
      "-----BEGIN PUBLIC KEY-----\n"
      "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/"
      "m47n60p8D54WK84zV2sxX"
      "s7LtkBoN79R9Q==\n-----END PUBLIC KEY-----\n";
  for (const char* text :
       {"", "abc", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUR", p256, "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----"}) {
    EXPECT_EQ(keys.add_eddsa("op", text).error().code, Errc::kInvalid) << text;
  }
}

TEST_F(TokenTest, KeysAreChecked) {
  EXPECT_EQ(keys_.add_hs256("dev", kOther).error().code, Errc::kExists);
  EXPECT_EQ(keys_.add_hs256("", kOther).error().code, Errc::kInvalid);
  EXPECT_EQ(keys_.add_hs256(std::string(65, 'k'), kOther).error().code, Errc::kInvalid);
  EXPECT_EQ(keys_.add_hs256("short", std::string(31, 's')).error().code, Errc::kInvalid);
  EXPECT_EQ(keys_.num_keys(), 1u);
}

TEST_F(TokenTest, ForgedIsDenied) {
  EXPECT_EQ(error_of(mint_hs256(kOther, "dev", "7", "phone", kExpS)), Errc::kDenied);
  const std::string mine = mint_hs256(kSecret, "dev", "7", "phone", kExpS);
  const std::string theirs = mint_hs256(kOther, "dev", "8", "phone", kExpS);
  const size_t dot = theirs.find('.'), last = theirs.rfind('.');
  EXPECT_EQ(error_of(mine.substr(0, dot) + theirs.substr(dot, last - dot) + mine.substr(mine.rfind('.'))),
            Errc::kDenied);
  // A forgery that is expired as well, or has no claims, says no more than any forgery.
  EXPECT_EQ(error_of(mint_hs256(kOther, "dev", "7", "phone", 1)), Errc::kDenied);
  EXPECT_EQ(error_of(signed_token(kHeader, "{}", kOther)), Errc::kDenied);
  EXPECT_EQ(error_of(mine.substr(0, mine.rfind('.') + 1)), Errc::kDenied);  // no signature at all
}

TEST_F(TokenTest, AlgorithmIsTheKeys) {
  for (const char* alg : {"none", "None", "HS512", "hs256", "RS256", "EdDSA", ""}) {
    const std::string header = std::string(R"({"alg":")") + alg + R"(","kid":"dev"})";
    EXPECT_EQ(error_of(signed_token(header, payload_with(""))), Errc::kDenied) << alg;
  }
  EXPECT_EQ(error_of(base64url(R"({"alg":"none"})") + "." + base64url(payload_with("")) + "."),
            Errc::kDenied);
  // The classic confusion: HS256 with the public key as the secret.
  const std::string x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
  ASSERT_TRUE(keys_.add_eddsa("op", x).ok());
  EXPECT_EQ(error_of(signed_token(R"({"alg":"HS256","kid":"op"})", payload_with(""), x)), Errc::kDenied);
  EXPECT_EQ(error_of(signed_token(R"({"alg":"EdDSA","kid":"op"})", payload_with(""), x)), Errc::kDenied);
}

TEST_F(TokenTest, KidChoosesTheKey) {
  EXPECT_TRUE(keys_.check(signed_token(R"({"alg":"HS256"})", payload_with("")), kNowMs).ok());
  EXPECT_EQ(error_of(mint_hs256(kSecret, "other", "7", "phone", kExpS)), Errc::kDenied);
  EXPECT_EQ(error_of(signed_token(R"({"alg":"HS256","kid":7})", payload_with(""))), Errc::kInvalid);
  ASSERT_TRUE(keys_.add_hs256("new", kOther).ok());
  EXPECT_TRUE(keys_.check(mint_hs256(kOther, "new", "7", "phone", kExpS), kNowMs).ok());
  EXPECT_EQ(error_of(mint_hs256(kOther, "dev", "7", "phone", kExpS)), Errc::kDenied);
  EXPECT_EQ(error_of(signed_token(R"({"alg":"HS256"})", payload_with(""))), Errc::kDenied);  // which one?
  EXPECT_EQ(TokenKeys().check(mint_hs256(kSecret, "dev", "7", "phone", kExpS), kNowMs).error().code,
            Errc::kDenied);
}

TEST_F(TokenTest, Times) {
  const std::string token = mint_hs256(kSecret, "dev", "7", "phone", kNowMs / 1000);
  EXPECT_TRUE(keys_.check(token, kNowMs - 1).ok());
  EXPECT_EQ(error_of(token, kNowMs), Errc::kExpired);
  EXPECT_EQ(error_of(token, UINT64_MAX), Errc::kExpired);
  EXPECT_EQ(error_of(signed_token(kHeader, payload_with(R"(,"nbf":1700000001)"))), Errc::kDenied);
  EXPECT_TRUE(keys_.check(signed_token(kHeader, payload_with(R"(,"nbf":1700000000)")), kNowMs).ok());
  EXPECT_EQ(error_of(signed_token(kHeader, payload_with(R"(,"nbf":"soon")"))), Errc::kInvalid);
  auto half = keys_.check(signed_token(kHeader, R"({"sub":"7","dev":"p","exp":1800000000.5})"), kNowMs);
  ASSERT_TRUE(half.ok());
  EXPECT_EQ(half->exp_ms, 1'800'000'000'500u);
  for (const char* exp :
       {"-1", "1e300", "18446744073709551615", "253402300800", "\"1800000000\"", "null", "1e999"}) {
    const std::string payload = std::string(R"({"sub":"7","dev":"p","exp":)") + exp + "}";
    EXPECT_EQ(error_of(signed_token(kHeader, payload)), Errc::kInvalid) << exp;
  }
}

TEST_F(TokenTest, ClaimsAreChecked) {
  for (const char* payload :
       {"{}", "[]", "null", "", "7", "{", R"({"sub":"7","dev":"p"})", R"({"sub":"7","exp":1800000000})",
        R"({"dev":"p","exp":1800000000})", R"({"sub":"7","dev":"","exp":1800000000})",
        R"({"sub":"7","dev":1,"exp":1800000000})", R"({"sub":"7","dev":"a\nb","exp":1800000000})",
        R"({"sub":"7","dev":"p","exp":1800000000,"sub":"8"})",
        R"({"sub":"7","dev":"p","exp":1800000000} )"
        "x",
        "{\"sub\":\"\xff\",\"dev\":\"p\",\"exp\":1800000000}"}) {
    EXPECT_EQ(error_of(signed_token(kHeader, payload)), Errc::kInvalid) << payload;
  }
  for (const char* handle : {"\"\"", "\"Alice\"", "\"a b\"", "7", "null", "\"\\u00e4\"",
                             "\"abcdefghijklmnopqrstuvwxyz0123456\""}) {
    EXPECT_EQ(error_of(signed_token(kHeader, payload_with(std::string(",\"handle\":") + handle))),
              Errc::kInvalid)
        << handle;
  }
  EXPECT_TRUE(keys_.check(signed_token(kHeader, payload_with(R"(,"handle":"a_b.c-9")")), kNowMs).ok());
  EXPECT_TRUE(keys_.check(mint_hs256(kSecret, "dev", "7", std::string(64, 'd'), kExpS), kNowMs).ok());
  EXPECT_EQ(error_of(mint_hs256(kSecret, "dev", "7", std::string(65, 'd'), kExpS)), Errc::kInvalid);
  EXPECT_EQ(error_of(mint_hs256(kSecret, "dev", std::string(65, 's'), "p", kExpS)), Errc::kInvalid);
}

TEST_F(TokenTest, HeadersAreChecked) {
  for (const char* header : {"", "{}", "[]", R"({"kid":"dev"})", R"({"alg":1,"kid":"dev"})",
                             R"({"alg":"HS256","kid":"dev","crit":["b64"],"b64":false})",
                             R"({"alg":"none","alg":"HS256","kid":"dev"})"}) {
    EXPECT_EQ(error_of(signed_token(header, payload_with(""))), Errc::kInvalid) << header;
  }
}

TEST_F(TokenTest, FormIsStrict) {
  const std::string good = mint_hs256(kSecret, "dev", "7", "phone", kExpS);
  for (const std::string& bad :
       {std::string(), std::string("."), std::string(".."), std::string("..."), good + ".", "." + good,
        good + "=", good + "\n", " " + good, good + ".x", std::string(kSecret), std::string(4096, 'a')}) {
    EXPECT_EQ(error_of(bad), Errc::kInvalid) << bad;
  }
  // Every prefix and every changed byte: refused, whatever the reason.
  for (size_t len = 0; len < good.size(); ++len) EXPECT_FALSE(keys_.check(good.substr(0, len), kNowMs).ok());
  for (size_t at = 0; at < good.size(); ++at) {
    for (char c : {'A', '_', '.', '+', '\0', '\xff'}) {
      if (good[at] == c) continue;
      std::string bad = good;
      bad[at] = c;
      EXPECT_FALSE(keys_.check(bad, kNowMs).ok()) << at << c;
    }
  }
  // Deep nesting within the size limit is refused, not followed.
  const std::string deep(1000, '[');
  EXPECT_EQ(error_of(signed_token(kHeader, payload_with(",\"x\":" + deep + std::string(1000, ']')))),
            Errc::kInvalid);
}

TEST_F(TokenTest, LongestToken) {
  std::string more = ",\"x\":\"";
  std::string token;
  for (;; more += 'x') {
    std::string longer = signed_token(kHeader, payload_with(more + "\""));
    if (longer.size() > TokenKeys::kTokenBytesMax) {
      EXPECT_EQ(error_of(longer), Errc::kInvalid);
      break;
    }
    token = longer;
  }
  EXPECT_TRUE(keys_.check(token, kNowMs).ok());
}

}  // namespace
}  // namespace perch
