// StoreThread feeds store::Writer: everything that waits in its queues becomes one transaction, then every
// answer goes back. The flush of one batch is the time in which the next one gathers: group commit without a
// timer.
//
// What the disk has no room for waits here, unanswered, and is tried again until there is; the cores are told
// to take no more. Two kinds stand in line meanwhile, each behind those of its kind that wait:
//   messages: what was taken later must not be on the disk first (DELIVERY.md H8);
//   receipts, and what ends them, and users' rows: of these the last one written is what counts.
// Confirmations pass, and expiries once the rows of who misses them are written: they make room.
//
// ON: its own thread (commits and page faults block), one endpoint of the mesh like a core.
#pragma once
#include <array>
#include <deque>
#include <vector>

#include "chat/hops.h"
#include "core/clock.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/mesh.h"
#include "core/metrics.h"
#include "core/served_time.h"
#include "store/mover.h"
#include "store/writer.h"

namespace perch::chat {

class StoreThread {
 public:
  StoreThread(store::Writer& writer, MeshEndpoint& mesh, Ring& ring, uint16_t num_cores, MetricsPage& metrics,
              Log& log, const Limits& limits, Clock& clock);
  void turn(uint64_t sleep_ns_max);
  // The last turn was the last: how long the store was served is written down.
  void finish();

 private:
  enum Line : uint8_t { kMessages, kLastCounts, kAnyOrder, kNumLines };
  static Line line_of(store::OpKind kind);
  void try_again();
  void take(store::StoreOp* op);
  void answer(store::StoreOp* op);
  void cut(CutRequest& request, CoreId source);
  void commit();
  void keep_refused();
  bool anything_waits() const;
  void tell_state();
  void publish_gauges();
  void move_some();
  void keep_time();
  uint64_t served_ms() { return served_.at(clock_.mono_ms()); }
  store::Writer& writer_;
  MeshEndpoint& mesh_;
  Ring& ring_;
  uint16_t num_cores_;
  MetricsPage& metrics_;
  Log& log_;
  const Limits& limits_;
  Clock& clock_;
  store::Mover mover_;
  const ServedTime served_;
  uint64_t next_move_ms_ = 0;
  std::vector<store::StoreOp*> batch_;
  std::array<std::deque<store::StoreOp*>, kNumLines> lines_;  // without room
  uint64_t try_ms_ = 0;                                       // monotonic: not before
  size_t messages_max_;                                       // so many at once
  std::vector<Completion> completions_;
  bool told_full_ = false;
  bool told_poisoned_ = false;
  bool unreadable_ = false;  // this is why the writer is poisoned, and it has been said
};

}  // namespace perch::chat
