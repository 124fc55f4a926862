// How the public interface is marked, in C++ and in C.
#pragma once

// The shared library exports what is marked so, nothing else.
#define PERCH_API __attribute__((visibility("default")))

// Of functions that C calls: to C++ they say that they throw nothing.
#ifdef __cplusplus
#define PERCH_NOEXCEPT noexcept
#else
#define PERCH_NOEXCEPT
#endif
