// Result<T>: a value or a typed error. No allocation, no text: text is made when it is logged.
#pragma once
#include <cstdint>
#include <utility>
#include <variant>

#include "core/api.h"
#include "core/check.h"

namespace perch {

// What went wrong, as far as a caller can act on it. `detail` is an errno, a position or a limit.
enum class Errc : uint16_t {
  kSystem = 1,   // the kernel said no; detail is errno
  kInvalid,      // a peer or a file has bytes that break the format; detail is an offset
  kTooLarge,     // over a limit; detail is the limit
  kNotFound,     // nothing of that name is there
  kExists,       // something of that name is there already
  kFull,         // no room: a map, a disk, a queue, a pool
  kPoisoned,     // an earlier commit failed; nothing more is written
  kNewerFormat,  // a store written by a newer Perch; detail is its format
  kCorrupt,      // a checksum or an invariant of stored bytes does not hold
  kDenied,       // a token that is not good: forged, unknown key, malformed
  kExpired,      // a token past its `exp`
  kUnsupported,  // a version or a feature the other side has not
  kBusy,         // another process has it
  kClosed,       // it has ended
  kStopped,      // broken off because the process is to end
};

// Why there is no value.
struct Error {
  Errc code;           // what kind of error
  int64_t detail = 0;  // as Errc says
  // Both are the same.
  friend bool operator==(const Error&, const Error&) = default;
};

// A value or an error. REQUIRES of value(), * and ->: ok(); of error(): !ok(). Both are checked, in release
// too: the process ends.
template <typename T>
class [[nodiscard]] Result {
 public:
  // A value.
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  // An error.
  Result(Error error) : state_(std::in_place_index<1>, error) {}
  // There is a value.
  bool ok() const { return state_.index() == 0; }
  // As ok().
  explicit operator bool() const { return ok(); }
  // The value. LIFETIME: the Result's.
  T& value() & {
    PERCH_CHECK(ok());
    return std::get<0>(state_);
  }
  // The value. LIFETIME: the Result's.
  const T& value() const& {
    PERCH_CHECK(ok());
    return std::get<0>(state_);
  }
  // The value, to be moved from.
  T&& value() && {
    PERCH_CHECK(ok());
    return std::get<0>(std::move(state_));
  }
  // As value().
  T& operator*() & { return value(); }
  // As value().
  const T& operator*() const& { return value(); }
  // As value().
  T* operator->() { return &value(); }
  // As value().
  const T* operator->() const { return &value(); }
  // The error.
  Error error() const {
    PERCH_CHECK(!ok());
    return std::get<1>(state_);
  }

 private:
  std::variant<T, Error> state_;
};

// Done, or an error.
template <>
class [[nodiscard]] Result<void> {
 public:
  // Done.
  Result() = default;
  // An error.
  Result(Error error) : error_(error), ok_(false) {}
  // It was done.
  bool ok() const { return ok_; }
  // As ok().
  explicit operator bool() const { return ok_; }
  // The error.
  Error error() const {
    PERCH_CHECK(!ok_);
    return error_;
  }

 private:
  Error error_{};
  bool ok_ = true;
};

// In a word or two, for logs. LIFETIME: static.
PERCH_API const char* name_of(Errc code) noexcept;

}  // namespace perch
