#include "codec/outcome_template.h"

#include <gtest/gtest.h>

#include <cstring>

namespace perch::codec {
namespace {

struct Fields {
  Origin origin;
  Seq seq;
  Number number;
  uint64_t time_ms;
  wire::Tick tick;
};

void expect_equal(OutcomeTemplate& outcomes, const Fields& fields) {
  const Bytes filled = outcomes.fill(fields.origin, fields.seq, fields.number, fields.time_ms, fields.tick);
  alignas(8) uint8_t aligned[256];
  ASSERT_LE(filled.size(), sizeof(aligned));
  std::memcpy(aligned, filled.data(), filled.size());
  const Result<const wire::Frame*> frame = verify({aligned, filled.size()});
  ASSERT_TRUE(frame.ok());
  const wire::Outcome* outcome = (*frame)->payload_as_Outcome();
  ASSERT_NE(outcome, nullptr);
  EXPECT_EQ((*frame)->route(), nullptr);
  EXPECT_EQ(outcome->origin(), fields.origin);
  EXPECT_EQ(outcome->seq(), fields.seq);
  EXPECT_EQ(outcome->number(), fields.number);
  EXPECT_EQ(outcome->time_ms(), fields.time_ms);
  EXPECT_EQ(outcome->tick(), fields.tick);
}

TEST(OutcomeTemplate, EveryFieldIsReadBackAlsoWhereItIsTheDefault) {
  OutcomeTemplate outcomes;
  const uint64_t most = UINT64_MAX;
  expect_equal(outcomes, {1, 2, 3, 4, wire::Tick::Delivered});
  expect_equal(outcomes, {most, most, most, most, wire::Tick::Delivered});
  expect_equal(outcomes, {0, 0, 0, 0, wire::Tick::Accepted});  // nothing of the last one is left
  expect_equal(outcomes, {most, 0, most, 0, wire::Tick::Accepted});
}

TEST(OutcomeTemplate, IsAsShortAsABuiltFrame) {
  OutcomeTemplate outcomes;
  EXPECT_EQ(outcomes.fill(1, 2, 3, 4, wire::Tick::Delivered).size(),
            outcome(1, 2, 3, 4, wire::Tick::Delivered).size());
}

}  // namespace
}  // namespace perch::codec
