// What is on the disk, byte by byte: keys and values of both environments. Writer and reader share this file.
//
// All numbers are big-endian, so that LMDB's byte order of keys is the order of positions and numbers.
// Every value starts with a CRC-32C over its key and the rest of itself: a value under the wrong key is
// corrupt too.
//
//   journal/  journal   pos 8, chunk 2               record; chunks above 0 carry the rest of a frame
//             users     user 8                       UserRow
//             handles   the handle's bytes           user 8
//             meta      MetaKey 1                    u64
//             blocks    user 8, whom it blocks 8     u64: 1, or 0: no more
//             revoked   user 8                       u64: tokens issued before that, in ms since 1970
//   tables/   mailbox 0 … 15, by user hash
//                       user 8, number 8, chunk 2    row; as above
//             meta      MetaKey 1                    u64
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/limits.h"
#include "core/result.h"
#include "core/types.h"
#include "store/kv.h"
#include "store/store.h"

namespace perch::store {

// 2: receipts say where their run begins, devices that they have missed something, and ages are served time.
inline constexpr uint64_t kFormatVersion = 2;

// Tables of journal/. The numbers are indices into the names; on the disk are the names.
inline constexpr Table kJournalTable = 0, kUsersTable = 1, kHandlesTable = 2, kJournalMetaTable = 3,
                       kBlocksTable = 4, kRevokedTable = 5;
inline constexpr std::array<std::string_view, 6> kJournalTableNames{"journal", "users",  "handles",
                                                                    "meta",    "blocks", "revoked"};
// Tables of tables/: mailboxes 0 … kNumMailboxTables-1, then meta. Fixed for ever by the format.
inline constexpr Table kNumMailboxTables = 16;
inline constexpr Table kTablesMetaTable = kNumMailboxTables;
inline constexpr std::array<std::string_view, kNumMailboxTables + 1> kMailboxTableNames{
    "m0", "m1",  "m2",  "m3",  "m4",  "m5",  "m6",  "m7",  "m8",
    "m9", "m10", "m11", "m12", "m13", "m14", "m15", "meta"};

// The top bits of a Fibonacci hash: ids may be dense or random, both spread.
constexpr Table mailbox_table(UserId user) { return static_cast<Table>((user * 0x9e3779b97f4a7c15u) >> 60); }

enum class MetaKey : uint8_t {
  kFormat = 1,
  kPair,  // random, the same in both environments: a journal and tables of different nodes do not mix
  kIncarnation,
  kCeiling,
  kMovedBelow,  // records below are moved or done with; what of them is left is only not deleted yet
  kNextPos,     // no position below is free, even when the journal is empty
  kServed,      // served time, at most kServedStepMs behind that of the last commit
};

// ---- keys
inline constexpr size_t kJournalKeyBytes = 8 + 2;
inline constexpr size_t kRowKeyBytes = 8 + 8 + 2;
inline constexpr size_t kHandleBytesMax = 255;  // of the format; a token's handle is shorter
// `chunk` counts the values of one frame, from 0.
struct JournalKey {
  JournalPos pos = 0;
  uint16_t chunk = 0;
  friend auto operator<=>(const JournalKey&, const JournalKey&) = default;
};
struct RowKey {
  UserId user = 0;
  Number number = 0;
  uint16_t chunk = 0;
  friend auto operator<=>(const RowKey&, const RowKey&) = default;
};
std::array<uint8_t, kJournalKeyBytes> pack_key(JournalKey key);
std::array<uint8_t, kRowKeyBytes> pack_key(RowKey key);
std::array<uint8_t, 8> pack_key(UserId user);
struct BlockKey {
  UserId user = 0;
  UserId whom = 0;
};
std::array<uint8_t, 16> pack_key(BlockKey key);
Result<JournalKey> unpack_journal_key(Bytes bytes);  // ERRORS: kCorrupt
Result<RowKey> unpack_row_key(Bytes bytes);          // ERRORS: kCorrupt
UserId unpack_user_key(Bytes bytes);                 // 0: it is none
Result<BlockKey> unpack_block_key(Bytes bytes);      // ERRORS: kCorrupt

// ---- values
// LMDB puts a node on overflow pages when key and value have more bytes than this (4096-byte pages: half of
// 4080, less an index slot of 2, which is me_nodemax in its mdb.c, and the node's header of 8).
inline constexpr size_t kNodeBytesMax = 4080 / 2 - 2 - 8;
inline constexpr size_t kValueBytesMax = kNodeBytesMax - kRowKeyBytes;
inline constexpr size_t kCrcBytes = 4;
inline constexpr size_t kIdBytes = 8 + 2 + 8 + 8;
inline constexpr size_t kWaitingBytesMax = 8 + 1 + 2 * kDevicesMax;
inline constexpr size_t kAcceptHeaderBytesMax =
    kCrcBytes + 1 + 1 + 2 + 4 + kIdBytes + 3 * 8 + 1 + 2 * kWaitingBytesMax;
inline constexpr size_t kRowHeaderBytesMax = kCrcBytes + 1 + 2 + 4 + 8 + kIdBytes + 2 * 8 + kWaitingBytesMax;
inline constexpr size_t kChunkBytesMax = kValueBytesMax - kAcceptHeaderBytesMax;  // of a frame, in one value
static_assert(kAcceptHeaderBytesMax == 113 && kRowHeaderBytesMax == 86 &&
              kRowHeaderBytesMax < kAcceptHeaderBytesMax);
static_assert(kNodeBytesMax == 2030 && kValueBytesMax == 2012 && kChunkBytesMax == 1899);
static_assert(kIdBytes == 26 && kWaitingBytesMax == 25);

// A value being packed, on the stack. Not cleared: only `size` bytes are ever written.
struct Value {
  std::array<uint8_t, kValueBytesMax> data;
  size_t size = 0;
  Bytes bytes() const { return {data.data(), size}; }
};

enum class RecordKind : uint8_t {
  kAccept = 1,
  kConfirm,
  kReceipt,
  kReceiptAck,
  kExpired,
  kExpiredAck,
  kResult,
};

struct Record {
  RecordKind kind{};
  bool delivered = false;            // kAccept, kResult
  bool no_receipt = false;           // kAccept
  uint16_t num_chunks = 1;           // kAccept
  uint32_t frame_bytes = 0;          // kAccept: in all chunks
  MessageId id;                      // kAccept, kExpired, kExpiredAck, kResult
  UserId to = 0;                     // kAccept, kExpired, kResult
  Number number = 0;                 // kAccept, kResult
  uint64_t taken_ms = 0;             // kAccept: served time
  std::array<Waiting, 2> waiting{};  // kAccept
  uint8_t num_waiting = 0;
  JournalPos target = 0;   // kConfirm, kExpired: the record it is about; 0: a row of the tables
  Waiting who;             // kConfirm, kExpired
  ReceiptKey receipt_key;  // kReceipt, kReceiptAck
  Seq up_to = 0;
  Waiting tell;  // kExpired, kExpiredAck
};

struct Row {
  bool reported = false;
  uint16_t num_chunks = 1;
  uint32_t frame_bytes = 0;
  JournalPos pos = 0;  // where it was in the journal
  MessageId id;
  UserId to = 0;
  uint64_t taken_ms = 0;  // served time
  Waiting waiting;        // its user is the key's
};

// How many bytes of a frame one value takes, for `limits`: rarely less than asked for.
constexpr size_t chunk_bytes(const Limits& limits) {
  return limits.chunk_bytes_max < kChunkBytesMax ? limits.chunk_bytes_max : kChunkBytesMax;
}
constexpr size_t num_chunks(size_t frame_bytes, size_t chunk_bytes) {
  return frame_bytes == 0 ? 1 : (frame_bytes + chunk_bytes - 1) / chunk_bytes;
}

// REQUIRES: part.size() <= kChunkBytesMax. `part` is the first chunk of the frame, empty for the other kinds.
void pack_record(Bytes key, const Record& record, Bytes part, Value& out);
// `part` (may be null) gets the first chunk of the frame. ERRORS: kCorrupt
Result<Record> unpack_record(Bytes key, Bytes value, Bytes* part);
void pack_row(Bytes key, const Row& row, Bytes part, Value& out);
Result<Row> unpack_row(Bytes key, Bytes value, Bytes* part);  // ERRORS: kCorrupt
void pack_chunk(Bytes key, Bytes part, Value& out);
Result<Bytes> unpack_chunk(Bytes key, Bytes value);  // ERRORS: kCorrupt
// REQUIRES: the row fits: at most kDevicesMax devices, names up to 64 bytes, handle up to kHandleBytesMax.
void pack_user(Bytes key, const UserRow& row, Value& out);
Result<UserRow> unpack_user(Bytes key, Bytes value);       // ERRORS: kCorrupt
void pack_number(Bytes key, uint64_t number, Value& out);  // meta, handles, blocks, revoked
Result<uint64_t> unpack_number(Bytes key, Bytes value);    // ERRORS: kCorrupt
static_assert(kCrcBytes + 2 + 1 + kHandleBytesMax + 1 + kDevicesMax * (2 + 1 + 8 + 8 + 1 + 64) <=
              kValueBytesMax);

}  // namespace perch::store
