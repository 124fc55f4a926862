#include "ring_sim.h"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/check.h"

namespace perch::sim {

bool chance(Random& random, uint32_t millionths) {
  return millionths > 0 && random.below(1'000'000) < millionths;
}

// --- the client's end

size_t Link::client_write(std::string_view bytes) {
  if (server_closed || to_server.ended || to_server.reset)
    return bytes.size();  // into the void, until it reads
  const size_t num = std::min(bytes.size(), capacity - std::min(capacity, to_server.bytes.size()));
  to_server.bytes.append(bytes.substr(0, num));
  return num;
}

std::string Link::client_read(size_t most, uint64_t now_ns, bool& over) {
  over = false;
  if (to_client.frozen_until_ns > now_ns) return {};
  const size_t num = std::min(most, to_client.bytes.size());
  if (num == 0) {
    over = to_client.ended || to_client.reset;
    return {};
  }
  std::string out = to_client.bytes.substr(0, num);
  to_client.bytes.erase(0, num);
  return out;
}

void Link::client_close() {
  client_closed = true;
  to_server.ended = true;
  to_client.bytes.clear();
}

void Link::cut(Random& random) {
  for (Pipe* pipe : {&to_server, &to_client}) {
    pipe->bytes.resize(random.below(pipe->bytes.size() + 1));
    (random.below(2) ? pipe->reset : pipe->ended) = true;
  }
}

// --- Ring

SimRing::SimRing(Network& network, const RingOptions& options)
    : network_(network),
      id_(static_cast<int>(network.rings.size())),
      buffer_bytes_(options.buffer_bytes),
      slots_(options.sockets),
      buffers_(options.buffers),
      lent_(options.buffers) {
  network_.rings.push_back(this);
  for (uint32_t i = 0; i < options.buffers; ++i) free_buffers_.push_back(static_cast<uint16_t>(i));
}

SimRing::~SimRing() {
  for (Slot& slot : slots_)
    if (slot.link) leave(slot);
  network_.rings[static_cast<size_t>(id_)] = nullptr;
}

void SimRing::queue(Operation operation) {
  PERCH_CHECK(operation.kind == Kind::kWake || operation.user_data < kReservedUserData);
  if (operation.socket != kNoSocket) {
    Slot& slot = at(operation.socket);
    if (operation.kind == Kind::kClose || operation.kind == Kind::kMove) PERCH_CHECK(slot.in_flight == 0);
    if (operation.kind != Kind::kShutdown) ++slot.in_flight;
  }
  queued_.push_back(operation);
}

void SimRing::accept(int listener, PeerAddress*, uint64_t user_data) {
  queue({.kind = Kind::kAccept, .target = listener, .user_data = user_data});
}
void SimRing::connect(const sockaddr_storage&, const sockaddr_storage*, uint64_t) {
  PERCH_CHECK(!"a server connects to nobody");
}
void SimRing::poll_readable(Socket socket, uint64_t user_data) {
  queue({.kind = Kind::kPoll, .socket = socket, .user_data = user_data});
}
void SimRing::receive(Socket socket, uint64_t user_data) {
  queue({.kind = Kind::kReceive, .socket = socket, .user_data = user_data});
}
void SimRing::send(Socket socket, const msghdr* message, uint64_t user_data) {
  queue({.kind = Kind::kSend, .socket = socket, .message = message, .user_data = user_data});
}
void SimRing::shutdown(Socket socket) { queue({.kind = Kind::kShutdown, .socket = socket}); }
void SimRing::close(Socket socket, uint64_t user_data) {
  queue({.kind = Kind::kClose, .socket = socket, .user_data = user_data});
}
void SimRing::move(Socket socket, int target_ring, uint64_t user_data) {
  queue({.kind = Kind::kMove, .socket = socket, .target = target_ring, .user_data = user_data});
}
void SimRing::wake(int target_ring) { queue({.kind = Kind::kWake, .target = target_ring}); }

void SimRing::give_back(uint16_t buffer) {
  PERCH_CHECK(buffer < buffers_.size() && lent_[buffer]);
  lent_[buffer] = false;
  buffers_[buffer].clear();
  buffers_[buffer].shrink_to_fit();  // so that a sanitizer sees who reads it later
  free_buffers_.push_back(buffer);
}

SimRing::Slot& SimRing::at(Socket socket) {
  PERCH_CHECK(socket < slots_.size() && slots_[socket].link);
  return slots_[socket];
}

Socket SimRing::place(std::shared_ptr<Link> link) {
  for (Socket socket = 0; socket < slots_.size(); ++socket) {
    if (slots_[socket].link) continue;
    slots_[socket] = {std::move(link), false, 0};
    ++slots_[socket].link->num_server_slots;
    return socket;
  }
  return kNoSocket;
}

void SimRing::leave(Slot& slot) {
  Link& link = *slot.link;
  if (--link.num_server_slots == 0) {
    link.server_closed = true;
    // Unread bytes at close are answered with a reset, which may overtake what was sent.
    if (!link.to_server.bytes.empty() && network_.random.below(2)) link.cut(network_.random);
    link.to_client.ended = true;
  }
  slot.link.reset();
}

// What takes effect as soon as the kernel sees it.
void SimRing::start(Operation operation) {
  switch (operation.kind) {
    case Kind::kShutdown: {
      Slot& slot = at(operation.socket);
      slot.shut = true;
      slot.link->to_client.ended = true;
      return;
    }
    case Kind::kWake:
      if (SimRing* target = network_.rings[static_cast<size_t>(operation.target)])
        target->pending_.push_back({.kind = Kind::kDone, .user_data = kWakeUserData});
      return;
    case Kind::kMove: {
      Slot& slot = at(operation.socket);
      SimRing* target = network_.rings[static_cast<size_t>(operation.target)];
      PERCH_CHECK(target != nullptr && target != this);
      const bool refused = chance(network_.random, network_.faults.refuse_move);
      const Socket there = refused ? kNoSocket : target->place(slot.link);
      operation.result = there == kNoSocket ? -ENFILE : static_cast<int32_t>(there);
      operation.kind = Kind::kDone;
      break;
    }
    case Kind::kClose:
      PERCH_CHECK(at(operation.socket).in_flight == 1);
      break;
    default:
      break;
  }
  pending_.push_back(operation);
}

size_t SimRing::wait(std::span<Completion> out, uint64_t) {
  ++num_syscalls_;
  for (const Operation& operation : std::exchange(queued_, {})) start(operation);
  for (size_t i = pending_.size(); i > 1; --i) std::swap(pending_[i - 1], pending_[network_.random.below(i)]);
  size_t num = 0;
  std::vector<Operation> left;
  for (Operation& operation : pending_) {
    const bool later = num == out.size() || chance(network_.random, network_.faults.delay);
    if (!later && finish(operation, out[num])) {
      out[num++].user_data = operation.user_data;
    } else {
      left.push_back(operation);
    }
  }
  pending_ = std::move(left);
  return num;
}

bool SimRing::finish(Operation& operation, Completion& out) {
  out = {};
  if (operation.kind == Kind::kAccept) return finish_accept(operation, out);
  if (operation.socket == kNoSocket) return true;  // a wake
  Slot& slot = at(operation.socket);
  Pipe& in = slot.link->to_server;
  switch (operation.kind) {
    case Kind::kPoll:
      if (!slot.shut && (frozen(in) || (in.bytes.empty() && !in.ended && !in.reset))) return false;
      out.result = 1;
      break;
    case Kind::kReceive:
      if (!finish_receive(slot, out)) return false;
      break;
    case Kind::kSend:
      if (!finish_send(operation, slot, out)) return false;
      break;
    case Kind::kClose:
      leave(slot);
      return true;
    case Kind::kDone:
      out.result = operation.result;
      break;
    default:
      PERCH_CHECK(!"not an operation that waits");
  }
  --slot.in_flight;
  return true;
}

bool SimRing::finish_accept(const Operation& operation, Completion& out) {
  auto& backlog = network_.backlogs[operation.target];
  if (backlog.empty()) return false;
  ++network_.num_moved;
  if (chance(network_.random, network_.faults.refuse_accept)) {
    out.result = -EMFILE;
    if (network_.random.below(2)) {
      out.result = -ECONNABORTED;
      backlog.front()->cut(network_.random);
      backlog.pop_front();
    }
    return true;
  }
  const Socket socket = place(backlog.front());
  out.result = socket == kNoSocket ? -ENFILE : static_cast<int32_t>(socket);
  if (socket != kNoSocket) backlog.pop_front();
  return true;
}

bool SimRing::finish_receive(Slot& slot, Completion& out) {
  Pipe& in = slot.link->to_server;
  if (free_buffers_.empty() || chance(network_.random, network_.faults.no_buffers)) {
    out.result = -ENOBUFS;
    return true;
  }
  if (chance(network_.random, network_.faults.reset)) slot.link->cut(network_.random);
  if (slot.shut) return true;
  if (frozen(in)) {
    out.result = -EAGAIN;
    return true;
  }
  if (in.bytes.empty()) {
    out.result = in.reset ? -ECONNRESET : in.ended ? 0 : -EAGAIN;
    return true;
  }
  size_t num = std::min<size_t>(in.bytes.size(), buffer_bytes_);
  if (chance(network_.random, network_.faults.short_transfer)) num = 1 + network_.random.below(num);
  out.buffer = free_buffers_.back();
  free_buffers_.pop_back();
  lent_[out.buffer] = true;
  buffers_[out.buffer].assign(in.bytes.begin(), in.bytes.begin() + static_cast<ptrdiff_t>(num));
  in.bytes.erase(0, num);
  out.has_buffer = true;
  out.bytes = buffers_[out.buffer];
  out.result = static_cast<int32_t>(num);
  network_.num_moved += num;
  return true;
}

bool SimRing::finish_send(Operation& operation, Slot& slot, Completion& out) {
  Link& link = *slot.link;
  if (chance(network_.random, network_.faults.reset)) link.cut(network_.random);
  const bool peer_known_gone = !frozen(link.to_server) && (link.client_closed || link.to_server.reset);
  if (slot.shut || peer_known_gone) {
    out.result = operation.num_sent > 0 ? static_cast<int32_t>(operation.num_sent) : -EPIPE;
    return true;
  }
  size_t total = 0;
  for (size_t i = 0; i < operation.message->msg_iovlen; ++i) total += operation.message->msg_iov[i].iov_len;
  size_t room = link.capacity - std::min(link.capacity, link.to_client.bytes.size());
  const bool is_short = chance(network_.random, network_.faults.short_transfer);
  if (is_short && room > 0) room = 1 + network_.random.below(std::min(room, total - operation.num_sent));
  size_t skip = operation.num_sent;
  for (size_t i = 0; i < operation.message->msg_iovlen && room > 0; ++i) {
    const iovec& part = operation.message->msg_iov[i];
    if (skip >= part.iov_len) {
      skip -= part.iov_len;
      continue;
    }
    const size_t num = std::min(room, part.iov_len - skip);
    // A client that is gone without the server knowing takes nothing off the pipe, so the pipe fills and
    // stalls.
    if (!link.to_client.ended && !link.to_client.reset)
      link.to_client.bytes.append(static_cast<const char*>(part.iov_base) + skip, num);
    skip = 0;
    room -= num;
    operation.num_sent += num;
    network_.num_moved += num;
  }
  if (operation.num_sent < total && !(is_short && operation.num_sent > 0)) return false;
  out.result = static_cast<int32_t>(operation.num_sent);
  return true;
}

}  // namespace perch::sim
