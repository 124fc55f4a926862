// ServerCounters: what a perchd counted between two moments, read from its control socket.
//
// begin() only asks: the answer waits in the socket until end() reads it, so that the generator never stands
// still inside the window. Each answer is of one moment, so ratios hold although the moments are a few
// milliseconds off the window's.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/control_client.h"

namespace perch::bench {

struct ServerCounters {
  uint64_t num_enters = 0;  // io_uring_enter calls of all threads
  uint64_t num_frames = 0;  // in and out
};

// The sums over all cores. Nothing if a series is missing.
std::optional<ServerCounters> parse_counters(std::string_view metrics_text);

class CountersWindow {
 public:
  // `data_dir` of the server; empty: nothing is read.
  explicit CountersWindow(std::string data_dir) : data_dir_(std::move(data_dir)) {}
  void begin();
  std::optional<ServerCounters> end();  // what was counted since begin()

 private:
  std::string data_dir_;
  std::optional<ControlQuestion> before_;
};

}  // namespace perch::bench
