// Progress: do the threads of a node still go round their loops? Each counts its turns on its page of metrics
// [perch_turns_total]; one with nothing to do sleeps 100 ms at most. So a count that stands still is a thread
// that is stuck: in a system call that never returns, in a commit on a dead disk, in an endless loop.
//
// ON: the main thread.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/metrics.h"

namespace perch::chat {

// So long a flush on a disk that is in trouble may well take, and the thread goes on after it.
inline constexpr uint64_t kStuckMs = 60'000;

class Progress {
 public:
  // From now on, of each page but the main thread's. LIFETIME: the pages outlive it.
  Progress(std::span<const std::unique_ptr<MetricsPage>> pages, uint64_t now_ms);
  // Looks at all of them. Returns for how long the slowest has stood still, as far as the looks can tell.
  uint64_t look(uint64_t now_ms);

 private:
  struct Thread {
    const MetricsPage* page;
    uint64_t num_turns;
    uint64_t since_ms;
  };
  std::vector<Thread> threads_;
};

}  // namespace perch::chat
