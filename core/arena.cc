#include "core/arena.h"

#include <cstddef>

// Null unless jemalloc is linked.
extern "C" int mallctl(const char* name, void* old_value, size_t* old_size, void* new_value, size_t new_size)
    __attribute__((weak));

namespace perch {

std::optional<unsigned> take_own_arena() {
  unsigned arena = 0;
  size_t size = sizeof(arena);
  if (mallctl == nullptr || mallctl("arenas.create", &arena, &size, nullptr, 0) != 0) return std::nullopt;
  if (mallctl("thread.arena", nullptr, nullptr, &arena, sizeof(arena)) != 0) return std::nullopt;
  return arena;
}

std::optional<unsigned> arena_of(const void* memory) {
  unsigned arena = 0;
  size_t size = sizeof(arena);
  if (mallctl == nullptr || mallctl("arenas.lookup", &arena, &size, &memory, sizeof(memory)) != 0)
    return std::nullopt;
  return arena;
}

}  // namespace perch
