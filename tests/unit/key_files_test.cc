#include "chat/key_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace perch::chat {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using Algorithm = TokenKeyFile::Algorithm;

constexpr uint64_t kExpS = 4'000'000'000;

class KeyFilesTest : public testing::Test {
 protected:
  KeyFilesTest() : folder_(testing::TempDir() + "key_files_test." + std::to_string(getpid())) {
    std::filesystem::create_directory(folder_);
  }
  ~KeyFilesTest() override { std::filesystem::remove_all(folder_); }
  std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
    return path;
  }
  const std::string folder_;
  TokenKeys keys_;
  std::vector<std::string> warnings_;
};

TEST_F(KeyFilesTest, SeveralKeysEachWithItsAlgorithm) {
  const std::string secret(32, 's'), other(40, 'o');
  // The public key of RFC 8037, A.2.
  const std::string jwk = write("public", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\n");
  EXPECT_THAT(read_key_files({{"a", Algorithm::kHs256, write("a", secret + "\n")},
                              {"b", Algorithm::kHs256, write("b", other + "\r\n", 0640)},
                              {"c", Algorithm::kEdDsa, jwk}},
                             keys_, warnings_),
              IsEmpty());
  EXPECT_EQ(keys_.num_keys(), 3u);
  EXPECT_TRUE(warnings_.empty());
  EXPECT_TRUE(keys_.check(mint_hs256(secret, "a", "1", "d", kExpS), 0).ok());
  EXPECT_TRUE(keys_.check(mint_hs256(other, "b", "1", "d", kExpS), 0).ok());
  EXPECT_FALSE(keys_.check(mint_hs256(secret, "b", "1", "d", kExpS), 0).ok());
  EXPECT_FALSE(keys_.check(mint_hs256(secret, "c", "1", "d", kExpS), 0).ok());  // EdDSA is bound to c
}

TEST_F(KeyFilesTest, WhatCannotBeUsedNamesKeyFileAndRemedy) {
  const auto error = [this](Algorithm algorithm, const std::string& path) {
    TokenKeys keys;
    const auto problems = read_key_files({{"k", algorithm, path}}, keys, warnings_);
    EXPECT_EQ(problems.size(), 1u);
    const std::string line = problems.front().text();
    EXPECT_THAT(line, StartsWith(path + ": key k: "));
    return line;
  };
  EXPECT_THAT(error(Algorithm::kHs256, folder_ + "/none"), HasSubstr("No such file"));
  EXPECT_THAT(error(Algorithm::kHs256, write("short", std::string(31, 's') + "\n")),
              HasSubstr("31 bytes is too short; make one of 32 or more"));
  EXPECT_THAT(error(Algorithm::kHs256, write("huge", std::string(100'000, 's'))), HasSubstr("too large"));
  EXPECT_THAT(error(Algorithm::kEdDsa, write("no-pem", std::string(32, 's'))),
              HasSubstr("no Ed25519 public key"));
}

TEST_F(KeyFilesTest, EveryProblemIsTold) {
  const auto problems = read_key_files({{"a", Algorithm::kHs256, folder_ + "/none"},
                                        {"b", Algorithm::kHs256, write("b", std::string(32, 's'))},
                                        {"c", Algorithm::kHs256, write("c", "short")}},
                                       keys_, warnings_);
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_EQ(problems[0].key, "key a");
  EXPECT_EQ(problems[1].key, "key c");
  EXPECT_EQ(keys_.num_keys(), 1u);
}

TEST_F(KeyFilesTest, WarnsOfASecretThatEverybodyMayRead) {
  const std::string open = write("open", std::string(32, 's'), 0644);
  const std::string jwk = write("public", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", 0644);
  EXPECT_THAT(
      read_key_files({{"a", Algorithm::kHs256, open}, {"c", Algorithm::kEdDsa, jwk}}, keys_, warnings_),
      IsEmpty());
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_THAT(warnings_[0], HasSubstr("chmod o-r " + open));
}

}  // namespace
}  // namespace perch::chat
