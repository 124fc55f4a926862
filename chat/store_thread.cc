#include "chat/store_thread.h"

namespace perch::chat {

namespace {
constexpr double kFreeBelow = 0.85;  // admission stopped at kReservedFrom and goes on here
// Old messages are looked for this often, a limited number at a time, so that no batch waits long for it.
constexpr uint64_t kMoveMs = 1'000;
}  // namespace

StoreThread::StoreThread(store::Writer& writer, MeshEndpoint& mesh, Ring& ring, uint16_t num_cores,
                         const Limits& limits, Clock& clock)
    : writer_(writer),
      mesh_(mesh),
      ring_(ring),
      num_cores_(num_cores),
      limits_(limits),
      clock_(clock),
      mover_(writer),
      completions_(64) {}

void StoreThread::turn(uint64_t sleep_ns_max) {
  const bool sleeps = sleep_ns_max > 0 && mesh_.may_sleep();
  ring_.wait(completions_, sleeps ? sleep_ns_max : 0);
  if (sleeps) mesh_.awake();
  mesh_.drain(
      [this](const Hop& hop) {
        if (hop.kind == kHopMovedEnd) {
          --cores_to_answer_;
          return;
        }
        PERCH_CHECK(hop.kind == kHopStore);
        batch_.push_back(hop.as<StoreHop>().op);
      },
      limits_.batch_ops_max);
  if (!batch_.empty()) {
    writer_.apply(batch_);
    for (store::StoreOp* op : batch_) mesh_.post(op->core, Hop::make(kHopStoreDone, StoreHop{op}));
    batch_.clear();
  }
  move_some();
  tell_state();
  mesh_.publish();
}

// One step of the mover: copy, then every home core is told and has answered (what it confirms from then on
// goes to the tables), then the journal's old end is dropped.
void StoreThread::move_some() {
  if (cores_to_answer_ > 0 || writer_.poisoned() || clock_.mono_ms() < next_move_ms_) return;
  if (mover_.pending()) {
    const Result<bool> done = mover_.finish();
    if (!done || *done) next_move_ms_ = clock_.mono_ms() + kMoveMs;
    return;
  }
  const Result<std::vector<store::Moved>> moved = mover_.copy(clock_.wall_ms());
  if (!moved || (moved->empty() && !mover_.pending())) {
    next_move_ms_ = clock_.mono_ms() + kMoveMs;
    return;
  }
  for (const store::Moved& one : *moved)
    mesh_.post(home_of(one.user, num_cores_),
               Hop::make(kHopMoved, MovedHop{one.number, one.pos, one.waiting}));
  for (CoreId core = 0; core < num_cores_; ++core) mesh_.post(core, Hop::make(kHopMovedEnd, StoreStateHop{}));
  cores_to_answer_ = num_cores_;
}

void StoreThread::tell_state() {
  const double fill = writer_.fill();
  const bool full = told_full_ ? fill > kFreeBelow : fill > store::kReservedFrom;
  const bool poisoned = writer_.poisoned();
  if (full == told_full_ && poisoned == told_poisoned_) return;
  told_full_ = full;
  told_poisoned_ = poisoned;
  for (CoreId core = 0; core < num_cores_; ++core)
    mesh_.post(core, Hop::make(kHopStoreState, StoreStateHop{full, poisoned}));
}

}  // namespace perch::chat
