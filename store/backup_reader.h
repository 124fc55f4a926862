// BackupReader takes apart what BackupWriter made, believes none of it, and counts.
//
// ON: any thread; it waits for its source.
// CHECKS: the bytes of the stream, by the blocks' checksums; then that each record is one that a start could
//     read, as store/writer_recover.cc reads it, in order of key, and that journal and tables are of
//     one store.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "store/backup_writer.h"
#include "store/keyspace.h"

namespace perch::store {

// What a backup holds.
struct BackupSummary {
  uint64_t bytes = 0;  // of the stream
  uint32_t crc = 0;    // CRC-32C of all of it
  uint64_t format = 0;
  uint64_t num_entries = 0;
  uint64_t num_users = 0;
  uint64_t num_messages = 0;  // as records of the journal or rows, waiting or done with
  uint64_t incarnation = 0;
  uint64_t ceiling = 0;
};

class BackupReader {
 public:
  // Fills the front of the buffer; how much: 0 is the end. Its errors end the reading.
  using Source = std::function<Result<size_t>(MutableBytes)>;
  // Gets every entry, checked, in order: tables of the journal first. Its errors end the reading.
  using Visit = std::function<Result<void>(bool journal, Table table, Bytes key, Bytes value)>;

  explicit BackupReader(Source source, Visit visit = {});

  // ERRORS, and problem() says it in words: kInvalid: not a backup; kCorrupt: damaged, or cut off; kStopped:
  // whoever wrote it broke off; kNewerFormat, kUnsupported: of a store that another version wrote. Those of
  // source and visit, without words.
  Result<BackupSummary> read();
  const std::string& problem() const { return problem_; }
  // About how many bytes it will be, from the first block on; and how many have been read.
  uint64_t bytes_about() const { return bytes_about_; }
  uint64_t bytes_read() const { return summary_.bytes; }

 private:
  Result<void> fill(MutableBytes buffer);
  Result<BackupBlock> next_block();
  Result<void> begin();
  Result<void> next_table();
  Result<void> entries();
  Result<void> entry(Bytes key, Bytes value);
  Result<void> journal_entry(Bytes key, Bytes value);
  Result<void> row(Bytes key, Bytes value);
  Result<void> meta(Bytes key, Bytes value);
  Result<void> end_of_table();
  Result<void> end();
  Error damaged(std::string_view what);
  Error wrong_format(uint64_t format);

  Source source_;
  Visit visit_;
  std::string problem_;
  BackupSummary summary_;
  uint64_t bytes_about_ = 0;
  uint64_t num_blocks_ = 0;
  std::vector<uint8_t> payload_;
  size_t tables_below_ = 0;  // of all names, the journal's first: one more than that of the table being read
  bool in_journal_ = true;   // the table that is being read
  Table table_ = 0;
  std::vector<uint8_t> last_key_;
  bool has_record_ = false;   // of the journal: a first part was seen
  uint32_t chunks_left_ = 0;  // of the message last seen
  uint64_t pair_ = 0, tables_pair_ = 0, tables_format_ = 0;
};

}  // namespace perch::store
