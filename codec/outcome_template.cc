#include "codec/outcome_template.h"

#include "core/check.h"

namespace perch::codec {

OutcomeTemplate::OutcomeTemplate() {
  flatbuffers::FlatBufferBuilder builder;
  builder.ForceDefaults(true);  // a field that is left out could not be patched
  const auto outcome = wire::CreateOutcome(builder, 0, 0, 0, 0, wire::Tick::Accepted);
  const auto root = wire::CreateFrame(builder, nullptr, wire::Payload::Outcome, outcome.Union());
  wire::FinishSizePrefixedFrameBuffer(builder, root);
  bytes_.assign(builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize());
  auto* frame = flatbuffers::GetMutableSizePrefixedRoot<flatbuffers::Table>(bytes_.data());
  outcome_ = frame->GetPointer<flatbuffers::Table*>(wire::Frame::VT_PAYLOAD);
  PERCH_CHECK(outcome_ != nullptr);
}

Bytes OutcomeTemplate::fill(Origin origin, Seq seq, Number number, uint64_t time_ms, wire::Tick tick) {
  bool all = outcome_->SetField<uint64_t>(wire::Outcome::VT_ORIGIN, origin);
  all &= outcome_->SetField<uint64_t>(wire::Outcome::VT_SEQ, seq);
  all &= outcome_->SetField<uint64_t>(wire::Outcome::VT_NUMBER, number);
  all &= outcome_->SetField<uint64_t>(wire::Outcome::VT_TIME_MS, time_ms);
  all &= outcome_->SetField<uint8_t>(wire::Outcome::VT_TICK, static_cast<uint8_t>(tick));
  PERCH_CHECK(all);
  return bytes_;
}

}  // namespace perch::codec
