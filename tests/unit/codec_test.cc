// codec: every frame survives its round trip, any cut of a stream gives the same frames, and no bytes a peer
// can send make stamping write outside the Route.
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <string>

#include "codec/encode.h"
#include "codec/frame.h"
#include "codec/framer.h"
#include "core/limits.h"
#include "core/random.h"

namespace perch::codec {
namespace {

using wire::Payload;

FrameBytes sample_message(size_t body_bytes, uint64_t seq = 7) {
  std::vector<uint8_t> body(body_bytes);
  std::iota(body.begin(), body.end(), uint8_t{1});
  return message({.to = 42, .origin = 0x1122334455667788, .seq = seq, .closed = 5, .after = 1 << 20}, 0,
                 body);
}

const wire::Frame* checked(const FrameBytes& bytes, Payload type) {
  const auto root = verify(bytes);
  EXPECT_TRUE(root.ok()) << "detail " << (root.ok() ? 0 : root.error().detail);
  if (!root.ok()) return nullptr;
  EXPECT_EQ((*root)->payload_type(), type);
  EXPECT_EQ(*root, trusted(bytes));
  return *root;
}

// ---- encoders ------------------------------------------------------------------------------------------

TEST(Encode, HelloAndWelcome) {
  const FrameBytes hello_bytes = hello({.token = "a.b.c",
                                        .origin = 1,
                                        .previous_origin = 2,
                                        .attempt = 3,
                                        .incarnation = 4,
                                        .agent = "test 1",
                                        .version_min = 1,
                                        .version_max = 2});
  const wire::Hello* h = checked(hello_bytes, Payload::Hello)->payload_as_Hello();
  EXPECT_EQ(h->token()->str(), "a.b.c");
  EXPECT_EQ(h->origin(), 1u);
  EXPECT_EQ(h->previous_origin(), 2u);
  EXPECT_EQ(h->attempt(), 3u);
  EXPECT_EQ(h->incarnation(), 4u);
  EXPECT_EQ(h->agent()->str(), "test 1");
  EXPECT_EQ(h->version_min(), 1);
  EXPECT_EQ(h->version_max(), 2);

  const FrameBytes welcome_bytes = welcome({.boot = 1,
                                            .session = 2,
                                            .incarnation = 3,
                                            .user = 4,
                                            .device = 5,
                                            .window = 64,
                                            .body_bytes_max = 6,
                                            .frame_bytes_max = 7,
                                            .ping_ms = 8,
                                            .time_ms = 9,
                                            .session_expires_ms = 10,
                                            .continuity_broken = true,
                                            .overflowed = true,
                                            .handle = "ada"});
  const wire::Welcome* w = checked(welcome_bytes, Payload::Welcome)->payload_as_Welcome();
  EXPECT_EQ(w->version(), 1);
  EXPECT_EQ(w->boot(), 1u);
  EXPECT_EQ(w->session(), 2u);
  EXPECT_EQ(w->incarnation(), 3u);
  EXPECT_EQ(w->user(), 4u);
  EXPECT_EQ(w->device(), 5);
  EXPECT_EQ(w->window(), 64);
  EXPECT_EQ(w->body_bytes_max(), 6u);
  EXPECT_EQ(w->frame_bytes_max(), 7u);
  EXPECT_EQ(w->ping_ms(), 8u);
  EXPECT_EQ(w->time_ms(), 9u);
  EXPECT_EQ(w->session_expires_ms(), 10u);
  EXPECT_TRUE(w->continuity_broken());
  EXPECT_TRUE(w->overflowed());
  EXPECT_EQ(w->handle()->str(), "ada");
  EXPECT_EQ(checked(welcome({}), Payload::Welcome)->payload_as_Welcome()->handle(), nullptr);
}

TEST(Encode, Session) {
  const FrameBytes refresh_bytes = refresh("x.y.z");
  EXPECT_EQ(checked(refresh_bytes, Payload::Refresh)->payload_as_Refresh()->token()->str(), "x.y.z");
  const FrameBytes refreshed_bytes = refreshed(99);
  EXPECT_EQ(checked(refreshed_bytes, Payload::Refreshed)->payload_as_Refreshed()->session_expires_ms(), 99u);
  const FrameBytes ping_bytes = ping(3, 4);
  EXPECT_EQ(checked(ping_bytes, Payload::Ping)->payload_as_Ping()->closed(), 3u);
  EXPECT_EQ(trusted(ping_bytes)->payload_as_Ping()->nonce(), 4u);
  const FrameBytes pong_bytes = pong(5);
  EXPECT_EQ(checked(pong_bytes, Payload::Pong)->payload_as_Pong()->nonce(), 5u);
  const FrameBytes goaway_bytes = goaway(1000, "restart");
  EXPECT_EQ(checked(goaway_bytes, Payload::Goaway)->payload_as_Goaway()->jitter_ms(), 1000u);
  EXPECT_EQ(trusted(goaway_bytes)->payload_as_Goaway()->reason()->str(), "restart");
  const FrameBytes error_bytes = error(wire::ErrorCode::Replaced, "other", 6, 7, 8);
  const wire::Error* e = checked(error_bytes, Payload::Error)->payload_as_Error();
  EXPECT_EQ(e->code(), wire::ErrorCode::Replaced);
  EXPECT_EQ(e->text()->str(), "other");
  EXPECT_EQ(e->origin(), 6u);
  EXPECT_EQ(e->retry_ms(), 7u);
  EXPECT_EQ(e->request(), 8u);
  const FrameBytes resolve_bytes = resolve(9, "ada");
  EXPECT_EQ(checked(resolve_bytes, Payload::Resolve)->payload_as_Resolve()->request(), 9u);
  EXPECT_EQ(trusted(resolve_bytes)->payload_as_Resolve()->handle()->str(), "ada");
  const FrameBytes resolved_bytes = resolved(9, "ada", 10);
  EXPECT_EQ(checked(resolved_bytes, Payload::Resolved)->payload_as_Resolved()->user(), 10u);
  EXPECT_EQ(trusted(resolved_bytes)->payload_as_Resolved()->request(), 9u);
  EXPECT_EQ(trusted(resolved_bytes)->payload_as_Resolved()->handle()->str(), "ada");
}

TEST(Encode, Delivery) {
  const FrameBytes read_bytes = read({.to = 1, .origin = 2, .seq = 3, .closed = 4, .after = 5}, 6, 7, 8);
  const wire::Frame* r = checked(read_bytes, Payload::Read);
  EXPECT_EQ(r->route()->to(), 1u);
  EXPECT_EQ(r->route()->seq(), 3u);
  EXPECT_EQ(r->payload_as_Read()->device(), 6);
  EXPECT_EQ(r->payload_as_Read()->origin(), 7u);
  EXPECT_EQ(r->payload_as_Read()->up_to(), 8u);
  const FrameBytes result_bytes = result(1, 2, 3, 4, wire::Tick::Delivered);
  const wire::Result* t = checked(result_bytes, Payload::Result)->payload_as_Result();
  EXPECT_EQ(t->origin(), 1u);
  EXPECT_EQ(t->seq(), 2u);
  EXPECT_EQ(t->number(), 3u);
  EXPECT_EQ(t->time_ms(), 4u);
  EXPECT_EQ(t->tick(), wire::Tick::Delivered);
  const FrameBytes rejected_bytes = rejected(1, 2, 3, wire::RejectReason::MailboxFull);
  const wire::Rejected* j = checked(rejected_bytes, Payload::Rejected)->payload_as_Rejected();
  EXPECT_EQ(j->number(), 3u);
  EXPECT_EQ(j->reason(), wire::RejectReason::MailboxFull);
  const FrameBytes hold_bytes = hold(1, 2, wire::HoldReason::Rate, 3);
  const wire::Hold* h = checked(hold_bytes, Payload::Hold)->payload_as_Hold();
  EXPECT_EQ(h->seq(), 2u);
  EXPECT_EQ(h->reason(), wire::HoldReason::Rate);
  EXPECT_EQ(h->wait_ms(), 3u);
  const FrameBytes confirm_bytes = confirm(11, 12);
  EXPECT_EQ(checked(confirm_bytes, Payload::Confirm)->payload_as_Confirm()->count(), 11u);
  EXPECT_EQ(trusted(confirm_bytes)->payload_as_Confirm()->closed(), 12u);
  const FrameBytes receipt_bytes = receipt(1, 2, 3, 4);
  const wire::Receipt* p = checked(receipt_bytes, Payload::Receipt)->payload_as_Receipt();
  EXPECT_EQ(p->peer(), 1u);
  EXPECT_EQ(p->device(), 2);
  EXPECT_EQ(p->origin(), 3u);
  EXPECT_EQ(p->up_to(), 4u);
  const FrameBytes expired_bytes = expired(1, 2, 3, 4);
  const wire::Expired* x = checked(expired_bytes, Payload::Expired)->payload_as_Expired();
  EXPECT_EQ(x->peer(), 1u);
  EXPECT_EQ(x->device(), 2);
  EXPECT_EQ(x->origin(), 3u);
  EXPECT_EQ(x->seq(), 4u);
}

// Every length, because alignment moves the Route about.
TEST(Encode, MessagesOfEveryLength) {
  for (size_t length = 0; length < 300; ++length) {
    FrameBytes bytes = sample_message(length);
    const wire::Frame* root = checked(bytes, Payload::Message);
    ASSERT_NE(root, nullptr) << length;
    ASSERT_EQ(root->payload_as_Message()->body()->size(), length);
    ASSERT_EQ(bytes, sample_message(length));
  }
  const Limits limits;
  EXPECT_LE(sample_message(limits.body_bytes_max).size(), limits.frame_bytes_max);
  EXPECT_LE(
      hello({.token = std::string(kTokenBytesMax, 't'), .agent = std::string(kAgentBytesMax, 'a')}).size(),
      limits.hello_bytes_max);
}

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

// ---- hostile bytes -------------------------------------------------------------------------------------

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
  EXPECT_EQ(why({builder.GetBufferPointer(), builder.GetSize()}), 4);
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
    EXPECT_EQ(why({builder.GetBufferPointer(), builder.GetSize()}), count == 10 ? 0 : 3);
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
  size_t num_passed = 0, num_stamped = 0, num_overlaps = 0;
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
}

// ---- framer --------------------------------------------------------------------------------------------

struct Collected {
  std::vector<FrameBytes> frames;
  std::function<bool(MutableBytes)> take() {
    return [this](MutableBytes frame) {
      frames.emplace_back(frame.begin(), frame.end());
      return true;
    };
  }
};

TEST(Framer, EverySplit) {
  const std::vector<FrameBytes> frames = {ping(1, 2), sample_message(100), pong(3), sample_message(0)};
  FrameBytes stream;
  for (const FrameBytes& frame : frames) stream.insert(stream.end(), frame.begin(), frame.end());
  const uint32_t frame_bytes_max = 4096;
  for (size_t first = 0; first <= stream.size(); ++first) {
    for (size_t second = first; second <= stream.size(); second += 13) {
      FrameBytes bytes = stream;
      const MutableBytes all = bytes;
      Framer framer;
      Collected got;
      ASSERT_TRUE(framer.feed(all.first(first), frame_bytes_max, got.take()).ok());
      ASSERT_TRUE(framer.feed(all.subspan(first, second - first), frame_bytes_max, got.take()).ok());
      ASSERT_TRUE(framer.feed(all.subspan(second), frame_bytes_max, got.take()).ok());
      ASSERT_EQ(got.frames, frames);
      ASSERT_FALSE(framer.in_frame());
      ASSERT_EQ(framer.bytes_held(), 0u);
    }
  }
}

TEST(Framer, OneByteAtATime) {
  const FrameBytes frame = sample_message(5000);
  Framer framer;
  Collected got;
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < frame.size(); ++i) {
      uint8_t byte = frame[i];
      ASSERT_TRUE(framer.feed({&byte, 1}, 8192, got.take()).ok());
      ASSERT_EQ(framer.in_frame(), i + 1 < frame.size());
      // Memory follows what came, not what was declared.
      ASSERT_LE(framer.bytes_held(), 2 * (i + 1) + sizeof(std::vector<uint8_t>));
    }
  }
  EXPECT_EQ(got.frames, (std::vector<FrameBytes>{frame, frame, frame}));
}

