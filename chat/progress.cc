#include "chat/progress.h"

#include <algorithm>

namespace perch::chat {

Progress::Progress(std::span<const std::unique_ptr<MetricsPage>> pages, uint64_t now_ms) {
  for (const auto& page : pages)
    if (page->scope() != MetricScope::kMain)
      threads_.push_back({page.get(), page->value(Metric::kTurns), now_ms});
}

uint64_t Progress::look(uint64_t now_ms) {
  uint64_t longest = 0;
  for (Thread& thread : threads_) {
    const uint64_t num_turns = thread.page->value(Metric::kTurns);
    if (num_turns != thread.num_turns) thread = {thread.page, num_turns, now_ms};
    longest = std::max(longest, now_ms - thread.since_ms);
  }
  return longest;
}

}  // namespace perch::chat
