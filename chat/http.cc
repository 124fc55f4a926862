#include "chat/http.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "net/listen.h"

namespace perch::chat {
namespace {

constexpr std::string_view kOk = "200 OK", kUnavailable = "503 Service Unavailable";

struct Request {
  std::string_view method, path, version;
};

// Of a head that ends with an empty line. Empty method: not HTTP/1.
Request parse(std::string_view head) {
  const std::string_view line = head.substr(0, head.find("\r\n"));
  const size_t first = line.find(' '), last = line.rfind(' ');
  if (first == line.npos || first == last) return {};
  Request request{line.substr(0, first), line.substr(first + 1, last - first - 1), line.substr(last + 1)};
  if (request.version != "HTTP/1.1" && request.version != "HTTP/1.0") return {};
  if (!request.path.starts_with('/') || request.path.find(' ') != request.path.npos) return {};
  request.path = request.path.substr(0, request.path.find('?'));
  return request;
}

// RFC 9112 3.2: a request of HTTP/1.1 without it is answered 400.
bool names_host(std::string_view head) {
  constexpr std::string_view kHost = "\r\nhost:";
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + ('a' - 'A') : a) == b; };
  return std::search(head.begin(), head.end(), kHost.begin(), kHost.end(), same) != head.end();
}

std::string text(std::string_view status, const HttpAnswer& answer, bool with_body,
                 std::string_view more_fields = "") {
  return fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n{}Connection: "
      "close\r\n\r\n{}",
      status, answer.type, answer.body.size(), more_fields, with_body ? answer.body : "");
}

}  // namespace

Http::Http(Clock& clock, MetricsPage& metrics, Find find)
    : clock_(clock), metrics_(metrics), find_(std::move(find)) {}

Http::~Http() {
  for (Peer& peer : peers_) end(peer);
  if (listener_ >= 0) close(listener_);
}

std::string Http::open(const std::string& address) {
  const Result<int> listener = net::open_listener(address, false);
  if (!listener)
    return fmt::format("operations.listen: {}: {}; stop what uses it, or name another address", address,
                       std::strerror(static_cast<int>(listener.error().detail)));
  listener_ = *listener;
  // Or accept() would wait for ever if the peer that poll() told of has gone.
  const Result<uint16_t> port = net::local_port(listener_);
  if (!port || fcntl(listener_, F_SETFL, O_NONBLOCK) != 0)
    return fmt::format("operations.listen: {}: {}", address, std::strerror(errno));
  address_ = fmt::format("{}:{}", address.substr(0, address.rfind(':')), *port);
  return "";
}

void Http::serve() {
  if (listener_ < 0) return;
  std::array<pollfd, kHttpPeersMax + 1> polled;
  const uint64_t now = clock_.mono_ms();
  bool room = false;
  for (size_t i = 0; i < kHttpPeersMax; ++i) {
    Peer& peer = peers_[i];
    if (peer.fd >= 0 && now >= peer.until_ms) {
      if (!peer.is_answered()) metrics_.add(Metric::kHttpTimeout);
      end(peer);
    }
    room |= peer.fd < 0;
    const bool writes = !peer.answer.empty() && !peer.is_answered();
    polled[i] = {peer.fd, static_cast<short>(writes ? POLLOUT : POLLIN), 0};
  }
  if (!room && !paused_) metrics_.add(Metric::kHttpPaused);
  paused_ = !room;
  polled[kHttpPeersMax] = {room ? listener_ : -1, POLLIN, 0};
  if (poll(polled.data(), polled.size(), 0) <= 0) return;
  for (size_t i = 0; i < kHttpPeersMax; ++i)
    if (polled[i].revents != 0) turn(peers_[i]);
  if (polled[kHttpPeersMax].revents != 0) accept_one();
}

void Http::accept_one() {
  const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;  // it has gone, or there is no descriptor left: it waits
  const auto free = std::ranges::find_if(peers_, [](const Peer& peer) { return peer.fd < 0; });
  free->fd = fd;
  free->until_ms = clock_.mono_ms() + kHttpMsMax;
}

void Http::turn(Peer& peer) {
  if (peer.is_answered()) return wait_for_end(peer);
  if (peer.answer.empty()) read_some(peer);
  if (!peer.answer.empty()) write_some(peer);
}

void Http::read_some(Peer& peer) {
  char part[kHttpRequestBytesMax];
  const ssize_t got = recv(peer.fd, part, sizeof(part), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return end(peer);
  peer.request.append(part, static_cast<size_t>(got));
  constexpr std::string_view kEnd = "\r\n\r\n";
  const size_t size = peer.request.find(kEnd);
  if (std::min(size, peer.request.size()) > kHttpRequestBytesMax - kEnd.size())
    return refuse(peer, Metric::kHttpTooLarge, "431 Request Header Fields Too Large");
  if (size != std::string::npos) answer(peer, std::string_view(peer.request).substr(0, size + kEnd.size()));
}

void Http::answer(Peer& peer, std::string_view head) {
  const Request request = parse(head);
  if (request.method.empty() || (request.version == "HTTP/1.1" && !names_host(head)))
    return refuse(peer, Metric::kHttpMalformed, "400 Bad Request");
  if (request.method != "GET" && request.method != "HEAD")
    return refuse(peer, Metric::kHttpMethod, "405 Method Not Allowed");
  const std::optional<HttpAnswer> found = find_(request.path);
  if (!found) return refuse(peer, Metric::kHttpNotFound, "404 Not Found");
  metrics_.add(Metric::kHttpRequests);
  peer.answer = text(found->good ? kOk : kUnavailable, *found, request.method == "GET");
}

void Http::write_some(Peer& peer) {
  const ssize_t sent =
      send(peer.fd, peer.answer.data() + peer.num_sent, peer.answer.size() - peer.num_sent, MSG_NOSIGNAL);
  if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (sent < 0) return end(peer);
  peer.num_sent += static_cast<size_t>(sent);
  if (peer.is_answered()) shutdown(peer.fd, SHUT_WR);
}

// Closed with bytes unread the kernel would send a reset, and the peer might never read its answer.
void Http::wait_for_end(Peer& peer) {
  char rest[kHttpRequestBytesMax];
  const ssize_t got = recv(peer.fd, rest, sizeof(rest), 0);
  if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) return;
  end(peer);
}

void Http::refuse(Peer& peer, Metric reason, std::string_view status) {
  metrics_.add(reason);
  peer.answer = text(status, {.body = fmt::format("{}\n", status)}, !peer.request.starts_with("HEAD "),
                     reason == Metric::kHttpMethod ? "Allow: GET, HEAD\r\n" : "");
}

void Http::end(Peer& peer) {
  if (peer.fd >= 0) close(peer.fd);
  peer = Peer{};
}

}  // namespace perch::chat
