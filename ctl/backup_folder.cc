#include "ctl/backup_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "core/folder.h"
#include "core/text_file.h"
#include "ctl/json.h"

namespace perch::ctl {
namespace {

constexpr uint64_t kManifestVersion = 1;
constexpr size_t kManifestBytesMax = 64 * 1024;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

std::string crc_text(uint32_t crc) { return fmt::format("{:08x}", crc); }

// Nothing: it has been said why.
std::optional<Json> read_manifest(const std::string& dir) {
  const std::string path = path_in(dir, kManifestFile);
  const Result<TextFile> file = read_text_file(path, kManifestBytesMax);
  if (!file && file.error().code == Errc::kSystem && file.error().detail == ENOENT) {
    complain(kNotDone, fmt::format("{}: is not there: {} is no backup, or only a part of one", path, dir));
    return std::nullopt;
  }
  Json json = file ? Json::parse(file->text, nullptr, /*allow_exceptions=*/false) : Json();
  if (!json.is_object() || number_at(json, "perch_backup") == 0) {
    complain(kNotDone, fmt::format("{}: cannot be read: it is damaged, or none of Perch's", path));
    return std::nullopt;
  }
  if (number_at(json, "perch_backup") == kManifestVersion) return json;
  complain(kNotDone, fmt::format("{}: written by a newer perchctl; upgrade this one", path));
  return std::nullopt;
}

}  // namespace

std::string path_in(const std::string& folder, std::string_view name) {
  return fmt::format("{}/{}", folder, name);
}

bool complain_of(const std::string& path) {
  complain(kNotDone, fmt::format("{}: {}", path, std::strerror(errno)));
  return false;
}

std::string time_text(uint64_t wall_ms) {
  const auto seconds = static_cast<time_t>(wall_ms / 1000);
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  return std::string(text, std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts));
}

std::string manifest_text(const Manifest& manifest) {
  const store::BackupSummary& summary = manifest.summary;
  const Json json = {{"perch_backup", kManifestVersion},   {"made", time_text(manifest.made_ms)},
                     {"made_ms", manifest.made_ms},        {"store_format", summary.format},
                     {"incarnation", summary.incarnation}, {"ceiling", summary.ceiling},
                     {"users", summary.num_users},         {"messages", summary.num_messages},
                     {"entries", summary.num_entries},     {"bytes", summary.bytes},
                     {"crc32c", crc_text(summary.crc)}};
  return json.dump(2) + "\n";
}

std::optional<store::BackupSummary> read_store(const std::string& dir, store::BackupReader::Visit visit) {
  const std::string path = path_in(dir, kStoreFile);
  const File file(std::fopen(path.c_str(), "rbe"));
  if (!file) {
    complain_of(path);
    return std::nullopt;
  }
  store::BackupReader reader(
      [&](MutableBytes buffer) -> Result<size_t> {
        const size_t got = std::fread(buffer.data(), 1, buffer.size(), file.get());
        if (got == 0 && std::ferror(file.get()) != 0) return Error{Errc::kSystem, errno};
        return got;
      },
      std::move(visit));
  const Result<store::BackupSummary> summary = reader.read();
  if (summary) return *summary;
  if (!reader.problem().empty())
    complain(kNotDone, fmt::format("{}: {}", path, reader.problem()));
  else if (summary.error().code == Errc::kSystem && std::ferror(file.get()) != 0)
    complain(kNotDone, fmt::format("{}: {}", path, std::strerror(static_cast<int>(summary.error().detail))));
  return std::nullopt;
}

std::optional<Manifest> read_backup(const std::string& dir, store::BackupReader::Visit visit) {
  const std::optional<Json> json = read_manifest(dir);
  if (!json) return std::nullopt;
  const std::optional<store::BackupSummary> summary = read_store(dir, std::move(visit));
  if (!summary) return std::nullopt;
  const auto differs = [&](const char* what, uint64_t found) {
    if (number_at(*json, what) == found) return false;
    complain(kNotDone, fmt::format("{}/{}: says {} {}, and the file store has {}", dir, kManifestFile,
                                   number_at(*json, what), what, found));
    return true;
  };
  if (differs("bytes", summary->bytes) || differs("entries", summary->num_entries) ||
      differs("users", summary->num_users) || differs("messages", summary->num_messages) ||
      differs("store_format", summary->format) || differs("incarnation", summary->incarnation) ||
      differs("ceiling", summary->ceiling))
    return std::nullopt;
  if (text_at(*json, "crc32c") != crc_text(summary->crc)) {
    complain(kNotDone,
             fmt::format("{}/{}: says another checksum than the file store has", dir, kManifestFile));
    return std::nullopt;
  }
  return Manifest{number_at(*json, "made_ms"), *summary};
}

bool remove_backup(const std::string& dir) {
  for (const std::string_view file : {kStoreFile, kManifestFile}) {
    const std::string path = path_in(dir, file);
    if (unlink(path.c_str()) != 0 && errno != ENOENT) return complain_of(path);
  }
  return rmdir(dir.c_str()) == 0 || errno == ENOENT || complain_of(dir);
}

bool write_file(const std::string& path, std::string_view text) {
  const int file = open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
  if (file < 0) return complain_of(path);
  const ssize_t wrote = write(file, text.data(), text.size());
  const bool is_whole = wrote == static_cast<ssize_t>(text.size());
  if (wrote >= 0 && !is_whole) errno = ENOSPC;
  const bool done = (is_whole && fsync(file) == 0) || complain_of(path);
  close(file);
  return done;
}

}  // namespace perch::ctl
