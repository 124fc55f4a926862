// restore: a backup becomes the store of a server that is not running.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/folder.h"
#include "core/random.h"
#include "ctl/backup_folder.h"
#include "ctl/json.h"
#include "store/ceiling_file.h"
#include "store/folder_lock.h"
#include "store/store_lmdb.h"
#include "store/writer.h"

namespace perch::ctl {
namespace {

// Puts a backup's entries into two new environments, in transactions of a bounded size.
class Loader {
 public:
  // False: it has been said why.
  bool open(const std::string& folder, uint64_t bytes) {
    // Room enough however the pages fill; it is address space.
    const uint64_t map_bytes = 4 * bytes + (64u << 20);
    return open_one(path_in(folder, "journal"), store::kJournalTableNames, map_bytes, journal_) &&
           open_one(path_in(folder, "tables"), store::kMailboxTableNames, map_bytes, tables_);
  }
  Result<void> put(bool journal, store::Table table, Bytes key, Bytes value) {
    constexpr size_t kBytesMax = 16 << 20;
    store::Kv& kv = journal ? *journal_ : *tables_;
    if (&kv != open_ || bytes_ > kBytesMax) {
      if (auto done = commit(); !done) return done;
      if (auto begun = kv.begin(); !begun) return begun;
      open_ = &kv;
    }
    bytes_ += key.size() + value.size();
    return kv.append(table, key, value);
  }
  // What is a copy from now on says so, and the ceiling below which its numbers may be used already.
  Result<uint64_t> finish(uint64_t last_used) {
    if (auto done = commit(); !done) return done.error();
    const std::unique_ptr<Random> random = system_random();
    if (auto marked = store::Writer::mark_restored(*journal_, last_used, *random); !marked)
      return marked.error();
    return store::Writer::stored_ceiling(*journal_);
  }

