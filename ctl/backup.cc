// backup, verify: a copy of a running server's store, and whether it is a good one.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <vector>

#include "core/clock.h"
#include "core/folder.h"
#include "ctl/backup_folder.h"
#include "ctl/json.h"
#include "ctl/text.h"

namespace perch::ctl {
namespace {

// How far a copy is, on a terminal.
class Progress {
 public:
  explicit Progress(uint64_t bytes_about) : bytes_about_(bytes_about), shows_(isatty(STDERR_FILENO) == 1) {}
  ~Progress() {
    if (shows_) std::fputs("\r\x1b[K", stderr);
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void add(uint64_t bytes) {
    constexpr uint64_t kShowMs = 200;
    bytes_ += bytes;
    const uint64_t now_ms = system_clock().mono_ms();
    if (!shows_ || now_ms < next_ms_) return;
    next_ms_ = now_ms + kShowMs;
    const std::string text =
        fmt::format("\r{} of about {}\x1b[K", bytes_text(bytes_), bytes_text(std::max(bytes_, bytes_about_)));
    std::fputs(text.c_str(), stderr);
  }

 private:
  const uint64_t bytes_about_;
  const bool shows_;
  uint64_t bytes_ = 0;
  uint64_t next_ms_ = 0;
};

bool has_room(const std::string& folder, uint64_t bytes) {
  struct statvfs disk;
  if (statvfs(folder.c_str(), &disk) != 0) return complain_of(folder);
  const uint64_t free = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
  if (free >= bytes) return true;
  complain(kNotDone, fmt::format("{}: {} are free there, and the backup may need {}", folder,
                                 bytes_text(free), bytes_text(bytes)));
  return false;
}

bool write_all(int file, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = write(file, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(wrote));
  }
  return true;
}

// What the server sends is in the folder's file, on the disk. The folder is made once the server has agreed.
bool copy_store(const Flags& flags, const std::string& folder, uint64_t bytes_about) {
  std::optional<LongAnswer> answer = LongAnswer::ask(flags, "backup");
  if (!answer) return false;
  const std::string path = path_in(folder, kStoreFile);
  if (mkdir(folder.c_str(), 0700) != 0) return complain_of(folder);
  const int file = open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
  if (file < 0) return complain_of(path);
  Progress progress(bytes_about);
  std::vector<uint8_t> buffer(64 * 1024);
  bool good = true, at_end = false;
  while (good && !at_end) {
    const Result<size_t> got = answer->read(buffer);
    good = got.ok();
    if (!good) break;
    at_end = *got == 0;
    progress.add(*got);
    good = write_all(file, Bytes(buffer).first(*got)) || complain_of(path);
  }
  good = good && (fsync(file) == 0 || complain_of(path));
  close(file);
  return good;
}

// The folder gets its name when all of it is on the disk.
bool finish(const std::string& partial, const std::string& folder, const Manifest& manifest) {
  if (!write_file(path_in(partial, kManifestFile), manifest_text(manifest))) return false;
  const auto flush = [](const std::string& names) {
    const Result<void> flushed = flush_names(names);
    if (flushed) return true;
    errno = static_cast<int>(flushed.error().detail);
    return complain_of(names);
  };
  if (!flush(partial)) return false;
  // Who made the name meanwhile keeps it: an empty folder would be replaced.
  if (renameat2(AT_FDCWD, partial.c_str(), AT_FDCWD, folder.c_str(), RENAME_NOREPLACE) != 0)
    return complain_of(folder);
  return flush(parent_of(folder));
}

int tell(const Flags& flags, const char* what, const Manifest& manifest) {
  const store::BackupSummary& summary = manifest.summary;
  if (flags.json) {
    Json json = {{what, flags.folder}};
    json.update(Json::parse(manifest_text(manifest), nullptr, /*allow_exceptions=*/false));
    return print_json(json);
  }
  return print(fmt::format("{}: {}, made {}: {} users, {} messages\n", flags.folder,
                           bytes_text(summary.bytes), time_text(manifest.made_ms), summary.num_users,
                           summary.num_messages));
}

}  // namespace

int run_backup(const Flags& flags) {
  std::string folder = flags.folder;
  while (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
  const std::string partial = fmt::format("{}.partial", folder);
  if (access(folder.c_str(), F_OK) == 0)
    return complain(kNotDone,
                    fmt::format("{}: is there already; give each backup a folder of its own", folder));
  const std::optional<Readings> readings = ask_readings(flags);
  if (!readings) return kNotDone;
  const auto bytes_about = static_cast<uint64_t>(readings->sum("perch_store_used_bytes"));
  if (!remove_backup(partial) || !has_room(parent_of(folder), bytes_about)) return kNotDone;
  Manifest manifest;
  manifest.made_ms = system_clock().wall_ms();
  bool done = copy_store(flags, partial, bytes_about);
  if (done) {
    const std::optional<store::BackupSummary> summary = read_store(partial);  // as it is on the disk
    done = summary.has_value();
    if (summary) manifest.summary = *summary;
  }
  done = done && finish(partial, folder, manifest);
  if (done) return tell(flags, "backup", manifest);
  remove_backup(partial);
  return kNotDone;
}

int run_verify(const Flags& flags) {
  const std::optional<Manifest> manifest = read_backup(flags.folder);
  return manifest ? tell(flags, "verified", *manifest) : kNotDone;
}

}  // namespace perch::ctl
