#include "codec/result_template.h"

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

void expect_equal(ResultTemplate& results, const Fields& fields) {
  const Bytes filled = results.fill(fields.origin, fields.seq, fields.number, fields.time_ms, fields.tick);
  alignas(8) uint8_t aligned[256];
  ASSERT_LE(filled.size(), sizeof(aligned));
  std::memcpy(aligned, filled.data(), filled.size());
  const Result<const wire::Frame*> frame = verify({aligned, filled.size()});
  ASSERT_TRUE(frame.ok());
  const wire::Result* result = (*frame)->payload_as_Result();
  ASSERT_NE(result, nullptr);
  EXPECT_EQ((*frame)->route(), nullptr);
  EXPECT_EQ(result->origin(), fields.origin);
  EXPECT_EQ(result->seq(), fields.seq);
  EXPECT_EQ(result->number(), fields.number);
  EXPECT_EQ(result->time_ms(), fields.time_ms);
  EXPECT_EQ(result->tick(), fields.tick);
}

TEST(ResultTemplate, EveryFieldIsReadBackAlsoWhereItIsTheDefault) {
  ResultTemplate results;
  const uint64_t most = UINT64_MAX;
  expect_equal(results, {1, 2, 3, 4, wire::Tick::Delivered});
  expect_equal(results, {most, most, most, most, wire::Tick::Delivered});
  expect_equal(results, {0, 0, 0, 0, wire::Tick::Accepted});  // nothing of the last one is left
  expect_equal(results, {most, 0, most, 0, wire::Tick::Accepted});
}

TEST(ResultTemplate, IsAsShortAsABuiltFrame) {
  ResultTemplate results;
  EXPECT_EQ(results.fill(1, 2, 3, 4, wire::Tick::Delivered).size(),
            result(1, 2, 3, 4, wire::Tick::Delivered).size());
}

}  // namespace
}  // namespace perch::codec
