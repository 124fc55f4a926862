// The bill follows the limits and the sizes it names. Whether it agrees with a real process, perf/idle_memory
// says.
#include "chat/memory_bill.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chat/core.h"
#include "chat/flight.h"
#include "core/mesh.h"
#include "net/connection.h"

namespace perch::chat {
namespace {

using testing::HasSubstr;

BillLine line_of(const Config& config, const std::string& what) {
  RingOptions reactor, store;
  reactor.sockets = config.limits.connections_max;
  store.sockets = store.buffers = 0;
  for (const BillLine& line : memory_bill(config, reactor, store))
    if (line.what == what) return line;
  ADD_FAILURE() << "no line " << what;
  return {};
}

TEST(MemoryBillTest, HeapHasFourSizesForEachDoubling) {
  for (const auto& [size, taken] : std::vector<std::pair<uint64_t, uint64_t>>{{1, 16},
                                                                              {16, 16},
                                                                              {17, 32},
                                                                              {128, 128},
                                                                              {129, 160},
                                                                              {160, 160},
                                                                              {161, 192},
                                                                              {225, 256},
                                                                              {257, 320},
                                                                              {1025, 1280},
                                                                              {4097, 5120}})
    EXPECT_EQ(heap_bytes(size), taken) << size;
}

TEST(MemoryBillTest, EveryConnectionMoreCostsWhatTheBillSays) {
  Config config;
  config.reactors = 3;
  Config more = config;
  more.limits.connections_max += 1000;
  for (const char* what : {"connections", "sessions and users", "kernel: armed polls"}) {
    const BillLine before = line_of(config, what), after = line_of(more, what);
    EXPECT_GT(before.per_connection, 0u);
    EXPECT_EQ(after.grows_to - before.grows_to, 3 * 1000 * before.per_connection) << what;
  }
  EXPECT_EQ(line_of(config, "connections").per_connection, sizeof(net::Connection));
  EXPECT_GE(line_of(config, "sessions and users").per_connection,
            sizeof(User) + sizeof(Device) + sizeof(Session) + Core::kBoundBytes);
  EXPECT_EQ(line_of(more, "kernel: rings").now - line_of(config, "kernel: rings").now, 3 * 1000 * 8u);
}

TEST(MemoryBillTest, EveryLimitIsPaidFor) {
  Config config;
  config.reactors = 2;
  Config more = config;
  more.limits.flights_max += 10;
  more.limits.flight_bytes_max += 1000;
  more.limits.mesh_slots *= 2;
  more.limits.map_bytes += 5;
  more.limits.table_map_bytes += 7;
  const auto growth = [&](const char* what) {
    return line_of(more, what).grows_to - line_of(config, what).grows_to;
  };
  EXPECT_EQ(growth("messages without a result"), 2 * (10 * sizeof(Flight) + 1000));
  EXPECT_EQ(growth("queues between threads"), 4 * 4 * config.limits.mesh_slots * sizeof(Hop));
  EXPECT_EQ(growth("file pages: store"), 12u);
  more = config;
  more.reactors = 4;
  EXPECT_EQ(line_of(more, "receive buffers").grows_to, 2 * line_of(config, "receive buffers").grows_to);
}

TEST(MemoryBillTest, TextHasALineForEachAndTheirSum) {
  const std::string text = bill_text({{.what = "a", .now = 1, .grows_to = 2048, .per_connection = 3},
                                      {.what = "b", .now = 2, .grows_to = 1 << 20},
                                      {.what = "kernel: c", .kernel = true, .now = 100, .grows_to = 100}},
                                     2);
  EXPECT_THAT(text, HasSubstr("memory of 2 reactors"));
  EXPECT_THAT(text, HasSubstr("a                                    1 B       2.0 KiB               3 B\n"));
  EXPECT_THAT(text, HasSubstr("b                                    2 B       1.0 MiB                 -\n"));
  EXPECT_THAT(text, HasSubstr("user space in all                    3 B       1.0 MiB               3 B\n"));
}

}  // namespace
}  // namespace perch::chat
