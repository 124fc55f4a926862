#include "chat/privileges.h"

#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/check.h"
#include "core/folder.h"

namespace perch::chat {

std::string Privileges::find(const std::string& user) {
  if (user.empty()) return {};
  user_ = user;
  errno = 0;
  const passwd* found = getpwnam(user.c_str());
  if (found == nullptr)
    return fmt::format("user: {}: no such user; make it (adduser --system --group {}) or name another", user,
                       user);
  uid_ = found->pw_uid;
  gid_ = found->pw_gid;
  changes_ = uid_ != geteuid();
  if (changes_ && geteuid() != 0)
    return fmt::format("user: only root can become {}; start perchd as root, or as {} itself", user, user);
  return {};
}

std::string Privileges::make_folder(const std::string& path) const {
  const bool made = mkdir(path.c_str(), 0700) == 0;
  if (!made && errno != EEXIST)
    return fmt::format("data: {}: cannot be made: {}; make it, or name another folder", path,
                       std::strerror(errno));
  // Before anything can fail: a folder of root's that was there already is left as it is.
  if (made && changes_ && chown(path.c_str(), uid_, gid_) != 0)
    return fmt::format("data: {}: cannot be given to {}: {}", path, user_, std::strerror(errno));
  const std::string parent = parent_of(path);
  if (const Result<void> flushed = made ? flush_names(parent) : flush_names_again(parent); !flushed)
    return fmt::format("data: {}: its name cannot be flushed: {}; mend the disk, or name another folder",
                       path, std::strerror(static_cast<int>(flushed.error().detail)));
  return {};
}

void Privileges::confine() { PERCH_CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0); }

std::string Privileges::drop() const {
  if (changes_ &&
      (setgroups(0, nullptr) != 0 || setresgid(gid_, gid_, gid_) != 0 || setresuid(uid_, uid_, uid_) != 0))
    return fmt::format("user: cannot become {}: {}; allow it, or start perchd as {}", user_,
                       std::strerror(errno), user_);
  drop_capabilities();
  // For good: neither by the saved user nor by a capability.
  PERCH_CHECK(!changes_ || uid_ == 0 || setuid(0) != 0);
  return {};
}

void Privileges::drop_capabilities() {
  if (geteuid() == 0) return;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3]{};
  PERCH_CHECK(syscall(SYS_capset, &header, none) == 0);  // one may always have less
  PERCH_CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0);
}

}  // namespace perch::chat
