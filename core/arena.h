// Arena: the part of the allocator that belongs to one thread, so that no two reactors meet in it and what
// each holds can be told apart (jemalloc's stats.arenas).
//
// ON: the thread that calls. The arena outlives it: what it allocated may be freed later by others.
// Without jemalloc (sanitizers bring their own allocator) there are none, and nothing depends on it.
#pragma once
#include <optional>

namespace perch {

// Makes an arena and allocates from it from here on, on this thread. Its number; nothing: no jemalloc.
std::optional<unsigned> take_own_arena();

// The arena that memory was allocated from; nothing: no jemalloc.
std::optional<unsigned> arena_of(const void* memory);

}  // namespace perch
