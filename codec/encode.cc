// One function per frame. Built with FlatBufferBuilder: fields that have their default are left out and
// padding is zeroed, so equal arguments give equal bytes.
#include "codec/encode.h"

#include <algorithm>

namespace perch::codec {
namespace {

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;
using Text = Offset<flatbuffers::String>;

constexpr size_t kSmallFrameBytes = 256;
constexpr size_t kOverheadBytes = 192;  // of a frame around its body or token

template <typename T>
FrameBytes finish(FlatBufferBuilder& builder, Offset<T> payload, const wire::Route* route = nullptr) {
  const auto root = wire::CreateFrame(builder, route, wire::PayloadTraits<T>::enum_value, payload.Union());
  wire::FinishSizePrefixedFrameBuffer(builder, root);
  const uint8_t* bytes = builder.GetBufferPointer();
  return {bytes, bytes + builder.GetSize()};
}

Text required(FlatBufferBuilder& builder, std::string_view text) {
  return builder.CreateString(text.empty() ? "" : text.data(), text.size());
}

Text optional(FlatBufferBuilder& builder, std::string_view text) {
  return text.empty() ? Text() : required(builder, text);
}

wire::Route route_of(const RouteFields& fields) {
  return {fields.to, fields.origin, fields.seq, fields.closed, fields.after, 0, 0, 0, 0, wire::Scope::User, 0,
          0};
}

}  // namespace

FrameBytes hello(const HelloFields& fields) {
  FlatBufferBuilder builder(fields.token.size() + fields.agent.size() + kOverheadBytes);
  const Text token = required(builder, fields.token);
  const Text agent = optional(builder, fields.agent);
  return finish(builder,
                wire::CreateHello(builder, fields.version_min, fields.version_max, token, fields.origin,
                                  fields.previous_origin, fields.attempt, agent, fields.incarnation));
}

FrameBytes welcome(const WelcomeFields& fields) {
  FlatBufferBuilder builder(kSmallFrameBytes);
  const Text handle = optional(builder, fields.handle);
  wire::WelcomeBuilder welcome(builder);
  welcome.add_version(1);
  welcome.add_boot(fields.boot);
  welcome.add_session(fields.session);
  welcome.add_incarnation(fields.incarnation);
  welcome.add_user(fields.user);
  welcome.add_time_ms(fields.time_ms);
  welcome.add_session_expires_ms(fields.session_expires_ms);
  welcome.add_body_bytes_max(fields.body_bytes_max);
  welcome.add_frame_bytes_max(fields.frame_bytes_max);
  welcome.add_ping_ms(fields.ping_ms);
  welcome.add_blocks_max(fields.blocks_max);
  if (!handle.IsNull()) welcome.add_handle(handle);
  welcome.add_device(fields.device);
  welcome.add_window(fields.window);
  welcome.add_continuity_broken(fields.continuity_broken);
  welcome.add_overflowed(fields.overflowed);
  return finish(builder, welcome.Finish());
}

FrameBytes refresh(std::string_view token) {
  FlatBufferBuilder builder(token.size() + kOverheadBytes);
  const Text text = required(builder, token);
  return finish(builder, wire::CreateRefresh(builder, text));
}

FrameBytes refreshed(uint64_t session_expires_ms) {
  FlatBufferBuilder builder(kSmallFrameBytes);
  return finish(builder, wire::CreateRefreshed(builder, session_expires_ms));
}

FrameBytes ping(Seq closed, uint64_t nonce) {
  FlatBufferBuilder builder(kSmallFrameBytes);
  return finish(builder, wire::CreatePing(builder, closed, nonce));
}

FrameBytes pong(uint64_t nonce) {
  FlatBufferBuilder builder(kSmallFrameBytes);
  return finish(builder, wire::CreatePong(builder, nonce));
}

FrameBytes goaway(uint32_t jitter_ms, std::string_view reason) {
  FlatBufferBuilder builder(kSmallFrameBytes);
  const Text text = optional(builder, reason);
  return finish(builder, wire::CreateGoaway(builder, jitter_ms, text));
}

FrameBytes error(wire::ErrorCode code, std::string_view text, Origin origin, uint32_t retry_ms,
                 uint64_t request) {
  FlatBufferBuilder builder(kSmallFrameBytes);
  const Text words = optional(builder, text);
  return finish(builder, wire::CreateError(builder, code, words, origin, retry_ms, request));
}

FrameBytes resolve(uint64_t request, std::string_view handle) {
  FlatBufferBuilder builder(kSmallFrameBytes);
  const Text text = required(builder, handle);
  return finish(builder, wire::CreateResolve(builder, request, text));
}

FrameBytes resolved(uint64_t request, std::string_view handle, UserId user) {
  FlatBufferBuilder builder(kSmallFrameBytes);
  const Text text = required(builder, handle);
  return finish(builder, wire::CreateResolved(builder, request, text, user));
}

FrameBytes block(uint64_t request, UserId user, bool on) {
  FlatBufferBuilder builder(kSmallFrameBytes);
  return finish(builder, wire::CreateBlock(builder, request, user, on));
}

FrameBytes blocks(uint64_t request, std::span<const UserId> users) {
  FlatBufferBuilder builder(kSmallFrameBytes + users.size_bytes());
  const auto vector = builder.CreateVector(users.data(), users.size());
  return finish(builder, wire::CreateBlocks(builder, request, vector));
}

FrameBytes message(const RouteFields& route, uint8_t content, Bytes body) {
  FlatBufferBuilder builder(body.size() + kOverheadBytes);
  uint8_t* copy = nullptr;
  const auto vector = builder.CreateUninitializedVector(body.size(), &copy);
  std::copy(body.begin(), body.end(), copy);
  const wire::Route inline_route = route_of(route);
  return finish(builder, wire::CreateMessage(builder, vector, content), &inline_route);
}

FrameBytes read(const RouteFields& route, DeviceNo device, Origin origin, Seq up_to) {
  FlatBufferBuilder builder(kSmallFrameBytes);
  const wire::Route inline_route = route_of(route);
  return finish(builder, wire::CreateRead(builder, device, origin, up_to), &inline_route);
}

FrameBytes outcome(Origin origin, Seq seq, Number number, uint64_t time_ms, wire::Tick tick) {
  FlatBufferBuilder builder(kSmallFrameBytes);
  return finish(builder, wire::CreateOutcome(builder, origin, seq, number, time_ms, tick));
}

FrameBytes rejected(Origin origin, Seq seq, Number number, wire::RejectReason reason) {
  FlatBufferBuilder builder(kSmallFrameBytes);
  return finish(builder, wire::CreateRejected(builder, origin, seq, number, reason));
}

FrameBytes hold(Origin origin, Seq seq, wire::HoldReason reason, uint32_t wait_ms) {
  FlatBufferBuilder builder(kSmallFrameBytes);
  return finish(builder, wire::CreateHold(builder, origin, seq, reason, wait_ms));
}

FrameBytes confirm(uint64_t count, Seq closed) {
  FlatBufferBuilder builder(kSmallFrameBytes);
  return finish(builder, wire::CreateConfirm(builder, count, closed));
}

FrameBytes receipt(UserId peer, DeviceNo device, Origin origin, Seq first, Seq up_to) {
  FlatBufferBuilder builder(kSmallFrameBytes);
  return finish(builder, wire::CreateReceipt(builder, peer, origin, device, up_to, first));
}

FrameBytes expired(UserId peer, DeviceNo device, Origin origin, Seq seq) {
  FlatBufferBuilder builder(kSmallFrameBytes);
  return finish(builder, wire::CreateExpired(builder, peer, device, origin, seq));
}

}  // namespace perch::codec
