// The mesh between real threads with real rings, and what one thread alone can show.
#include "core/mesh.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <array>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "core/ring.h"
#include "tests/unit/resident_bytes.h"

namespace perch {
namespace {

std::unique_ptr<Ring> make_ring() {
  RingOptions options;
  options.submissions = 64;
  options.completions = 256;
  options.sockets = 0;
  options.buffers = 0;
  auto ring = make_uring(options);
  if (!ring) {
    ADD_FAILURE() << explain_ring_error(ring.error());
    std::abort();
  }
  return std::move(ring).value();
}

struct Count {
  uint64_t value;
};

Hop count(uint64_t value) { return Hop::make(1, Count{value}); }

// The loop of a reactor: drain, publish, sleep. `handle` returns false to stop.
// A sleep has a limit, so that a lost wake fails the test instead of hanging it.
void run(MeshEndpoint& endpoint, const std::function<bool(const Hop&)>& handle, size_t most = 1024) {
  constexpr uint64_t kLostWakeNs = 5'000'000'000;
  auto ring = make_ring();
  endpoint.bind(*ring);
  std::array<Completion, 16> completions;
  bool running = true;
  while (running) {
    endpoint.drain([&](const Hop& hop) { running = handle(hop) && running; }, most);
    const bool all = endpoint.publish();
    if (!running && all) break;
    running = running || !all;
    const bool sleeps = endpoint.may_sleep();
    const size_t num = ring->wait(completions, sleeps ? kLostWakeNs : 0);
    if (sleeps) {
      EXPECT_GT(num, 0u) << "nobody woke endpoint " << endpoint.id();
      if (num == 0) return;
    }
    for (size_t i = 0; i < num; ++i) EXPECT_EQ(completions[i].user_data, Ring::kWakeUserData);
    endpoint.awake();
  }
  ring->wait(completions, 0);  // submits the last wakes
}

TEST(Mesh, PingPongWithSleep) {
  constexpr uint64_t kHops = 10'000;
  Mesh mesh(2, 16);
  auto player = [&](CoreId id) {
    auto answer = [&mesh, id](const Hop& hop) {
      EXPECT_EQ(hop.source, 1 - id);
      const uint64_t value = hop.as<Count>().value;
      if (value < kHops) mesh.endpoint(id).post(1 - id, count(value + 1));
      return value + 1 < kHops;
    };
    run(mesh.endpoint(id), answer);
  };
  std::thread other([&] { player(1); });
  std::thread first([&] {
    mesh.endpoint(0).post(1, count(1));
    player(0);
  });
  first.join();
  other.join();
}

// A queue of two slots and a poster far ahead: all arrive, in order.
TEST(Mesh, OverflowKeepsOrder) {
  constexpr uint64_t kHops = 20'000;
  Mesh mesh(2, 2);
  std::thread consumer([&] {
    uint64_t expected = 0;
    run(mesh.endpoint(1), [&](const Hop& hop) {
      EXPECT_EQ(hop.as<Count>().value, expected);
      return ++expected < kHops;
    });
    EXPECT_EQ(expected, kHops);
  });
  std::thread producer([&] {
    MeshEndpoint& endpoint = mesh.endpoint(0);
    auto ring = make_ring();
    endpoint.bind(*ring);
    std::array<Completion, 16> completions;
    uint64_t posted = 0;
    bool all = false;
    while (posted < kHops || !all) {
      for (uint64_t end = std::min(posted + 100, kHops); posted < end; ++posted)
        endpoint.post(1, count(posted));
      all = endpoint.publish();
      EXPECT_EQ(all, endpoint.num_waiting_to_publish() == 0);
      ring->wait(completions, 0);
    }
  });
  producer.join();
  consumer.join();
}

// Several threads, each flooding all others through small queues while it drains: nothing is lost or stuck.
TEST(Mesh, EverybodyToEverybody) {
  constexpr CoreId kNum = 4;
  constexpr uint64_t kHops = 5'000;  // per pair
  Mesh mesh(kNum, 8);
  std::vector<std::thread> threads;
  for (CoreId id = 0; id < kNum; ++id) {
    threads.emplace_back([&mesh, id] {
      std::array<uint64_t, kNum> expected{};
      uint64_t received = 0;
      MeshEndpoint& endpoint = mesh.endpoint(id);
      for (CoreId target = 0; target < kNum; ++target) endpoint.post(target, count(0));
      auto next = [&](const Hop& hop) {
        // Each hop received from a source lets one more go to it.
        EXPECT_EQ(hop.as<Count>().value, expected[hop.source]);
        const uint64_t value = ++expected[hop.source];
        if (value < kHops) endpoint.post(hop.source, count(value));
        return ++received < kHops * kNum;
      };
      run(endpoint, next, 3);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Mesh, HopsToOneselfAreDrainedLikeOthersButNotInTheSameCall) {
  Mesh mesh(1, 4);
  MeshEndpoint& endpoint = mesh.endpoint(0);
  auto ring = make_ring();
  endpoint.bind(*ring);
  endpoint.post(0, count(0));
  EXPECT_TRUE(endpoint.publish());
  EXPECT_FALSE(endpoint.may_sleep());
  for (uint64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(endpoint.drain([&](const Hop& hop) {
      EXPECT_EQ(hop.as<Count>().value, i);
      if (i < 2) endpoint.post(0, count(i + 1));
    }),
              1u);
  }
  EXPECT_EQ(endpoint.drain([](const Hop&) {}), 0u);
  EXPECT_TRUE(endpoint.may_sleep());
  endpoint.awake();
}

TEST(Mesh, NothingIsVisibleBeforePublishAndDrainIsBounded) {
  Mesh mesh(70, 16);  // more endpoints than one doorbell word has bits
  MeshEndpoint& low = mesh.endpoint(1);
  MeshEndpoint& high = mesh.endpoint(69);
  MeshEndpoint& target = mesh.endpoint(2);
  for (uint64_t i = 0; i < 10; ++i) {
    low.post(2, count(i));
    high.post(2, count(i));
  }
  EXPECT_EQ(target.drain([](const Hop&) {}), 0u);
  EXPECT_TRUE(low.publish());
  EXPECT_TRUE(high.publish());
  std::array<uint64_t, 70> seen{};
  auto take = [&](const Hop& hop) { EXPECT_EQ(hop.as<Count>().value, seen[hop.source]++); };
  EXPECT_EQ(target.drain(take, 4), 4u);
  EXPECT_EQ(target.drain(take, 4), 4u);
  EXPECT_GT(seen[1], 0u);
  EXPECT_GT(seen[69], 0u);  // the second call began with the other source
  EXPECT_EQ(target.drain(take), 12u);
  EXPECT_EQ(target.drain(take), 0u);
}

// A core that floods itself must still hear the store.
TEST(Mesh, HopsToOneselfDoNotStarveOthers) {
  Mesh mesh(2, 4);
  MeshEndpoint& endpoint = mesh.endpoint(0);
  for (uint64_t i = 0; i < 5'000; ++i) endpoint.post(0, count(i));
  mesh.endpoint(1).post(0, count(0));
  EXPECT_TRUE(mesh.endpoint(1).publish());
  uint64_t own = 0, foreign = 0;
  const auto take = [&](const Hop& hop) {
    if (hop.source == 1) return void(++foreign);
    EXPECT_EQ(hop.as<Count>().value, own++);
    endpoint.post(0, count(4'999 + own));  // as many as it takes
  };
  EXPECT_EQ(endpoint.drain(take, 1'024), 1'024u);
  EXPECT_EQ(foreign, 1u);
  EXPECT_EQ(endpoint.drain(take, 1'024), 1'024u);
  EXPECT_EQ(own, 2u * 1'024 - 1);
}

// 1,024 endpoints are a million pairs, most of which never meet.
TEST(Mesh, APairThatNeverPostsCostsLittle) {
  constexpr uint16_t kNum = 128;
  const auto allocated = [] {
    const struct mallinfo2 now = mallinfo2();
    return now.uordblks + now.hblkhd;  // what is large is mapped, and counted apart
  };
  const size_t before = allocated();
  const Mesh mesh(kNum, 1'024);
  const size_t bytes = allocated() - before;
  EXPECT_LE(bytes, size_t{kNum} * kNum * kMeshPairBytes + kNum * 1'024);
}

TEST(Mesh, AHopBetweenAnnouncementAndSleepPreventsIt) {
  Mesh mesh(2, 4);
  auto ring = make_ring();
  auto other_ring = make_ring();
  mesh.endpoint(0).bind(*ring);
  mesh.endpoint(1).bind(*other_ring);
  EXPECT_TRUE(mesh.endpoint(0).may_sleep());
  mesh.endpoint(0).awake();
  mesh.endpoint(1).post(0, count(0));
  EXPECT_FALSE(mesh.endpoint(1).may_sleep());  // it has something to publish
  EXPECT_TRUE(mesh.endpoint(1).publish());
  EXPECT_FALSE(mesh.endpoint(0).may_sleep());
  EXPECT_EQ(mesh.endpoint(0).drain([](const Hop&) {}), 1u);
  EXPECT_TRUE(mesh.endpoint(0).may_sleep());
  std::array<Completion, 4> completions;
  EXPECT_EQ(other_ring->wait(completions, 0), 0u);
  EXPECT_EQ(ring->wait(completions, 0), 0u);  // it did not sleep when the hop came: no wake
}

// 72 pairs at 4 MiB: what nobody uses costs nothing, so many reactors need not be paid for ahead.
TEST(Mesh, APairThatIsNeverUsedHasNoQueue) {
  constexpr uint32_t kSlots = 65'536;
  constexpr size_t kQueueBytes = kSlots * sizeof(Hop);
  const size_t before = resident_bytes();
  Mesh mesh(9, kSlots);
  EXPECT_LT(resident_bytes(), before + kQueueBytes);
  for (const CoreId target : {CoreId{1}, CoreId{2}})
    for (uint64_t i = 0; i < kSlots; ++i) mesh.endpoint(0).post(target, count(i));
  EXPECT_GT(resident_bytes(), before + kQueueBytes) << "the figure shows queues that are used";
  for (CoreId target = 1; target < 9; ++target) mesh.endpoint(target).drain([](const Hop&) {});
  EXPECT_LT(resident_bytes(), before + 4 * kQueueBytes) << "nor does looking for hops make one";
}

}  // namespace
}  // namespace perch
