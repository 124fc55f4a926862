// Verification and stamping of frames.
//
// The FlatBuffers verifier proves that every offset stays inside the buffer. It does not prove that two
// objects do not share bytes: a table may name its own vtable, or the length of the body, as the Route.
// Reading such a frame is harmless, writing into it is not: stamping the Route would change a length that was
// verified a moment before. So verify() walks every object that a reader of this version can reach and
// refuses a Route that touches one.
#include "codec/frame.h"

#include <initializer_list>

#include "core/check.h"

namespace perch::codec {
namespace {

constexpr uint32_t kDepthMax = 8;
constexpr uint32_t kTablesMax = 64;

// What `detail` of kInvalid says.
constexpr int64_t kBadSize = 1;
constexpr int64_t kBadIdentifier = 2;
constexpr int64_t kBadBuffer = 3;
constexpr int64_t kBadSemantics = 4;
constexpr int64_t kBadOverlap = 5;

// Offsets of the fields of Route that are written in place. The struct is part of the wire format, so its
// layout can never change; it is written by offset because a frame in a receive buffer may start at any
// address.
constexpr size_t kRouteBytes = 72;
constexpr size_t kRouteClosed = 24;
constexpr size_t kRouteAfter = 32;
constexpr size_t kRouteFrom = 40;
constexpr size_t kRouteNumber = 48;
constexpr size_t kRouteTimeMs = 56;
constexpr size_t kRouteDevice = 64;
static_assert(sizeof(wire::Route) == kRouteBytes && alignof(wire::Route) == 8);

struct Field {
  flatbuffers::voffset_t slot;  // its place in the vtable
  size_t bytes;                 // inline in the table
};

// Collects whether anything reached so far shares a byte with the Route.
// REQUIRES: the FlatBuffers verifier passed the buffer, so that every pointer used here is inside it.
class OverlapCheck {
 public:
  OverlapCheck(const uint8_t* frame, const wire::Frame& root)
      : begin_(reinterpret_cast<const uint8_t*>(root.route())), end_(begin_ + kRouteBytes) {
    constexpr size_t kHead =
        kPrefixBytes + sizeof(flatbuffers::uoffset_t) + flatbuffers::kFileIdentifierLength;
    range(frame, kHead);
    fields(&root, {{wire::Frame::VT_PAYLOAD_TYPE, 1}, {wire::Frame::VT_PAYLOAD, 4}}, wire::Frame::VT_ROUTE);
  }

  // A table that is not the root: the Route must be outside it as a whole.
  void table(const void* at, std::initializer_list<Field> known) {
    fields(at, known, 0);
    const auto* vtable = reinterpret_cast<const flatbuffers::Table*>(at)->GetVTable();
    const auto vtable_bytes = flatbuffers::ReadScalar<flatbuffers::voffset_t>(vtable);
    // The size a table claims for itself is not verified: used as a number only, never to make a pointer.
    if (vtable_bytes >= 4) {
      range(at, flatbuffers::ReadScalar<flatbuffers::voffset_t>(vtable + sizeof(flatbuffers::voffset_t)));
    }
  }

  void vector(const flatbuffers::Vector<uint8_t>* at) {
    if (at != nullptr) range(at, sizeof(flatbuffers::uoffset_t) + at->size());
  }

  void range(const void* at, size_t bytes) {
    const auto from = reinterpret_cast<uintptr_t>(at);
    if (from < reinterpret_cast<uintptr_t>(end_) && reinterpret_cast<uintptr_t>(begin_) < from + bytes)
      hit_ = true;
  }

  bool hit() const { return hit_; }

 private:
  // The table's own offset, its vtable and its fields. Of a field that a newer schema added only the first
  // byte is known to exist; that is enough, because this version never reads it and never stores it apart.
  void fields(const void* at, std::initializer_list<Field> known, flatbuffers::voffset_t except) {
    const auto* table = reinterpret_cast<const flatbuffers::Table*>(at);
    const auto* bytes = static_cast<const uint8_t*>(at);
    const uint8_t* vtable = table->GetVTable();
    const auto vtable_bytes = flatbuffers::ReadScalar<flatbuffers::voffset_t>(vtable);
    range(bytes, sizeof(flatbuffers::soffset_t));
    range(vtable, vtable_bytes);
    for (flatbuffers::voffset_t slot = 4; slot + 2u <= vtable_bytes; slot = static_cast<uint16_t>(slot + 2)) {
      const auto offset = table->GetOptionalFieldOffset(slot);
      if (offset != 0 && slot != except) range(bytes + offset, 1);
    }
    for (const Field& field : known) {
      const auto offset = table->GetOptionalFieldOffset(field.slot);
      if (offset != 0) range(bytes + offset, field.bytes);
    }
  }

