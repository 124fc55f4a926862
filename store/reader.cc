#include "store/reader.h"

#include "store/keyspace.h"

namespace perch::store {
namespace {

class KvReader final : public Reader {
 public:
  KvReader(std::unique_ptr<Snapshot> journal, std::unique_ptr<Snapshot> tables)
      : journal_(std::move(journal)), tables_(std::move(tables)) {}

  Result<void> frame(UserId user, Number number, const Place& place, std::vector<uint8_t>& out) override {
    const size_t size_before = out.size();
    auto read = frame_once(user, number, place, out);
    if (!read && read.error().code == Errc::kNotFound) {
      // The snapshots may be older than the commit that reported this place.
      out.resize(size_before);
      release();
      read = frame_once(user, number, place, out);
    }
    if (!read) out.resize(size_before);
    return read;
  }

  Result<UserRow> user(UserId id) override {
    const auto key = pack_key(id);
    auto value = journal_->get(kUsersTable, key);
    if (!value) return value.error();
    return unpack_user(key, *value);
  }
  Result<UserId> handle(std::string_view handle) override {
    if (handle.empty() || handle.size() > kHandleBytesMax) return Error{Errc::kNotFound};
    const Bytes key{reinterpret_cast<const uint8_t*>(handle.data()), handle.size()};
    auto value = journal_->get(kHandlesTable, key);
    if (!value) return value.error();
    return unpack_number(key, *value);
  }
  Result<void> users(UserId from, const std::function<bool(UserId, const Result<UserRow>&)>& visit) override {
    return journal_->scan(kUsersTable, pack_key(from), [&](Bytes key, Bytes value) {
      return visit(unpack_user_key(key), unpack_user(key, value));
    });
  }
  Result<void> blocks(UserId user, const std::function<bool(UserId, bool)>& visit) override {
    Result<void> good;
    const auto read = journal_->scan(kBlocksTable, pack_key(BlockKey{user, 0}), [&](Bytes key, Bytes value) {
      const Result<BlockKey> found = unpack_block_key(key);
      if (found && found->user != user) return false;
      const Result<uint64_t> number = unpack_number(key, value);
      if (!found || !number) good = Error{Errc::kCorrupt};
      return good.ok() && visit(found->whom, *number != 0);
    });
    return read ? good : read;
  }
  Result<uint64_t> revoked_before(UserId user) override {
    const auto key = pack_key(user);
    auto value = journal_->get(kRevokedTable, key);
    if (!value) return value.error();
    return unpack_number(key, *value);
  }
  Result<void> revocations(UserId from, const std::function<bool(UserId, uint64_t)>& visit) override {
    Result<void> good;
    const auto read = journal_->scan(kRevokedTable, pack_key(from), [&](Bytes key, Bytes value) {
      const Result<uint64_t> before_ms = unpack_number(key, value);
      if (!before_ms) good = before_ms.error();
      return before_ms && visit(unpack_user_key(key), *before_ms);
    });
    return read ? good : read;
  }
  void release() override {
    journal_->release();
    tables_->release();
  }

 private:
  // The mover may have been here between the poster's look at the place and this read, so each place is
  // the other's fallback.
  Result<void> frame_once(UserId user, Number number, const Place& place, std::vector<uint8_t>& out) {
    auto read = place.in_table ? from_row(user, number, out) : from_journal(place.pos, out);
    if (read || read.error().code != Errc::kNotFound) return read;
    return place.in_table ? from_journal(place.pos, out) : from_row(user, number, out);
  }
  Result<void> from_journal(JournalPos pos, std::vector<uint8_t>& out) {
    const auto key = pack_key(JournalKey{pos, 0});
    auto value = journal_->get(kJournalTable, key);
    if (!value) return value.error();
    Bytes part;
    auto record = unpack_record(key, *value, &part);
    if (!record) return record.error();
    if (record->kind != RecordKind::kAccept) return Error{Errc::kCorrupt};
    return collect(*journal_, kJournalTable, part, record->num_chunks, record->frame_bytes, out,
                   [pos](uint16_t chunk) {
                     return pack_key(JournalKey{pos, chunk});
                   });
  }
  Result<void> from_row(UserId user, Number number, std::vector<uint8_t>& out) {
    const auto key = pack_key(RowKey{user, number, 0});
    auto value = tables_->get(mailbox_table(user), key);
    if (!value) return value.error();
    Bytes part;
    auto row = unpack_row(key, *value, &part);
    if (!row) return row.error();
    return collect(*tables_, mailbox_table(user), part, row->num_chunks, row->frame_bytes, out,
                   [&](uint16_t chunk) {
                     return pack_key(RowKey{user, number, chunk});
                   });
  }
  template <typename KeyOf>
  Result<void> collect(Snapshot& snapshot, Table table, Bytes first, uint16_t num_chunks,
                       uint32_t frame_bytes, std::vector<uint8_t>& out, KeyOf key_of) {
    const size_t size_before = out.size();
    out.insert(out.end(), first.begin(), first.end());
    for (uint16_t chunk = 1; chunk < num_chunks; ++chunk) {
      const auto key = key_of(chunk);
      auto value = snapshot.get(table, key);
      if (!value) {
        // A missing tail is damage, not absence.
        return value.error().code == Errc::kNotFound ? Error{Errc::kCorrupt} : value.error();
      }
      auto part = unpack_chunk(key, *value);
      if (!part) return part.error();
      out.insert(out.end(), part->begin(), part->end());
    }
    if (out.size() - size_before != frame_bytes) return Error{Errc::kCorrupt};
    return {};
  }
  std::unique_ptr<Snapshot> journal_;
  std::unique_ptr<Snapshot> tables_;
};

}  // namespace

std::unique_ptr<Reader> make_reader(Kv& journal, Kv& tables) {
  return std::make_unique<KvReader>(journal.snapshot(), tables.snapshot());
}

}  // namespace perch::store
