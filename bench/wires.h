// Wires: many TCP connections of a load generator on one ring. Bytes in, bytes out; what they mean is the
// caller's.
//
// ON: one thread. Each wire has at most one read operation and one send in flight; what is written meanwhile
// goes out together with the next send.
#pragma once
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/ring.h"
#include "core/types.h"

namespace perch::bench {

// Calls come from inside turn() and may call every method of Wires but turn().
class WireEvents {
 public:
  virtual ~WireEvents() = default;
  virtual void on_connected(uint32_t wire) = 0;
  virtual void on_bytes(uint32_t wire, MutableBytes bytes) = 0;
  // Ended, by either side, or a connect that failed (`error` an errno, 0 for an end in order). connect() may
  // follow.
  virtual void on_closed(uint32_t wire, int error) = 0;
};

// "127.0.0.1:7110" or "[::1]:7110". ERRORS: kInvalid.
Result<sockaddr_storage> parse_address(std::string_view text);

class Wires {
 public:
  // ERRORS: those of make_uring.
  static Result<std::unique_ptr<Wires>> make(const sockaddr_storage& remote, uint32_t num,
                                             WireEvents& events);

  void connect(uint32_t wire);             // REQUIRES: not connected, not connecting
  void write(uint32_t wire, Bytes bytes);  // not connected: dropped
  void close(uint32_t wire);               // what is written goes out first if the peer reads
  // Sends what was written, waits at most `timeout_ns` and handles what has completed.
  void turn(uint64_t timeout_ns);
  uint32_t num_connected() const { return num_connected_; }
  uint64_t num_syscalls() const { return ring_->num_syscalls(); }

 private:
  enum class State : uint8_t { kIdle, kConnecting, kOpen, kFlushing, kClosing, kClosed };
  struct Wire {
    State state = State::kIdle;
    Socket socket = kNoSocket;
    bool reading = false, sending = false, listed = false;
    int error = 0;
    std::vector<uint8_t> waiting, in_flight;
    size_t num_sent = 0;  // of in_flight
    iovec part{};
    msghdr message{};
  };

  Wires(const sockaddr_storage& remote, uint32_t num, WireEvents& events);
  void handle(const Completion& done);
  void received(uint32_t index, Wire& wire, const Completion& done);
  void sent(uint32_t index, Wire& wire, int32_t result);
  void list(uint32_t index, Wire& wire);
  void send(uint32_t index, Wire& wire);
  void poll(uint32_t index, Wire& wire);
  void receive(uint32_t index, Wire& wire);
  void begin_close(uint32_t index, Wire& wire, int error);
  void close_if_quiet(uint32_t index, Wire& wire);

  sockaddr_storage remote_;
  WireEvents& events_;
  std::vector<Wire> wires_;
  std::vector<uint32_t> to_send_;
  std::vector<Completion> completions_;
  uint32_t num_connected_ = 0;
  std::unique_ptr<Ring> ring_;  // the last member: it lets go of the buffers above before they go
};

}  // namespace perch::bench
