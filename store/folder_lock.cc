#include "store/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

namespace perch::store {

FolderLock::~FolderLock() {
  if (file_ >= 0) close(file_);
}

Result<FolderLock> FolderLock::take(const std::string& folder) {
  FolderLock lock(open((folder + "/lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  if (lock.file_ < 0) return Error{Errc::kSystem, errno};
  if (flock(lock.file_, LOCK_EX | LOCK_NB) != 0)
    return Error{errno == EWOULDBLOCK ? Errc::kBusy : Errc::kSystem, errno};
  return lock;
}

}  // namespace perch::store
