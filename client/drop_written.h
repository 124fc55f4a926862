// How a buffer of bytes to write forgets what has been written.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace perch::client {

// `written` bytes of `output` are out, and are counted down with what goes. REQUIRES: written <=
// output.size(). They go once they are half of it: a connection that always has something left to write must
// not grow for ever, and no byte is moved more than once on average.
inline void drop_written(std::vector<uint8_t>& output, size_t& written) {
  if (written < output.size() - written) return;
  output.erase(output.begin(), output.begin() + static_cast<ptrdiff_t>(written));
  written = 0;
}

}  // namespace perch::client
