// What a Device makes of a server that is newer than itself (PROTOCOL.md, Growing).
#include "tests/unit/device_fixture.h"

namespace perch::client {
namespace {

// A payload that the schema has and version 1 gives no meaning to.
codec::FrameBytes typing() {
  flatbuffers::FlatBufferBuilder builder;
  const auto payload = wire::CreateTyping(builder, true);
  wire::FinishSizePrefixedFrameBuffer(
      builder, wire::CreateFrame(builder, nullptr, wire::Payload::Typing, payload.Union()));
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

// A payload that the schema does not have.
codec::FrameBytes of_a_later_schema() {
  codec::FrameBytes frame = codec::pong(1);
  const auto* root = reinterpret_cast<const flatbuffers::Table*>(codec::trusted(frame));
  frame[static_cast<size_t>(root->GetAddressOf(wire::Frame::VT_PAYLOAD_TYPE) - frame.data())] = 200;
  return frame;
}

// A message that refers to a picture.
codec::FrameBytes with_media(const codec::Stamp& stamp, Seq seq) {
  flatbuffers::FlatBufferBuilder builder;
  const auto body = builder.CreateVector(std::vector<uint8_t>{'a'});
  const auto id = builder.CreateVector(std::vector<uint8_t>(16, 7));
  const auto media = builder.CreateVector(std::vector{wire::CreateMediaRef(builder, id, 1'000'000)});
  const auto payload = wire::CreateMessage(builder, body, 3, media);
  const wire::Route route(kMe, kPeerOrigin, seq, 0, 0, 0, 0, 0, 0, wire::Scope::User, 0, 0);
  wire::FinishSizePrefixedFrameBuffer(
      builder, wire::CreateFrame(builder, &route, wire::Payload::Message, payload.Union()));
  codec::FrameBytes frame(builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize());
  codec::stamp(frame, stamp);
  return frame;
}

TEST_F(DeviceTest, APayloadThatIsNotKnownIsSkippedAndNotCounted) {
  Device d = device();
  log_in(d);
  take(d);
  feed(d, {typing(), incoming(1, 1024, "a"), of_a_later_schema(), incoming(2, 2048, "b")});
  EXPECT_FALSE(d.wants_close());
  EXPECT_EQ(confirms(take(d)), std::vector<uint64_t>{2});
  EXPECT_EQ(d.counters().skipped, 2u);
  EXPECT_EQ(store_.inbox().size(), 2u);
  feed(d, {typing()});
  EXPECT_TRUE(take(d).empty());
}

TEST_F(DeviceTest, AMessageWithFieldsOfALaterVersionIsAMessage) {
  Device d = device();
  log_in(d);
  take(d);
  feed(d, {with_media({kPeer, 1, 1024, 12345}, 1)});
  EXPECT_EQ(confirms(take(d)), std::vector<uint64_t>{1});
  ASSERT_EQ(store_.inbox().size(), 1u);
  EXPECT_EQ(store_.inbox().begin()->second.message.content, 3);
}

// A message to a group must not turn up in the private conversation with its author.
TEST_F(DeviceTest, AScopeOfALaterVersionIsConfirmedAndTold) {
  Device d = device();
  log_in(d);
  take(d);
  codec::FrameBytes message = incoming(1, 1024, "to a group");
  codec::FrameBytes read = codec::read({.to = kMe, .origin = kPeerOrigin, .seq = 2}, kMyDevice, origin(), 1);
  const RowId row = send(d, "x");
  feed(d, {codec::outcome(origin(), 1, 1024, 9, wire::Tick::Delivered)});
  take(d);
  set_scope(message, wire::Scope::Group);
  set_scope(read, wire::Scope::Group);
  codec::stamp(read, {kPeer, 1, 2048, 12345});
  feed(d, {message, read, incoming(3, 3072, "to me")});
  EXPECT_FALSE(d.wants_close());
  EXPECT_EQ(confirms(take(d)), std::vector<uint64_t>{3});
  EXPECT_EQ(store_.inbox().size(), 1u);
  EXPECT_EQ(mark(row), Mark::kDelivered) << "what was read in a group is not read here";
  EXPECT_EQ(events_.unreadable.size(), 2u);
  EXPECT_EQ(events_.unreadable.back(), (MessageId{kPeer, 1, kPeerOrigin, 2}));
}

TEST_F(DeviceTest, AHoldForAnUnknownReasonIsAHold) {
  Device d = device();
  log_in(d);
  send(d, "a");
  take(d);
  feed(d, {codec::hold(origin(), 1, static_cast<wire::HoldReason>(200), 500)});
  EXPECT_FALSE(d.wants_close());
  EXPECT_TRUE(seqs(take(d)).empty());
  clock_.ms += 500;
  d.on_timer();
  EXPECT_EQ(seqs(take(d)), std::vector<Seq>{1});
}

TEST_F(DeviceTest, ARejectionForAnUnknownReasonIsARejection) {
  Device d = device();
  log_in(d);
  const RowId row = send(d, "a");
  feed(d, {codec::rejected(origin(), 1, 1024, static_cast<wire::RejectReason>(200))});
  EXPECT_EQ(mark(row), Mark::kRejected);
}

TEST_F(DeviceTest, AnUnknownErrorEndsTheSessionAndIsTriedAgain) {
  Device d = device();
  log_in(d);
  feed(d, {codec::error(static_cast<wire::ErrorCode>(200), "of a later version")});
  EXPECT_TRUE(d.wants_close());
  d.on_disconnected();
  EXPECT_EQ(d.state(), Device::State::kOffline);
  log_in(d);
}

}  // namespace
}  // namespace perch::client
