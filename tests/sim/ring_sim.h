// SimRing is the simulator's io_uring: sockets are pairs of byte pipes in memory, and completions come when
// and in which order the seed says. It checks what the real ring requires: nothing in flight at close and
// move, buffers given back once.
//
// A Link is one connection. The client's end is driven by the world, the server's end sits in the table of
// one ring, for a moment of two: move() gives it a place in the target's table before the source's is closed.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/random.h"
#include "core/ring.h"

namespace perch::sim {

// Chances in one million, per opportunity.
struct Faults {
  uint32_t delay = 0;           // what could complete waits for a later turn
  uint32_t short_transfer = 0;  // fewer bytes than there are, or than there is room for
  uint32_t reset = 0;           // a receive or send finds the connection reset
  uint32_t no_buffers = 0;      // -ENOBUFS
  uint32_t refuse_accept = 0;   // -EMFILE, or -ECONNABORTED and the connection is gone
  uint32_t refuse_move = 0;     // -ENFILE
};

bool chance(Random& random, uint32_t millionths);

// Bytes in one direction.
struct Pipe {
  std::string bytes;
  bool ended = false;            // the writer has closed; seen behind the bytes
  bool reset = false;            // -ECONNRESET behind the bytes
  uint64_t frozen_until_ns = 0;  // the reader sees nothing new before
};

struct Link {
  Pipe to_server;
  Pipe to_client;
  size_t capacity = 64 * 1024;  // of each pipe
  uint32_t num_server_slots = 0;
  bool client_closed = false;
  bool server_closed = false;

  // ---- the client's end
  size_t client_write(std::string_view bytes);
  // Nothing, and `over` set: end of stream or reset.
  std::string client_read(size_t most, uint64_t now_ns, bool& over);
  void client_close();
  // The connection breaks: each direction keeps a random part of what is under way.
  void cut(Random& random);
};

class SimRing;

// What the rings of one world share.
struct Network {
  Network(Clock& c, Random& r) : clock(c), random(r) {}
  Clock& clock;
  Random& random;
  Faults faults;
  std::vector<SimRing*> rings;                                // by id
  std::map<int, std::deque<std::shared_ptr<Link>>> backlogs;  // by listener
  uint64_t num_moved = 0;  // bytes, connections: grows while anything happens
};

class SimRing final : public Ring {
 public:
  SimRing(Network& network, const RingOptions& options);
  ~SimRing() override;

  void accept(int listener, PeerAddress* peer, uint64_t user_data) override;
  void connect(const sockaddr_storage&, const sockaddr_storage*, uint64_t user_data) override;
  void poll_readable(Socket socket, uint64_t user_data) override;
  void receive(Socket socket, uint64_t user_data) override;
  void give_back(uint16_t buffer) override;
  void send(Socket socket, const msghdr* message, uint64_t user_data) override;
  void shutdown(Socket socket) override;
  void close(Socket socket, uint64_t user_data) override;
  void move(Socket socket, int target_ring, uint64_t user_data) override;
  void wake(int target_ring) override;
  size_t wait(std::span<Completion> out, uint64_t timeout_ns) override;
  int id() const override { return id_; }
  uint32_t num_buffers_free() const override { return static_cast<uint32_t>(free_buffers_.size()); }
  uint64_t num_syscalls() const override { return num_syscalls_; }

 private:
  enum class Kind : uint8_t { kAccept, kPoll, kReceive, kSend, kShutdown, kClose, kMove, kWake, kDone };
  struct Operation {
    Kind kind{};
    Socket socket = kNoSocket;
    int target = 0;  // listener or ring
    const msghdr* message = nullptr;
    size_t num_sent = 0;
    int32_t result = 0;  // kDone
    uint64_t user_data = 0;
  };
  struct Slot {
    std::shared_ptr<Link> link;  // null: free
    bool shut = false;
    uint32_t in_flight = 0;
  };
  void queue(Operation operation);
  void start(Operation operation);
  bool finish(Operation& operation, Completion& out);
  bool finish_accept(const Operation& operation, Completion& out);
  bool finish_receive(Slot& slot, Completion& out);
  bool finish_send(Operation& operation, Slot& slot, Completion& out);
  Socket place(std::shared_ptr<Link> link);  // kNoSocket: the table is full
  void leave(Slot& slot);
  Slot& at(Socket socket);
  bool frozen(const Pipe& pipe) { return pipe.frozen_until_ns > network_.clock.mono_ns(); }

  Network& network_;
  int id_;
  uint32_t buffer_bytes_;
  std::vector<Slot> slots_;
  std::vector<std::vector<uint8_t>> buffers_;
  std::vector<uint16_t> free_buffers_;
  std::vector<bool> lent_;
  std::vector<Operation> queued_;
  std::vector<Operation> pending_;
  uint64_t num_syscalls_ = 0;
};

}  // namespace perch::sim
