#include "store/store_lmdb.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/folder.h"

namespace perch::store {
namespace {

constexpr unsigned kReadersMax = 1024;
constexpr size_t kNodeHeaderBytes = 2 + 8;  // its index slot, its header (store/keyspace.h)
// How much of the map may have changed before the free list is walked again, whose length grows with what was
// deleted: a hundredth.
constexpr uint64_t kScansPerMap = 100;

Error error_of(int code) {
  switch (code) {
    case MDB_NOTFOUND:
      return {Errc::kNotFound};
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case ENOSPC:
    case EDQUOT:
      return {Errc::kFull, code};
    case MDB_PANIC:
      return {Errc::kPoisoned};
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
      return {Errc::kCorrupt, code};
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
      return {Errc::kInvalid, code};
    default:
      return {Errc::kSystem, code};
  }
}

MDB_val value_of(Bytes bytes) { return {bytes.size(), const_cast<uint8_t*>(bytes.data())}; }
Bytes bytes_of(const MDB_val& value) { return {static_cast<const uint8_t*>(value.mv_data), value.mv_size}; }

Result<void> scan_in(MDB_txn* txn, MDB_dbi dbi, Bytes from,
                     const std::function<bool(Bytes key, Bytes value)>& visit) {
  MDB_cursor* cursor = nullptr;
  if (int rc = mdb_cursor_open(txn, dbi, &cursor)) return error_of(rc);
  MDB_val key = value_of(from), value{};
  int rc = mdb_cursor_get(cursor, &key, &value, from.empty() ? MDB_FIRST : MDB_SET_RANGE);
  while (rc == 0 && visit(bytes_of(key), bytes_of(value)))
    rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
  mdb_cursor_close(cursor);
  if (rc != 0 && rc != MDB_NOTFOUND) return error_of(rc);
  return {};
}

class LmdbSnapshot final : public Snapshot {
 public:
  LmdbSnapshot(MDB_env* env, const std::vector<MDB_dbi>& tables) : env_(env), tables_(tables) {}
  ~LmdbSnapshot() override {
    if (txn_) mdb_txn_abort(txn_);
  }
  Result<Bytes> get(Table table, Bytes key_bytes) override {
    if (auto begun = begin(); !begun) return begun.error();
    MDB_val key = value_of(key_bytes), value{};
    if (int rc = mdb_get(txn_, tables_[table], &key, &value)) return error_of(rc);
    return bytes_of(value);
  }
  Result<void> scan(Table table, Bytes from, const std::function<bool(Bytes, Bytes)>& visit) override {
    if (auto begun = begin(); !begun) return begun.error();
    return scan_in(txn_, tables_[table], from, visit);
  }
  void release() override {
    if (!active_) return;
    mdb_txn_reset(txn_);
    active_ = false;
  }

 private:
  Result<void> begin() {
    if (active_) return {};
    const int rc = txn_ ? mdb_txn_renew(txn_) : mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn_);
    if (rc) return error_of(rc);
    active_ = true;
    return {};
  }
  MDB_env* env_;
  const std::vector<MDB_dbi>& tables_;
  MDB_txn* txn_ = nullptr;
  bool active_ = false;
};

class LmdbKv final : public Kv {
 public:
  ~LmdbKv() override {
    abort();
    if (env_) mdb_env_close(env_);
    if (directory_ >= 0) ::close(directory_);
  }

