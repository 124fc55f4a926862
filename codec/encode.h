// Builders for every frame that Perch itself makes; PROTOCOL.md says what their fields mean. Each returns a
// whole size-prefixed frame, which the caller owns. None runs on the forwarding path: messages are forwarded
// as the bytes that came in. Pure; any thread.
// REQUIRES: strings within the limits of codec/frame.h; nothing here looks at them, the peer's verify() does.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "codec/frame.h"

namespace perch::codec {

using FrameBytes = std::vector<uint8_t>;

// LIFETIME of all views: the call.
struct HelloFields {
  std::string_view token{};
  Origin origin = 0, previous_origin = 0;
  uint64_t attempt = 0, incarnation = 0;
  std::string_view agent{};
  uint16_t version_min = 1, version_max = 1;
};
struct WelcomeFields {
  uint64_t boot = 0, session = 0, incarnation = 0;
  UserId user = 0;
  DeviceNo device = 0;
  uint16_t window = 0;
  uint32_t body_bytes_max = 0, frame_bytes_max = 0, ping_ms = 0;
  uint64_t time_ms = 0, session_expires_ms = 0;
  bool continuity_broken = false, overflowed = false;
  std::string_view handle{};
  uint32_t blocks_max = 0;
};
struct RouteFields {  // what a client sets of a Route
  UserId to = 0;
  Origin origin = 0;
  Seq seq = 0, closed = 0;
  Number after = 0;
};

FrameBytes hello(const HelloFields& fields);
FrameBytes welcome(const WelcomeFields& fields);
FrameBytes refresh(std::string_view token);
FrameBytes refreshed(uint64_t session_expires_ms);
FrameBytes ping(Seq closed, uint64_t nonce);
FrameBytes pong(uint64_t nonce);
FrameBytes goaway(uint32_t jitter_ms, std::string_view reason);
FrameBytes error(wire::ErrorCode code, std::string_view text, Origin origin = 0, uint32_t retry_ms = 0,
                 uint64_t request = 0);
FrameBytes resolve(uint64_t request, std::string_view handle);
FrameBytes resolved(uint64_t request, std::string_view handle, UserId user);
FrameBytes block(uint64_t request, UserId user, bool on);
FrameBytes blocks(uint64_t request, std::span<const UserId> users);
FrameBytes message(const RouteFields& route, uint8_t content, Bytes body);
FrameBytes read(const RouteFields& route, DeviceNo device, Origin origin, Seq up_to);
FrameBytes outcome(Origin origin, Seq seq, Number number, uint64_t time_ms, wire::Tick tick);
FrameBytes rejected(Origin origin, Seq seq, Number number, wire::RejectReason reason);
FrameBytes hold(Origin origin, Seq seq, wire::HoldReason reason, uint32_t wait_ms);
FrameBytes confirm(uint64_t count, Seq closed);
FrameBytes receipt(UserId peer, DeviceNo device, Origin origin, Seq first, Seq up_to);
FrameBytes expired(UserId peer, DeviceNo device, Origin origin, Seq seq);

}  // namespace perch::codec
