// Every frame survives its round trip.
#include "codec/encode.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "core/limits.h"
#include "tests/unit/codec_fixture.h"

namespace perch::codec {
namespace {

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
  const FrameBytes outcome_bytes = outcome(1, 2, 3, 4, wire::Tick::Delivered);
  const wire::Outcome* t = checked(outcome_bytes, Payload::Outcome)->payload_as_Outcome();
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
  const FrameBytes receipt_bytes = receipt(1, 2, 3, 4, 5);
  const wire::Receipt* p = checked(receipt_bytes, Payload::Receipt)->payload_as_Receipt();
  EXPECT_EQ(p->peer(), 1u);
  EXPECT_EQ(p->device(), 2);
  EXPECT_EQ(p->origin(), 3u);
  EXPECT_EQ(p->first(), 4u);
  EXPECT_EQ(p->up_to(), 5u);
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

// PROTOCOL.md shows a frame byte by byte, for who writes a client in another language to compare theirs with.
TEST(Encode, TheProtocolsWorkedExampleIsThisPing) {
  std::ifstream in(PERCH_SOURCE_DIR "/PROTOCOL.md");
  std::ostringstream text;
  text << in.rdbuf();
  const std::string document = text.str();
  const std::string fence = "```\n";
  size_t begin = document.find("`Ping{closed: 0, nonce: 1}` looks like this:");
  ASSERT_NE(begin, std::string::npos);
  begin = document.find(fence, begin);
  ASSERT_NE(begin, std::string::npos);
  begin += fence.size();
  std::istringstream hex(document.substr(begin, document.find(fence, begin) - begin));
  FrameBytes example;
  for (unsigned byte = 0; hex >> std::hex >> byte;) example.push_back(static_cast<uint8_t>(byte));
  EXPECT_TRUE(hex.eof()) << "not hexadecimal";
  const wire::Frame* root = checked(example, Payload::Ping);
  ASSERT_NE(root, nullptr);
  EXPECT_EQ(root->payload_as_Ping()->closed(), 0u);
  EXPECT_EQ(root->payload_as_Ping()->nonce(), 1u);
  EXPECT_EQ(example, ping(0, 1));
}

}  // namespace
}  // namespace perch::codec
