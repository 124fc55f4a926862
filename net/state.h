// Net::State: what a Net is made of, for the files of net/ that hold the transitions of its connections. The
// drawing is in net/connection.h.
// ON: the core of its Net.
#pragma once
#include <unordered_map>
#include <vector>

#include "net/acceptor.h"
#include "net/connection.h"
#include "net/connection_table.h"
#include "net/net.h"
#include "net/operation.h"
#include "net/send_queue.h"

namespace perch::net {

CloseReason reason_of(int32_t result);  // of a connection's end, by what its operation completed with

struct Net::State {
  Ring& ring;
  Clock& clock;
  MetricsPage& metrics;
  const Limits limits;
  Handler& handler;
  ConnectionTable table;
  TimerWheel wheel;
  SendPool pool;
  Acceptor acceptor;
  // Who was accepted here and has not logged in, by index: who has costs nothing for it.
  std::unordered_map<uint32_t, PeerAddress> strangers;
  std::vector<uint32_t> to_send;  // connections with frames queued since the last tick()
  std::vector<uint32_t> sending_now;
  Connection* feeding = nullptr;  // its bytes are being handed to the handler
  // From the first completion of a turn to the end of its tick() the time is read once.
  uint64_t turn_ms = 0;
  bool in_turn = false;
  bool accepts_paused = false;  // the table is full

  State(Ring& r, Clock& c, MetricsPage& m, const Limits& l, Handler& h)
      : ring(r),
        clock(c),
        metrics(m),
        limits(l),
        handler(h),
        table(l.connections_max),
        wheel(c.mono_ms()),
        acceptor(r, m) {}
  ~State();

  uint64_t now_ms() { return in_turn ? turn_ms : clock.mono_ms(); }
  uint32_t stamp() { return static_cast<uint32_t>(now_ms()); }
  uint64_t user_data(OperationKind kind, const Connection& c) {
    return Operation{kind, c.generation, c.index}.user_data();
  }
  bool has_room(const Connection& c) const { return c.queue.size() < limits.send_queue_frames_max / 2; }
  void arm_accepts();

  // reading.cc
  Connection* admit(Socket socket, bool awaiting);
  void poll(Connection& c);
  void receive(Connection& c);
  void read_on(Connection& c, bool at_once);
  void on_polled(Connection& c, int32_t result);
  void on_received(Connection& c, const Completion& completion);
  void feed(Connection& c, MutableBytes bytes);
  bool hand_over(Connection& c, MutableBytes frame);

  // sending.cc
  void list_to_send(Connection& c);
  void start_send(Connection& c);
  void on_sent(Connection& c, int32_t result);

  // closing.cc
  void expect_by(Connection& c, uint64_t deadline_ms);
  void on_deadline(Connection& c, uint64_t now);
  void violate(Connection& c, CloseReason reason = CloseReason::kBadFrame);
  void begin_close(Connection& c, CloseReason reason);
  void abort(Connection& c, CloseReason reason);
  void close_if_quiet(Connection& c);
  void on_socket_closed(Connection& c);

  // moving.cc
  void move_if_quiet(Connection& c);
  void on_moved(Connection& c, int32_t result);
};

}  // namespace perch::net
