// OutcomeTemplate: OUTCOME frames by patching prebuilt bytes. One is sent for every message, and building it
// anew costs four allocations; every other frame that the server makes is rare (codec/encode.h).
//
// ON: one core each.
#pragma once
#include "codec/encode.h"

namespace perch::codec {

class OutcomeTemplate {
 public:
  OutcomeTemplate();
  // A whole size-prefixed frame that reads as codec::outcome(…) does. LIFETIME: until the next call.
  Bytes fill(Origin origin, Seq seq, Number number, uint64_t time_ms, wire::Tick tick);

 private:
  FrameBytes bytes_;
  flatbuffers::Table* outcome_;  // in bytes_
};

}  // namespace perch::codec
