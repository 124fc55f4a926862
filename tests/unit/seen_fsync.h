// An fsync() that tells what it was given, and fails if asked to. Include it in one file of a test's program:
// the linker then prefers it to the C library's.
#pragma once
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

namespace {

std::vector<std::string> synced;  // paths given to fsync(), in order
int fsync_error = 0;              // what fsync() says instead of flushing

}  // namespace

extern "C" int fsync(int fd) {
  char path[PATH_MAX];
  const ssize_t len = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof(path));
  if (len > 0) synced.emplace_back(path, static_cast<size_t>(len));
  if (fsync_error == 0) return static_cast<int>(syscall(SYS_fsync, fd));
  errno = fsync_error;
  return -1;
}
