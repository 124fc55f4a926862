// PERCH_CHECK aborts on our own bugs, in release too; it never tests what a peer, the disk or the
// kernel can cause (those get typed errors). PERCH_DCHECK is for checks too dear for release.
#pragma once
#include "core/api.h"

namespace perch {
// Says so, with a backtrace, and aborts.
[[noreturn]] PERCH_API void check_failed(const char* file, int line, const char* what) noexcept;
}  // namespace perch

// Aborts unless the condition holds.
#define PERCH_CHECK(condition)                               \
  do {                                                       \
    if (__builtin_expect(!(condition), 0)) [[unlikely]]      \
      ::perch::check_failed(__FILE__, __LINE__, #condition); \
  } while (0)

// PERCH_CHECK in a debug build; nothing with NDEBUG.
#ifdef NDEBUG
#define PERCH_DCHECK(condition) ((void)sizeof(!(condition)))
#else
#define PERCH_DCHECK(condition) PERCH_CHECK(condition)
#endif
