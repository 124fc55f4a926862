#include "net/acceptor.h"

#include <cerrno>

#include "core/check.h"
#include "net/operation.h"

namespace perch::net {

void Acceptor::add(int listener) {
  for (uint32_t i = 0; i < kAcceptsPerListener; ++i) accepts_.push_back({.listener = listener, .peer = {}});
}

void Acceptor::stop() {
  for (Accept& accept : accepts_) accept.active = false;
}

void Acceptor::arm(uint32_t room, uint64_t now_ms) {
  if (now_ms < rest_until_ms_) return;
  rest_until_ms_ = 0;
  // One for each listener before a second for any, and behind the one armed last: where places are few, none
  // of the addresses starves.
  const uint32_t num_listeners = static_cast<uint32_t>(accepts_.size()) / kAcceptsPerListener;
  const uint32_t first = next_listener_;
  for (uint32_t step = 0; step < accepts_.size() && num_in_flight_ < room; ++step) {
    const uint32_t listener = (first + step) % num_listeners;
    const uint32_t i = listener * kAcceptsPerListener + step / num_listeners;
    Accept& accept = accepts_[i];
    if (accept.in_flight || !accept.active) continue;
    next_listener_ = (listener + 1) % num_listeners;
    accept.in_flight = true;
    accept.peer.storage.ss_family = AF_UNSPEC;
    accept.peer.length = sizeof(sockaddr_storage);
    ++num_in_flight_;
    ring_.accept(accept.listener, &accept.peer, Operation{OperationKind::kAccept, 0, i}.user_data());
  }
}

Socket Acceptor::completed(uint32_t index, int32_t result, uint64_t now_ms) {
  PERCH_CHECK(index < accepts_.size() && accepts_[index].in_flight);
  Accept& accept = accepts_[index];
  accept.in_flight = false;
  --num_in_flight_;
  if (result >= 0) {
    const Socket socket = static_cast<Socket>(result);
    if (accept.active) return socket;
    ring_.close(socket, Operation{OperationKind::kClose, 0, kNobody}.user_data());
    return kNoSocket;
  }
  // The kernel has said who it is, so it was taken off the backlog; then there was no place for it.
  const bool dropped = accept.peer.storage.ss_family != AF_UNSPEC;
  if (dropped) metrics_.add(Metric::kRefused);
  switch (-result) {
    case EBADF:
    case EINVAL:  // the listener was shut down or closed
    case ENOTSOCK:
    case EOPNOTSUPP:
    case ECANCELED:
      accept.active = false;
      break;
    case ECONNABORTED:  // the peer went before it was accepted, or accept(2) passes on a network error
    case EAGAIN:
    case EINTR:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EPERM:
      break;
    case ENFILE:  // moves have filled the ring's table meanwhile; or all of the system is at fs.file-max
      metrics_.add(dropped ? Metric::kPausedFull : Metric::kPausedDescriptors);
      rest_until_ms_ = now_ms + kAcceptRestMs;
      break;
    default:  // EMFILE, ENOBUFS, ENOMEM and what we do not know: again at once would be a busy loop
      metrics_.add(Metric::kPausedDescriptors);
      rest_until_ms_ = now_ms + kAcceptRestMs;
  }
  return kNoSocket;
}

uint64_t Acceptor::ms_to_next(uint64_t now_ms) const {
  if (rest_until_ms_ == 0) return UINT64_MAX;
  return rest_until_ms_ > now_ms ? rest_until_ms_ - now_ms : 0;
}

}  // namespace perch::net
