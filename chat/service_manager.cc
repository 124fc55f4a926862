#include "chat/service_manager.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <optional>

namespace perch::chat {
namespace {

constexpr int kFirstPassed = 3;  // SD_LISTEN_FDS_START
constexpr uint64_t kPassedMax = 64;

std::optional<uint64_t> number_of(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return {};
  uint64_t number = 0;
  const char* end = text + std::strlen(text);
  const auto [stop, failure] = std::from_chars(text, end, number);
  if (failure != std::errc() || stop != end) return {};
  return number;
}

// Variables may have been inherited from a parent that they were meant for.
bool is_own(const char* variable) { return number_of(variable) == static_cast<uint64_t>(getpid()); }

}  // namespace

std::string ServiceManager::open() {
  if (is_own("LISTEN_PID")) {
    const uint64_t num = number_of("LISTEN_FDS").value_or(0);
    if (num > kPassedMax) return fmt::format("LISTEN_FDS: {} sockets; pass {} or fewer", num, kPassedMax);
    for (uint64_t i = 0; i < num; ++i) sockets_.push_back(kFirstPassed + static_cast<int>(i));
  }
  const std::optional<uint64_t> watchdog_us = number_of("WATCHDOG_USEC");
  if (watchdog_us && (std::getenv("WATCHDOG_PID") == nullptr || is_own("WATCHDOG_PID")))
    watchdog_ms_ = *watchdog_us / 1000;

  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr) return {};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t size = std::strlen(path);
  if ((path[0] != '/' && path[0] != '@') || size < 2 || size >= sizeof(address.sun_path))
    return fmt::format("NOTIFY_SOCKET: {}: not the address of a Unix socket", path);
  std::memcpy(address.sun_path, path, size);
  if (path[0] == '@') address.sun_path[0] = '\0';  // a name that no file system has
  socket_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket_ < 0 || connect(socket_, reinterpret_cast<const sockaddr*>(&address),
                             static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size)) != 0)
    return fmt::format("NOTIFY_SOCKET: {}: {}", path, std::strerror(errno));
  return {};
}

ServiceManager::~ServiceManager() {
  if (socket_ >= 0) close(socket_);
}

void ServiceManager::tell(std::string_view assignment) {
  if (socket_ < 0) return;
  unsent_.append(assignment).push_back('\n');
  flush();
}

void ServiceManager::flush() {
  if (unsent_.empty()) return;
  const ssize_t sent = send(socket_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
  if (sent < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)) return;
  unsent_.clear();  // taken, or nobody is there any more
}

}  // namespace perch::chat
