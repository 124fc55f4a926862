#include "chat/store_thread.h"

#include <algorithm>

#include "core/probe.h"

namespace perch::chat {

namespace {
constexpr double kFreeBelow = 0.85;  // admission stopped at kReservedFrom and goes on here
}  // namespace

StoreThread::StoreThread(store::Writer& writer, MeshEndpoint& mesh, Ring& ring, uint16_t num_cores,
                         MetricsPage& metrics, Log& log, const Limits& limits, Clock& clock)
    : writer_(writer),
      mesh_(mesh),
      ring_(ring),
      num_cores_(num_cores),
      metrics_(metrics),
      log_(log),
      limits_(limits),
      clock_(clock),
      mover_(writer),
      barred_(num_cores),
      completions_(64) {}

void StoreThread::turn(uint64_t sleep_ns_max) {
  const bool sleeps = sleep_ns_max > 0 && mesh_.may_sleep();
  const size_t num = ring_.wait(completions_, sleeps ? sleep_ns_max : 0);  // nothing but wakes
  metrics_.add(Metric::kRingCompletions, num);
  metrics_.add(Metric::kRingWakes, num);
  if (sleeps) mesh_.awake();
  mesh_.drain(
      [this](const Hop& hop) {
        PERCH_CHECK(hop.kind == kHopStore);
        take(hop.as<StoreHop>().op);
      },
      limits_.batch_ops_max);
  if (!batch_.empty()) commit();
  move_some();
  tell_state();
  mesh_.publish();
  publish_gauges();
}

void StoreThread::take(store::StoreOp* op) {
  if (op->kind == store::OpKind::kAccept) {
    if (op->again) barred_[op->core] = false;
    if (barred_[op->core]) {
      op->status = store::Status::kFull;
      return answer(op);
    }
  }
  batch_.push_back(op);
}

void StoreThread::answer(store::StoreOp* op) {
  if (op->status == store::Status::kFull) {
    metrics_.add(Metric::kStoreRefused);
    if (op->kind == store::OpKind::kAccept) barred_[op->core] = true;
  }
  mesh_.post(op->core, Hop::make(kHopStoreDone, StoreHop{op}));
}

void StoreThread::commit() {
  probe::commit_begin(batch_.size());
  const uint64_t begun_ns = clock_.mono_ns();
  writer_.apply(batch_);
  const uint64_t ns = clock_.mono_ns() - begun_ns;
  probe::commit_end(batch_.size(), ns);
  metrics_.observe(Histogram::kCommitUs, ns / 1000);
  metrics_.observe(Histogram::kBatchOps, batch_.size());
  metrics_.add(Metric::kCommits);
  if (batch_.size() >= limits_.batch_ops_max) metrics_.add(Metric::kBatchesFull);
  for (store::StoreOp* op : batch_) {
    if (op->status == store::Status::kDone) {
      metrics_.add(Metric::kStoreOps);
      metrics_.add(Metric::kStoreBytes, op->frame.size());
      if (op->frame.size() > store::chunk_bytes(limits_)) metrics_.add(Metric::kStoreSplit);
    }
    answer(op);
  }
  batch_.clear();
}

void StoreThread::publish_gauges() {
  metrics_.set(Metric::kRingEnters, ring_.num_syscalls());
  metrics_.set(Metric::kHopsPosted, mesh_.num_posted());
  metrics_.set(Metric::kHopsDelayed, mesh_.num_delayed());
  metrics_.set(Metric::kHopsWaiting, mesh_.num_waiting_to_publish());
}

// One step of the mover, bounded so that no batch waits long for it: old messages are copied, or the
// journal's old end is dropped.
void StoreThread::move_some() {
  if (writer_.poisoned() || clock_.mono_ms() < next_move_ms_) return;
  if (mover_.pending()) {
    const Result<bool> done = mover_.finish();
    if (!done || *done) next_move_ms_ = clock_.mono_ms() + limits_.move_ms;
    return;
  }
  const Result<size_t> moved = mover_.copy(clock_.wall_ms());
  if (moved) metrics_.add(Metric::kMovedRows, *moved);
  if (!moved || !mover_.pending()) next_move_ms_ = clock_.mono_ms() + limits_.move_ms;
}

void StoreThread::tell_state() {
  const store::Writer::Room journal = writer_.journal_room(), tables = writer_.tables_room();
  metrics_.set_ratio(Metric::kJournalFill, journal.fill);
  metrics_.set_ratio(Metric::kTablesFill, tables.fill);
  metrics_.set(Metric::kJournalBytes, journal.used_bytes);
  metrics_.set(Metric::kTablesBytes, tables.used_bytes);
  const double fill = std::max(journal.fill, tables.fill);
  const bool full = told_full_ ? fill > kFreeBelow : fill > store::kReservedFrom;
  const bool poisoned = writer_.poisoned();
  if (full == told_full_ && poisoned == told_poisoned_) return;
  if (full != told_full_) {
    log_.write(full ? LogLevel::kWarn : LogLevel::kInfo,
               full ? "store full: messages are held" : "store has room again",
               {{"journal_bytes", journal.used_bytes}, {"tables_bytes", tables.used_bytes}});
  }
  if (poisoned && !told_poisoned_) log_.write(LogLevel::kError, "a commit failed: the node stops");
  told_full_ = full;
  told_poisoned_ = poisoned;
  metrics_.set(Metric::kStoreFull, full);
  metrics_.set(Metric::kStorePoisoned, poisoned);
  for (CoreId core = 0; core < num_cores_; ++core)
    mesh_.post(core, Hop::make(kHopStoreState, StoreStateHop{full, poisoned}));
}

}  // namespace perch::chat
