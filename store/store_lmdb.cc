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

namespace perch::store {
namespace {

constexpr unsigned kReadersMax = 1024;
// The free list is walked at most once in so many commits: its length grows with what was deleted. A small
// map may be full before that.
constexpr uint32_t kCommitsPerFillScan = 32;
constexpr uint64_t kSmallMapBytes = 256u << 20;

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
    return {};
  }
  Result<void> erase(Table table, Bytes key) override {
    PERCH_CHECK(txn_);
    MDB_val k = value_of(key);
    const int rc = mdb_del(txn_, tables_[table], &k, nullptr);
    if (rc && rc != MDB_NOTFOUND) return error_of(rc);
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
    if (rc == 0) {
      ++commits_since_scan_;
      return {};
    }
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
    const uint32_t interval = info.me_mapsize < kSmallMapBytes ? 1 : kCommitsPerFillScan;
    if (!scanned_ || commits_since_scan_ >= interval) scan_free_pages();
    const uint64_t num_pages = info.me_last_pgno + 1;
    const uint64_t used_bytes = used_of(num_pages);
    const double of_map = static_cast<double>(used_bytes) / static_cast<double>(info.me_mapsize);
    struct statvfs disk;
    if (fstatvfs(directory_, &disk)) return of_map;
    const uint64_t available = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
    const double of_disk =
        static_cast<double>(used_bytes) / static_cast<double>(num_pages * page_bytes_ + available);
    return std::max(of_map, of_disk);
  }
  uint64_t used_bytes() override {
    MDB_envinfo info;
    return mdb_env_info(env_, &info) ? 0 : used_of(info.me_last_pgno + 1);
  }

 private:
  static Result<void> make_directory(const std::string& path) {
    if (mkdir(path.c_str(), 0700) == 0) {
      const size_t slash = path.find_last_of('/');
      const std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
      const int fd = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      if (fd < 0) return Error{Errc::kSystem, errno};
      const int rc = fsync(fd);
      const int error = errno;
      ::close(fd);
      if (rc) return Error{Errc::kSystem, error};
      return {};
    }
    if (errno == EEXIST) return {};
    return Error{errno == ENOSPC ? Errc::kFull : Errc::kSystem, errno};
  }
  uint64_t used_of(uint64_t num_pages) const {
    return (num_pages - std::min(num_free_pages_, num_pages)) * page_bytes_;
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
  void scan_free_pages() {
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
    num_free_pages_ = num_free;
    commits_since_scan_ = 0;
    scanned_ = true;
  }

  MDB_env* env_ = nullptr;
  MDB_txn* txn_ = nullptr;
  std::vector<MDB_dbi> tables_;
  std::vector<MDB_cursor*> append_;
  int directory_ = -1;
  uint64_t page_bytes_ = 4096;
  uint64_t num_free_pages_ = 0;
  uint32_t commits_since_scan_ = 0;
  bool scanned_ = false;
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
