// What this process holds of memory. What is mapped and was never touched is not in it.
#pragma once
#include <unistd.h>

#include <cstddef>
#include <fstream>

namespace perch {

inline size_t resident_bytes() {
  size_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace perch
