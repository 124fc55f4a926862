// What only the memory store does; the rest is in storage_test.cc.
#include "client/memory_store.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdlib>
#include <new>

namespace {
int64_t live_bytes = 0;  // allocated by new and not yet deleted
}

// Not inlined: the compiler would take them for a mismatch.
[[gnu::noinline]] void* operator new(size_t size) {
  void* out = std::malloc(size);
  if (out == nullptr) std::abort();
  live_bytes += static_cast<int64_t>(malloc_usable_size(out));
  return out;
}
[[gnu::noinline]] void operator delete(void* what) noexcept {
  live_bytes -= static_cast<int64_t>(malloc_usable_size(what));
  std::free(what);
}
[[gnu::noinline]] void operator delete(void* what, size_t) noexcept { operator delete(what); }

namespace perch::client {
namespace {

Insert insert(MemoryStore& store, Seq seq, Number number, uint8_t text = 'x') {
  InboxMessage in;
  in.id = {7, 1, 99, seq};
  in.peer = 7;
  in.number = number;
  in.body.assign(100, text);
  store.begin();
  const Insert out = store.insert_message(in);
  EXPECT_TRUE(store.commit().ok());
  return out;
}

TEST(MemoryStore, WithoutHistoryItsSizeDoesNotGrowWithTheMessages) {
  auto random = seeded_random(1);
  MemoryStore store(*random, false);
  ASSERT_EQ(insert(store, 1, 1), Insert::kNew);
  const int64_t before = live_bytes;
  for (Seq seq = 2; seq <= 10'000; ++seq) ASSERT_EQ(insert(store, seq, seq), Insert::kNew);
  EXPECT_LT(live_bytes - before, 100);
  EXPECT_TRUE(store.inbox().empty());
  EXPECT_TRUE(store.unread(7)->empty());
  for (const Seq seq : {1, 5'000, 9'999, 10'000}) EXPECT_EQ(insert(store, seq, seq), Insert::kKnown) << seq;
  EXPECT_EQ(insert(store, 10'000, 20'000), Insert::kRenumbered) << "a late one may get another number";
  EXPECT_EQ(insert(store, 10'002, 20'001), Insert::kNew);
  EXPECT_EQ(insert(store, 10'001, 20'002), Insert::kNew) << "a gap is filled";
}

TEST(MemoryStore, WithoutHistoryClosedRowsAreForgotten) {
  auto random = seeded_random(1);
  MemoryStore store(*random, false);
  NewRow row;
  row.to = 7;
  row.body.assign(100, 'x');
  for (Seq seq = 1; seq <= 100; ++seq) {
    store.begin();
    const RowId id = store.add_row(row);
    store.bind_row(id, 7, store.take_seq(), row.body);
    EXPECT_TRUE(store.rows().at(id).composed.body.empty()) << "the frame has it";
    const auto closed = store.close_row(store.identity().origin, seq, Mark::kDelivered, 0, seq, 1);
    ASSERT_TRUE(closed);
    EXPECT_EQ(closed->row, id);
    ASSERT_TRUE(store.commit().ok());
  }
  EXPECT_TRUE(store.rows().empty());
}

TEST(MemoryStore, ACopyIsAnOlderState) {
  auto random = seeded_random(1);
  MemoryStore store(*random);
  insert(store, 1, 1);
  MemoryStore backup = store;
  insert(store, 2, 2);
  EXPECT_EQ(insert(backup, 2, 2), Insert::kNew);
  EXPECT_EQ(insert(store, 2, 2), Insert::kKnown);
}

TEST(MemoryStore, CommitsFailOnDemand) {
  auto random = seeded_random(1);
  MemoryStore store(*random);
  store.fail_commits(Error{Errc::kFull});
  store.begin();
  EXPECT_EQ(store.commit().error().code, Errc::kFull);
  EXPECT_EQ(store.num_commits(), 0u);
  store.fail_commits(std::nullopt);
  store.begin();
  EXPECT_TRUE(store.commit().ok());
  EXPECT_EQ(store.num_commits(), 1u);
}

}  // namespace
}  // namespace perch::client
