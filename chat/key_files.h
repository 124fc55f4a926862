// Reads the files of the keys that check tokens.
#pragma once
#include <string>
#include <vector>

#include "chat/config.h"
#include "tls/token.h"

namespace perch::chat {

// What is wrong with each; empty: nothing. `warnings` gets a line for each secret that everybody may read.
[[nodiscard]] std::vector<ConfigProblem> read_key_files(const std::vector<TokenKeyFile>& files,
                                                        TokenKeys& keys, std::vector<std::string>& warnings);

}  // namespace perch::chat
