#include "core/result.h"

namespace perch {

const char* name_of(Errc code) noexcept {
  switch (code) {
    case Errc::kSystem:
      return "system";
    case Errc::kInvalid:
      return "invalid";
    case Errc::kTooLarge:
      return "too large";
    case Errc::kNotFound:
      return "not found";
    case Errc::kExists:
      return "exists";
    case Errc::kFull:
      return "full";
    case Errc::kPoisoned:
      return "poisoned";
    case Errc::kNewerFormat:
      return "newer format";
    case Errc::kCorrupt:
      return "corrupt";
    case Errc::kDenied:
      return "denied";
    case Errc::kExpired:
      return "expired";
    case Errc::kUnsupported:
      return "unsupported";
    case Errc::kBusy:
      return "busy";
    case Errc::kClosed:
      return "closed";
    case Errc::kStopped:
      return "stopped";
  }
  return "unknown";
}

}  // namespace perch
