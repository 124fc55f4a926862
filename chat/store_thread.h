// StoreThread feeds store::Writer: everything that waits in its queues becomes one transaction, then every
// answer goes back. The flush of one batch is the time in which the next one gathers: group commit without a
// timer.
//
// A message that finds no room bars all messages of its core behind it, until the core posts it again: what
// was taken later must not be on the disk first (delivery.md H8), even if somebody makes room in between.
//
// ON: its own thread (commits and page faults block), one endpoint of the mesh like a core.
#pragma once
#include <vector>

#include "chat/hops.h"
#include "core/clock.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/mesh.h"
#include "core/metrics.h"
#include "store/mover.h"
#include "store/writer.h"

namespace perch::chat {

class StoreThread {
 public:
  StoreThread(store::Writer& writer, MeshEndpoint& mesh, Ring& ring, uint16_t num_cores, MetricsPage& metrics,
              Log& log, const Limits& limits, Clock& clock);
  void turn(uint64_t sleep_ns_max);

 private:
  void take(store::StoreOp* op);
  void answer(store::StoreOp* op);
  void commit();
  void tell_state();
  void publish_gauges();
  void move_some();
  store::Writer& writer_;
  MeshEndpoint& mesh_;
  Ring& ring_;
  uint16_t num_cores_;
  MetricsPage& metrics_;
  Log& log_;
  const Limits& limits_;
  Clock& clock_;
  store::Mover mover_;
  uint64_t next_move_ms_ = 0;
  std::vector<store::StoreOp*> batch_;
  std::vector<bool> barred_;  // by core
  std::vector<Completion> completions_;
  bool told_full_ = false;
  bool told_poisoned_ = false;
};

}  // namespace perch::chat