  Result<void> open(const std::string& path, std::span<const std::string_view> tables, uint64_t map_bytes) {
    if (auto made = make_directory(path); !made) return made;
    directory_ = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory_ < 0) return Error{Errc::kSystem, errno};
    // LMDB itself would let a second process write in turn, with positions of the journal used twice.
    if (flock(directory_, LOCK_EX | LOCK_NB)) {
      return Error{errno == EWOULDBLOCK ? Errc::kBusy : Errc::kSystem, errno};
    }
    if (int rc = mdb_env_create(&env_)) return error_of(rc);
    if (int rc = mdb_env_set_mapsize(env_, map_bytes)) return error_of(rc);
    if (int rc = mdb_env_set_maxdbs(env_, static_cast<MDB_dbi>(tables.size()))) return error_of(rc);
    if (int rc = mdb_env_set_maxreaders(env_, kReadersMax)) return error_of(rc);
    // Never more flags: every other one that is faster takes something from "flushed" (DELIVERY.md H23).
    if (int rc = mdb_env_open(env_, path.c_str(), MDB_NOTLS | MDB_NORDAHEAD, 0600)) return error_of(rc);
    int dead = 0;
    mdb_reader_check(env_, &dead);  // slots of a killed process would pin the free list
    MDB_txn* txn = nullptr;
    if (int rc = mdb_txn_begin(env_, nullptr, 0, &txn)) return error_of(rc);
    for (std::string_view name : tables) {
      MDB_dbi dbi = 0;
      if (int rc = mdb_dbi_open(txn, std::string(name).c_str(), MDB_CREATE, &dbi)) {
        mdb_txn_abort(txn);
        return error_of(rc);
      }
      tables_.push_back(dbi);
    }
    if (int rc = mdb_txn_commit(txn)) return error_of(rc);
    // LMDB flushes the file, not the directory that names it.
    if (fsync(directory_)) return Error{Errc::kSystem, errno};
    append_.resize(tables_.size());
    MDB_stat stat;
    if (int rc = mdb_env_stat(env_, &stat)) return error_of(rc);
    page_bytes_ = stat.ms_psize;
    grown_bytes_ = map_bytes;  // nothing is known: the first fill() looks
    return {};
  }

  Result<void> begin() override {
    PERCH_CHECK(!txn_);
    if (poisoned_) return Error{Errc::kPoisoned};
    if (int rc = mdb_txn_begin(env_, nullptr, 0, &txn_)) return error_of(rc);
    return {};
  }
  Result<void> put(Table table, Bytes key, Bytes value) override {
    PERCH_CHECK(txn_);
    MDB_val k = value_of(key), v = value_of(value);
    if (int rc = mdb_put(txn_, tables_[table], &k, &v, 0)) return error_of(rc);
    grown_bytes_ += page_bytes_;  // the leaf it goes to may have to be split
    return {};
  }
  Result<void> append(Table table, Bytes key, Bytes value) override {
    PERCH_CHECK(txn_);
    // One cursor for the whole transaction: mdb_put would look for the last page again each time.
    if (!append_[table]) {
      if (int rc = mdb_cursor_open(txn_, tables_[table], &append_[table])) return error_of(rc);
    }
    MDB_val k = value_of(key), v = value_of(value);
    if (int rc = mdb_cursor_put(append_[table], &k, &v, MDB_APPEND)) return error_of(rc);
    // Pages are filled in turn, and values are below half of one: a third of each stays empty at worst.
    grown_bytes_ += 3 * (key.size() + value.size() + kNodeHeaderBytes) / 2;
    return {};
  }
  Result<void> erase(Table table, Bytes key) override {
    PERCH_CHECK(txn_);
    MDB_val k = value_of(key);
    const int rc = mdb_del(txn_, tables_[table], &k, nullptr);
    if (rc && rc != MDB_NOTFOUND) return error_of(rc);
    if (rc == 0) shrunk_bytes_ += page_bytes_;  // it may have been alone there
    return {};
  }
  Result<Bytes> get(Table table, Bytes key) override {
    PERCH_CHECK(txn_);
    MDB_val k = value_of(key), v{};
    if (int rc = mdb_get(txn_, tables_[table], &k, &v)) return error_of(rc);
    return bytes_of(v);
  }
  Result<void> scan(Table table, Bytes from, const std::function<bool(Bytes, Bytes)>& visit) override {
    PERCH_CHECK(txn_);
    return scan_in(txn_, tables_[table], from, visit);
  }
  Result<void> commit() override {
    PERCH_CHECK(txn_);
    close_cursors();
    const int rc = mdb_txn_commit(std::exchange(txn_, nullptr));  // frees it in either case
    if (rc == 0) return {};
    // Without room LMDB stops before its meta page is written: the last commit still stands. After any
    // other error nobody knows what is on the disk.
    // A write that the filesystem cut short because it filled up comes out of LMDB 0.9 as EIO
    // (mdb_page_flush, "short write, filesystem full?"), not as ENOSPC. Its pages belong to no commit, so
    // taking EIO on a full disk for lack of room never trusts a page that was not flushed; if the meta page
    // itself failed LMDB answers MDB_PANIC from then on.
    const Error error = rc == EIO && disk_is_full() ? Error{Errc::kFull, ENOSPC} : error_of(rc);
    if (error.code != Errc::kFull) poisoned_ = true;
    return error;
  }
  void abort() override {
    if (!txn_) return;
    close_cursors();
    mdb_txn_abort(std::exchange(txn_, nullptr));
  }
  std::unique_ptr<Snapshot> snapshot() override { return std::make_unique<LmdbSnapshot>(env_, tables_); }

