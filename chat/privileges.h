// Privileges: what perchd gives up once all that needs them is open: low ports, the memory of the rings, key
// files.
//
// ON: the main thread. Changing the user reaches every thread (glibc does that); capabilities and
//     no_new_privs belong to a thread, so confine() comes before the first other thread and each of them
//     drops its own.
// ERRORS: one line each for the operator. Empty: none.
#pragma once
#include <sys/types.h>

#include <string>

namespace perch::chat {

class Privileges {
 public:
  // Whom to become; an empty name: nobody else. Only root can become somebody else.
  [[nodiscard]] std::string find(const std::string& user);
  // Makes the folder, if it is not there, and gives it to that user.
  [[nodiscard]] std::string make_folder(const std::string& path) const;
  // From here on no program that is run gains a privilege by it. Inherited by threads.
  static void confine();
  // Becomes the user for good.
  [[nodiscard]] std::string drop() const;
  // Of the calling thread, unless it is root's.
  static void drop_capabilities();

 private:
  std::string user_;
  bool changes_ = false;
  uid_t uid_ = 0;
  gid_t gid_ = 0;
};

}  // namespace perch::chat
