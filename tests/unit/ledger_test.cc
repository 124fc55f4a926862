// The ledger is the judge of every benchmark, so each crime is committed once before it.
#include "bench/ledger.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace perch::bench {
namespace {

constexpr uint64_t kRun = 77;
using Body = std::vector<uint8_t>;

class LedgerTest : public ::testing::Test {
 protected:
  Body compose(uint32_t sender, uint64_t intended_ns = 0) {
    Body body(kBodyBytesMin + 8);
    ledger.compose(sender, intended_ns, body);
    return body;
  }
  void expect_clean() const {
    EXPECT_EQ(ledger.num_duplicated() + ledger.num_reordered() + ledger.num_astray() + ledger.num_foreign(),
              0u);
  }

  Ledger ledger{kRun, {1, 0, 3, 2}};
};

TEST_F(LedgerTest, InOrderAndOnceIsClean) {
  for (int i = 0; i < 100; ++i) {
    for (uint32_t sender = 0; sender < 4; ++sender) {
      EXPECT_EQ(ledger.arrived(ledger.partner(sender), compose(sender), 1), sender);
    }
  }
  EXPECT_EQ(ledger.num_connections(), 4u);
  EXPECT_EQ(ledger.num_sent(), 400u);
  EXPECT_EQ(ledger.num_delivered(), 400u);
  expect_clean();
}

TEST_F(LedgerTest, LostIsWhatWasSentAndNeverDelivered) {
  ledger.arrived(1, compose(0), 1);
  compose(0);
  ledger.arrived(1, compose(0), 1);
  EXPECT_EQ(ledger.num_sent() - ledger.num_delivered(), 1u);
  expect_clean();
}

TEST_F(LedgerTest, DuplicatedCountsOnceDelivered) {
  const Body first = compose(0), second = compose(0);
  EXPECT_TRUE(ledger.arrived(1, first, 1));
  EXPECT_TRUE(ledger.arrived(1, second, 1));
  EXPECT_FALSE(ledger.arrived(1, first, 1));
  EXPECT_FALSE(ledger.arrived(1, second, 1));
  EXPECT_EQ(ledger.num_duplicated(), 2u);
  EXPECT_EQ(ledger.num_delivered(), 2u);
  EXPECT_EQ(ledger.num_reordered(), 0u) << "a repetition is no disorder";
}

TEST_F(LedgerTest, ReorderedIsWhatComesAfterALaterOne) {
  const Body bodies[] = {compose(0), compose(0), compose(0), compose(0)};
  for (const int i : {0, 3, 1, 2}) EXPECT_TRUE(ledger.arrived(1, bodies[i], 1));
  EXPECT_EQ(ledger.num_reordered(), 2u);
  EXPECT_EQ(ledger.num_delivered(), 4u) << "late, not lost";
}

TEST_F(LedgerTest, SendersHaveAnOrderEach) {
  const Body a = compose(0), b = compose(1);
  EXPECT_TRUE(ledger.arrived(0, b, 1));
  EXPECT_TRUE(ledger.arrived(1, a, 1));
  expect_clean();
}

TEST_F(LedgerTest, AstrayIsWhatComesToSomebodyElse) {
  const Body body = compose(0);
  for (const uint32_t wrong : {0u, 2u, 3u}) EXPECT_FALSE(ledger.arrived(wrong, body, 1));
  EXPECT_EQ(ledger.num_astray(), 3u);
  EXPECT_EQ(ledger.num_delivered(), 0u);
  EXPECT_TRUE(ledger.arrived(1, body, 1)) << "and it may still arrive";
}

TEST_F(LedgerTest, ForeignIsWhatThisRunNeverSent) {
  const Body good = compose(0);
  Ledger earlier(kRun - 1, {1, 0, 3, 2});
  Body other_run(kBodyBytesMin);
  earlier.compose(0, 0, other_run);
  Body unknown_sender = good, future = good;
  const uint32_t sender = 4, seq = 1;
  std::memcpy(&unknown_sender[16], &sender, sizeof sender);
  std::memcpy(&future[20], &seq, sizeof seq);
  const Body cut(good.begin(), good.begin() + kBodyBytesMin - 1);
  for (const Body& body : {other_run, unknown_sender, future, cut, Body{}}) {
    EXPECT_FALSE(ledger.arrived(1, body, 1));
  }
  EXPECT_EQ(ledger.num_foreign(), 5u);
  EXPECT_EQ(ledger.num_delivered() + ledger.num_astray() + ledger.num_duplicated(), 0u);
}

TEST_F(LedgerTest, OnlyTheWindowIsMeasuredAndEverythingIsChecked) {
  ledger.set_window(1'000, 2'000);
  // Intended and arrived: before, across the begin, inside, across the end, after.
  for (const auto& [intended, now] :
       {std::pair{500, 600}, {999, 1'000}, {1'000, 1'200}, {1'999, 2'500}, {2'000, 2'100}}) {
    EXPECT_TRUE(ledger.arrived(1, compose(0, static_cast<uint64_t>(intended)), static_cast<uint64_t>(now)));
  }
  EXPECT_EQ(ledger.num_delivered(), 5u);
  EXPECT_EQ(ledger.num_delivered_in_window(), 2u) << "by arrival: at 1000 and at 1200";
  EXPECT_EQ(ledger.latency_ns().num(), 2u);
  EXPECT_EQ(ledger.latency_ns().max(), 501u) << "from the moment it was meant to be sent";
  EXPECT_EQ(ledger.latency_ns().quantile(0.5), 200u);
  EXPECT_EQ(ledger.lag_ns().num(), 2u);
  expect_clean();
}

}  // namespace
}  // namespace perch::bench
