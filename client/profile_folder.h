// The folder of a profile: made so that a power cut does not take it back, and a lock that says which process
// owns it.
#pragma once
#include <string>

#include "core/result.h"

namespace perch::client {

// Makes `dir` (mode 0700: it will hold a token) and what is missing above it. What was made is on the disk
// when this returns: a message that was queued in a folder whose name is lost would be lost with it.
// ERRORS: kSystem (detail: errno).
Result<void> make_profile_folder(const std::string& dir);

// DIR/profile.lock, held by one process at a time and let go when that ends, however it ends.
// ON: one thread.
class ProfileLock {
 public:
  ProfileLock() = default;
  ~ProfileLock();
  ProfileLock(const ProfileLock&) = delete;
  ProfileLock& operator=(const ProfileLock&) = delete;

  // REQUIRES: not called before. ERRORS: kSystem.
  Result<void> open(const std::string& dir);
  // False: another process has it. ERRORS: kSystem, where the file system cannot lock. REQUIRES: open().
  Result<bool> try_take();
  bool held() const { return held_; }

 private:
  int fd_ = -1;
  bool held_ = false;
};

}  // namespace perch::client
