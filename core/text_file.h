// Small files an operator writes: configuration, keys.
#pragma once
#include <cstddef>
#include <string>

#include "core/result.h"

namespace perch {

struct TextFile {
  std::string text;
  bool others_read = false;  // its mode lets every user of the machine read it
};

// ERRORS: kSystem with the errno; kTooLarge with the limit, which also ends the reading of /dev/zero.
Result<TextFile> read_text_file(const std::string& path, size_t bytes_max);

}  // namespace perch
