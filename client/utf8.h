// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once
#include <cstddef>
#include <string_view>

namespace perch::client {

// Length of the sequence at `at`, 0 if there is none. REQUIRES: at < text.size().
size_t utf8_sequence_len(std::string_view text, size_t at);
bool is_utf8(std::string_view text);
// The beginning of `text`, at most `max` bytes of it and not cut within a sequence. LIFETIME: of `text`.
std::string_view utf8_head(std::string_view text, size_t max);

}  // namespace perch::client
