// BackupWriter: a store as one stream of bytes, which read_backup() takes apart (store/backup_reader.h).
//
//   stream = "PERCHBK1" block*
//   block  = kind 1, payload's size 4, CRC-32C 4 (of the block's number in the stream, 8 bytes, then of kind
//            and payload), payload. Numbers are big-endian.
//
//   kBegin    format of the store 8, about how many bytes follow 8
//   kTable    a table's name, "journal/users"; the entries that follow are its own, in order of key
//   kEntries  (key's size 2, value's size 2, key, value)*; key and value as in store/keyspace.h
//   kEnd      number of all entries 8
//   kBroken   why the rest is missing, in words
//
// ON: any thread; it reads through snapshots of its own.
#pragma once
#include <functional>
#include <string_view>
#include <vector>

#include "store/kv.h"

namespace perch::store {

inline constexpr std::string_view kBackupMagic = "PERCHBK1";
inline constexpr size_t kBackupHeaderBytes = 1 + 4 + 4;  // of a block
inline constexpr size_t kBackupPayloadBytesMax = 64 * 1024;
enum class BackupBlock : uint8_t { kBegin = 1, kTable, kEntries, kEnd, kBroken };

// Both environments as they were at one moment. OWNER: one thread at a time; it goes before the environments.
struct Cut {
  std::unique_ptr<Snapshot> journal;
  std::unique_ptr<Snapshot> tables;
};

class BackupWriter {
 public:
  // Takes a whole block, or, with its error, nothing of it that matters: broken() then says why in its place.
  using Sink = std::function<Result<void>(Bytes)>;
  explicit BackupWriter(Sink sink);

  // All of it, from the first byte to the last. ERRORS: those of the sink, with which it ends; kCorrupt: a
  // value does not fit its checksum, and a kBroken block says which; those of the snapshots, likewise.
  Result<void> write(Cut& cut, uint64_t bytes_about);
  // For who breaks it off. REQUIRES: write() has returned an error, and the sink still takes something.
  Result<void> broken(std::string_view why);

 private:
  Result<void> table(std::string_view environment, std::string_view name, Snapshot& snapshot, Table table);
  Result<void> entry(Bytes key, Bytes value);
  Result<void> flush_entries();
  Result<void> block(BackupBlock kind, Bytes payload);
  Result<void> block(BackupBlock kind, std::string_view payload);

  Sink sink_;
  std::vector<uint8_t> entries_;  // of the kEntries block that is being filled
  uint64_t num_entries_ = 0;
  uint64_t num_blocks_ = 0;
};

}  // namespace perch::store
