#include "core/timer_wheel.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <memory>
#include <vector>

#include "core/random.h"

namespace perch {
namespace {

std::vector<uint64_t> advance(TimerWheel& wheel, uint64_t now_ms) {
  std::vector<uint64_t> fired;
  wheel.advance(now_ms, [&](Timer& timer) { fired.push_back(timer.deadline_ms); });
  return fired;
}

using Deadlines = std::vector<uint64_t>;

TEST(TimerWheel, FiresAtItsDeadlineAndNotBefore) {
  TimerWheel wheel(1000);
  Timer timer;
  for (uint64_t distance : {1ull, 2ull, 255ull, 256ull, 257ull, 65535ull, 65536ull, 1ull << 24,
                            (1ull << 32) - 1, 1ull << 32, (1ull << 32) + 1, 1ull << 40}) {
    TimerWheel fresh(1000);
    fresh.arm(timer, 1000 + distance);
    EXPECT_EQ(fresh.size(), 1u);
    EXPECT_EQ(advance(fresh, 1000 + distance - 1), Deadlines{});
    EXPECT_TRUE(timer.armed());
    EXPECT_EQ(advance(fresh, 1000 + distance), Deadlines{1000 + distance});
    EXPECT_FALSE(timer.armed());
    EXPECT_EQ(fresh.size(), 0u);
    EXPECT_EQ(fresh.ms_to_next(1000 + distance), UINT64_MAX);
  }
}

TEST(TimerWheel, PastDeadlinesAreDueAtOnce) {
  TimerWheel wheel(1000);
  Timer timer;
  wheel.arm(timer, 10);
  EXPECT_EQ(wheel.ms_to_next(1000), 0u);
  EXPECT_EQ(advance(wheel, 1000), Deadlines{10});
}

TEST(TimerWheel, DisarmedAndRearmedTimersFireOnceOrNever) {
  TimerWheel wheel(0);
  Timer a, b, c;
  wheel.disarm(a);
  wheel.arm(a, 300);
  wheel.arm(b, 300);
  wheel.arm(a, 70'000);
  wheel.arm(c, 5);
  wheel.disarm(c);
  EXPECT_EQ(wheel.size(), 2u);
  EXPECT_EQ(advance(wheel, 69'999), Deadlines{300});
  EXPECT_EQ(advance(wheel, 1'000'000), Deadlines{70'000});
  EXPECT_EQ(wheel.size(), 0u);
}

TEST(TimerWheel, FireMayArmAndDisarmAnyTimer) {
  TimerWheel wheel(0);
  std::array<Timer, 3> timers;
  wheel.arm(timers[0], 10);
  wheel.arm(timers[1], 10);
  wheel.arm(timers[2], 20);
  Deadlines fired;
  wheel.advance(100, [&](Timer& timer) {
    fired.push_back(timer.deadline_ms);
    wheel.disarm(&timer == &timers[0] ? timers[1] : timers[0]);
    if (timer.deadline_ms < 90) wheel.arm(timer, timer.deadline_ms + 40);
  });
  // The first disarms the second; itself it comes again until the third has disarmed it.
  EXPECT_EQ(fired, (Deadlines{10, 20, 60, 100}));
  EXPECT_EQ(wheel.size(), 0u);
}

// Against a sorted map: any mix of arms, disarms and jumps.
TEST(TimerWheel, AgreesWithASortedMap) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    auto random = seeded_random(seed);
    uint64_t now = random->below(uint64_t{1} << 34);
    TimerWheel wheel(now);
    constexpr size_t kNum = 300;
    auto timers = std::make_unique<Timer[]>(kNum);
    std::multimap<uint64_t, Timer*> model;
    auto forget = [&](Timer* timer) {
      auto [begin, end] = model.equal_range(timer->deadline_ms);
      for (auto it = begin; it != end; ++it) {
        if (it->second == timer) return void(model.erase(it));
      }
      FAIL() << "not in the model";
    };
    auto distance = [&] { return random->below(uint64_t{1} << random->below(38)); };
    for (int step = 0; step < 5000; ++step) {
      Timer& timer = timers[random->below(kNum)];
      const uint64_t what = random->below(10);
      if (what < 5) {
        if (timer.armed()) forget(&timer);
        const uint64_t deadline = now + distance() - (random->below(20) == 0 ? random->below(now) : 0);
        wheel.arm(timer, deadline);
        model.emplace(deadline, &timer);
      } else if (what < 6) {
        if (timer.armed()) forget(&timer);
        wheel.disarm(timer);
      } else {
        if (what < 8 && !model.empty()) {
          // As a reactor does: sleeps until something may be due. It never sleeps past a deadline.
          const uint64_t sleep = wheel.ms_to_next(now);
          ASSERT_LE(now + sleep, std::max(now, model.begin()->first));
          now += sleep;
        } else {
          now += distance();
        }
        wheel.advance(now, [&](Timer& fired) {
          ASSERT_LE(fired.deadline_ms, now);
          forget(&fired);
        });
        ASSERT_TRUE(model.empty() || model.begin()->first > now);
      }
      ASSERT_EQ(wheel.size(), model.size());
      if (model.empty()) {
        ASSERT_EQ(wheel.ms_to_next(now), UINT64_MAX);
      } else {
        ASSERT_LE(wheel.ms_to_next(now), model.begin()->first > now ? model.begin()->first - now : 0);
      }
    }
    for (size_t i = 0; i < kNum; ++i) wheel.disarm(timers[i]);
    ASSERT_EQ(wheel.size(), 0u);
  }
}

}  // namespace
}  // namespace perch
