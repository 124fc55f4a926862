// restore: a backup becomes the store of a server that is not running.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "core/random.h"
#include "ctl/backup_folder.h"
#include "ctl/json.h"
#include "ctl/new_store.h"
#include "store/ceiling_file.h"
#include "store/folder_lock.h"

namespace perch::ctl {
namespace {

// Nothing is there that a new store would be in the way of.
bool is_free(const std::string& data) {
  std::error_code error;
  std::filesystem::directory_iterator at(data, error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    const std::string name = at->path().filename();
    if (name == "ceiling" || name == "lock" || name == "control") continue;
    complain(
        kNotDone,
        fmt::format("--to {}: is not empty: {} is there; move all but the file ceiling away, and keep that: "
                    "it says which numbers were used",
                    data, name));
    return false;
  }
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

bool load(const std::string& backup, const std::string& data) {
  const std::string stream = path_in(backup, kStoreFile);
  struct stat file;
  if (stat(stream.c_str(), &file) != 0) return complain_of(stream);
  const auto fail = [&](const Error& error) {
    say(data, error);
    return false;
  };
  NewStore store(data);
  if (auto opened = store.open(static_cast<uint64_t>(file.st_size)); !opened) return fail(opened.error());
  Result<void> put;
  const std::optional<Manifest> manifest =
      read_backup(backup, [&](bool journal, store::Table table, Bytes key, Bytes value) {
        return put = store.put(journal, table, key, value);
      });
  if (!put) return fail(put.error());
  if (!manifest) return false;
  if (auto done = store.commit(); !done) return fail(done.error());
  const Result<uint64_t> ceiling = store.mark_restored(last_used(data, manifest->summary.ceiling));
  if (!ceiling) return fail(ceiling.error());
  if (auto wrote = store::write_ceiling_file(data, *ceiling); !wrote) return fail(wrote.error());
  const Result<void> placed = store.put_in_place();
  return placed || fail(placed.error());
}

}  // namespace

int run_restore(const Flags& flags) {
  std::string data = flags.to;
  while (data.size() > 1 && data.ends_with('/')) data.pop_back();
  // A damaged backup is found out before anything is touched.
  const std::optional<Manifest> manifest = read_backup(flags.folder);
  if (!manifest) return kNotDone;
  if (mkdir(data.c_str(), 0700) != 0 && errno != EEXIST) return say(data, {Errc::kSystem, errno});
  const Result<store::FolderLock> lock = store::FolderLock::take(data);
  if (!lock) return say(data, lock.error());
  if (auto removed = remove_unfinished(data); !removed) return say(data, removed.error());
  if (!is_free(data) || !load(flags.folder, data)) return kNotDone;
  if (flags.json)
    return print_json(
        {{"restored", flags.to}, {"made_ms", manifest->made_ms}, {"users", manifest->summary.num_users}});
  return print(
      fmt::format("{}: the store of {}; start perchd there: clients send again what they have sent since\n",
                  flags.to, time_text(manifest->made_ms)));
}

}  // namespace perch::ctl
