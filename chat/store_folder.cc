#include "chat/store_folder.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "store/ceiling_file.h"
#include "store/store_lmdb.h"

namespace perch::chat {

StoreFolder::~StoreFolder() {
  writer_.reset();
  tables_.reset();
  journal_.reset();
}

std::string StoreFolder::lock(const std::string& path) {
  path_ = path;
  Result<store::FolderLock> lock = store::FolderLock::take(path);
  if (!lock && lock.error().code == Errc::kBusy)
    return fmt::format("data: {}: another perchd uses this folder; stop it, or name another folder", path);
  if (!lock)
    return fmt::format(
        "data: {}: cannot be written to: {}; give it to the server's user (chown -R), or name another "
        "folder",
        path, std::strerror(static_cast<int>(lock.error().detail)));
  lock_ = std::move(*lock);
  return {};
}

// Without room the old value stays, which is only less strict: a full server must be able to start and to
// empty itself.
std::string StoreFolder::save_ceiling(uint64_t ceiling) {
  const Result<void> wrote = store::write_ceiling_file(path_, ceiling);
  if (wrote || wrote.error().detail == ENOSPC || wrote.error().detail == EDQUOT) return {};
  return explain("file ceiling", wrote.error());
}

// Each start raises the ceiling, in the journal first, and a new store has the file before the journal: so
// the journal's is never below the file's, whenever a start was killed.
std::string StoreFolder::check_age(bool restored, Random& random) {
  const Result<uint64_t> ceiling = store::Writer::stored_ceiling(*journal_);
  if (!ceiling && ceiling.error().code != Errc::kNotFound) return explain("journal", ceiling.error());
  const Result<uint64_t> at_last_start = store::read_ceiling_file(path_);
  if (!at_last_start && at_last_start.error().code == Errc::kSystem)
    return explain("file ceiling", at_last_start.error());
  if (restored) {
    if (!ceiling) return fmt::format("--restored: {}: there is no store; put the backup back first", path_);
    // The file stays when a copy is put back, so that the same one put back twice gives no number twice.
    const uint64_t last_used = at_last_start ? *at_last_start : 0;
    const Result<void> marked = store::Writer::mark_restored(*journal_, last_used, random);
    return marked ? std::string() : explain("journal", marked.error());
  }
  if (!ceiling && (!at_last_start || *at_last_start == 0)) return save_ceiling(0);  // a new store
  if (ceiling && at_last_start && *at_last_start <= *ceiling) return {};
  return fmt::format(
      "data: {}: the store is not the one that ran here last: it was put back from a copy. Start perchd once "
      "with "
      "--restored: clients then send again what the copy lacks",
      path_);
}

std::string StoreFolder::open(const Limits& limits, Random& random, bool restored) {
  auto journal = store::open_lmdb(path_ + "/journal", store::kJournalTableNames, limits.map_bytes);
  if (!journal) return explain("journal", journal.error());
  journal_ = std::move(*journal);
  auto tables = store::open_lmdb(path_ + "/tables", store::kMailboxTableNames, limits.table_map_bytes);
  if (!tables) return explain("mailbox tables", tables.error());
  tables_ = std::move(*tables);
  if (std::string problem = check_age(restored, random); !problem.empty()) return problem;
  auto writer = store::Writer::open(*journal_, *tables_, limits, random);
  if (!writer) return explain("store", writer.error());
  writer_ = std::move(*writer);
  return save_ceiling(writer_->ceiling());
}

std::string StoreFolder::recover(store::RecoveryVisitor& visitor) {
  const Result<void> read = writer_->recover(visitor);
  if (read || read.error().code == Errc::kStopped) return {};
  return explain("store", read.error());
}

std::string StoreFolder::explain(const char* what, const Error& error) const {
  if (error.code == Errc::kNewerFormat)
    return fmt::format("data: {}: this store has format {}, written by a newer Perch; upgrade perchd", path_,
                       error.detail);
  if (error.code == Errc::kUnsupported)
    return fmt::format(
        "data: {}: this store has format {}, written by an older Perch, which this perchd does not read; "
        "start the perchd that wrote it, or name another folder",
        path_, error.detail);
  if (error == Error{Errc::kCorrupt, store::kTablesMissing})
    return fmt::format(
        "data: {}: the mailbox tables are missing: what waited longest is in them. Put back the folder "
        "tables as well, from the same copy as the journal",
        path_);
  if (error.code == Errc::kSystem)
    return fmt::format(
        "data: {}: cannot open the {}: {}; give all in it to the server's user (chown -R), or mend the "
        "disk",
        path_, what, std::strerror(static_cast<int>(error.detail)));
  if (error.code == Errc::kFull)
    return fmt::format("data: {}: no room to open the {}; free some of the disk, or raise limits.store",
                       path_, what);
  return fmt::format("data: {}: cannot open the {}: {} ({}); put a backup back", path_, what,
                     name_of(error.code), error.detail);
}

}  // namespace perch::chat
