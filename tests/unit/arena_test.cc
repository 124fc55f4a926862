// Linked with jemalloc, as perchd is. Sanitizers replace the allocator: then there is nothing to test, and
// the tests say so.
#include "core/arena.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "chat/node.h"

extern "C" int mallctl(const char* name, void* old_value, size_t* old_size, void* new_value, size_t new_size);

namespace perch {
namespace {

unsigned num_arenas() {
  unsigned num = 0;
  size_t size = sizeof(num);
  EXPECT_EQ(mallctl("arenas.narenas", &num, &size, nullptr, 0), 0);
  return num;
}

unsigned num_threads_of(unsigned arena) {
  unsigned num = 0;
  size_t size = sizeof(num);
  EXPECT_EQ(mallctl(("stats.arenas." + std::to_string(arena) + ".nthreads").c_str(), &num, &size, nullptr, 0),
            0);
  return num;
}

bool jemalloc_allocates() {
  const auto memory = std::make_unique<char[]>(100'000);
  return arena_of(memory.get()).has_value();
}

TEST(ArenaTest, TwoThreadsAllocateFromTwoArenas) {
  if (!jemalloc_allocates()) GTEST_SKIP() << "the allocator of this build is not jemalloc";
  std::optional<unsigned> own[2], small[2], large[2];
  for (int i = 0; i < 2; ++i)
    std::thread([&, i] {
      own[i] = take_own_arena();
      const auto few = std::make_unique<char[]>(64);
      const auto many = std::make_unique<char[]>(1 << 20);
      small[i] = arena_of(few.get());
      large[i] = arena_of(many.get());
    }).join();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(own[i].has_value());
    EXPECT_EQ(small[i], own[i]);
    EXPECT_EQ(large[i], own[i]);
  }
  EXPECT_NE(own[0], own[1]);
}

TEST(ArenaTest, EveryThreadOfANodeHasItsOwn) {
  if (!jemalloc_allocates()) GTEST_SKIP() << "the allocator of this build is not jemalloc";
  const std::string folder = testing::TempDir() + "arena_test." + std::to_string(getpid());
  chat::Config config;
  config.data_dir = folder;
  config.listen = {"127.0.0.1:0"};
  config.reactors = 2;
  config.limits.connections_max = 64;
  const unsigned before = num_arenas();
  {
    bool stop = false;
    chat::Node node(config, TokenKeys(), {.stop = [&stop] { return stop; }, .reload = {}});
    ASSERT_EQ(node.start(), "");
    // Two reactors and the store thread.
    ASSERT_EQ(num_arenas(), before + 3);
    uint64_t epoch = 1;
    ASSERT_EQ(mallctl("epoch", nullptr, nullptr, &epoch, sizeof(epoch)), 0);  // refreshes the statistics
    for (unsigned arena = before; arena < before + 3; ++arena) EXPECT_EQ(num_threads_of(arena), 1u) << arena;
    stop = true;
    EXPECT_EQ(node.wait(), 0);
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace perch
