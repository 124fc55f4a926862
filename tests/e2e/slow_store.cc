// Preloaded into perchd by startup_test.py: reading a store takes as long as a journal of gigabytes does.
#include <dlfcn.h>
#include <unistd.h>

extern "C" int mdb_cursor_get(void* cursor, void* key, void* value, int op) {
  using Get = int (*)(void*, void*, void*, int);
  static const auto real = reinterpret_cast<Get>(dlsym(RTLD_NEXT, "mdb_cursor_get"));
  constexpr useconds_t kPauseUs = 250'000;
  usleep(kPauseUs);
  return real(cursor, key, value, op);
}
