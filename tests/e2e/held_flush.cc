// Preloaded into perchd by metrics_test.py: while the file that HELD_FLUSH names is there, no flush ends, as
// on a disk that is stuck.
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

extern "C" int fdatasync(int fd) {
  static const auto real = reinterpret_cast<int (*)(int)>(dlsym(RTLD_NEXT, "fdatasync"));
  constexpr useconds_t kPauseUs = 10'000;
  while (access(getenv("HELD_FLUSH"), F_OK) == 0) usleep(kPauseUs);
  return real(fd);
}
