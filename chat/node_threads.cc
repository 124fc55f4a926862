// What the threads of a node do from their begin to their end.
#include "chat/node_state.h"
#include "chat/recovery_fan_out.h"
#include "chat/store_thread.h"
#include "core/arena.h"

namespace perch::chat {

namespace {

// A stop is noticed this soon where no wake reaches a ring; and so are hops whose wake the kernel lost.
constexpr uint64_t kSleepNsMax = 100'000'000;

void take_new(CoreSettings& own, Core& core, Log& log) {
  std::unique_ptr<CoreSettings::Next> next = own.next.take();
  if (next == nullptr) return;
  own.limits = next->limits;
  log.set_level(next->log_level);
  core.use_keys(*next->keys);
  own.keys = std::move(next->keys);
}

}  // namespace

void Node::run_core(uint16_t id, std::shared_ptr<Starting> shared) {
  Starting& starting = *shared;
  State& s = *state_;
  take_own_arena();
  auto ring = make_uring(reactor_ring(s.config));
  if (!ring) {
    starting.ring_made[id].set_value(ring.error());
    return;
  }
  s.rings[id] = std::move(*ring);
  starting.ring_made[id].set_value({});
  CoreOptions core_options;
  core_options.ring_ids = starting.ids.get();
  if (core_options.ring_ids.empty()) return;
  Privileges::drop_capabilities();
  core_options.id = id;
  core_options.num_cores = s.config.reactors;
  core_options.store = s.config.reactors;
  core_options.accounts_auto = s.config.accounts_auto;
  core_options.boot = s.boot;
  core_options.incarnation = s.store.writer().incarnation();
  core_options.counter = s.store.writer().base();
  core_options.ceiling = s.store.writer().ceiling();
  core_options.served_ms = s.store.writer().served_ms();
  CoreSettings& own = *s.settings[id];
  core_options.woken = [&s, &own, id] { take_new(own, *s.cores[id], *s.logs[id]); };
  MeshEndpoint& mesh = s.mesh->endpoint(id);
  mesh.bind(*s.rings[id]);
  s.cores[id] = std::make_unique<Core>(core_options, *s.rings[id], mesh, system_clock(), *s.pages[id],
                                       *s.logs[id], own.limits, *own.keys, s.store.writer().make_reader());
  starting.core_made[id].set_value();
  if (!starting.go.get()) return;
  Core& core = *s.cores[id];
  for (const int listener : s.listeners.of(id)) core.net().listen(listener);
  bool told = false;
  while (!s.exit_now.load(std::memory_order_relaxed)) {
    core.turn(core.draining() ? 1'000'000 : kSleepNsMax);
    if (s.stop_asked.load(std::memory_order_relaxed)) core.drain();
    if (core.store_failed()) s.failed = true;
    if (!told && core.draining() && core.drained()) {
      told = true;
      ++s.num_drained;
    }
  }
}

void Node::run_store(std::shared_ptr<Starting> shared) {
  Starting& starting = *shared;
  State& s = *state_;
  take_own_arena();
  const CoreId id = s.config.reactors;
  auto ring = make_uring(store_ring());
  if (!ring) {
    starting.ring_made[id].set_value(ring.error());
    return;
  }
  MeshEndpoint& mesh = s.mesh->endpoint(id);
  mesh.bind(**ring);
  starting.ring_made[id].set_value({});
  if (starting.ids.get().empty()) return;
  Privileges::drop_capabilities();
  starting.recover.wait();
  RecoveryFanOut fan_out(s.cores, [&s] { return s.stop_asked.load(std::memory_order_relaxed); });
  std::string problem = s.store.recover(fan_out);
  if (!s.stop_asked)
    for (auto& core : s.cores) core->recovered();
  starting.num_recovered = fan_out.num_items();
  starting.recovered.set_value(std::move(problem));
  if (!starting.go.get()) return;
  StoreThread thread(s.store.writer(), mesh, **ring, id, s.store_page(), *s.logs[id], s.config.limits,
                     system_clock());
  while (!s.store_stop.load(std::memory_order_relaxed)) thread.turn(kSleepNsMax);
  thread.finish();
}

}  // namespace perch::chat
