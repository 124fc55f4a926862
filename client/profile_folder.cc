#include "client/profile_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "core/folder.h"

namespace perch::client {

Result<void> make_profile_folder(const std::string& dir) {
  std::filesystem::path path(dir);
  if (!path.has_filename()) path = path.parent_path();  // "a/b/" is "a/b"
  if (mkdir(path.c_str(), 0700) == 0) return flush_names(parent_of(path));
  if (errno == EEXIST) return flush_names_again(parent_of(path));
  if (errno != ENOENT || !path.has_parent_path()) return Error{Errc::kSystem, errno};
  if (auto made = make_profile_folder(path.parent_path()); !made.ok()) return made.error();
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return Error{Errc::kSystem, errno};
  return flush_names(parent_of(path));
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