 private:
  template <typename Names>
  static bool open_one(const std::string& path, const Names& names, uint64_t map_bytes,
                       std::unique_ptr<store::Kv>& kv) {
    auto opened = store::open_lmdb(path, names, map_bytes);
    if (!opened) {
      errno = static_cast<int>(opened.error().detail);
      return complain_of(path);
    }
    kv = std::move(*opened);
    return true;
  }
  Result<void> commit() {
    store::Kv* const kv = std::exchange(open_, nullptr);
    bytes_ = 0;
    return kv == nullptr ? Result<void>() : kv->commit();
  }
  std::unique_ptr<store::Kv> journal_, tables_;
  store::Kv* open_ = nullptr;  // has a transaction
  size_t bytes_ = 0;           // in it
};

constexpr std::string_view kRestoring = "restoring";

bool is_there(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

// Nothing is in the folder that a restore would be in the way of. What an earlier one left that did not come
// to its end is taken away: `restoring` goes last, so while it is there without a journal no store was
// finished.
bool make_empty(const std::string& data) {
  if (mkdir(data.c_str(), 0700) != 0 && errno != EEXIST) return complain_of(data);
  const std::string restoring = path_in(data, kRestoring);
  std::error_code error;
  if (is_there(restoring) && !is_there(path_in(data, "journal")))
    std::filesystem::remove_all(path_in(data, "tables"), error);
  if (!error) std::filesystem::remove_all(restoring, error);
  std::filesystem::directory_iterator at(data, error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    const std::string name = at->path().filename();
    if (name == "ceiling" || name == "lock" || name == "control") continue;
    complain(kNotDone,
             fmt::format("--to {}: is not empty: {} is there; move all but the file ceiling away, and "
                         "keep that: it says which numbers were used",
                         data, name));
    return false;
  }
  errno = error.value();
  return !error || complain_of(data);
}

// As root: all belongs to whom the folder belongs to.
bool give_to_owner(const std::string& data) {
  struct stat owner;
  if (stat(data.c_str(), &owner) != 0) return complain_of(data);
  if (owner.st_uid == geteuid()) return true;
  std::error_code error;
  std::filesystem::recursive_directory_iterator at(data, error);
  for (; !error && at != std::filesystem::recursive_directory_iterator(); at.increment(error))
    if (lchown(at->path().c_str(), owner.st_uid, owner.st_gid) != 0) return complain_of(at->path());
  errno = error.value();
  return !error || complain_of(data);
}

// Below it the server that ran there may have given numbers out. Without its word on that: a random place far
// enough above what the backup knows, so that one backup restored twice gives none out twice.
uint64_t last_used(const std::string& data, uint64_t ceiling) {
  constexpr int kBits = 44;
  const Result<uint64_t> told = store::read_ceiling_file(data);
  return told && *told > 0 ? *told : ceiling + (system_random()->next() >> (64 - kBits));
}

bool complain_of_store(const std::string& data, const Error& error) {
  if (error.code == Errc::kFull)
    complain(kNotDone, fmt::format("--to {}: no room there", data));
  else
    complain(kNotDone, fmt::format("--to {}: {}", data,
                                   error.code == Errc::kSystem ? std::strerror(static_cast<int>(error.detail))
                                                               : name_of(error.code)));
  return false;
}

// The new store is whole in `restoring`; it gets its place, the journal last: without that no server starts.
bool put_in_place(const std::string& data, uint64_t ceiling) {
  const std::string restoring = path_in(data, kRestoring);
  if (const Result<void> wrote = store::write_ceiling_file(data, ceiling); !wrote)
    return complain_of_store(data, wrote.error());
  if (!give_to_owner(data)) return false;
  for (const char* part : {"tables", "journal"}) {
    if (rename((path_in(restoring, part)).c_str(), (path_in(data, part)).c_str()) != 0)
      return complain_of(path_in(data, part));
    if (const Result<void> flushed = flush_names(data); !flushed)
      return complain_of_store(data, flushed.error());
  }
  return rmdir(restoring.c_str()) == 0 || complain_of(restoring);
}

bool load(const std::string& backup, const std::string& data, uint64_t& ceiling) {
  const std::string restoring = path_in(data, kRestoring);
  const std::string store = path_in(backup, kStoreFile);
  struct stat file;
  if (stat(store.c_str(), &file) != 0) return complain_of(store);
  if (mkdir(restoring.c_str(), 0700) != 0) return complain_of(restoring);
  Loader loader;
  if (!loader.open(restoring, static_cast<uint64_t>(file.st_size))) return false;
  Result<void> put;
  const std::optional<Manifest> manifest =
      read_backup(backup, [&](bool journal, store::Table table, Bytes key, Bytes value) {
        return put = loader.put(journal, table, key, value);
      });
  if (!put) return complain_of_store(data, put.error());
  if (!manifest) return false;
  const Result<uint64_t> marked = loader.finish(last_used(data, manifest->summary.ceiling));
  if (!marked) return complain_of_store(data, marked.error());
  ceiling = *marked;
  return true;
}

}  // namespace

int run_restore(const Flags& flags) {
  std::string data = flags.to;
  while (data.size() > 1 && data.ends_with('/')) data.pop_back();
  // A damaged backup is found out before anything is touched.
  const std::optional<Manifest> manifest = read_backup(flags.folder);
  if (!manifest) return kNotDone;
  if (mkdir(data.c_str(), 0700) != 0 && errno != EEXIST) {
    complain_of(data);
    return kNotDone;
  }
  const Result<store::FolderLock> lock = store::FolderLock::take(data);
  if (!lock && lock.error().code == Errc::kBusy)
    return complain(kNotDone,
                    fmt::format("--to {}: a server runs there; stop it, or name another folder", data));
  if (!lock) {
    complain_of_store(data, lock.error());
    return kNotDone;
  }
  uint64_t ceiling = 0;
  if (!make_empty(data)) return kNotDone;
  if (!load(flags.folder, data, ceiling)) {
    std::error_code error;
    std::filesystem::remove_all(path_in(data, kRestoring), error);
    return kNotDone;
  }
  if (!put_in_place(data, ceiling)) return kNotDone;
  if (flags.json)
    return print_json(
        {{"restored", flags.to}, {"made_ms", manifest->made_ms}, {"users", manifest->summary.num_users}});
  return print(
      fmt::format("{}: the store of {}; start perchd there: clients send again what they have sent since\n",
                  flags.to, time_text(manifest->made_ms)));
}

}  // namespace perch::ctl
