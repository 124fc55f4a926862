#include "ctl/new_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "core/folder.h"
#include "core/random.h"
#include "ctl/backup_folder.h"
#include "store/keyspace.h"
#include "store/store_lmdb.h"
#include "store/writer.h"

namespace perch::ctl {
namespace {

std::string restoring_in(const std::string& data) { return path_in(data, "restoring"); }

bool is_there(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

Result<void> result_of(const std::error_code& error) {
  if (!error) return {};
  return Error{Errc::kSystem, error.value()};
}

Result<void> remove_all(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  return result_of(error);
}

// As root: all that is new belongs to whom the folder belongs to.
Result<void> give_to_owner(const std::string& data) {
  struct stat owner;
  if (stat(data.c_str(), &owner) != 0) return Error{Errc::kSystem, errno};
  if (owner.st_uid == geteuid()) return {};
  std::error_code error;
  std::filesystem::recursive_directory_iterator at(data, error);
  for (; !error && at != std::filesystem::recursive_directory_iterator(); at.increment(error))
    if (lchown(at->path().c_str(), owner.st_uid, owner.st_gid) != 0) return Error{Errc::kSystem, errno};
  return result_of(error);
}

}  // namespace

NewStore::~NewStore() {
  if (open_ != nullptr) open_->abort();
  journal_.reset();
  tables_.reset();
  (void)remove_all(restoring_in(data_));  // the next one removes it too
}

Result<void> NewStore::open(uint64_t bytes) {
  const std::string folder = restoring_in(data_);
  if (mkdir(folder.c_str(), 0700) != 0) return Error{Errc::kSystem, errno};
  const uint64_t map_bytes = 4 * bytes + (64u << 20);  // address space; enough however the pages fill
  auto journal = store::open_lmdb(path_in(folder, "journal"), store::kJournalTableNames, map_bytes);
  if (!journal) return journal.error();
  auto tables = store::open_lmdb(path_in(folder, "tables"), store::kMailboxTableNames, map_bytes);
  if (!tables) return tables.error();
  journal_ = std::move(*journal);
  tables_ = std::move(*tables);
  return {};
}

Result<void> NewStore::put(bool journal, store::Table table, Bytes key, Bytes value) {
  constexpr size_t kTransactionBytesMax = 16 << 20;
  store::Kv& kv = journal ? *journal_ : *tables_;
  if (&kv != open_ || bytes_ > kTransactionBytesMax) {
    if (auto done = commit(); !done) return done;
    if (auto begun = kv.begin(); !begun) return begun;
    open_ = &kv;
  }
  bytes_ += key.size() + value.size();
  return kv.append(table, key, value);
}

Result<void> NewStore::commit() {
  store::Kv* const kv = std::exchange(open_, nullptr);
  bytes_ = 0;
  return kv == nullptr ? Result<void>() : kv->commit();
}

Result<uint64_t> NewStore::mark_restored(uint64_t last_used) {
  const std::unique_ptr<Random> random = system_random();
  if (auto marked = store::Writer::mark_restored(*journal_, last_used, *random); !marked)
    return marked.error();
  return store::Writer::stored_ceiling(*journal_);
}

// The journal last. Where there was no store none starts without it; where there was one, its journal and the
// new tables are a store too.
Result<void> NewStore::put_in_place() {
  journal_.reset();
  tables_.reset();
  if (auto given = give_to_owner(data_); !given) return given;
  for (const char* part : {"tables", "journal"}) {
    const std::string made = path_in(restoring_in(data_), part), place = path_in(data_, part);
    const unsigned how = is_there(place) ? RENAME_EXCHANGE : RENAME_NOREPLACE;
    if (renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, place.c_str(), how) != 0)
      return Error{Errc::kSystem, errno};
    if (auto flushed = flush_names(data_); !flushed) return flushed;
  }
  return remove_all(restoring_in(data_));
}

// While `restoring` is there without a journal beside it, a restore into an empty folder was cut short, and
// the tables there are its own.
Result<void> remove_unfinished(const std::string& data) {
  if (is_there(restoring_in(data)) && !is_there(path_in(data, "journal")))
    if (auto removed = remove_all(path_in(data, "tables")); !removed) return removed;
  return remove_all(restoring_in(data));
}

int say(const std::string& data, const Error& error) {
  switch (error.code) {
    case Errc::kFull:
      return complain(kNotDone, fmt::format("{}: no room there", data));
    case Errc::kBusy:
      return complain(kNotDone,
                      fmt::format("{}: a server runs there; stop it, or name another folder", data));
    case Errc::kSystem:
      return complain(kNotDone, fmt::format("{}: {}", data, std::strerror(static_cast<int>(error.detail))));
    default:
      return complain(kNotDone, fmt::format("{}: the store cannot be used: {}", data, name_of(error.code)));
  }
}

}  // namespace perch::ctl
