// ServedTime: how long a store has been served, in milliseconds, over all runs of its node. It stands still
// while the node is down and never follows the wall clock: what waits grows old only while somebody could
// have fetched it, and no wrong clock at a start takes it from the disk.
#pragma once
#include <cstdint>

namespace perch {

struct ServedTime {
  uint64_t before_ms = 0;   // in earlier runs, as the store has it
  uint64_t started_ms = 0;  // of this run, monotonic
  uint64_t at(uint64_t mono_ms) const { return before_ms + (mono_ms - started_ms); }
};

}  // namespace perch
