// Schedule says when the messages of an open loop are meant to be sent: message i at begin + i / rate,
// whatever has become of those before. Who comes late finds them all, with the time each was meant for.
#pragma once
#include <cstdint>
#include <optional>

namespace perch::bench {

class Schedule {
 public:
  // Messages in [begin_ns, end_ns). REQUIRES: per_second > 0, begin_ns <= end_ns.
  Schedule(uint64_t begin_ns, uint64_t end_ns, double per_second)
      : begin_ns_(begin_ns), per_second_(per_second), num_(num_before(end_ns)) {}

  // The moment of the next message, none after the last.
  std::optional<uint64_t> next_ns() const {
    return num_taken_ < num_ ? std::optional(moment(num_taken_)) : std::nullopt;
  }
  void take() { ++num_taken_; }  // REQUIRES: next_ns()
  uint64_t num_left() const { return num_ - num_taken_; }
  // How many are meant for a time before `ns`, taken or not.
  // REQUIRES: begin_ns <= ns.
  uint64_t num_before(uint64_t ns) const {
    auto num = static_cast<uint64_t>(static_cast<double>(ns - begin_ns_) * 1e-9 * per_second_);
    while (num > 0 && moment(num - 1) >= ns) --num;  // rounding
    while (moment(num) < ns) ++num;
    return num;
  }

 private:
  uint64_t moment(uint64_t index) const {
    return begin_ns_ + static_cast<uint64_t>(static_cast<double>(index) * 1e9 / per_second_);
  }

  uint64_t begin_ns_;
  double per_second_;
  uint64_t num_;
  uint64_t num_taken_ = 0;
};

}  // namespace perch::bench
