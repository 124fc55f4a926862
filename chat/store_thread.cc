#include "chat/store_thread.h"

#include <algorithm>
#include <ranges>

#include "core/probe.h"

namespace perch::chat {

namespace {
constexpr double kFreeBelow = 0.85;         // admission stopped at kReservedFrom and goes on here
constexpr uint64_t kTryMs = 200;            // what has found no room
constexpr uint64_t kSilenceMs = 3'600'000;  // served without a commit, until the time gets one of its own
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
      served_{writer.served_ms(), clock.mono_ms()},
      messages_max_(limits.batch_ops_max),
      completions_(64) {}

StoreThread::Line StoreThread::line_of(store::OpKind kind) {
  switch (kind) {
    case store::OpKind::kAccept:
      return kMessages;
    case store::OpKind::kReceipt:
    case store::OpKind::kReceiptAck:
    case store::OpKind::kUser:
      return kLastCounts;
    case store::OpKind::kConfirm:
    case store::OpKind::kExpire:
    case store::OpKind::kExpiredAck:
    case store::OpKind::kResult:
    case store::OpKind::kAccount:
    case store::OpKind::kBlock:
    case store::OpKind::kRevoke:
    case store::OpKind::kCeiling:
      break;
  }
  return kAnyOrder;
}

bool StoreThread::anything_waits() const {
  return std::ranges::any_of(lines_, [](const auto& line) { return !line.empty(); });
}

void StoreThread::turn(uint64_t sleep_ns_max) {
  const bool due = anything_waits() && clock_.mono_ms() >= try_ms_;
  const bool sleeps = sleep_ns_max > 0 && !due && mesh_.may_sleep();
  const size_t num = ring_.wait(completions_, sleeps ? sleep_ns_max : 0);  // nothing but wakes
  metrics_.add(Metric::kTurns);
  metrics_.add(Metric::kRingCompletions, num);
  metrics_.add(Metric::kRingWakes, num);
  if (sleeps) mesh_.awake();
  if (due) try_again();
  mesh_.drain(
      [this](const Hop& hop) {
        if (hop.kind == kHopCut) return cut(*hop.as<CutHop>().request, hop.source);
        PERCH_CHECK(hop.kind == kHopStore);
        take(hop.as<StoreHop>().op);
      },
      limits_.batch_ops_max - batch_.size());
  if (!batch_.empty()) commit();
  move_some();
  keep_time();
  tell_state();
  mesh_.publish();
  publish_gauges();
}

// The front of each line, before anything new. Messages last: they can be many.
void StoreThread::try_again() {
  for (const Line line : {kAnyOrder, kLastCounts, kMessages}) {
    auto& waiting = lines_[line];
    size_t most = limits_.batch_ops_max - batch_.size();
    if (line == kMessages) most = std::min(most, messages_max_);
    for (; most > 0 && !waiting.empty(); --most) {
      batch_.push_back(waiting.front());
      waiting.pop_front();
    }
  }
}

// Each where it stood, before all that has come since. How many of the messages there is room for is found
// out with one: together they might never find any.
void StoreThread::keep_refused() {
  const auto is_message = [](const auto* op) { return line_of(op->kind) == kMessages; };
  const bool tried = std::ranges::any_of(batch_, is_message);
  const auto refused = std::ranges::stable_partition(
      batch_, [](const auto* op) { return op->status != store::Status::kFull || !op->waits; });
  for (store::StoreOp* op : std::views::reverse(refused)) lines_[line_of(op->kind)].push_front(op);
  if (tried) messages_max_ = std::ranges::any_of(refused, is_message) ? 1 : limits_.batch_ops_max;
  if (!refused.empty()) try_ms_ = clock_.mono_ms() + kTryMs;
  metrics_.add(Metric::kStoreRefused, refused.size());
  batch_.erase(refused.begin(), refused.end());
}

void StoreThread::take(store::StoreOp* op) {
  const Line line = line_of(op->kind);
  if (line == kAnyOrder || lines_[line].empty()) return batch_.push_back(op);
  if (!op->waits) {
    op->status = store::Status::kFull;
    return answer(op);
  }
  metrics_.add(Metric::kStoreRefused);
  lines_[line].push_back(op);
}

void StoreThread::cut(CutRequest& request, CoreId source) {
  Result<store::Cut> cut = writer_.cut();
  if (cut)
    request.cut = std::move(*cut);
  else
    request.made = cut.error();
  mesh_.post(source, Hop::make(kHopCutMade, CutHop{&request}));
}

void StoreThread::answer(store::StoreOp* op) {
  if (op->status == store::Status::kFull) metrics_.add(Metric::kStoreRefused);
  mesh_.post(op->core, Hop::make(kHopStoreDone, StoreHop{op}));
}

void StoreThread::commit() {
  probe::commit_begin(batch_.size());
  const uint64_t begun_ns = clock_.mono_ns();
  writer_.set_served(served_ms());
  writer_.apply(batch_);
  const uint64_t ns = clock_.mono_ns() - begun_ns;
  probe::commit_end(batch_.size(), ns);
  metrics_.observe(Histogram::kCommitUs, ns / 1000);
  metrics_.observe(Histogram::kBatchOps, batch_.size());
  metrics_.add(Metric::kCommits);
  if (batch_.size() >= limits_.batch_ops_max) metrics_.add(Metric::kBatchesFull);
  keep_refused();
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
  const Result<size_t> moved = mover_.copy(served_ms());
  if (moved) metrics_.add(Metric::kMovedRows, *moved);
  if (!moved && moved.error().code == Errc::kCorrupt) {
    log_.write(
        LogLevel::kError, "a stored message cannot be read back; stopping",
        {{"position", static_cast<uint64_t>(moved.error().detail)}, {"error", name_of(Errc::kCorrupt)}});
    unreadable_ = true;
  }
  if (!moved || !mover_.pending()) next_move_ms_ = clock_.mono_ms() + limits_.move_ms;
}

// A kill forgets at most an hour of it, and what waits for somebody lives so much longer.
void StoreThread::keep_time() {
  if (served_ms() >= writer_.served_ms() + kSilenceMs) finish();
}

void StoreThread::finish() {
  writer_.set_served(served_ms());
  (void)writer_.store_served();  // without room the next commit that has some will say it
}

void StoreThread::tell_state() {
  const store::Writer::Room journal = writer_.journal_room(), tables = writer_.tables_room();
  metrics_.set_ratio(Metric::kJournalFill, journal.fill);
  metrics_.set_ratio(Metric::kTablesFill, tables.fill);
  metrics_.set(Metric::kJournalBytes, journal.used_bytes);
  metrics_.set(Metric::kTablesBytes, tables.used_bytes);
  const double fill = std::max(journal.fill, tables.fill);
  const bool full = anything_waits() || (told_full_ ? fill > kFreeBelow : fill > store::kReservedFrom);
  const bool poisoned = writer_.poisoned();
  if (full == told_full_ && poisoned == told_poisoned_) return;
  if (full != told_full_) {
    log_.write(full ? LogLevel::kWarn : LogLevel::kInfo,
               full ? "store full: messages are held" : "store has room again",
               {{"journal_bytes", journal.used_bytes}, {"tables_bytes", tables.used_bytes}});
  }
  if (poisoned && !told_poisoned_ && !unreadable_)
    log_.write(LogLevel::kError, "a commit failed: the node stops");
  told_full_ = full;
  told_poisoned_ = poisoned;
  metrics_.set(Metric::kStoreFull, full);
  metrics_.set(Metric::kStorePoisoned, poisoned);
  for (CoreId core = 0; core < num_cores_; ++core)
    mesh_.post(core, Hop::make(kHopStoreState, StoreStateHop{full, poisoned}));
}

}  // namespace perch::chat
