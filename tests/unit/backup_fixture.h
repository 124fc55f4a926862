// BackupTest: a store with a bit of everything, and its backup as one string of bytes.
#pragma once
#include "store/backup_reader.h"
#include "tests/unit/store_fixture.h"

namespace perch::store {

inline BackupReader::Source source_of(Bytes bytes) {
  return [bytes](MutableBytes buffer) mutable -> Result<size_t> {
    const size_t size = std::min({bytes.size(), buffer.size(), size_t{100}});  // in small parts
    std::copy_n(bytes.begin(), size, buffer.begin());
    bytes = bytes.subspan(size);
    return size;
  };
}

class BackupTest : public StoreTest {
 protected:
  using Stream = std::vector<uint8_t>;

  // The cut is over then: it may not outlive its environments, which load() closes.
  static Stream stream_of(Cut& cut) {
    Stream stream;
    BackupWriter writer([&](Bytes bytes) {
      stream.insert(stream.end(), bytes.begin(), bytes.end());
      return Result<void>();
    });
    written_ = writer.write(cut, 4711);
    cut = {};
    return stream;
  }
  Stream stream_now() {
    Result<Cut> cut = writer_->cut();
    EXPECT_TRUE(cut.ok());
    return stream_of(*cut);
  }
  // One user, messages in the journal and in the tables, one of them in parts.
  void fill() {
    open();
    StoreOp user;
    user.kind = OpKind::kUser;
    user.user_row = {kBob, "bob", 3, {{1, "phone"}, {2, "tablet"}}};
    ASSERT_EQ(apply(user), Status::kDone);
    for (Number number = 1; number <= 3; ++number) accept(number, pattern(number * 1'500, 1));
    Mover mover(*writer_);
    move_all(mover);
    accept(4, pattern(10, 4));
    accept(5, pattern(5'000, 5));
  }
  // The stream's entries become the store of this test.
  void load(const Stream& stream) {
    close();
    loaded_ = std::make_unique<TempFolder>();
    auto journal = open_lmdb(loaded_->path() + "/journal", kJournalTableNames, limits_.map_bytes);
    auto tables = open_lmdb(loaded_->path() + "/tables", kMailboxTableNames, limits_.table_map_bytes);
    ASSERT_TRUE(journal.ok() && tables.ok());
    journal_ = std::move(*journal);
    tables_ = std::move(*tables);
    ASSERT_TRUE(journal_->begin());
    ASSERT_TRUE(tables_->begin());
    BackupReader reader(source_of(stream), [this](bool journal_s, Table table, Bytes key, Bytes value) {
      return (journal_s ? *journal_ : *tables_).append(table, key, value);
    });
    ASSERT_TRUE(reader.read().ok()) << reader.problem();
    ASSERT_TRUE(journal_->commit());
    ASSERT_TRUE(tables_->commit());
    ASSERT_EQ(try_open_over(*journal_, *tables_), Errc{});
    reader_ = writer_->make_reader();
  }

  static inline Result<void> written_;
  std::unique_ptr<TempFolder> loaded_;
};

}  // namespace perch::store
