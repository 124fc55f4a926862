// SeqSet: a set of sequence numbers that mostly follow each other, kept as ranges. Not bounded: as many
// ranges as there are gaps. ON: one thread.
#pragma once
#include <cstddef>
#include <iterator>
#include <map>

#include "core/types.h"

namespace perch::client {

class SeqSet {
 public:
  // False: it was there. REQUIRES: seq < UINT64_MAX.
  bool insert(Seq seq) {
    const auto after = ranges_.upper_bound(seq);
    const auto before = after == ranges_.begin() ? ranges_.end() : std::prev(after);
    if (before != ranges_.end() && seq < before->second) return false;
    const bool joins_before = before != ranges_.end() && before->second == seq;
    const bool joins_after = after != ranges_.end() && after->first == seq + 1;
    const Seq end = joins_after ? after->second : seq + 1;
    if (joins_after) ranges_.erase(after);
    if (joins_before) {
      before->second = end;
    } else {
      ranges_.emplace(seq, end);
    }
    return true;
  }
  size_t num_ranges() const { return ranges_.size(); }

 private:
  std::map<Seq, Seq> ranges_;  // first to one behind the last; they never touch
};

}  // namespace perch::client
