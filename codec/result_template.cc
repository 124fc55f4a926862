#include "codec/result_template.h"

#include "core/check.h"

namespace perch::codec {

ResultTemplate::ResultTemplate() {
  flatbuffers::FlatBufferBuilder builder;
  builder.ForceDefaults(true);  // a field that is left out could not be patched
  const auto result = wire::CreateResult(builder, 0, 0, 0, 0, wire::Tick::Accepted);
  const auto root = wire::CreateFrame(builder, nullptr, wire::Payload::Result, result.Union());
  wire::FinishSizePrefixedFrameBuffer(builder, root);
  bytes_.assign(builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize());
  auto* frame = flatbuffers::GetMutableSizePrefixedRoot<flatbuffers::Table>(bytes_.data());
  result_ = frame->GetPointer<flatbuffers::Table*>(wire::Frame::VT_PAYLOAD);
  PERCH_CHECK(result_ != nullptr);
}

Bytes ResultTemplate::fill(Origin origin, Seq seq, Number number, uint64_t time_ms, wire::Tick tick) {
  bool all = result_->SetField<uint64_t>(wire::Result::VT_ORIGIN, origin);
  all &= result_->SetField<uint64_t>(wire::Result::VT_SEQ, seq);
  all &= result_->SetField<uint64_t>(wire::Result::VT_NUMBER, number);
  all &= result_->SetField<uint64_t>(wire::Result::VT_TIME_MS, time_ms);
  all &= result_->SetField<uint8_t>(wire::Result::VT_TICK, static_cast<uint8_t>(tick));
  PERCH_CHECK(all);
  return bytes_;
}

}  // namespace perch::codec
