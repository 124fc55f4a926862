#include "store/ceiling_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>

#include "core/folder.h"
#include "core/text_file.h"

namespace perch::store {
namespace {

constexpr size_t kBytesMax = 32;

std::string path_in(const std::string& folder) { return folder + "/ceiling"; }

Error system_error() { return {Errc::kSystem, errno}; }

Result<void> write_flushed(const std::string& path, std::string_view text) {
  const int file = open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  if (file < 0) return system_error();
  Result<void> done;
  const ssize_t wrote = write(file, text.data(), text.size());
  if (wrote < 0 || fsync(file) != 0)
    done = system_error();
  else if (static_cast<size_t>(wrote) != text.size())
    done = Error{Errc::kSystem, ENOSPC};
  close(file);
  return done;
}

}  // namespace

Result<uint64_t> read_ceiling_file(const std::string& folder) {
  const Result<TextFile> file = read_text_file(path_in(folder), kBytesMax);
  if (!file && file.error().code == Errc::kSystem && file.error().detail == ENOENT)
    return Error{Errc::kNotFound};
  if (!file) return file.error();
  uint64_t ceiling = 0;
  const char* end = file->text.data() + file->text.size();
  const auto parsed = std::from_chars(file->text.data(), end, ceiling);
  if (parsed.ec != std::errc{} || std::string_view(parsed.ptr, end) != "\n") return Error{Errc::kCorrupt};
  return ceiling;
}

Result<void> write_ceiling_file(const std::string& folder, uint64_t ceiling) {
  const std::string path = path_in(folder);
  const std::string fresh = path + ".new";
  if (auto written = write_flushed(fresh, fmt::format("{}\n", ceiling)); !written) return written;
  if (rename(fresh.c_str(), path.c_str()) != 0) return system_error();
  return flush_names(folder);
}

}  // namespace perch::store
