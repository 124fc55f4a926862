// Numbers as a person reads them, and lines.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace perch::ctl {

std::string duration_text(uint64_t seconds);                    // in the two largest units: 3d 4h, 5m 12s
std::string bytes_text(uint64_t bytes);                         // 12 B, 1.5 KiB, 3.0 GiB
std::vector<std::string_view> lines_of(std::string_view text);  // without empty ones; LIFETIME: of `text`
// What can stand in a request beside other words: not empty, no blank, no control character.
bool is_word(std::string_view text);

}  // namespace perch::ctl
