// DeviceTest: a Device against a scripted server: frames made by codec's encoders, a memory store, a clock
// that the test moves.
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/memory_store.h"
#include "client/protocol/device.h"
#include "codec/frame.h"
#include "tests/unit/fake_clock.h"

namespace perch::client {

struct Events final : DeviceEvents {
  void on_online(const LoginInfo& info) override { logins.push_back(info); }
  void on_offline(std::string_view why) override { offline.emplace_back(why); }
  void on_message(const InboxMessage& in, Insert insert) override {
    messages.emplace_back(in.id.seq, insert);
  }
  void on_unreadable(const MessageId& id) override { unreadable.push_back(id); }
  void on_row(const RowStatus& row) override { rows.push_back(row); }
  void on_resolved(std::string_view, UserId user) override {
    if (resolved) resolved(user);
  }
  void on_hold(HoldReason, uint32_t wait_ms) override { holds.push_back(wait_ms); }
  void on_error(ErrorCode code, std::string_view) override { errors.push_back(code); }
  void on_stopped(StopReason reason, std::string_view) override {
    stops.push_back(reason);
    if (stopped) stopped();
  }
  std::vector<LoginInfo> logins;
  std::vector<std::string> offline;
  std::vector<std::pair<Seq, Insert>> messages;
  std::vector<MessageId> unreadable;
  std::vector<RowStatus> rows;
  std::vector<uint32_t> holds;
  std::vector<ErrorCode> errors;
  std::vector<StopReason> stops;
  std::function<void(UserId)> resolved;
  std::function<void()> stopped;
};

inline constexpr UserId kMe = 5, kPeer = 7;
inline constexpr DeviceNo kMyDevice = 2;
inline constexpr Origin kPeerOrigin = 99;

class DeviceTest : public testing::Test {
 protected:
  Device device() { return Device(store_, clock_, *random_, events_, {.token = "t"}); }

  // What the device has written, cut into frames and taken away.
  static std::vector<codec::FrameBytes> take(Device& device) {
    std::vector<codec::FrameBytes> frames;
    codec::Framer framer;
    EXPECT_TRUE(framer
                    .feed(device.output(), 1 << 20,
                          [&](MutableBytes frame) {
                            EXPECT_TRUE(codec::verify(frame).ok());
                            frames.emplace_back(frame.begin(), frame.end());
                            return true;
                          })
                    .ok());
    device.output().clear();
    return frames;
  }
  static const wire::Frame& root(const codec::FrameBytes& frame) { return *codec::trusted(frame); }
  static std::vector<codec::FrameBytes> sends(const std::vector<codec::FrameBytes>& frames) {
    std::vector<codec::FrameBytes> out;
    for (const auto& frame : frames) {
      if (root(frame).payload_type() == wire::Payload::Message) out.push_back(frame);
    }
    return out;
  }
  static std::vector<Seq> seqs(const std::vector<codec::FrameBytes>& frames) {
    std::vector<Seq> out;
    for (const auto& frame : sends(frames)) out.push_back(root(frame).route()->seq());
    return out;
  }
  static std::vector<uint64_t> confirms(const std::vector<codec::FrameBytes>& frames) {
    std::vector<uint64_t> out;
    for (const auto& frame : frames) {
      if (const auto* confirm = root(frame).payload_as_Confirm()) out.push_back(confirm->count());
    }
    return out;
  }
  // What each says to be closed.
  static std::vector<Seq> pings(const std::vector<codec::FrameBytes>& frames) {
    std::vector<Seq> out;
    for (const auto& frame : frames) {
      if (const auto* ping = root(frame).payload_as_Ping()) out.push_back(ping->closed());
    }
    return out;
  }

  void feed(Device& device, const std::vector<codec::FrameBytes>& frames) {
    codec::FrameBytes bytes;
    for (const auto& frame : frames) bytes.insert(bytes.end(), frame.begin(), frame.end());
    device.on_bytes(bytes);
  }
  codec::FrameBytes welcome() const {
    codec::WelcomeFields fields;
    fields.boot = 1;
    fields.session = 1;
    fields.incarnation = incarnation_;
    fields.user = kMe;
    fields.device = kMyDevice;
    fields.window = window_;
    fields.body_bytes_max = 64 * 1024;
    fields.frame_bytes_max = frame_bytes_max_;
    fields.ping_ms = 30'000;
    return codec::welcome(fields);
  }
  void log_in(Device& device) {
    device.on_connected();
    const auto frames = take(device);
    ASSERT_EQ(frames.size(), 1u);
    ASSERT_EQ(root(frames[0]).payload_type(), wire::Payload::Hello);
    feed(device, {welcome()});
    ASSERT_EQ(device.state(), Device::State::kOnline);
  }
  void reconnect(Device& device) {
    device.on_disconnected();
    log_in(device);
  }
  static RowId send(Device& device, std::string_view text, UserId to = kPeer) {
    const auto row =
        device.send(to, "", 0, Bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
    EXPECT_TRUE(row.ok());
    return *row;
  }
  static codec::FrameBytes incoming(Seq seq, Number number, std::string_view text, UserId from = kPeer,
                                    UserId to = kMe) {
    codec::RouteFields route;
    route.to = to;
    route.origin = kPeerOrigin;
    route.seq = seq;
    auto frame = codec::message(route, 0, Bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
    codec::stamp(frame, {from, 1, number, 12345});
    return frame;
  }
  // The vector of a message's body reaches behind the frame.
  static void spoil_body(codec::FrameBytes& frame) {
    const auto* body = root(frame).payload_as_Message()->body();
    const uint32_t len = 1u << 30;
    std::memcpy(frame.data() + (reinterpret_cast<const uint8_t*>(body) - frame.data()), &len, sizeof(len));
    ASSERT_FALSE(codec::verify(frame).ok());
  }
  // The payload's vtable lies outside the frame.
  static void spoil_payload(codec::FrameBytes& frame) {
    const int32_t away = 1 << 30;
    std::memcpy(frame.data() + (static_cast<const uint8_t*>(root(frame).payload()) - frame.data()), &away,
                sizeof(away));
    ASSERT_FALSE(codec::verify(frame).ok());
  }
  // As if the field had never been set.
  static void remove_route(codec::FrameBytes& frame) {
    const auto* table = reinterpret_cast<const flatbuffers::Table*>(&root(frame));
    const auto slot = table->GetVTable() + wire::Frame::VT_ROUTE - frame.data();
    frame[static_cast<size_t>(slot)] = frame[static_cast<size_t>(slot) + 1] = 0;
    ASSERT_EQ(root(frame).route(), nullptr);
  }
  static void set_scope(codec::FrameBytes& frame, wire::Scope scope) {
    constexpr ptrdiff_t kScopeAt = 66;
    const auto* route = reinterpret_cast<const uint8_t*>(root(frame).route());
    frame[static_cast<size_t>(route - frame.data() + kScopeAt)] = static_cast<uint8_t>(scope);
    ASSERT_EQ(root(frame).route()->scope(), scope);
  }
  Origin origin() const { return store_.identity().origin; }
  Mark mark(RowId row) { return store_.status(row)->mark; }

  FakeClock clock_;
  std::unique_ptr<Random> random_ = seeded_random(1);
  MemoryStore store_{*random_};
  Events events_;
  uint64_t incarnation_ = 77;
  uint16_t window_ = 64;
  uint32_t frame_bytes_max_ = 66 * 1024;
};

}  // namespace perch::client
