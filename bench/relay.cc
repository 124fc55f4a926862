// perch-relay: bytes in, bytes out, no logic. What any server built on core/ring has to pay for a frame;
// perchd's cost is told as a multiple of this.
//
// The first 8 bytes of a connection are two little-endian 32-bit numbers: its own name and the name of the
// connection that gets everything that follows. Bytes for a name that is not there yet wait. Never use it on
// a network: nothing is limited and nobody is asked who they are. Exit status 1: it could accept no more.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "core/ring.h"
#include "net/listen.h"

namespace perch {
namespace {

constexpr uint32_t kAccepts = 16;
constexpr uint32_t kNames = 1 << 20;
volatile std::sig_atomic_t g_stop = 0;

enum class Op : uint8_t { kAccept, kPoll, kReceive, kSend, kClose };
uint64_t user_data(Op op, uint32_t index) { return uint64_t{static_cast<uint8_t>(op)} << 32 | index; }

struct Connection {
  uint32_t name = kNames, peer = kNames;
  std::vector<uint8_t> head;  // until it is 8 bytes long
};
struct Output {  // by name
  Socket socket = kNoSocket;
  bool sending = false, listed = false;
  std::vector<uint8_t> waiting, in_flight;
  iovec part{};
  msghdr message{};
};

class Relay {
 public:
  Relay(Ring& ring, int listener, uint32_t connections)
      : ring_(ring), listener_(listener), connections_(connections), outputs_(kNames + 1) {}

  // False: it could not go on.
  bool run() {
    for (uint32_t i = 0; i < kAccepts; ++i) ring_.accept(listener_, nullptr, user_data(Op::kAccept, i));
    std::vector<Completion> done(4096);
    while (g_stop == 0 && !failed_) {
      const size_t num = ring_.wait(done, 100'000'000);
      for (size_t i = 0; i < num; ++i) handle(done[i]);
      for (const uint32_t name : std::exchange(to_send_, {})) start_send(name);
    }
    return !failed_;
  }

 private:
  void handle(const Completion& done) {
    const auto index = static_cast<uint32_t>(done.user_data);
    switch (static_cast<Op>(done.user_data >> 32)) {
      case Op::kAccept:
        accepted(done.result);
        ring_.accept(listener_, nullptr, user_data(Op::kAccept, index));
        break;
      case Op::kPoll:
        ring_.receive(index, user_data(Op::kReceive, index));
        break;
      case Op::kReceive:
        received(index, done);
        break;
      case Op::kSend:
        sent(index, done.result);
        break;
      case Op::kClose:
        break;
    }
  }

  void accepted(int32_t result) {
    if (result == -ECONNABORTED) return;  // gone before it was taken
    if (failed_) return;                  // said already
    if (result < 0) {
      std::fprintf(stderr, "perch-relay: cannot accept: %s%s\n", std::strerror(-result),
                   result == -ENFILE ? "; give it more CONNECTIONS" : "");
      failed_ = true;
      return;
    }
    const auto socket = static_cast<Socket>(result);
    connections_[socket] = Connection{};
    ring_.poll_readable(socket, user_data(Op::kPoll, socket));
  }

  void received(Socket socket, const Completion& done) {
    if (done.result == -ENOBUFS) return ring_.receive(socket, user_data(Op::kReceive, socket));
    if (done.result == 0 || (done.result < 0 && done.result != -EAGAIN)) {
      const uint32_t name = connections_[socket].name;
      if (name != kNames) outputs_[name].socket = kNoSocket;  // what comes for it now waits
      return ring_.close(socket, user_data(Op::kClose, socket));
    }
    if (done.has_buffer) {
      forward(socket, done.bytes);
      ring_.give_back(done.buffer);
      if (done.bytes.size() == RingOptions{}.buffer_bytes) {  // there is more
        return ring_.receive(socket, user_data(Op::kReceive, socket));
      }
    }
    ring_.poll_readable(socket, user_data(Op::kPoll, socket));
  }

  void forward(Socket socket, Bytes bytes) {
    Connection& from = connections_[socket];
    while (from.peer == kNames && !bytes.empty()) {
      from.head.push_back(bytes.front());
      bytes = bytes.subspan(1);
      if (from.head.size() < 8) continue;
      uint32_t names[2];
      std::memcpy(names, from.head.data(), sizeof(names));
      from.name = names[0] % kNames;
      from.peer = names[1] % kNames;
      outputs_[from.name].socket = socket;
      list(from.name);
    }
    if (bytes.empty()) return;
    Output& to = outputs_[from.peer];
    to.waiting.insert(to.waiting.end(), bytes.begin(), bytes.end());
    list(from.peer);
  }

  void list(uint32_t name) {
    Output& out = outputs_[name];
    if (out.listed || out.sending || out.waiting.empty() || out.socket == kNoSocket) return;
    out.listed = true;
    to_send_.push_back(name);
  }

  void start_send(uint32_t name) {
    Output& out = outputs_[name];
    out.listed = false;
    out.sending = true;
    out.in_flight.clear();
    out.in_flight.swap(out.waiting);
    out.part = {out.in_flight.data(), out.in_flight.size()};
    out.message.msg_iov = &out.part;
    out.message.msg_iovlen = 1;
    ring_.send(out.socket, &out.message, user_data(Op::kSend, name));
  }

  void sent(uint32_t name, int32_t result) {
    Output& out = outputs_[name];
    out.sending = false;
    if (result < 0) return;  // its end of stream comes as well
    const auto rest = out.in_flight.begin() + result;
    out.waiting.insert(out.waiting.begin(), rest, out.in_flight.end());
    list(name);
  }

  Ring& ring_;
  int listener_;
  bool failed_ = false;
  std::vector<Connection> connections_;
  std::vector<Output> outputs_;
  std::vector<uint32_t> to_send_;
};

}  // namespace
}  // namespace perch

int main(int argc, char** argv) {
  const std::string address = argc > 1 ? argv[1] : "127.0.0.1:0";
  const auto connections = static_cast<uint32_t>(argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 16384);
  const auto listener = perch::net::open_listener(address, false);
  if (!listener.ok() || connections == 0) {
    std::fprintf(stderr, "usage: perch-relay [ADDRESS:PORT [CONNECTIONS]]; cannot listen on %s\n",
                 address.c_str());
    return 2;
  }
  const auto port = perch::net::local_port(*listener);
  perch::RingOptions options;
  options.sockets = connections;
  const auto ring = perch::make_uring(options);
  if (!ring.ok() || !port.ok()) {
    const char* why = ring.ok() ? "no port" : perch::explain_ring_error(ring.error());
    std::fprintf(stderr, "perch-relay: %s\n", why);
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  for (const int number : {SIGTERM, SIGINT}) std::signal(number, [](int) { perch::g_stop = 1; });
  std::printf("listening %s:%u\n", address.substr(0, address.rfind(':')).c_str(), *port);
  std::fflush(stdout);
  return perch::Relay(**ring, *listener, connections).run() ? 0 : 1;
}