  const uint8_t* begin_;
  const uint8_t* end_;
  bool hit_ = false;
};

bool overlaps(const uint8_t* frame, const wire::Frame& root) {
  OverlapCheck check(frame, root);
  if (const wire::Message* message = root.payload_as_Message()) {
    using M = wire::Message;
    check.table(message, {{M::VT_BODY, 4}, {M::VT_CONTENT, 1}, {M::VT_MEDIA, 4}});
    check.vector(message->body());
    if (const auto* media = message->media()) {
      using R = wire::MediaRef;
      check.range(media, sizeof(flatbuffers::uoffset_t) * (size_t{media->size()} + 1));
      for (const R* ref : *media) {
        check.table(ref, {{R::VT_ID, 4}, {R::VT_BYTES, 8}});
        check.vector(ref->id());
      }
    }
  } else if (const wire::Read* read = root.payload_as_Read()) {
    using R = wire::Read;
    check.table(read, {{R::VT_DEVICE, 2}, {R::VT_ORIGIN, 8}, {R::VT_UP_TO, 8}});
  }
  return check.hit();
}

bool fits(const flatbuffers::String* text, uint32_t bytes_max) {
  return text == nullptr || text->size() <= bytes_max;
}

bool strings_fit(const wire::Frame& root) {
  switch (root.payload_type()) {
    case wire::Payload::Hello: {
      const wire::Hello* hello = root.payload_as_Hello();
      return fits(hello->token(), kTokenBytesMax) && fits(hello->agent(), kAgentBytesMax);
    }
    case wire::Payload::Welcome:
      return fits(root.payload_as_Welcome()->handle(), kHandleBytesMax);
    case wire::Payload::Refresh:
      return fits(root.payload_as_Refresh()->token(), kTokenBytesMax);
    case wire::Payload::Goaway:
      return fits(root.payload_as_Goaway()->reason(), kTextBytesMax);
    case wire::Payload::Error:
      return fits(root.payload_as_Error()->text(), kTextBytesMax);
    case wire::Payload::Resolve:
      return fits(root.payload_as_Resolve()->handle(), kHandleBytesMax);
    case wire::Payload::Resolved:
      return fits(root.payload_as_Resolved()->handle(), kHandleBytesMax);
    default:
      return true;
  }
}

Error invalid(int64_t why) { return Error{Errc::kInvalid, why}; }

Result<void> check_head(Bytes frame) {
  PERCH_CHECK(reinterpret_cast<uintptr_t>(frame.data()) % kFrameAlignment == 0);
  // Exact: releases of FlatBuffers differ in whether bytes behind the declared length are allowed.
  if (frame.size() < kFrameBytesMin || frame.size() > INT32_MAX) return invalid(kBadSize);
  if (flatbuffers::ReadScalar<uint32_t>(frame.data()) != frame.size() - kPrefixBytes)
    return invalid(kBadSize);
  if (!flatbuffers::BufferHasIdentifier(frame.data(), wire::FrameIdentifier(), true))
    return invalid(kBadIdentifier);
  return {};
}

uint8_t* mutable_route(MutableBytes frame) {
  const wire::Route* route = trusted(frame)->route();
  PERCH_CHECK(route != nullptr);
  return frame.data() + (reinterpret_cast<const uint8_t*>(route) - frame.data());
}

}  // namespace

Result<const wire::Frame*> verify(Bytes frame) {
  if (auto head = check_head(frame); !head.ok()) return head.error();
  flatbuffers::Verifier verifier(frame.data(), frame.size(), kDepthMax, kTablesMax);
  if (!verifier.VerifySizePrefixedBuffer<wire::Frame>(wire::FrameIdentifier())) return invalid(kBadBuffer);

  const wire::Frame* root = wire::GetSizePrefixedFrame(frame.data());
  const wire::Payload type = root->payload_type();
  if (type == wire::Payload::NONE) return invalid(kBadSemantics);
  if (type > wire::Payload::MAX) return Error{Errc::kUnsupported, static_cast<int64_t>(type)};
  if (type == wire::Payload::Message || type == wire::Payload::Read) {
    if (root->route() == nullptr) return invalid(kBadSemantics);
    if (overlaps(frame.data(), *root)) return invalid(kBadOverlap);
  }
  if (!strings_fit(*root)) return invalid(kBadSemantics);
  return root;
}

Result<Envelope> envelope(Bytes frame) {
  if (auto head = check_head(frame); !head.ok()) return head.error();
  flatbuffers::Verifier verifier(frame.data(), frame.size(), kDepthMax, kTablesMax);
  const auto offset = verifier.VerifyOffset(kPrefixBytes);
  if (offset == 0) return invalid(kBadBuffer);
  const uint8_t* at = frame.data() + kPrefixBytes + offset;
  const auto* table = reinterpret_cast<const flatbuffers::Table*>(at);
  if (!table->VerifyTableStart(verifier) ||
      !table->VerifyField<wire::Route>(verifier, wire::Frame::VT_ROUTE, alignof(wire::Route)) ||
      !table->VerifyField<uint8_t>(verifier, wire::Frame::VT_PAYLOAD_TYPE, 1)) {
    return invalid(kBadBuffer);
  }
  const auto* root = reinterpret_cast<const wire::Frame*>(at);
  return Envelope{root->payload_type(), root->route()};
}

const wire::Frame* trusted(Bytes frame) { return wire::GetSizePrefixedFrame(frame.data()); }

void stamp(MutableBytes frame, const Stamp& stamp) {
  uint8_t* route = mutable_route(frame);
  flatbuffers::WriteScalar(route + kRouteFrom, stamp.from);
  flatbuffers::WriteScalar(route + kRouteNumber, stamp.number);
  flatbuffers::WriteScalar(route + kRouteTimeMs, stamp.time_ms);
  flatbuffers::WriteScalar(route + kRouteDevice, stamp.device);
}

void set_progress(MutableBytes frame, Seq closed, Number after) {
  uint8_t* route = mutable_route(frame);
  flatbuffers::WriteScalar(route + kRouteClosed, closed);
  flatbuffers::WriteScalar(route + kRouteAfter, after);
}

}  // namespace perch::codec
