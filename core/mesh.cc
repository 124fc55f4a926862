#include "core/mesh.h"

#include <algorithm>

#include "core/probe.h"

namespace perch {

// What other threads touch of an endpoint. 128 bytes: see spsc_queue.h.
//
// Sleeping is a handshake of two words, both sequentially consistent (Dekker): the sleeper stores `sleeping`,
// then loads the doorbell; the poster rings the doorbell, then loads `sleeping`. One of them sees the other.
struct alignas(128) Mesh::Shared {
  std::atomic<bool> sleeping{false};
  std::atomic<int> ring{-1};                          // set before the first sleep
  std::unique_ptr<std::atomic<uint64_t>[]> doorbell;  // a bit per source that has published
};

namespace {
constexpr size_t kWordBits = 64;
size_t num_words(uint16_t num_endpoints) { return (num_endpoints + kWordBits - 1) / kWordBits; }
}  // namespace

// ---- MeshEndpoint

MeshEndpoint::MeshEndpoint(Mesh& mesh, CoreId id)
    : mesh_(mesh),
      id_(id),
      outbox_(mesh.num_endpoints()),
      is_dirty_(mesh.num_endpoints()),
      rung_(num_words(mesh.num_endpoints())) {}

void MeshEndpoint::bind(Ring& ring) {
  PERCH_CHECK(ring_ == nullptr);
  ring_ = &ring;
  mesh_.shared_[id_].ring.store(ring.id(), std::memory_order_release);
}

void MeshEndpoint::post(CoreId target, Hop hop) {
  PERCH_CHECK(target < mesh_.num_endpoints());
  hop.source = id_;
  ++num_posted_;
  probe::hop_posted(id_, target, hop.kind);
  if (target == id_) {
    self_.push_back(hop);
    return;
  }
  if (!is_dirty_[target]) {
    is_dirty_[target] = true;
    dirty_.push_back(target);
  }
  // What waits goes first, or the order would break.
  if (outbox_[target].empty() && mesh_.queue_for_post(id_, target).push(hop)) return;
  outbox_[target].push_back(hop);
  ++num_outbox_;
  ++num_delayed_;
}

bool MeshEndpoint::publish() {
  size_t num_left = 0;
  for (size_t i = 0; i < dirty_.size(); ++i) {
    const CoreId target = dirty_[i];
    SpscQueue<Hop>& queue = mesh_.queue_for_post(id_, target);
    Fifo<Hop>& outbox = outbox_[target];
    while (!outbox.empty() && queue.push(outbox.front())) {
      outbox.pop_front();
      --num_outbox_;
    }
    queue.publish();
    Mesh::Shared& shared = mesh_.shared_[target];
    shared.doorbell[id_ / kWordBits].fetch_or(uint64_t{1} << id_ % kWordBits, std::memory_order_seq_cst);
    // The exchange makes one poster send the one wake; the load before it spares the line while nobody
    // sleeps.
    if (ring_ != nullptr && shared.sleeping.load(std::memory_order_seq_cst) &&
        shared.sleeping.exchange(false, std::memory_order_seq_cst)) {
      ring_->wake(shared.ring.load(std::memory_order_acquire));
    }
    if (outbox.empty()) {
      is_dirty_[target] = false;
    } else {
      dirty_[num_left++] = target;
    }
  }
  dirty_.resize(num_left);
  return num_left == 0;
}

size_t MeshEndpoint::drain(const std::function<void(const Hop&)>& handle, size_t most) {
  Mesh::Shared& shared = mesh_.shared_[id_];
  for (size_t word = 0; word < rung_.size(); ++word) {
    if (shared.doorbell[word].load(std::memory_order_relaxed) != 0) {
      rung_[word] |= shared.doorbell[word].exchange(0, std::memory_order_seq_cst);
    }
  }
  // Only what is there now: a handler that posts to its own core is not served within the same call. First,
  // but no more than half of the call while others wait.
  const size_t num_self = self_.size();
  const size_t num_self_first = std::min(num_self, most - most / 2);
  size_t num = drain_self(handle, num_self_first);
  // Begins behind the source where the last call ended, so that a busy low number does not starve a high one.
  const size_t num_sources = mesh_.num_endpoints();
  const size_t first = next_source_;
  for (size_t step = 0; step < num_sources && num < most; ++step) {
    const auto source = static_cast<CoreId>((first + step) % num_sources);
    const size_t taken = drain_source(source, handle, most - num);
    if (taken == 0) continue;
    num += taken;
    next_source_ = (source + 1) % num_sources;
  }
  return num + drain_self(handle, std::min(num_self - num_self_first, most - num));
}

size_t MeshEndpoint::drain_self(const std::function<void(const Hop&)>& handle, size_t num) {
  for (size_t left = num; left > 0; --left) handle(self_.pop_front());
  return num;
}

size_t MeshEndpoint::drain_source(CoreId source, const std::function<void(const Hop&)>& handle, size_t most) {
  uint64_t& word = rung_[source / kWordBits];
  const uint64_t bit = uint64_t{1} << source % kWordBits;
  if ((word & bit) == 0) return 0;
  SpscQueue<Hop>* queue = mesh_.queue(source, id_);
  PERCH_CHECK(queue != nullptr);
  size_t num = 0;
  const Hop* hop = nullptr;
  while (num < most && (hop = queue->front()) != nullptr) {
    handle(*hop);
    queue->pop();
    ++num;
  }
  queue->release();
  if (hop == nullptr && num < most) word &= ~bit;
  return num;
}

bool MeshEndpoint::may_sleep() {
  PERCH_CHECK(ring_ != nullptr);
  // What waits for room in a full queue has nobody who would wake us: look again at once.
  if (!self_.empty() || !dirty_.empty()) return false;
  for (uint64_t word : rung_) {
    if (word != 0) return false;
  }
  Mesh::Shared& shared = mesh_.shared_[id_];
  shared.sleeping.store(true, std::memory_order_seq_cst);
  for (size_t word = 0; word < rung_.size(); ++word) {
    if (shared.doorbell[word].load(std::memory_order_seq_cst) != 0) {
      awake();
      return false;
    }
  }
  return true;
}

// A wake that is on its way all the same is harmless: the next wait() returns early.
void MeshEndpoint::awake() { mesh_.shared_[id_].sleeping.store(false, std::memory_order_seq_cst); }

size_t MeshEndpoint::num_waiting_to_publish() const { return num_outbox_; }

// ---- Mesh

Mesh::Mesh(uint16_t num_endpoints, uint32_t slots)
    : num_(num_endpoints),
      slots_(slots),
      shared_(std::make_unique<Shared[]>(num_endpoints)),
      queues_(std::make_unique<std::atomic<SpscQueue<Hop>*>[]>(size_t{num_endpoints} * num_endpoints)) {
  PERCH_CHECK(num_endpoints > 0 && slots > 0);
  for (CoreId id = 0; id < num_; ++id) {
    shared_[id].doorbell = std::make_unique<std::atomic<uint64_t>[]>(num_words(num_));
    endpoints_.push_back(std::make_unique<MeshEndpoint>(*this, id));
  }
}

Mesh::~Mesh() {
  for (size_t i = 0; i < size_t{num_} * num_; ++i) delete queues_[i].load(std::memory_order_acquire);
}

SpscQueue<Hop>* Mesh::queue(CoreId from, CoreId to) const {
  return queues_[size_t{from} * num_ + to].load(std::memory_order_acquire);
}

// Only the thread of `from` gets here, so two never allocate the same.
SpscQueue<Hop>& Mesh::queue_for_post(CoreId from, CoreId to) {
  std::atomic<SpscQueue<Hop>*>& place = queues_[size_t{from} * num_ + to];
  SpscQueue<Hop>* queue = place.load(std::memory_order_relaxed);
  if (queue == nullptr) {
    queue = new SpscQueue<Hop>(slots_);
    place.store(queue, std::memory_order_release);
  }
  return *queue;
}

}  // namespace perch
