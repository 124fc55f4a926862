#include "net/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>

namespace perch::net {

std::string text_of(const PeerAddress& peer) {
  char host[1 + INET6_ADDRSTRLEN] = "[";
  if (peer.storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(peer.storage);
    inet_ntop(AF_INET, &v4.sin_addr, host, INET6_ADDRSTRLEN);
    return std::string(host) + ":" + std::to_string(ntohs(v4.sin_port));
  }
  if (peer.storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(peer.storage);
    inet_ntop(AF_INET6, &v6.sin6_addr, host + 1, INET6_ADDRSTRLEN);
    return std::string(host) + "]:" + std::to_string(ntohs(v6.sin6_port));
  }
  return {};
}

}  // namespace perch::net
