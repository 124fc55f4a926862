// Packer writes a value of the store, Unpacker reads it. Both have the same calls, so that keyspace.cc says
// once what is in a value. All numbers are big-endian; a value starts with the CRC-32C of its key and the
// rest of itself.
#pragma once
#include <cstring>
#include <string>
#include <string_view>

#include "core/check.h"
#include "store/checksum.h"
#include "store/keyspace.h"

namespace perch::store {

template <typename T>
void store_big(uint8_t* at, T value) {
  for (size_t i = sizeof(T); i-- > 0; value = static_cast<T>(value >> 8 * (sizeof(T) > 1)))
    at[i] = value & 0xff;
}

template <typename T>
T load_big(const uint8_t* at) {
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value = value << 8 | at[i];
  return static_cast<T>(value);
}

// Writes behind the checksum's place; seal() fills that in, last. REQUIRES: it fits into a Value, checked at
// each call. LIFETIME: `out` outlives it.
class Packer {
 public:
  explicit Packer(Value& out) : out_(out) { out_.size = kCrcBytes; }
  template <typename T>
  void number(T value) {
    PERCH_CHECK(out_.size + sizeof(T) <= out_.data.size());
    store_big<T>(out_.data.data() + out_.size, value);
    out_.size += sizeof(T);
  }
  void flag(bool set) { number<uint8_t>(set); }
  void flags(bool first, bool second) { number<uint8_t>(static_cast<uint8_t>(first | second << 1)); }
  void count(uint8_t num, size_t max) {
    PERCH_CHECK(num <= max);
    number(num);
  }
  void bytes(Bytes bytes) {
    if (bytes.empty()) return;
    PERCH_CHECK(out_.size + bytes.size() <= out_.data.size());
    std::memcpy(out_.data.data() + out_.size, bytes.data(), bytes.size());
    out_.size += bytes.size();
  }
  void text(std::string_view text, size_t max) {
    PERCH_CHECK(text.size() <= max);
    number(static_cast<uint8_t>(text.size()));
    bytes({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  }
  void id(const MessageId& id) {
    number(id.user);
    number(id.device);
    number(id.origin);
    number(id.seq);
  }
  void devices(const Waiting& waiting) {
    count(waiting.num, waiting.devices.size());
    for (uint8_t i = 0; i < waiting.num; ++i) number(waiting.devices[i]);
  }
  void waiting(const Waiting& waiting) {
    number(waiting.user);
    devices(waiting);
  }
  void receipt(const ReceiptKey& key) {
    number(key.user);
    number(key.to_device);
    number(key.peer);
    number(key.device);
    number(key.origin);
    number(key.first);
  }
  void seal(Bytes key) {
    const uint32_t crc = crc32c(crc32c(0, key), out_.bytes().subspan(kCrcBytes));
    store_big<uint32_t>(out_.data.data(), crc);
  }

 private:
  Value& out_;
};

// Reads behind the checksum. One failed read makes it bad for good, and what is read then is left as it was,
// so callers test once, at the end: done() if nothing may be left, else good(). LIFETIME: `value`, and of
// rest(): as that.
class Unpacker {
 public:
  Unpacker(Bytes key, Bytes value) : rest_(value) {
    if (value.size() < kCrcBytes) return;
    rest_ = value.subspan(kCrcBytes);
    good_ = crc32c(crc32c(0, key), rest_) == load_big<uint32_t>(value.data());
  }
  bool good() const { return good_; }
  bool done() const { return good_ && rest_.empty(); }
  template <typename T>
  void number(T& value) {
    if (!good_ || rest_.size() < sizeof(T)) {
      good_ = false;
      return;
    }
    value = load_big<T>(rest_.data());
    rest_ = rest_.subspan(sizeof(T));
  }
  void flag(bool& set) {
    uint8_t bits = 0;
    number(bits);
    set = bits != 0;
  }
  void flags(bool& first, bool& second) {
    uint8_t bits = 0;
    number(bits);
    first = (bits & 1) != 0;
    second = (bits & 2) != 0;
  }
  // Above `max` it is bad, and 0, so that nobody counts on over an array's end.
  void count(uint8_t& num, size_t max) {
    number(num);
    if (num <= max) return;
    good_ = false;
    num = 0;
  }
  void text(std::string& text, size_t max) {
    uint8_t size = 0;
    number(size);
    if (!good_ || size > max || rest_.size() < size) {
      good_ = false;
      return;
    }
    text.assign(reinterpret_cast<const char*>(rest_.data()), size);
    rest_ = rest_.subspan(size);
  }
  void id(MessageId& id) {
    number(id.user);
    number(id.device);
    number(id.origin);
    number(id.seq);
  }
  void devices(Waiting& waiting) {
    count(waiting.num, waiting.devices.size());
    for (uint8_t i = 0; i < waiting.num; ++i) number(waiting.devices[i]);
  }
  void waiting(Waiting& waiting) {
    number(waiting.user);
    devices(waiting);
  }
  void receipt(ReceiptKey& key) {
    number(key.user);
    number(key.to_device);
    number(key.peer);
    number(key.device);
    number(key.origin);
    number(key.first);
  }
  Bytes rest() {
    Bytes rest = rest_;
    rest_ = {};
    return rest;
  }

 private:
  Bytes rest_;
  bool good_ = false;
};

}  // namespace perch::store