TEST(Framer, WholeFramesAreHandedOutInPlace) {
  FrameBytes bytes = ping(1, 2);
  Framer framer;
  const uint8_t* seen = nullptr;
  ASSERT_TRUE(
      framer.feed(bytes, 4096, [&](MutableBytes frame) { return (seen = frame.data()) != nullptr; }).ok());
  EXPECT_EQ(seen, bytes.data());
}

TEST(Framer, StopDropsTheRest) {
  for (const size_t split : {size_t{0}, size_t{10}}) {
    FrameBytes bytes = ping(1, 2);
    const FrameBytes more = sample_message(10);
    bytes.insert(bytes.end(), more.begin(), more.end());
    const MutableBytes all = bytes;
    auto framer = std::make_unique<Framer>();
    int calls = 0;
    const std::function<bool(MutableBytes)> stop = [&](MutableBytes) {
      ++calls;
      framer.reset();  // allowed, if the answer is false
      return false;
    };
    Framer& borrowed = *framer;
    ASSERT_TRUE(borrowed.feed(all.first(split), 4096, stop).ok());
    ASSERT_TRUE(borrowed.feed(all.subspan(split), 4096, stop).ok());
    EXPECT_EQ(calls, 1);
  }
}

TEST(Framer, DeclaredLengths) {
  const uint32_t max = 4096;
  struct Case {
    uint32_t declared;
    bool ok;
    Errc code;
  };
  for (const Case& c : {Case{0, false, Errc::kInvalid}, Case{1, false, Errc::kInvalid},
                        Case{kFrameBytesMin - kPrefixBytes - 1, false, Errc::kInvalid},
                        Case{kFrameBytesMin - kPrefixBytes, true, {}}, Case{max - kPrefixBytes, true, {}},
                        Case{max - kPrefixBytes + 1, false, Errc::kTooLarge},
                        Case{max, false, Errc::kTooLarge}, Case{max + 1, false, Errc::kTooLarge},
                        Case{1u << 31, false, Errc::kTooLarge}, Case{UINT32_MAX, false, Errc::kTooLarge}}) {
    for (const size_t split : {size_t{4}, size_t{1}, size_t{3}}) {
      uint8_t prefix[4];
      std::memcpy(prefix, &c.declared, 4);
      Framer framer;
      Collected got;
      Result<void> answer = framer.feed({prefix, split}, max, got.take());
      if (split < 4) {
        ASSERT_TRUE(answer.ok());
        answer = framer.feed({prefix + split, 4 - split}, max, got.take());
      }
      ASSERT_EQ(answer.ok(), c.ok) << c.declared;
      if (!c.ok) {
        EXPECT_EQ(answer.error().code, c.code) << c.declared;
      }
      EXPECT_TRUE(got.frames.empty());
      EXPECT_EQ(framer.in_frame(), c.ok);
      EXPECT_LE(framer.bytes_held(), 64u);
    }
  }
}

}  // namespace
}  // namespace perch::codec
