// No bytes that a peer can send make verify() read outside the frame or stamp() write outside the Route.
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "codec/frame.h"
#include "core/random.h"
#include "tests/unit/codec_fixture.h"

namespace perch::codec {
namespace {

TEST(Stamp, WritesTheServersFieldsOnly) {
  for (size_t length = 0; length < 64; ++length) {
    const FrameBytes before = sample_message(length);
    FrameBytes after = before;
    stamp(after, {.from = 1, .device = 2, .number = 3, .time_ms = 4});
    set_progress(after, 77, 78);
    const wire::Frame* root = checked(after, Payload::Message);
    EXPECT_EQ(root->route()->from(), 1u);
    EXPECT_EQ(root->route()->device(), 2);
    EXPECT_EQ(root->route()->number(), 3u);
    EXPECT_EQ(root->route()->time_ms(), 4u);
    EXPECT_EQ(root->route()->closed(), 77u);
    EXPECT_EQ(root->route()->after(), 78u);
    EXPECT_EQ(root->route()->to(), 42u);
    EXPECT_EQ(root->route()->seq(), 7u);
    stamp(after, {});
    set_progress(after, 5, 1 << 20);
    EXPECT_EQ(before, after);  // nothing but those six fields was touched
  }
}

int64_t why(Bytes bytes) {
  const auto root = verify(bytes);
  return root.ok() ? 0 : root.error().detail;
}

void set_prefix(FrameBytes& bytes) {
  const auto declared = static_cast<uint32_t>(bytes.size() - kPrefixBytes);
  std::memcpy(bytes.data(), &declared, sizeof declared);
}

TEST(Verify, SizeAndIdentifier) {
  const FrameBytes good = sample_message(40);
  for (size_t length = 0; length < good.size(); ++length) {
    FrameBytes cut(good.begin(), good.begin() + static_cast<ptrdiff_t>(length));
    ASSERT_EQ(why(cut), 1) << length;
    if (length < kFrameBytesMin) continue;
    set_prefix(cut);  // now the length is honest and the contents are missing
    ASSERT_FALSE(verify(cut).ok()) << length;
  }
  FrameBytes trailing = good;
  trailing.push_back(0);
  EXPECT_EQ(why(trailing), 1);
  FrameBytes other = good;
  other[8] ^= 1;
  EXPECT_EQ(why(other), 2);
}

TEST(Verify, UnknownPayloadIsTypedApart) {
  FrameBytes bytes = ping(1, 2);
  auto* type = const_cast<uint8_t*>(reinterpret_cast<const flatbuffers::Table*>(trusted(bytes))
                                        ->GetAddressOf(wire::Frame::VT_PAYLOAD_TYPE));
  *type = 200;
  const auto root = verify(bytes);
  ASSERT_FALSE(root.ok());
  EXPECT_EQ(root.error(), (Error{Errc::kUnsupported, 200}));
  *type = 0;
  EXPECT_EQ(why(bytes), 4);
}

TEST(Verify, RouteIsRequired) {
  flatbuffers::FlatBufferBuilder builder;
  const auto body = builder.CreateVector(std::vector<uint8_t>{1, 2, 3});
  const auto payload = wire::CreateMessage(builder, body);
  wire::FinishSizePrefixedFrameBuffer(builder,
                                      wire::CreateFrame(builder, nullptr, Payload::Message, payload.Union()));
  EXPECT_EQ(why(FrameBytes(builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize())), 4);
}

TEST(Verify, StringsHaveLimits) {
  EXPECT_EQ(why(hello({.token = std::string(kTokenBytesMax + 1, 't')})), 4);
  EXPECT_EQ(why(hello({.token = "t", .agent = std::string(kAgentBytesMax + 1, 'a')})), 4);
  EXPECT_EQ(why(resolve(1, std::string(kHandleBytesMax + 1, 'h'))), 4);
  EXPECT_EQ(why(resolve(1, std::string(kHandleBytesMax, 'h'))), 0);
  EXPECT_EQ(why(goaway(1, std::string(kTextBytesMax + 1, 'r'))), 4);
}

TEST(Verify, TablesHaveALimit) {
  for (const size_t count : {size_t{10}, size_t{100}}) {
    flatbuffers::FlatBufferBuilder builder;
    std::vector<flatbuffers::Offset<wire::MediaRef>> refs;
    for (size_t i = 0; i < count; ++i) {
      const auto id = builder.CreateVector(std::vector<uint8_t>{9});
      refs.push_back(wire::CreateMediaRef(builder, id, i));
    }
    const auto media = builder.CreateVector(refs);
    const auto body = builder.CreateVector(std::vector<uint8_t>{1});
    const auto payload = wire::CreateMessage(builder, body, 1, media);
    const wire::Route route(1, 2, 3, 4, 5, 0, 0, 0, 0, wire::Scope::User, 0, 0);
    wire::FinishSizePrefixedFrameBuffer(
        builder, wire::CreateFrame(builder, &route, Payload::Message, payload.Union()));
    EXPECT_EQ(why(FrameBytes(builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize())),
              count == 10 ? 0 : 3);
  }
}

struct BodySeen {
  const uint8_t* data;
  uint32_t size;
  uint8_t content;
  const void* media;
  friend bool operator==(const BodySeen&, const BodySeen&) = default;
};

BodySeen body_of(Bytes frame) {
  const wire::Message* payload = trusted(frame)->payload_as_Message();
  return {payload->body()->data(), payload->body()->size(), payload->content(), payload->media()};
}

// The attack in one sentence: the vtable's entry for `route` is pointed at something else that lies in the
// buffer.
TEST(Verify, RouteOverAnotherObjectIsRefused) {
  for (const size_t body_bytes : {size_t{0}, size_t{8}, size_t{90}, size_t{200}}) {
    const FrameBytes good = sample_message(body_bytes);
    const auto* table = reinterpret_cast<const flatbuffers::Table*>(trusted(good));
    const size_t entry = static_cast<size_t>(table->GetVTable() - good.data()) + wire::Frame::VT_ROUTE;
    size_t num_accepted = 0, num_overlaps = 0;
    for (uint32_t offset = 0; offset <= UINT16_MAX; ++offset) {
      FrameBytes bad = good;
      const auto value = static_cast<uint16_t>(offset);
      std::memcpy(&bad[entry], &value, sizeof value);
      const int64_t reason = why(bad);
      num_accepted += reason == 0;
      num_overlaps += reason == 5;
    }
    EXPECT_EQ(num_accepted, 1u) << body_bytes;  // the true place
    EXPECT_GT(num_overlaps, 0u) << body_bytes;
  }
}

// The other way round: an object is pointed into the Route.
TEST(Verify, ObjectInsideTheRouteIsRefused) {
  const FrameBytes good = sample_message(16);
  const wire::Frame* root = trusted(good);
  const auto* payload = reinterpret_cast<const flatbuffers::Table*>(root->payload_as_Message());
  const size_t slot = static_cast<size_t>(payload->GetAddressOf(wire::Message::VT_BODY) - good.data());
  const size_t route = static_cast<size_t>(reinterpret_cast<const uint8_t*>(root->route()) - good.data());
  for (size_t at = 0; at < 72; at += 4) {
    FrameBytes bad = good;
    std::memset(&bad[route + at], 0, 4);  // an empty body, so that the verifier is content
    const auto offset = static_cast<uint32_t>(route + at - slot);
    std::memcpy(&bad[slot], &offset, sizeof offset);
    ASSERT_FALSE(verify(bad).ok()) << at;
  }
  // The vtable of the payload inside the Route: a table may lie anywhere relative to its vtable.
  for (size_t at = 0; at < 64; at += 2) {
    FrameBytes bad = good;
    const uint16_t vtable[] = {8, 12, 4, 8};
    std::memcpy(&bad[route + at], vtable, sizeof vtable);
    const auto* table = reinterpret_cast<const uint8_t*>(payload);
    const auto back = static_cast<int32_t>(table - (good.data() + route + at));
    std::memcpy(&bad[static_cast<size_t>(table - good.data())], &back, sizeof back);
    ASSERT_FALSE(verify(bad).ok()) << at;
  }
}

TEST(Verify, MutatedFramesNeverMoveTheBody) {
  const std::unique_ptr<Random> random = seeded_random(1);
  std::vector<FrameBytes> seeds = {sample_message(0),
                                   sample_message(33),
                                   sample_message(200),
                                   read({.to = 1, .origin = 2, .seq = 3}, 4, 5, 6),
                                   hello({.token = "a.b.c", .origin = 1, .agent = "x"}),
                                   ping(1, 2),
                                   resolve(1, "ada"),
                                   error(wire::ErrorCode::Busy, "later", 0, 5)};
  {
    flatbuffers::FlatBufferBuilder builder;
    const auto id = builder.CreateVector(std::vector<uint8_t>(20, 9));
    const auto media = builder.CreateVector(std::vector{wire::CreateMediaRef(builder, id, 5)});
    const auto body = builder.CreateVector(std::vector<uint8_t>(50, 1));
    const auto payload = wire::CreateMessage(builder, body, 1, media);
    const wire::Route route(1, 2, 3, 4, 5, 0, 0, 0, 0, wire::Scope::User, 0, 0);
    wire::FinishSizePrefixedFrameBuffer(
        builder, wire::CreateFrame(builder, &route, Payload::Message, payload.Union()));
    seeds.emplace_back(builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize());
  }
  size_t num_passed = 0, num_stamped = 0, num_overlaps = 0, num_told = 0;
  for (int round = 0; round < 200'000; ++round) {
    FrameBytes bytes = seeds[random->below(seeds.size())];
    const uint64_t num_changes = 1 + random->below(4);
    for (uint64_t i = 0; i < num_changes; ++i) {
      // Behind prefix and identifier, mostly near the root, where offsets are; small values are likelier to
      // hit.
      const size_t span = random->below(4) != 0 ? 48 : bytes.size() - 12;
      uint8_t& byte = bytes[std::min(bytes.size() - 1, 12 + random->below(span))];
      byte = static_cast<uint8_t>(random->below(2) != 0 ? random->below(64) * 4 : random->next());
    }
    const auto root = verify(bytes);
    const auto told = envelope(bytes);
    if (root.ok()) {
      ASSERT_TRUE(told.ok());
      ASSERT_EQ(told->payload_type, (*root)->payload_type());
      ASSERT_EQ(told->route, (*root)->route());
    } else if (told.ok() && told->route != nullptr) {
      ++num_told;
      const auto* route = reinterpret_cast<const uint8_t*>(told->route);
      ASSERT_TRUE(route >= bytes.data() && route + sizeof(*told->route) <= bytes.data() + bytes.size());
    }
    if (!root.ok()) {
      num_overlaps += root.error().detail == 5 && root.error().code == Errc::kInvalid;
      continue;
    }
    ++num_passed;
    const Payload type = (*root)->payload_type();
    if (type != Payload::Message && type != Payload::Read) continue;
    ++num_stamped;
    if (type == Payload::Message) {
      const BodySeen before = body_of(bytes);
      const std::vector<uint8_t> body(before.data, before.data + before.size);
      stamp(bytes, {.from = UINT64_MAX, .device = UINT16_MAX, .number = UINT64_MAX, .time_ms = UINT64_MAX});
      ASSERT_TRUE(before == body_of(bytes));
      ASSERT_EQ(body, std::vector<uint8_t>(before.data, before.data + before.size));
    } else {
      stamp(bytes, {.from = UINT64_MAX, .device = UINT16_MAX, .number = UINT64_MAX, .time_ms = UINT64_MAX});
    }
    ASSERT_TRUE(verify(bytes).ok());  // stamping leaves a frame that the recipient accepts
  }
  EXPECT_GT(num_passed, 1000u);
  EXPECT_GT(num_stamped, 1000u);
  EXPECT_GT(num_overlaps, 100u);
  EXPECT_GT(num_told, 1000u);
}

}  // namespace
}  // namespace perch::codec
