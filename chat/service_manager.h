// ServiceManager: the process that has started this one, if it is systemd: what it wants to be told
// (sd_notify(3)) and the sockets that it passes on (sd_listen_fds(3)). Without it all of this does nothing.
//
// Not libsystemd: it is a datagram and three variables, and a library with its own dependencies in a server's
// process is more than that.
// ON: the main thread.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace perch::chat {

class ServiceManager {
 public:
  // Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, LISTEN_FDS and LISTEN_PID. Empty, or one line for
  // the operator.
  [[nodiscard]] std::string open();
  ~ServiceManager();
  ServiceManager() = default;
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  // Descriptors of listening sockets. OWNER: the caller.
  const std::vector<int>& sockets() const { return sockets_; }
  // So often it must hear "WATCHDOG=1", or it kills the process; 0: it does not care.
  uint64_t watchdog_ms() const { return watchdog_ms_; }

  // "READY=1", "STATUS=…". What it does not take at once is sent by flush(): this waits for nothing.
  void tell(std::string_view assignment);
  void flush();
  bool lags() const { return !unsent_.empty(); }

 private:
  int socket_ = -1;
  uint64_t watchdog_ms_ = 0;
  std::vector<int> sockets_;
  std::string unsent_;
};

}  // namespace perch::chat
