#include "chat/control.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/control_client.h"

namespace perch::chat {

Control::Control(Clock& clock, MetricsPage& metrics, Answer answer)
    : clock_(clock), metrics_(metrics), answer_(std::move(answer)) {}

Control::~Control() {
  for (Peer& peer : peers_) end(peer);
  if (listener_ < 0) return;
  close(listener_);
  unlink(path_.c_str());
}

std::string Control::open(const std::string& data_dir) {
  const Result<sockaddr_un> address = control_address(data_dir);
  if (!address)
    return fmt::format(
        "--data {}: a name of more than {} bytes has no room for the control socket; name a "
        "shorter folder",
        data_dir, address.error().detail);
  path_ = address->sun_path;
  listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener_ < 0) return fmt::format("{}: {}", path_, std::strerror(errno));
  unlink(path_.c_str());
  // The mode that bind() gives the file, so that it is never open to others, whatever the umask.
  if (fchmod(listener_, 0600) != 0 ||
      bind(listener_, reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) != 0 ||
      listen(listener_, kControlPeersMax) != 0) {
    const int number = errno;
    close(std::exchange(listener_, -1));
    return fmt::format("{}: cannot make the control socket: {}", path_, std::strerror(number));
  }
  return "";
}

void Control::serve(int timeout_ms) {
  std::array<pollfd, kControlPeersMax + 1> polled;
  const uint64_t now = clock_.mono_ms();
  bool room = false;
  for (size_t i = 0; i < kControlPeersMax; ++i) {
    Peer& peer = peers_[i];
    if (peer.fd >= 0 && now >= peer.until_ms) {
      metrics_.add(Metric::kControlRefused);
      end(peer);
    }
    room |= peer.fd < 0;
    const short awaited = !peer.answer.empty() ? POLLOUT : peer.asked ? 0 : POLLIN;
    polled[i] = {peer.fd, awaited, 0};
  }
  polled[kControlPeersMax] = {room ? listener_ : -1, POLLIN, 0};
  if (poll(polled.data(), polled.size(), timeout_ms) <= 0) return;
  for (size_t i = 0; i < kControlPeersMax; ++i) {
    if (polled[i].revents == 0) continue;
    if (peers_[i].asked && peers_[i].answer.empty()) {  // it has hung up
      end(peers_[i]);
      continue;
    }
    if (peers_[i].answer.empty()) read_some(peers_[i]);
    if (!peers_[i].answer.empty()) write_some(peers_[i]);
  }
  if (polled[kControlPeersMax].revents != 0) accept_one();
}

void Control::accept_one() {
  const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;  // it has gone, or there is no descriptor left: it waits
  for (Peer& peer : peers_) {
    if (peer.fd >= 0) continue;
    peer.fd = fd;
    peer.number = ++num_peers_;
    peer.until_ms = clock_.mono_ms() + kControlMsMax;
    ucred who{};
    socklen_t size = sizeof(who);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 || (who.uid != geteuid() && who.uid != 0))
      refuse(peer, "only the server's own user and root may ask");
    return;
  }
}

void Control::read_some(Peer& peer) {
  char part[kControlRequestBytesMax];
  const ssize_t got = recv(peer.fd, part, sizeof(part), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return end(peer);
  peer.request.append(part, static_cast<size_t>(got));
  const size_t newline = peer.request.find('\n');
  if (std::min(newline, peer.request.size()) > kControlRequestBytesMax)
    return refuse(peer, "the request is too long");
  if (newline == std::string::npos) return;
  metrics_.add(Metric::kControlRequests);
  peer.asked = true;
  const Asker asker{static_cast<size_t>(&peer - peers_.data()), peer.number};
  std::optional<std::string> answer = answer_(asker, std::string_view(peer.request).substr(0, newline));
  if (!answer) return;
  peer.answer = *std::move(answer);
  if (peer.answer.empty()) refuse(peer, "no such request; perchctl and perchd should be of one version");
}

Control::Peer* Control::peer_of(Asker asker) {
  Peer& peer = peers_[asker.place];
  return peer.fd >= 0 && peer.number == asker.number ? &peer : nullptr;
}

void Control::reply(Asker asker, std::string answer) {
  if (Peer* peer = peer_of(asker)) peer->answer = std::move(answer);
}

void Control::reply_error(Asker asker, std::string_view why) {
  if (Peer* peer = peer_of(asker)) refuse(*peer, why);
}

int Control::detach(Asker asker) {
  Peer* const peer = peer_of(asker);
  return peer == nullptr ? -1 : std::exchange(*peer, Peer{}).fd;
}

void Control::write_some(Peer& peer) {
  const ssize_t sent =
      send(peer.fd, peer.answer.data() + peer.num_sent, peer.answer.size() - peer.num_sent, MSG_NOSIGNAL);
  if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (sent < 0) return end(peer);
  peer.num_sent += static_cast<size_t>(sent);
  if (peer.num_sent == peer.answer.size()) end(peer);
}

void Control::refuse(Peer& peer, std::string_view why) {
  metrics_.add(Metric::kControlRefused);
  peer.answer = fmt::format("{}{}\n", kControlError, why);
}

void Control::end(Peer& peer) {
  if (peer.fd >= 0) close(peer.fd);
  peer = Peer{};
}

}  // namespace perch::chat
