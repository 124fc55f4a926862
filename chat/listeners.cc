#include "chat/listeners.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/check.h"
#include "net/listen.h"

namespace perch::chat {
namespace {

// The kernel closes the sockets of a process that was killed only after it has ended all its rings.
constexpr int kInUseMsMax = 3'000;
constexpr int kInUseNapMs = 20;

// A socket that shares with nobody: the port is ours alone. With SO_REUSEPORT a second server of the same
// user would quietly get half of the connections.
Result<int> open_alone(const std::string& address) {
  for (int waited_ms = 0;; waited_ms += kInUseNapMs) {
    Result<int> socket = net::open_listener(address, false);
    if (socket || socket.error().detail != EADDRINUSE || waited_ms >= kInUseMsMax) return socket;
    usleep(kInUseNapMs * 1'000);
  }
}

std::string explain(const std::string& address, const Error& error) {
  if (error.code != Errc::kSystem)
    return fmt::format("listen: {}: not an address; write 127.0.0.1:7110 or [::1]:7110", address);
  const int number = static_cast<int>(error.detail);
  const char* remedy = "name another address";
  if (number == EADDRINUSE) remedy = "stop what uses it, or name another address";
  if (number == EACCES) remedy = "ports below 1024 need root (then give --user) or CAP_NET_BIND_SERVICE";
  if (number == EMFILE) remedy = "raise RLIMIT_NOFILE (ulimit -n, systemd LimitNOFILE)";
  return fmt::format("listen: {}: {}; {}", address, std::strerror(number), remedy);
}

}  // namespace

Listeners::~Listeners() {
  for (const int socket : sockets_) close(socket);
}

std::string Listeners::open(const std::vector<std::string>& addresses, size_t num_reactors) {
  num_reactors_ = num_reactors;
  for (const std::string& address : addresses) {
    const Result<int> alone = open_alone(address);
    if (!alone) return explain(address, alone.error());
    const Result<uint16_t> port = net::local_port(*alone);
    PERCH_CHECK(port.ok());
    close(*alone);
    addresses_.push_back(fmt::format("{}:{}", address.substr(0, address.rfind(':')), *port));
    for (size_t reactor = 0; reactor < num_reactors; ++reactor) {
      const Result<int> socket = net::open_listener(addresses_.back(), true);
      if (!socket) return explain(address, socket.error());
      sockets_.push_back(*socket);
    }
  }
  return {};
}

std::string Listeners::adopt(const std::vector<int>& passed, size_t num_reactors) {
  num_reactors_ = num_reactors;
  for (const int socket : passed) {
    const Result<std::string> address = net::adopt_listener(socket);
    if (!address)
      return fmt::format(
          "LISTEN_FDS: descriptor {} is no listening TCP socket; pass ListenStream= with an "
          "address and a port",
          socket);
    addresses_.push_back(*address);
    sockets_.push_back(socket);
    for (size_t reactor = 1; reactor < num_reactors; ++reactor) {
      sockets_.push_back(fcntl(socket, F_DUPFD_CLOEXEC, 0));
      if (sockets_.back() >= 0) continue;
      sockets_.pop_back();
      return explain(*address, Error{Errc::kSystem, errno});
    }
  }
  return {};
}

std::vector<int> Listeners::of(size_t reactor) const {
  std::vector<int> own;
  for (size_t at = reactor; at < sockets_.size(); at += num_reactors_) own.push_back(sockets_[at]);
  return own;
}

}  // namespace perch::chat
