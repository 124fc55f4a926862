// PERCH_CHECK aborts on our own bugs, in release too; it never tests what a peer, the disk or the
// kernel can cause (those get typed errors). PERCH_DCHECK is for checks too dear for release.
#pragma once

namespace perch {
[[noreturn]] void check_failed(const char* file, int line, const char* what) noexcept;
}

#define PERCH_CHECK(condition)                               \
  do {                                                       \
    if (__builtin_expect(!(condition), 0)) [[unlikely]]      \
      ::perch::check_failed(__FILE__, __LINE__, #condition); \
  } while (0)

#ifdef NDEBUG
#define PERCH_DCHECK(condition) ((void)sizeof(!(condition)))
#else
#define PERCH_DCHECK(condition) PERCH_CHECK(condition)
#endif
