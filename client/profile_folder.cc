#include "client/profile_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace perch::client {
namespace {

std::string parent_of(const std::filesystem::path& path) {
  const std::string parent = path.parent_path();
  return parent.empty() ? "." : parent;
}

}  // namespace

Result<void> sync_folder(const std::string& dir) {
  const int fd = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Error{Errc::kSystem, errno};
  const int error = fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  if (error != 0) return Error{Errc::kSystem, error};
  return {};
}

Result<void> make_profile_folder(const std::string& dir) {
  std::filesystem::path path(dir);
  if (!path.has_filename()) path = path.parent_path();  // "a/b/" is "a/b"
  if (mkdir(path.c_str(), 0700) == 0) return sync_folder(parent_of(path));
  if (errno == EEXIST) {
    // Whoever made it may have been killed before the flush.
    const auto synced = sync_folder(parent_of(path));
    if (!synced.ok() && synced.error().detail == EACCES) return {};  // not ours to flush
    return synced;
  }
  if (errno != ENOENT || !path.has_parent_path()) return Error{Errc::kSystem, errno};
  if (auto made = make_profile_folder(path.parent_path()); !made.ok()) return made.error();
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return Error{Errc::kSystem, errno};
  return sync_folder(parent_of(path));
}

ProfileLock::~ProfileLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> ProfileLock::open(const std::string& dir) {
  fd_ = ::open((dir + "/profile.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ < 0) return Error{Errc::kSystem, errno};
  return {};
}

Result<bool> ProfileLock::try_take() {
  while (!held_ && flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) return Error{Errc::kSystem, errno};
  }
  held_ = true;
  return true;
}

}  // namespace perch::client
