#include "store/keyspace.h"

#include "store/packer.h"

namespace perch::store {
namespace {

// What is in a value, once for both directions: Io is a Packer and T const, or Io is an Unpacker.
template <typename Io, typename T>
void fields_of_record(Io& io, T& record) {
  switch (record.kind) {
    case RecordKind::kAccept:
      io.flags(record.delivered, record.no_receipt);
      io.number(record.num_chunks);
      io.number(record.frame_bytes);
      io.id(record.id);
      io.number(record.to);
      io.number(record.number);
      io.number(record.taken_ms);
      io.count(record.num_waiting, record.waiting.size());
      for (uint8_t i = 0; i < record.num_waiting; ++i) io.waiting(record.waiting[i]);
      return;
    case RecordKind::kConfirm:
      io.number(record.target);
      io.waiting(record.who);
      return;
    case RecordKind::kReceipt:
    case RecordKind::kReceiptAck:
      io.receipt(record.receipt_key);
      io.number(record.up_to);
      return;
    case RecordKind::kExpired:
      io.number(record.target);
      io.waiting(record.who);
      io.id(record.id);
      io.number(record.to);
      io.waiting(record.tell);
      return;
    case RecordKind::kExpiredAck:
      io.id(record.id);
      io.waiting(record.tell);
      return;
    case RecordKind::kResult:
      io.flag(record.delivered);
      io.id(record.id);
      io.number(record.to);
      io.number(record.number);
      return;
  }
}

template <typename Io, typename T>
void fields_of_row(Io& io, T& row) {
  io.flag(row.reported);
  io.number(row.num_chunks);
  io.number(row.frame_bytes);
  io.number(row.pos);
  io.id(row.id);
  io.number(row.to);
  io.number(row.taken_ms);
  io.waiting(row.waiting);
}

template <typename Io, typename T>
void fields_of_device(Io& io, T& device) {
  io.number(device.number);
  io.flag(device.overflowed);
  io.flag(device.missed);
  io.number(device.seen_ms);
  io.number(device.origin);
  io.text(device.name, 64);
}

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
std::array<uint8_t, 16> pack_key(BlockKey key) {
  std::array<uint8_t, 16> bytes;
  store_big<uint64_t>(bytes.data(), key.user);
  store_big<uint64_t>(bytes.data() + 8, key.whom);
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

UserId unpack_user_key(Bytes bytes) {
  return bytes.size() == sizeof(UserId) ? load_big<uint64_t>(bytes.data()) : 0;
}

Result<BlockKey> unpack_block_key(Bytes bytes) {
  if (bytes.size() != 16) return kCorruptValue;
  return BlockKey{load_big<uint64_t>(bytes.data()), load_big<uint64_t>(bytes.data() + 8)};
}

void pack_record(Bytes key, const Record& record, Bytes part, Value& out) {
  Packer pack(out);
  pack.number(static_cast<uint8_t>(record.kind));
  fields_of_record(pack, record);
  pack.bytes(part);
  pack.seal(key);
}

Result<Record> unpack_record(Bytes key, Bytes value, Bytes* part) {
  Unpacker unpack(key, value);
  Record record;
  uint8_t kind = 0;
  unpack.number(kind);
  if (kind < static_cast<uint8_t>(RecordKind::kAccept) || kind > static_cast<uint8_t>(RecordKind::kResult))
    return kCorruptValue;
  record.kind = static_cast<RecordKind>(kind);
  fields_of_record(unpack, record);
  if (record.kind == RecordKind::kAccept) {
    const Bytes rest = unpack.rest();
    if (part) *part = rest;
  }
  if (!unpack.done()) return kCorruptValue;
  return record;
}

void pack_row(Bytes key, const Row& row, Bytes part, Value& out) {
  Packer pack(out);
  fields_of_row(pack, row);
  pack.bytes(part);
  pack.seal(key);
}

Result<Row> unpack_row(Bytes key, Bytes value, Bytes* part) {
  Unpacker unpack(key, value);
  Row row;
  fields_of_row(unpack, row);
  const Bytes rest = unpack.rest();
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
  pack.number(row.next_device);
  pack.text(row.handle, kHandleBytesMax);
  pack.count(static_cast<uint8_t>(row.devices.size()), kDevicesMax);
  for (const DeviceRow& device : row.devices) fields_of_device(pack, device);
  pack.seal(key);
}

Result<UserRow> unpack_user(Bytes key, Bytes value) {
  if (key.size() != 8) return kCorruptValue;
  Unpacker unpack(key, value);
  UserRow row;
  row.id = load_big<uint64_t>(key.data());
  unpack.number(row.next_device);
  unpack.text(row.handle, kHandleBytesMax);
  uint8_t num_devices = 0;
  unpack.count(num_devices, kDevicesMax);
  row.devices.resize(num_devices);
  for (DeviceRow& device : row.devices) fields_of_device(unpack, device);
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
