#include "net/listen.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string>

#include "net/peer.h"

namespace perch::net {
namespace {

constexpr int kBacklog = 4096;          // the kernel cuts it to net.core.somaxconn
constexpr int kUserTimeoutMs = 60'000;  // unacknowledged bytes for so long: the peer is gone

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

Result<Address> parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return Error{Errc::kInvalid};
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  uint16_t port = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, failure] = std::from_chars(digits.data(), end, port);
  if (failure != std::errc() || stop != end) return Error{Errc::kInvalid, static_cast<int64_t>(colon + 1)};

  Address address;
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.length = sizeof(sockaddr_in6);
    if (inet_pton(AF_INET6, std::string(host).c_str(), &v6->sin6_addr) != 1) return Error{Errc::kInvalid};
  } else {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.length = sizeof(sockaddr_in);
    if (inet_pton(AF_INET, std::string(host).c_str(), &v4->sin_addr) != 1) return Error{Errc::kInvalid};
  }
  return address;
}

bool set(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

// Accepted sockets have these from their listener, which saves three operations for each.
bool set_inherited(int fd) {
  return set(fd, IPPROTO_TCP, TCP_NODELAY, 1) && set(fd, SOL_SOCKET, SO_KEEPALIVE, 1) &&
         set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMs);
}

int get(int fd, int option) {
  int value = 0;
  socklen_t length = sizeof(value);
  return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 ? value : -1;
}

}  // namespace

Result<int> open_listener(std::string_view address_port, bool reuse_port) {
  const Result<Address> address = parse(address_port);
  if (!address) return address.error();
  const int family = address.value().storage.ss_family;
  // Blocking on purpose: on a non-blocking listener io_uring ends an accept with EAGAIN instead of waiting.
  const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Error{Errc::kSystem, errno};
  // An IPv6 listener takes IPv6 alone: an IPv4 connection on an IPv6 socket costs 128 bytes more.
  const bool ok =
      set(fd, SOL_SOCKET, SO_REUSEADDR, 1) && (!reuse_port || set(fd, SOL_SOCKET, SO_REUSEPORT, 1)) &&
      (family != AF_INET6 || set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) && set_inherited(fd) &&
      bind(fd, reinterpret_cast<const sockaddr*>(&address.value().storage), address.value().length) == 0 &&
      ::listen(fd, kBacklog) == 0;
  if (!ok) {
    const Error error{Errc::kSystem, errno};
    ::close(fd);
    return error;
  }
  return fd;
}

Result<std::string> adopt_listener(int fd) {
  if (get(fd, SO_ACCEPTCONN) != 1 || get(fd, SO_PROTOCOL) != IPPROTO_TCP) return Error{Errc::kInvalid};
  PeerAddress address;
  address.length = sizeof(address.storage);
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
      !set_inherited(fd) ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length) != 0)
    return Error{Errc::kSystem, errno};
  return text_of(address);
}

bool is_address(std::string_view address_port) { return parse(address_port).ok(); }

Result<uint16_t> local_port(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) {
    return Error{Errc::kSystem, errno};
  }
  if (storage.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port);
  return ntohs(reinterpret_cast<sockaddr_in*>(&storage)->sin_port);
}

}  // namespace perch::net