  double fill() override {
    MDB_envinfo info;
    if (mdb_env_info(env_, &info)) return 1;
    const uint64_t num_pages = info.me_last_pgno + 1;
    const uint64_t most = capacity_of(info);
    if (grown_bytes_ + shrunk_bytes_ > most / kScansPerMap) scan_free_pages(num_pages);
    return static_cast<double>(used_of(num_pages)) / static_cast<double>(most);
  }
  uint64_t used_bytes() override {
    MDB_envinfo info;
    return mdb_env_info(env_, &info) ? 0 : used_of(info.me_last_pgno + 1);
  }
  uint64_t capacity_bytes() override {
    MDB_envinfo info;
    return mdb_env_info(env_, &info) ? 0 : capacity_of(info);
  }

 private:
  static Result<void> make_directory(const std::string& path) {
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
      return Error{errno == ENOSPC ? Errc::kFull : Errc::kSystem, errno};
    return flush_names(parent_of(path));  // whoever made it may have been killed before this
  }
  // At least what is used, for all that is taken from free pages between two scans moves no number that LMDB
  // keeps; at most a hundredth more, of the map or of what the disk has for it.
  uint64_t used_of(uint64_t num_pages) const {
    return std::min(num_pages * page_bytes_, scanned_bytes_ + grown_bytes_);
  }
  // The map, or what the disk has of it and could give.
  uint64_t capacity_of(const MDB_envinfo& info) const {
    struct statvfs disk;
    if (fstatvfs(directory_, &disk)) return info.me_mapsize;
    const uint64_t available = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
    return std::min<uint64_t>(info.me_mapsize, (info.me_last_pgno + 1) * page_bytes_ + available);
  }
  bool disk_is_full() const {
    constexpr uint64_t kRoomBytes = 1 << 20;  // less than one batch may need
    struct statvfs disk;
    return fstatvfs(directory_, &disk) == 0 &&
           static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize < kRoomBytes;
  }
  void close_cursors() {
    for (MDB_cursor*& cursor : append_)
      if (cursor) mdb_cursor_close(std::exchange(cursor, nullptr));
  }
  void scan_free_pages(uint64_t num_pages) {
    constexpr MDB_dbi kFreeDbi = 0;  // LMDB's own list, as mdb_stat -f reads it
    MDB_txn* txn = nullptr;
    if (mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn)) return;
    uint64_t num_free = 0;
    const auto scanned = scan_in(txn, kFreeDbi, {}, [&](Bytes, Bytes value) {
      size_t num = 0;
      if (value.size() >= sizeof(num)) std::memcpy(&num, value.data(), sizeof(num));
      num_free += num;
      return true;
    });
    mdb_txn_abort(txn);
    if (!scanned) return;
    scanned_bytes_ = (num_pages - std::min(num_free, num_pages)) * page_bytes_;
    grown_bytes_ = shrunk_bytes_ = 0;
  }

  MDB_env* env_ = nullptr;
  MDB_txn* txn_ = nullptr;
  std::vector<MDB_dbi> tables_;
  std::vector<MDB_cursor*> append_;
  int directory_ = -1;
  uint64_t page_bytes_ = 4096;
  uint64_t scanned_bytes_ = 0;  // used at the last scan
  uint64_t grown_bytes_ = 0;    // since then, at most
  uint64_t shrunk_bytes_ = 0;
  bool poisoned_ = false;
};

}  // namespace

Result<std::unique_ptr<Kv>> open_lmdb(const std::string& path, std::span<const std::string_view> tables,
                                      uint64_t map_bytes) {
  auto kv = std::make_unique<LmdbKv>();
  if (auto opened = kv->open(path, tables, map_bytes); !opened) return opened.error();
  return std::unique_ptr<Kv>(std::move(kv));
}

}  // namespace perch::store
