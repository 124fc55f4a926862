// Mesh carries hops between endpoints: reactors and store threads. One bounded queue per ordered pair,
// allocated when first used; no locks.
//
// ON: each thread owns one MeshEndpoint; post(), publish() and drain() are called on it alone.
// ORDER: hops between one pair arrive in post order. Nothing is promised across pairs.
// PRESSURE: post() always takes the hop. What the queue of limits.mesh_slots has no room for waits at the
//     poster, in order, and is published when there is room. How much can wait is bounded by what hops are
//     about: flights, connections, waiting messages (ARCHITECTURE.md). So answers never block and two cores
//     never wait for each other (DELIVERY.md H25).
// WAKE: publish() wakes a target only if it has announced that it sleeps. An endpoint without a ring wakes
//     nobody, and nobody wakes it: what it posts is seen when the target's sleep ends by itself.
// NEVER: blocks, or calls back into the poster.
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <type_traits>
#include <vector>

#include "core/check.h"
#include "core/fifo.h"
#include "core/ring.h"
#include "core/spsc_queue.h"
#include "core/types.h"

namespace perch {

// One cache line. The payload is a trivially copyable struct of the domain, named by `kind`.
struct Hop {
  uint16_t kind = 0;
  CoreId source = 0;
  alignas(8) std::array<std::byte, 56> payload{};

  template <typename T>
  static Hop make(uint16_t kind, const T& value) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 56);
    Hop hop;
    hop.kind = kind;
    std::memcpy(hop.payload.data(), &value, sizeof(T));
    return hop;
  }
  template <typename T>
  T as() const {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 56);
    T value;
    std::memcpy(&value, payload.data(), sizeof(T));
    return value;
  }
};
static_assert(sizeof(Hop) == 64);

class Mesh;

class MeshEndpoint {
 public:
  MeshEndpoint(Mesh& mesh, CoreId id);
  CoreId id() const { return id_; }

  // The ring whose wait() this endpoint's thread sleeps in; set once, on that thread, before the first post.
  // LIFETIME: it outlives the endpoint's use. A thread without one must not ask may_sleep().
  void bind(Ring& ring);
  // target == id() is allowed: the hop is drained like any other, in a later drain(). Without memory for what
  // waits the process ends.
  void post(CoreId target, Hop hop);
  // Makes posted hops visible and wakes targets that sleep, with the next wait() of our ring. Once per loop
  // turn, right before that wait. True if nothing is left over.
  bool publish();
  // Hands over at most `most` hops; returns how many. Bounded, so that no source starves the turn. This
  // endpoint's own come first, but leave half to others; those begin in turn. `handle` may post.
  size_t drain(const std::function<void(const Hop&)>& handle, size_t most = 1024);
  // Announces sleep. False: a hop came in between, or one of ours is not published yet (publish() said so):
  // do not sleep. Call awake() after the wait. There is no other signal: what must reach a sleeper comes as a
  // hop.
  bool may_sleep();
  void awake();
  size_t num_waiting_to_publish() const;  // posted hops that their queue has had no room for
  uint64_t num_posted() const { return num_posted_; }
  uint64_t num_delayed() const { return num_delayed_; }  // … of them: found their queue full

 private:
  friend class Mesh;
  size_t drain_self(const std::function<void(const Hop&)>& handle, size_t num);
  size_t drain_source(CoreId source, const std::function<void(const Hop&)>& handle, size_t most);
  Mesh& mesh_;
  CoreId id_;
  Ring* ring_ = nullptr;
  std::vector<Fifo<Hop>> outbox_;  // per target: not yet in the queue
  std::vector<CoreId> dirty_;      // targets with hops that are not published
  std::vector<bool> is_dirty_;     // per target
  std::vector<uint64_t> rung_;     // doorbell bits taken over: sources that may have more
  Fifo<Hop> self_;
  uint64_t num_outbox_ = 0;
  uint64_t num_posted_ = 0;
  uint64_t num_delayed_ = 0;
  size_t next_source_ = 0;
};

// OWNER: whoever starts the threads; it outlives them. What is still in a queue then is dropped unseen.
class Mesh {
 public:
  // `slots`: hops in one queue, rounded up to a power of two; 64 bytes each once the queue is used.
  Mesh(uint16_t num_endpoints, uint32_t slots);
  ~Mesh();
  uint16_t num_endpoints() const { return num_; }
  MeshEndpoint& endpoint(CoreId id) { return *endpoints_[id]; }  // REQUIRES: id < num_endpoints()

 private:
  friend class MeshEndpoint;
  struct Shared;  // per endpoint: the wake word, the doorbell, the ring's id
  SpscQueue<Hop>* queue(CoreId from, CoreId to) const;     // null: never used
  SpscQueue<Hop>& queue_for_post(CoreId from, CoreId to);  // allocates
  uint16_t num_;
  uint32_t slots_;
  std::vector<std::unique_ptr<MeshEndpoint>> endpoints_;
  std::unique_ptr<Shared[]> shared_;
  std::unique_ptr<std::atomic<SpscQueue<Hop>*>[]> queues_;
};

// Of an ordered pair that has never posted.
inline constexpr size_t kMeshPairBytes = sizeof(Fifo<Hop>) + sizeof(std::atomic<SpscQueue<Hop>*>);

}  // namespace perch
