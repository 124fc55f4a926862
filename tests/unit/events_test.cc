// The words of client/events.h and client/row.h are the schema's, all of them.
#include "client/events.h"

#include <gtest/gtest.h>

#include "client/row.h"
#include "codec/frame.h"

namespace perch::client {
namespace {

template <typename Public, typename Wire, size_t kNum>
void expect_same(const std::pair<Public, Wire> (&pairs)[kNum], size_t num_of_schema) {
  EXPECT_EQ(kNum, num_of_schema) << "the schema has one that the client has not";
  for (const auto& [ours, wires] : pairs) EXPECT_EQ(static_cast<int>(ours), static_cast<int>(wires));
}

TEST(Events, HoldReasonsAreThoseOfTheSchema) {
  constexpr std::pair<HoldReason, wire::HoldReason> kPairs[] = {
      {HoldReason::kRate, wire::HoldReason::Rate},
      {HoldReason::kStoreFull, wire::HoldReason::StoreFull},
      {HoldReason::kBusy, wire::HoldReason::Busy},
      {HoldReason::kDraining, wire::HoldReason::Draining}};
  expect_same(kPairs, std::size(wire::EnumValuesHoldReason()));
}

TEST(Events, RejectReasonsAreThoseOfTheSchema) {
  constexpr std::pair<RejectReason, wire::RejectReason> kPairs[] = {
      {RejectReason::kNotFound, wire::RejectReason::NotFound},
      {RejectReason::kTooLarge, wire::RejectReason::TooLarge},
      {RejectReason::kMailboxFull, wire::RejectReason::MailboxFull},
      {RejectReason::kNotMember, wire::RejectReason::NotMember}};
  expect_same(kPairs, std::size(wire::EnumValuesRejectReason()));
}

TEST(Events, ErrorCodesAreThoseOfTheSchema) {
  constexpr std::pair<ErrorCode, wire::ErrorCode> kPairs[] = {
      {ErrorCode::kMalformed, wire::ErrorCode::Malformed},
      {ErrorCode::kTooLarge, wire::ErrorCode::TooLarge},
      {ErrorCode::kVersion, wire::ErrorCode::Version},
      {ErrorCode::kState, wire::ErrorCode::State},
      {ErrorCode::kUnknownFrame, wire::ErrorCode::UnknownFrame},
      {ErrorCode::kTokenInvalid, wire::ErrorCode::TokenInvalid},
      {ErrorCode::kTokenExpired, wire::ErrorCode::TokenExpired},
      {ErrorCode::kNoAccount, wire::ErrorCode::NoAccount},
      {ErrorCode::kDeviceLimit, wire::ErrorCode::DeviceLimit},
      {ErrorCode::kReplaced, wire::ErrorCode::Replaced},
      {ErrorCode::kStaleAttempt, wire::ErrorCode::StaleAttempt},
      {ErrorCode::kLoginTimeout, wire::ErrorCode::LoginTimeout},
      {ErrorCode::kFrameTimeout, wire::ErrorCode::FrameTimeout},
      {ErrorCode::kWindow, wire::ErrorCode::Window},
      {ErrorCode::kConfirm, wire::ErrorCode::Confirm},
      {ErrorCode::kSessionExpired, wire::ErrorCode::SessionExpired},
      {ErrorCode::kBusy, wire::ErrorCode::Busy},
      {ErrorCode::kSlowReader, wire::ErrorCode::SlowReader},
      {ErrorCode::kNotFound, wire::ErrorCode::NotFound},
      {ErrorCode::kIdle, wire::ErrorCode::Idle},
      {ErrorCode::kBlockLimit, wire::ErrorCode::BlockLimit},
  };
  expect_same(kPairs, std::size(wire::EnumValuesErrorCode()) - 1);  // without None
}

}  // namespace
}  // namespace perch::client
