#include "store/keyspace.h"

#include <cstring>

#include "core/check.h"
#include "store/checksum.h"

namespace perch::store {
namespace {

constexpr uint8_t kDeliveredFlag = 1;
constexpr uint8_t kOverflowedFlag = 1;
constexpr uint8_t kReportedFlag = 1;

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

// Writes behind the checksum's place; seal() fills that in.
class Packer {
 public:
  explicit Packer(Value& out) : out_(out) { out_.size = kCrcBytes; }
  template <typename T>
  void number(T value) {
    PERCH_CHECK(out_.size + sizeof(T) <= out_.data.size());
    store_big<T>(out_.data.data() + out_.size, value);
    out_.size += sizeof(T);
  }
  void bytes(Bytes bytes) {
    if (bytes.empty()) return;
    PERCH_CHECK(out_.size + bytes.size() <= out_.data.size());
    std::memcpy(out_.data.data() + out_.size, bytes.data(), bytes.size());
    out_.size += bytes.size();
  }
  void text(std::string_view text, size_t max) {
    PERCH_CHECK(text.size() <= max);
    number<uint8_t>(static_cast<uint8_t>(text.size()));
    bytes({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  }
  void id(const MessageId& id) {
    number(id.user);
    number(id.device);
    number(id.origin);
    number(id.seq);
  }
  void devices(const Waiting& waiting) {
    number(waiting.num);
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
  }
  void seal(Bytes key) {
    const uint32_t crc = crc32c(crc32c(0, key), out_.bytes().subspan(kCrcBytes));
    store_big<uint32_t>(out_.data.data(), crc);
  }

 private:
  Value& out_;
};

// Reads behind the checksum. One failed read makes it bad for good, so callers test once, at the end.
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
  void text(std::string& text) {
    uint8_t size = 0;
    number(size);
    if (!good_ || rest_.size() < size) {
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
    number(waiting.num);
    if (waiting.num > kDevicesMax) {
      good_ = false;
      waiting.num = 0;
    }
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

constexpr Error kCorruptValue{Errc::kCorrupt};

}  // namespace

std::array<uint8_t, kJournalKeyBytes> pack_key(JournalKey key) {
  std::array<uint8_t, kJournalKeyBytes> bytes;
  store_big<uint64_t>(bytes.data(), key.pos);
  store_big<uint16_t>(bytes.data() + 8, key.chunk);
  return bytes;
}
std::array<uint8_t, kRowKeyBytes> pack_key(RowKey key) {
  std::array<uint8_t, kRowKeyBytes> bytes;
  store_big<uint64_t>(bytes.data(), key.user);
  store_big<uint64_t>(bytes.data() + 8, key.number);
  store_big<uint16_t>(bytes.data() + 16, key.chunk);
  return bytes;
}
std::array<uint8_t, 8> pack_key(UserId user) {
  std::array<uint8_t, 8> bytes;
  store_big<uint64_t>(bytes.data(), user);
  return bytes;
}
Result<JournalKey> unpack_journal_key(Bytes bytes) {
  if (bytes.size() != kJournalKeyBytes) return kCorruptValue;
  return JournalKey{load_big<uint64_t>(bytes.data()), load_big<uint16_t>(bytes.data() + 8)};
}
Result<RowKey> unpack_row_key(Bytes bytes) {
  if (bytes.size() != kRowKeyBytes) return kCorruptValue;
  return RowKey{load_big<uint64_t>(bytes.data()), load_big<uint64_t>(bytes.data() + 8),
                load_big<uint16_t>(bytes.data() + 16)};
}

void pack_record(Bytes key, const Record& record, Bytes part, Value& out) {
  Packer pack(out);
  pack.number(static_cast<uint8_t>(record.kind));
  switch (record.kind) {
    case RecordKind::kAccept:
      pack.number<uint8_t>(record.delivered ? kDeliveredFlag : 0);
      pack.number(record.num_chunks);
      pack.number(record.frame_bytes);
      pack.id(record.id);
      pack.number(record.to);
      pack.number(record.number);
      pack.number(record.time_ms);
      pack.number(record.num_waiting);
      for (uint8_t i = 0; i < record.num_waiting; ++i) pack.waiting(record.waiting[i]);
      pack.bytes(part);
      break;
    case RecordKind::kConfirm:
      pack.number(record.target);
      pack.waiting(record.who);
      break;
    case RecordKind::kReceipt:
    case RecordKind::kReceiptAck:
      pack.receipt(record.receipt_key);
      pack.number(record.up_to);
      break;
    case RecordKind::kExpired:
      pack.number(record.target);
      pack.waiting(record.who);
      pack.id(record.id);
      pack.number(record.to);
      pack.waiting(record.tell);
      break;
    case RecordKind::kExpiredAck:
      pack.id(record.id);
      pack.waiting(record.tell);
      break;
  }
  pack.seal(key);
}

Result<Record> unpack_record(Bytes key, Bytes value, Bytes* part) {
  Unpacker unpack(key, value);
  Record record;
  uint8_t kind = 0, flags = 0;
  unpack.number(kind);
  record.kind = static_cast<RecordKind>(kind);
  switch (record.kind) {
    case RecordKind::kAccept: {
      unpack.number(flags);
      record.delivered = flags & kDeliveredFlag;
      unpack.number(record.num_chunks);
      unpack.number(record.frame_bytes);
      unpack.id(record.id);
      unpack.number(record.to);
      unpack.number(record.number);
      unpack.number(record.time_ms);
      unpack.number(record.num_waiting);
      if (record.num_waiting > record.waiting.size()) return kCorruptValue;
      for (uint8_t i = 0; i < record.num_waiting; ++i) unpack.waiting(record.waiting[i]);
      Bytes rest = unpack.rest();
      if (part) *part = rest;
      break;
    }
    case RecordKind::kConfirm:
      unpack.number(record.target);
      unpack.waiting(record.who);
      break;
    case RecordKind::kReceipt:
    case RecordKind::kReceiptAck:
      unpack.receipt(record.receipt_key);
      unpack.number(record.up_to);
      break;
    case RecordKind::kExpired:
      unpack.number(record.target);
      unpack.waiting(record.who);
      unpack.id(record.id);
      unpack.number(record.to);
      unpack.waiting(record.tell);
      break;
    case RecordKind::kExpiredAck:
      unpack.id(record.id);
      unpack.waiting(record.tell);
      break;
    default:
      return kCorruptValue;
  }
  if (!unpack.done()) return kCorruptValue;
  return record;
}

void pack_row(Bytes key, const Row& row, Bytes part, Value& out) {
  Packer pack(out);
  pack.number<uint8_t>(row.reported ? kReportedFlag : 0);
  pack.number(row.num_chunks);
  pack.number(row.frame_bytes);
  pack.number(row.pos);
  pack.id(row.id);
  pack.number(row.to);
  pack.number(row.time_ms);
  pack.waiting(row.waiting);
  pack.bytes(part);
  pack.seal(key);
}

Result<Row> unpack_row(Bytes key, Bytes value, Bytes* part) {
  Unpacker unpack(key, value);
  Row row;
  uint8_t flags = 0;
  unpack.number(flags);
  row.reported = flags & kReportedFlag;
  unpack.number(row.num_chunks);
  unpack.number(row.frame_bytes);
  unpack.number(row.pos);
  unpack.id(row.id);
  unpack.number(row.to);
  unpack.number(row.time_ms);
  unpack.waiting(row.waiting);
  Bytes rest = unpack.rest();
  if (part) *part = rest;
  if (!unpack.done()) return kCorruptValue;
  return row;
}

void pack_chunk(Bytes key, Bytes part, Value& out) {
  Packer pack(out);
  pack.bytes(part);
  pack.seal(key);
}

Result<Bytes> unpack_chunk(Bytes key, Bytes value) {
  Unpacker unpack(key, value);
  if (!unpack.good()) return kCorruptValue;
  return unpack.rest();
}

void pack_user(Bytes key, const UserRow& row, Value& out) {
  Packer pack(out);
  PERCH_CHECK(row.devices.size() <= kDevicesMax);
  pack.number(row.next_device);
  pack.text(row.handle, kHandleBytesMax);
  pack.number(static_cast<uint8_t>(row.devices.size()));
  for (const DeviceRow& device : row.devices) {
    pack.number(device.number);
    pack.number<uint8_t>(device.overflowed ? kOverflowedFlag : 0);
    pack.number(device.seen_ms);
    pack.number(device.origin);
    pack.text(device.name, 64);
  }
  pack.seal(key);
}

Result<UserRow> unpack_user(Bytes key, Bytes value) {
  if (key.size() != 8) return kCorruptValue;
  Unpacker unpack(key, value);
  UserRow row;
  row.id = load_big<uint64_t>(key.data());
  unpack.number(row.next_device);
  unpack.text(row.handle);
  uint8_t num_devices = 0;
  unpack.number(num_devices);
  for (uint8_t i = 0; i < num_devices && unpack.good(); ++i) {
    DeviceRow device;
    uint8_t flags = 0;
    unpack.number(device.number);
    unpack.number(flags);
    device.overflowed = flags & kOverflowedFlag;
    unpack.number(device.seen_ms);
    unpack.number(device.origin);
    unpack.text(device.name);
    row.devices.push_back(std::move(device));
  }
  if (!unpack.done()) return kCorruptValue;
  return row;
}

void pack_number(Bytes key, uint64_t number, Value& out) {
  Packer pack(out);
  pack.number(number);
  pack.seal(key);
}

Result<uint64_t> unpack_number(Bytes key, Bytes value) {
  Unpacker unpack(key, value);
  uint64_t number = 0;
  unpack.number(number);
  if (!unpack.done()) return kCorruptValue;
  return number;
}

}  // namespace perch::store
