#include "bench/wires.h"

#include <arpa/inet.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <string>
#include <utility>

#include "core/check.h"

namespace perch::bench {
namespace {

enum class Op : uint8_t { kConnect, kPoll, kReceive, kSend, kClose };
uint64_t user_data(Op op, uint32_t index) { return uint64_t{static_cast<uint8_t>(op)} << 32 | index; }

// One address has some 28,000 ports for connections to one server; loopback has 16 million addresses.
constexpr uint32_t kWiresPerAddress = 20'000;

bool is_loopback(const sockaddr_storage& address) {
  return address.ss_family == AF_INET &&
         ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr) >> 24 == 127;
}

}  // namespace

Result<sockaddr_storage> parse_address(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return Error{Errc::kInvalid};
  std::string host(text.substr(0, colon));
  const std::string_view digits = text.substr(colon + 1);
  uint16_t port = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() || port == 0) {
    return Error{Errc::kInvalid};
  }
  sockaddr_storage address{};
  auto& v4 = reinterpret_cast<sockaddr_in&>(address);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(address);
  if (inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    return address;
  }
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    if (inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) {
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(port);
      return address;
    }
  }
  return Error{Errc::kInvalid};
}

Wires::Wires(const sockaddr_storage& remote, uint32_t num, WireEvents& events)
    : remote_(remote), events_(events), wires_(num), completions_(4096) {}

Result<std::unique_ptr<Wires>> Wires::make(const sockaddr_storage& remote, uint32_t num, WireEvents& events) {
  std::unique_ptr<Wires> wires(new Wires(remote, num, events));
  RingOptions options;
  options.connects = true;
  options.submissions = 4096;
  options.completions = std::clamp<uint32_t>(std::bit_ceil(num * 4), 4096, 65536);
  options.sockets = num + 64;  // a slot is given back a little after the wire has closed
  options.buffers = 4096;
  options.buffer_bytes = 4096;
  auto ring = make_uring(options);
  if (!ring.ok()) return ring.error();
  wires->ring_ = std::move(*ring);
  return wires;
}

void Wires::connect(uint32_t index) {
  Wire& wire = wires_[index];
  PERCH_CHECK(wire.state == State::kIdle);
  wire.state = State::kConnecting;
  wire.error = 0;
  sockaddr_storage local{};
  const bool spread = is_loopback(remote_) && wires_.size() > kWiresPerAddress;
  if (spread) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(local);
    v4.sin_family = AF_INET;
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + index / kWiresPerAddress);
  }
  ring_->connect(remote_, spread ? &local : nullptr, user_data(Op::kConnect, index));
}

void Wires::write(uint32_t index, Bytes bytes) {
  Wire& wire = wires_[index];
  if (wire.state != State::kOpen || bytes.empty()) return;
  wire.waiting.insert(wire.waiting.end(), bytes.begin(), bytes.end());
  list(index, wire);
}

void Wires::close(uint32_t index) {
  Wire& wire = wires_[index];
  if (wire.state != State::kOpen) return;
  if (wire.sending || !wire.waiting.empty()) {
    wire.state = State::kFlushing;
  } else {
    begin_close(index, wire, 0);
  }
}

void Wires::turn(uint64_t timeout_ns) {
  for (const uint32_t index : std::exchange(to_send_, {})) send(index, wires_[index]);
  const size_t num = ring_->wait(completions_, timeout_ns);
  for (size_t i = 0; i < num; ++i) handle(completions_[i]);
}

void Wires::handle(const Completion& done) {
  const auto index = static_cast<uint32_t>(done.user_data);
  if (index >= wires_.size()) return;
  Wire& wire = wires_[index];
  switch (static_cast<Op>(done.user_data >> 32)) {
    case Op::kConnect:
      if (done.result < 0) {
        wire.state = State::kIdle;
        return events_.on_closed(index, -done.result);
      }
      wire.state = State::kOpen;
      wire.socket = static_cast<Socket>(done.result);
      ++num_connected_;
      poll(index, wire);
      return events_.on_connected(index);
    case Op::kPoll:
      wire.reading = false;
      if (wire.state == State::kClosing) return close_if_quiet(index, wire);
      return receive(index, wire);
    case Op::kReceive:
      return received(index, wire, done);
    case Op::kSend:
      return sent(index, wire, done.result);
    case Op::kClose:
      wire.state = State::kIdle;
      wire.socket = kNoSocket;
      return events_.on_closed(index, wire.error);
  }
}

void Wires::received(uint32_t index, Wire& wire, const Completion& done) {
  wire.reading = false;
  if (done.has_buffer) {
    if (wire.state == State::kOpen) events_.on_bytes(index, done.bytes);
    ring_->give_back(done.buffer);
  }
  if (wire.state == State::kClosing) return close_if_quiet(index, wire);
  if (wire.state != State::kOpen && wire.state != State::kFlushing) return;
  if (done.result == -ENOBUFS) return receive(index, wire);
  if (done.result == 0) return begin_close(index, wire, 0);
  if (done.result < 0 && done.result != -EAGAIN) return begin_close(index, wire, -done.result);
  poll(index, wire);
}

void Wires::sent(uint32_t index, Wire& wire, int32_t result) {
  wire.sending = false;
  if (result >= 0) wire.num_sent += static_cast<size_t>(result);
  if (wire.num_sent >= wire.in_flight.size()) wire.in_flight.clear();
  if (wire.state == State::kClosing) return close_if_quiet(index, wire);
  if (result < 0) return begin_close(index, wire, -result);
  if (!wire.in_flight.empty() || !wire.waiting.empty()) return list(index, wire);
  if (wire.state == State::kFlushing) begin_close(index, wire, 0);
}

void Wires::list(uint32_t index, Wire& wire) {
  if (wire.listed || wire.sending) return;
  wire.listed = true;
  to_send_.push_back(index);
}

void Wires::send(uint32_t index, Wire& wire) {
  wire.listed = false;
  if (wire.sending || (wire.state != State::kOpen && wire.state != State::kFlushing)) return;
  if (wire.in_flight.empty()) {
    wire.in_flight.swap(wire.waiting);
    wire.num_sent = 0;
  }
  if (wire.in_flight.empty()) return;
  wire.part = {wire.in_flight.data() + wire.num_sent, wire.in_flight.size() - wire.num_sent};
  wire.message.msg_iov = &wire.part;
  wire.message.msg_iovlen = 1;
  wire.sending = true;
  ring_->send(wire.socket, &wire.message, user_data(Op::kSend, index));
}

void Wires::poll(uint32_t index, Wire& wire) {
  wire.reading = true;
  ring_->poll_readable(wire.socket, user_data(Op::kPoll, index));
}

void Wires::receive(uint32_t index, Wire& wire) {
  wire.reading = true;
  ring_->receive(wire.socket, user_data(Op::kReceive, index));
}

void Wires::begin_close(uint32_t index, Wire& wire, int error) {
  wire.state = State::kClosing;
  wire.error = error;
  ring_->shutdown(wire.socket);
  close_if_quiet(index, wire);
}

void Wires::close_if_quiet(uint32_t index, Wire& wire) {
  if (wire.reading || wire.sending) return;
  wire.state = State::kClosed;
  wire.waiting.clear();
  wire.in_flight.clear();
  --num_connected_;
  ring_->close(wire.socket, user_data(Op::kClose, index));
}

}  // namespace perch::bench
