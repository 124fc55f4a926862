#include "store/backup_reader.h"

#include <algorithm>
#include <array>

#include "store/checksum.h"
#include "store/packer.h"

namespace perch::store {
namespace {

constexpr size_t kNumTables = kJournalTableNames.size() + kMailboxTableNames.size();

std::string_view text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// In order of appearance; the journal's first.
std::string name_of_table(size_t number) {
  if (number < kJournalTableNames.size()) return "journal/" + std::string(kJournalTableNames[number]);
  return "tables/" + std::string(kMailboxTableNames[number - kJournalTableNames.size()]);
}

}  // namespace

BackupReader::BackupReader(Source source, Visit visit)
    : source_(std::move(source)), visit_(std::move(visit)) {
  payload_.reserve(kBackupPayloadBytesMax);
}

Result<BackupSummary> BackupReader::read() {
  std::array<uint8_t, kBackupMagic.size()> magic;
  const Result<void> first = fill(magic);
  if (!first && first.error().code != Errc::kCorrupt) return first.error();
  if (!first || text_of(magic) != kBackupMagic) {
    problem_ = "this is no backup of Perch";
    return Error{Errc::kInvalid};
  }
  for (;;) {
    const Result<BackupBlock> kind = next_block();
    if (!kind) return kind.error();
    if (*kind != BackupBlock::kBroken && (*kind == BackupBlock::kBegin) != (num_blocks_ == 1))
      return damaged("no block of that kind belongs here");
    Result<void> done;
    switch (*kind) {
      case BackupBlock::kBegin:
        done = begin();
        break;
      case BackupBlock::kTable:
        done = next_table();
        break;
      case BackupBlock::kEntries:
        done = entries();
        break;
      case BackupBlock::kEnd:
        if (done = end(); done) return summary_;
        break;
      case BackupBlock::kBroken:
        problem_ = text_of(payload_);
        return Error{Errc::kStopped};
      default:
        done = damaged("a block is of no known kind");
    }
    if (!done) return done.error();
  }
}

Result<void> BackupReader::fill(MutableBytes buffer) {
  size_t size = 0;
  while (size < buffer.size()) {
    const Result<size_t> got = source_(buffer.subspan(size));
    if (!got) return got.error();
    if (*got == 0) return damaged("it ends here");
    size += *got;
  }
  summary_.bytes += size;
  summary_.crc = crc32c(summary_.crc, buffer);
  return {};
}

Result<BackupBlock> BackupReader::next_block() {
  std::array<uint8_t, kBackupHeaderBytes> header;
  if (auto read = fill(header); !read) return read.error();
  const auto size = load_big<uint32_t>(header.data() + 1);
  if (size > kBackupPayloadBytesMax) return damaged("a block has an impossible size");
  payload_.resize(size);
  if (auto read = fill(payload_); !read) return read.error();
  std::array<uint8_t, 8> number;
  store_big<uint64_t>(number.data(), num_blocks_++);
  const uint32_t crc = crc32c(crc32c(crc32c(0, number), Bytes(header).first(1)), payload_);
  if (crc != load_big<uint32_t>(header.data() + 5)) return damaged("a block does not fit its checksum");
  return static_cast<BackupBlock>(header[0]);
}

Result<void> BackupReader::begin() {
  if (payload_.size() < 16) return damaged("its first block is too short");
  summary_.format = load_big<uint64_t>(payload_.data());
  bytes_about_ = load_big<uint64_t>(payload_.data() + 8);
  if (summary_.format != kFormatVersion) return wrong_format(summary_.format);
  return {};
}

// In the order of the names; one that is not there is empty: an older perchd had none of that name.
Result<void> BackupReader::next_table() {
  if (auto ended = end_of_table(); !ended) return ended;
  size_t number = tables_below_;
  while (number < kNumTables && text_of(payload_) != name_of_table(number)) ++number;
  if (number == kNumTables) {
    problem_ = "it has a table that this perchctl does not know: a newer perchd made it";
    return Error{Errc::kNewerFormat};
  }
  tables_below_ = number + 1;
  in_journal_ = number < kJournalTableNames.size();
  table_ = static_cast<Table>(in_journal_ ? number : number - kJournalTableNames.size());
  return {};
}

Result<void> BackupReader::entries() {
  if (tables_below_ == 0) return damaged("entries of no table");
  Bytes rest = payload_;
  while (!rest.empty()) {
    if (rest.size() < 4) return damaged("an entry is cut off");
    const size_t key_size = load_big<uint16_t>(rest.data()), value_size = load_big<uint16_t>(rest.data() + 2);
    if (rest.size() - 4 < key_size + value_size) return damaged("an entry is cut off");
    const Bytes key = rest.subspan(4, key_size), value = rest.subspan(4 + key_size, value_size);
    rest = rest.subspan(4 + key_size + value_size);
    if (auto good = entry(key, value); !good) return good;
    if (visit_)
      if (auto taken = visit_(in_journal_, table_, key, value); !taken) return taken;
    ++summary_.num_entries;
  }
  return {};
}

Result<void> BackupReader::entry(Bytes key, Bytes value) {
  if (key.empty() || (!last_key_.empty() && !std::ranges::lexicographical_compare(last_key_, key)))
    return damaged("keys are out of order");
  last_key_.assign(key.begin(), key.end());
  if (!Unpacker(key, value).good()) return damaged("a value does not fit its checksum");
  if (!in_journal_) return table_ == kTablesMetaTable ? meta(key, value) : row(key, value);
  switch (table_) {
    case kJournalTable:
      return journal_entry(key, value);
    case kUsersTable:
      if (!unpack_user(key, value)) return damaged("a user cannot be read");
      ++summary_.num_users;
      return {};
    case kHandlesTable:
      if (!unpack_number(key, value)) return damaged("a handle cannot be read");
      return {};
    case kJournalMetaTable:
      return meta(key, value);
  }
  return {};
}

Result<void> BackupReader::journal_entry(Bytes key, Bytes value) {
  const auto at = unpack_journal_key(key);
  if (!at) return damaged("a record's key cannot be read");
  // The journal's old end is dropped in steps, and one may have ended within a message.
  if (at->chunk > 0 && !has_record_) return {};
  has_record_ = true;
  if (at->chunk > 0) {
    if (chunks_left_ == 0) return damaged("a part of no message");
    --chunks_left_;
    return {};
  }
  if (chunks_left_ != 0) return damaged("a message is cut off");
  const auto record = unpack_record(key, value, nullptr);
  if (!record) return damaged("a record cannot be read");
  if (record->kind != RecordKind::kAccept) return {};
  if (record->num_chunks == 0) return damaged("a message without a part");
  chunks_left_ = record->num_chunks - 1u;
  ++summary_.num_messages;
  return {};
}

Result<void> BackupReader::row(Bytes key, Bytes value) {
  const auto at = unpack_row_key(key);
  if (!at) return damaged("a row's key cannot be read");
  if (at->chunk > 0) {
    if (chunks_left_ == 0) return damaged("a part of no message");
    --chunks_left_;
    return {};
  }
  if (chunks_left_ != 0) return damaged("a message is cut off");
  const auto stored = unpack_row(key, value, nullptr);
  if (!stored || stored->num_chunks == 0) return damaged("a row cannot be read");
  if (mailbox_table(at->user) != table_) return damaged("a row is in another's table");
  chunks_left_ = stored->num_chunks - 1u;
  ++summary_.num_messages;
  return {};
}

Result<void> BackupReader::meta(Bytes key, Bytes value) {
  const auto number = unpack_number(key, value);
  if (!number) return damaged("a number cannot be read");
  switch (static_cast<MetaKey>(key[0])) {
    case MetaKey::kFormat:
      if (*number != kFormatVersion) return wrong_format(*number);
      if (!in_journal_) tables_format_ = *number;
      return {};
    case MetaKey::kPair:
      (in_journal_ ? pair_ : tables_pair_) = *number;
      return {};
    case MetaKey::kIncarnation:
      summary_.incarnation = *number;
      return {};
    case MetaKey::kCeiling:
      summary_.ceiling = *number;
      return {};
    default:
      return {};
  }
}

Result<void> BackupReader::end_of_table() {
  last_key_.clear();
  if (chunks_left_ != 0) return damaged("a message is cut off");
  return {};
}

Result<void> BackupReader::end() {
  if (auto ended = end_of_table(); !ended) return ended;
  if (payload_.size() < 8 || load_big<uint64_t>(payload_.data()) != summary_.num_entries)
    return damaged("something of it is missing");
  if (summary_.incarnation == 0 || summary_.ceiling == 0 || pair_ == 0 || tables_format_ == 0)
    return damaged("it is of a store that was never started");
  if (pair_ != tables_pair_) return damaged("its journal and its tables are of different stores");
  return {};
}

Error BackupReader::damaged(std::string_view what) {
  problem_ = "damaged in front of byte " + std::to_string(summary_.bytes);
  if (tables_below_ > 0) problem_ += ", in table " + name_of_table(tables_below_ - 1);
  problem_ += ": " + std::string(what);
  return {Errc::kCorrupt, static_cast<int64_t>(summary_.bytes)};
}

Error BackupReader::wrong_format(uint64_t format) {
  problem_ = "it is of a store of format " + std::to_string(format) + "; this perchctl reads format " +
             std::to_string(kFormatVersion);
  return {format > kFormatVersion ? Errc::kNewerFormat : Errc::kUnsupported, static_cast<int64_t>(format)};
}

}  // namespace perch::store
