// perch-micro-bench: what one step of the data path costs, beside the sketch it was designed with.
//
// The sketch is what the step should cost by counting cache lines, instructions and published figures,
// written down before it was measured; it is printed as the label. A step that costs more than twice its
// sketch is explained or mended. Sketches are for one 3 GHz server core that does nothing else; a shared
// virtual core may be twice as slow.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "codec/encode.h"
#include "codec/frame.h"
#include "codec/framer.h"
#include "core/clock.h"
#include "core/limits.h"
#include "core/mesh.h"
#include "core/random.h"
#include "core/ring.h"
#include "core/spsc_queue.h"
#include "core/timer_wheel.h"
#include "store/store_lmdb.h"
#include "store/writer.h"
#include "tls/token.h"

namespace perch {
namespace {

constexpr size_t kBodyBytes = 128;

codec::FrameBytes sample_message() {
  const std::vector<uint8_t> body(kBodyBytes, 0x5a);
  return codec::message({.to = 42, .origin = 0x1122334455667788, .seq = 7, .closed = 5, .after = 1 << 20}, 0,
                        body);
}

void count_items(benchmark::State& state, int64_t each = 1) {
  state.SetItemsProcessed(state.iterations() * each);
}

// ---- codec

// FlatBuffers' verifier takes 12-19 ns for a small frame; the check that no field overlaps the Route, the
// strings and the union's member come on top: three further tables of the same size.
void frame_verify(benchmark::State& state) {
  const codec::FrameBytes frame = sample_message();
  for (auto _ : state) benchmark::DoNotOptimize(codec::verify(frame).ok());
  count_items(state);
  state.SetLabel("sketch: 60 ns");
}
BENCHMARK(frame_verify);

// Nine stores into one line that is in the first-level cache, behind two dependent loads.
void frame_stamp(benchmark::State& state) {
  codec::FrameBytes frame = sample_message();
  codec::Stamp stamp{.from = 1, .device = 1, .number = 1, .time_ms = 1};
  for (auto _ : state) {
    stamp.number++;
    codec::stamp(frame, stamp);
    benchmark::ClobberMemory();
  }
  count_items(state);
  state.SetLabel("sketch: 5 ns");
}
BENCHMARK(frame_stamp);

// Whole frames in one chunk are handed out in place: a length, two comparisons and one indirect call each.
void framer_whole(benchmark::State& state) {
  const codec::FrameBytes frame = sample_message();
  const auto num = static_cast<size_t>(state.range(0));
  std::vector<uint8_t> chunk;
  for (size_t i = 0; i < num; ++i) chunk.insert(chunk.end(), frame.begin(), frame.end());
  const uint32_t most = Limits{}.frame_bytes_max;
  codec::Framer framer;
  size_t seen = 0;
  for (auto _ : state) {
    const auto fed = framer.feed(chunk, most, [&seen](MutableBytes) { return ++seen != 0; });
    benchmark::DoNotOptimize(fed.ok());
  }
  if (seen != num * static_cast<size_t>(state.iterations())) state.SkipWithError("frames were lost");
  count_items(state, state.range(0));
  state.SetLabel("sketch: 5 ns a frame");
}
BENCHMARK(framer_whole)->Arg(1)->Arg(8);

// A frame cut in two costs an allocation, two copies of 250 bytes and the release.
void framer_split(benchmark::State& state) {
  codec::FrameBytes frame = sample_message();
  const MutableBytes all(frame);
  const size_t cut = frame.size() / 2;
  const uint32_t most = Limits{}.frame_bytes_max;
  codec::Framer framer;
  size_t seen = 0;
  const auto on_frame = [&seen](MutableBytes) { return ++seen != 0; };
  for (auto _ : state) {
    const bool first = framer.feed(all.first(cut), most, on_frame).ok();
    const bool second = framer.feed(all.subspan(cut), most, on_frame).ok();
    if (!first || !second) state.SkipWithError("no frame");
  }
  count_items(state);
  state.SetLabel("sketch: 120 ns");
}
BENCHMARK(framer_split);

// ---- mesh

// Per hop one cache line written and one read, all in the first two levels of the cache; the two shared
// indices once a batch. Two cores add one line's transfer, about 50 ns within a cluster, per batch of at
// least a line.
void spsc_push_pop(benchmark::State& state) {
  const auto batch = static_cast<uint32_t>(state.range(0));
  SpscQueue<Hop> queue(1024);
  const Hop hop = Hop::make(1, uint64_t{7});
  uint64_t sum = 0;
  for (auto _ : state) {
    for (uint32_t i = 0; i < batch; ++i) benchmark::DoNotOptimize(queue.push(hop));
    queue.publish();
    while (const Hop* front = queue.front()) {
      sum += front->kind;
      queue.pop();
    }
    queue.release();
  }
  benchmark::DoNotOptimize(sum);
  count_items(state, batch);
  state.SetLabel(batch == 1 ? "sketch: 8 ns" : "sketch: 4 ns a hop");
}
BENCHMARK(spsc_push_pop)->Arg(1)->Arg(64);

// Two endpoints driven by one thread, so without the line's transfer between cores: the queue, the doorbell
// (one atomic or, one exchange: 6 ns each), one full fence for the sleep check, one indirect call a hop.
void mesh_hop(benchmark::State& state) {
  const auto batch = static_cast<uint32_t>(state.range(0));
  RingOptions options;
  options.submissions = 16;
  options.completions = 64;
  options.sockets = 0;
  options.buffers = 0;
  auto first = make_uring(options);
  auto second = make_uring(options);
  if (!first.ok() || !second.ok()) {
    state.SkipWithError("io_uring is not available");
    return;
  }
  Mesh mesh(2, Limits{}.mesh_slots);
  MeshEndpoint& from = mesh.endpoint(0);
  MeshEndpoint& to = mesh.endpoint(1);
  from.bind(**first);
  to.bind(**second);
  const Hop hop = Hop::make(1, uint64_t{7});
  uint64_t seen = 0;
  const std::function<void(const Hop&)> handle = [&seen](const Hop& got) { seen += got.kind; };
  for (auto _ : state) {
    for (uint32_t i = 0; i < batch; ++i) from.post(1, hop);
    from.publish();
    to.drain(handle);
  }
  if (seen != uint64_t{batch} * static_cast<uint64_t>(state.iterations()))
    state.SkipWithError("hops were lost");
  count_items(state, batch);
  state.SetLabel(batch == 1 ? "sketch: 40 ns" : "sketch: 10 ns a hop");
}
BENCHMARK(mesh_hop)->Arg(1)->Arg(64);

// ---- timers

struct Wheel {
  explicit Wheel(size_t num) : timers(num) {}
  ~Wheel() {
    for (Timer& timer : timers) wheel.disarm(timer);
  }
  TimerWheel wheel{0};
  std::vector<Timer> timers;
};

// Out of one doubly linked list and into another: up to five lines, of which a million timers leave none in
// the cache: two misses of 80 ns that overlap, against 10 ns where all is near.
void timer_rearm(benchmark::State& state) {
  Wheel w(static_cast<size_t>(state.range(0)));
  const auto random = seeded_random(1);
  for (Timer& timer : w.timers) w.wheel.arm(timer, 1 + random->below(75'000));
  std::vector<uint32_t> order(1 << 16);
  for (uint32_t& at : order) at = static_cast<uint32_t>(random->below(w.timers.size()));
  size_t i = 0;
  for (auto _ : state) {
    w.wheel.arm(w.timers[order[i & (order.size() - 1)]], 1 + (i * 7919) % 75'000);
    ++i;
  }
  count_items(state);
  state.SetLabel(state.range(0) > 100'000 ? "sketch: 150 ns" : "sketch: 15 ns");
}
BENCHMARK(timer_rearm)->Arg(1'000)->Arg(1'000'000);

// One second of a server's life in steps of 1 ms: each timer fires once and is armed again a second later.
// Each is moved down one level and then taken out: two moves of 10 ns and the call.
void timer_advance(benchmark::State& state) {
  Wheel w(static_cast<size_t>(state.range(0)));
  const auto random = seeded_random(2);
  for (Timer& timer : w.timers) w.wheel.arm(timer, 1 + random->below(1'000));
  uint64_t now = 0, fired = 0;
  for (auto _ : state) {
    for (int step = 0; step < 1'000; ++step) {
      ++now;
      w.wheel.advance(now, [&](Timer& timer) {
        ++fired;
        w.wheel.arm(timer, now + 1'000);
      });
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(fired));
  state.SetLabel("sketch: 30 ns a timer");
}
BENCHMARK(timer_advance)->Arg(100'000)->Unit(benchmark::kMillisecond);

// ---- login

// HMAC-SHA256 of 200 bytes takes 0.25 us; base64 of three parts and two small JSON documents with a dozen
// allocations take the rest.
void token_check(benchmark::State& state) {
  const std::string secret(32, 's');
  TokenKeys keys;
  if (!keys.add_hs256("dev", secret).ok()) {
    state.SkipWithError("no key");
    return;
  }
  const uint64_t now_ms = system_clock().wall_ms();
  const std::string token = mint_hs256(secret, "dev", "42", "phone", now_ms / 1000 + 3600, "rosalind");
  for (auto _ : state) {
    if (!keys.check(token, now_ms).ok()) state.SkipWithError("refused");
  }
  count_items(state);
  state.SetLabel("sketch: 3 us");
}
BENCHMARK(token_check)->Unit(benchmark::kMicrosecond);

// ---- store

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "perch-micro-bench.XXXXXX").string();
    if (mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class NothingWaits final : public store::RecoveryVisitor {
 public:
  void item(const store::RecoveredItem&) override {}
  void mark(const store::RecoveredMark&) override {}
  void receipt(const store::RecoveredReceipt&) override {}
  void expired(const store::RecoveredExpired&) override {}
};

// A batch is one accepted message of each of so many senders and, in the next commit, its confirmation, so
// that the journal does not grow without bound. The flush decides: on the disk of a cloud machine 0.3-1 ms,
// below 1 us where $TMPDIR is a tmpfs. Each operation costs about 1.5 us in LMDB (one append, one record in
// memory) and its share of the pages written.
void store_commit(benchmark::State& state) {
  const auto batch = static_cast<size_t>(state.range(0));
  const ScratchFolder folder;
  Limits limits;
  limits.map_bytes = uint64_t{1} << 30;
  limits.table_map_bytes = uint64_t{1} << 30;
  auto journal = store::open_lmdb(folder.path() + "/journal", store::kJournalTableNames, limits.map_bytes);
  auto tables =
      store::open_lmdb(folder.path() + "/tables", store::kMailboxTableNames, limits.table_map_bytes);
  if (folder.path().empty() || !journal.ok() || !tables.ok()) {
    state.SkipWithError("no store could be made in the temporary folder");
    return;
  }
  const auto random = seeded_random(3);
  auto writer = store::Writer::open(**journal, **tables, limits, *random);
  NothingWaits nothing;
  if (!writer.ok() || !(*writer)->recover(nothing).ok()) {
    state.SkipWithError("the store could not be opened");
    return;
  }
  const codec::FrameBytes frame = sample_message();
  std::vector<store::StoreOp> accepts(batch), confirms(batch);
  std::vector<store::StoreOp*> accept_batch, confirm_batch;
  uint64_t seq = 0, failed = 0;
  for (auto _ : state) {
    accept_batch.clear();
    confirm_batch.clear();
    for (size_t i = 0; i < batch; ++i) {
      ++seq;
      store::StoreOp& accept = accepts[i];
      accept = store::StoreOp{};
      accept.kind = store::OpKind::kAccept;
      accept.id = {.user = 1 + i, .device = 1, .origin = 9, .seq = seq};
      accept.to = 1'000'000 + i;
      accept.number = seq << 10;
      accept.taken_ms = 1;
      accept.frame = frame;
      accept.waiting[0].user = accept.to;
      accept.waiting[0].add(1);
      accept.num_waiting = 1;
      accept_batch.push_back(&accept);
    }
    (*writer)->apply(accept_batch);
    for (size_t i = 0; i < batch; ++i) {
      if (accepts[i].status != store::Status::kDone) ++failed;
      store::StoreOp& confirm = confirms[i];
      confirm = store::StoreOp{};
      confirm.kind = store::OpKind::kConfirm;
      confirm.place = accepts[i].place;
      confirm.number = accepts[i].number;
      confirm.who = accepts[i].waiting[0];
      confirm_batch.push_back(&confirm);
    }
    (*writer)->apply(confirm_batch);
    for (const store::StoreOp& confirm : confirms) {
      if (confirm.status != store::Status::kDone) ++failed;
    }
  }
  if (failed != 0) state.SkipWithError("operations failed");
  count_items(state, 2 * state.range(0));
  state.counters["commits"] =
      benchmark::Counter(2.0 * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
  state.SetLabel(batch == 1    ? "sketch: two flushes, 0.6-2 ms"
                 : batch == 64 ? "sketch: two flushes + 0.2 ms"
                               : "sketch: two flushes + 3 ms");
}
BENCHMARK(store_commit)->Arg(1)->Arg(64)->Arg(1024)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace perch

BENCHMARK_MAIN();
