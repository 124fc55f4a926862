#include "store/backup_writer.h"

#include <array>
#include <string>

#include "store/checksum.h"
#include "store/keyspace.h"
#include "store/packer.h"

namespace perch::store {
namespace {

Bytes bytes_of(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

template <typename T>
void append_big(std::vector<uint8_t>& out, T value) {
  std::array<uint8_t, sizeof(T)> bytes;
  store_big<T>(bytes.data(), value);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

std::string hex_of(Bytes bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

BackupWriter::BackupWriter(Sink sink) : sink_(std::move(sink)) { entries_.reserve(kBackupPayloadBytesMax); }

Result<void> BackupWriter::write(Cut& cut, uint64_t bytes_about) {
  std::vector<uint8_t> begin;
  append_big<uint64_t>(begin, kFormatVersion);
  append_big<uint64_t>(begin, bytes_about);
  if (auto put = block(BackupBlock::kBegin, begin); !put) return put;
  for (Table at = 0; at < kJournalTableNames.size(); ++at)
    if (auto put = table("journal", kJournalTableNames[at], *cut.journal, at); !put) return put;
  for (Table at = 0; at < kMailboxTableNames.size(); ++at)
    if (auto put = table("tables", kMailboxTableNames[at], *cut.tables, at); !put) return put;
  std::vector<uint8_t> end;
  append_big<uint64_t>(end, num_entries_);
  return block(BackupBlock::kEnd, end);
}

Result<void> BackupWriter::broken(std::string_view why) {
  entries_.clear();
  return block(BackupBlock::kBroken, why.substr(0, kBackupPayloadBytesMax));
}

Result<void> BackupWriter::table(std::string_view environment, std::string_view name, Snapshot& snapshot,
                                 Table table) {
  const std::string full_name = std::string(environment) + '/' + std::string(name);
  if (auto named = block(BackupBlock::kTable, full_name); !named) return named;
  Result<void> put;
  std::string damaged;
  const Result<void> read = snapshot.scan(table, {}, [&](Bytes key, Bytes value) {
    if (!Unpacker(key, value).good()) {
      damaged = "a value of table " + full_name + " is damaged, that of key " + hex_of(key);
      return false;
    }
    put = entry(key, value);
    return put.ok();
  });
  if (!put) return put;
  if (damaged.empty() && read) return flush_entries();
  if (damaged.empty()) damaged = "table " + full_name + " cannot be read: " + name_of(read.error().code);
  if (auto said = broken(damaged); !said) return said;
  return read ? Error{Errc::kCorrupt} : read.error();
}

Result<void> BackupWriter::entry(Bytes key, Bytes value) {
  const size_t bytes = 2 + 2 + key.size() + value.size();
  PERCH_CHECK(key.size() <= UINT16_MAX && value.size() <= UINT16_MAX && bytes <= kBackupPayloadBytesMax);
  if (entries_.size() + bytes > kBackupPayloadBytesMax)
    if (auto flushed = flush_entries(); !flushed) return flushed;
  append_big<uint16_t>(entries_, static_cast<uint16_t>(key.size()));
  append_big<uint16_t>(entries_, static_cast<uint16_t>(value.size()));
  entries_.insert(entries_.end(), key.begin(), key.end());
  entries_.insert(entries_.end(), value.begin(), value.end());
  ++num_entries_;
  return {};
}

Result<void> BackupWriter::flush_entries() {
  if (entries_.empty()) return {};
  auto put = block(BackupBlock::kEntries, entries_);
  entries_.clear();
  return put;
}

Result<void> BackupWriter::block(BackupBlock kind, std::string_view payload) {
  return block(kind, bytes_of(payload));
}

Result<void> BackupWriter::block(BackupBlock kind, Bytes payload) {
  std::array<uint8_t, 8> number;
  store_big<uint64_t>(number.data(), num_blocks_);
  const std::array<uint8_t, 1> kind_byte{static_cast<uint8_t>(kind)};
  std::vector<uint8_t> out;
  if (num_blocks_ == 0) out.assign(kBackupMagic.begin(), kBackupMagic.end());
  out.push_back(kind_byte[0]);
  append_big<uint32_t>(out, static_cast<uint32_t>(payload.size()));
  append_big<uint32_t>(out, crc32c(crc32c(crc32c(0, number), kind_byte), payload));
  out.insert(out.end(), payload.begin(), payload.end());
  auto put = sink_(out);
  if (put) ++num_blocks_;
  return put;
}

}  // namespace perch::store
