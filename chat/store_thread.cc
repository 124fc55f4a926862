#include "chat/store_thread.h"

namespace perch::chat {

namespace {
// Admission stops here; the rest of the map serves what is reserved, CONFIRM, moves and deletes (delivery.md, Store).
constexpr double kFillFull = 0.9;
constexpr double kFillFree = 0.85;
}  // namespace

StoreThread::StoreThread(store::Writer& writer, MeshEndpoint& mesh, Ring& ring, uint16_t num_cores, const Limits& limits)
    : writer_(writer), mesh_(mesh), ring_(ring), num_cores_(num_cores), limits_(limits), completions_(64) {}

void StoreThread::turn(uint64_t sleep_ns_max) {
  const bool sleeps = sleep_ns_max > 0 && mesh_.may_sleep();
  ring_.wait(completions_, sleeps ? sleep_ns_max : 0);
  if (sleeps) mesh_.awake();
  mesh_.drain(
      [this](const Hop& hop) {
        PERCH_CHECK(hop.kind == kHopStore);
        batch_.push_back(hop.as<StoreHop>().op);
      },
      limits_.batch_ops_max);
  if (!batch_.empty()) {
    writer_.apply(batch_);
    ++num_commits_;
    num_ops_ += batch_.size();
    for (store::StoreOp* op : batch_) mesh_.post(op->core, Hop::make(kHopStoreDone, StoreHop{op}));
    batch_.clear();
  }
  tell_state();
  mesh_.publish();
}

void StoreThread::tell_state() {
  const double fill = writer_.fill();
  const bool full = told_full_ ? fill > kFillFree : fill > kFillFull;
  const bool poisoned = writer_.poisoned();
  if (full == told_full_ && poisoned == told_poisoned_) return;
  told_full_ = full;
  told_poisoned_ = poisoned;
  for (CoreId core = 0; core < num_cores_; ++core)
    mesh_.post(core, Hop::make(kHopStoreState, StoreStateHop{full, poisoned}));
}

}  // namespace perch::chat
