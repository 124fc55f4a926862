#include "core/folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace perch {

Result<void> flush_names(const std::string& folder) {
  const int file = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return Error{Errc::kSystem, errno};
  const int error = fsync(file) == 0 ? 0 : errno;
  close(file);
  if (error != 0) return Error{Errc::kSystem, error};
  return {};
}

Result<void> flush_names_again(const std::string& folder) {
  const Result<void> flushed = flush_names(folder);
  if (flushed) return {};
  switch (flushed.error().detail) {
    case EACCES:
    case EPERM:
    case EROFS:
    case EINVAL:
      return {};
    default:
      return flushed;
  }
}

std::string parent_of(const std::string& path) {
  const size_t end = path.find_last_not_of('/');
  const size_t slash = end == std::string::npos ? end : path.find_last_of('/', end);
  if (slash == std::string::npos) return path.starts_with('/') ? "/" : ".";
  const size_t last = path.find_last_not_of('/', slash);
  return last == std::string::npos ? "/" : path.substr(0, last + 1);
}

}  // namespace perch
