#include "core/check.h"

#include <execinfo.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace perch {

void check_failed(const char* file, int line, const char* what) noexcept {
  std::fprintf(stderr, "perch: %s:%d: this must be true and is not: %s\n", file, line, what);
  void* frames[64];
  backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
  std::abort();
}

}  // namespace perch
