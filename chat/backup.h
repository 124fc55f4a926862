// Backup: the store on its way to who asked for a backup, as store/backup_writer.h has it.
//
// The server reads and the asker writes: so the copy may go where the server's user may not, a disk that is
// full or stands still is the asker's, and a killed asker leaves nothing here.
//
// ON: the main thread; the stream is sent by a thread of its own, which reactors and the store thread know
//     nothing of. It holds one Cut, so the store's maps use no room again until it has ended.
// LIMITS: one at a time. It gives way: broken off if the store finds no room (stop()), and if its asker takes
//     nothing for kBackupMsMax.
#pragma once
#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "core/result.h"
#include "store/backup_writer.h"

namespace perch::chat {

inline constexpr uint64_t kBackupMsMax = 30'000;

class Backup {
 public:
  Backup() = default;
  ~Backup();  // breaks off
  Backup(const Backup&) = delete;
  Backup& operator=(const Backup&) = delete;

  bool running() const { return thread_.joinable(); }
  // `socket` is its own from now on. REQUIRES: !running(). LIFETIME: the cut's environments outlive it.
  void start(int socket, store::Cut cut, uint64_t bytes_about);
  // It ends soon, and the asker is told why. LIFETIME: `why` is for ever.
  void stop(const char* why) { why_stopped_ = why; }
  struct Ended {
    uint64_t bytes = 0;  // sent
    std::string broken;  // why; empty: all of it was sent
  };
  // Once after each start(), as soon as it has ended; then another may begin.
  std::optional<Ended> ended();

 private:
  void run(store::Cut cut, uint64_t bytes_about);
  Result<void> send_all(Bytes bytes);
  std::thread thread_;
  int socket_ = -1;
  std::atomic<const char*> why_stopped_ = nullptr;
  std::atomic<bool> is_over_ = false;
  Ended ended_;  // the thread's until is_over_
};

}  // namespace perch::chat
