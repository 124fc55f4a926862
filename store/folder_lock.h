// FolderLock: the file `lock` of a data folder. Who holds it is the one process that may open or replace the
// store there.
//
// OWNER: whoever took it; the kernel lets go of it when the process ends, however it ends.
#pragma once
#include <string>
#include <utility>

#include "core/result.h"

namespace perch::store {

class FolderLock {
 public:
  FolderLock() = default;  // holds nothing
  FolderLock(FolderLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  FolderLock& operator=(FolderLock other) noexcept {
    std::swap(file_, other.file_);
    return *this;
  }
  ~FolderLock();

  // ERRORS: kBusy: another process holds it; kSystem with the errno.
  static Result<FolderLock> take(const std::string& folder);

 private:
  explicit FolderLock(int file) : file_(file) {}
  int file_ = -1;
};

}  // namespace perch::store
