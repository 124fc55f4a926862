// Control: the Unix socket DATA/control. The operator's programs ask there, one request line a connection:
//
// What can be asked is in chat/operator.h. It answers the server's own user and root, nobody else.
//
// ON: the main thread, never a reactor. serve() waits in poll(2) and reads and writes without blocking, so a
//     peer that is stuck costs its slot for kControlMsMax and nobody else's time.
#pragma once
#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "core/metrics.h"

namespace perch::chat {

inline constexpr size_t kControlPeersMax = 8;  // further ones wait in the backlog
inline constexpr size_t kControlRequestBytesMax = 256;
inline constexpr uint64_t kControlMsMax = 2'000;  // from accept to the last byte of the answer

class Control {
 public:
  // A peer with a question, for reply().
  struct Asker {
    size_t place = 0;
    uint64_t number = 0;
  };
  // The answer to a request, newline included; empty: there is no such request. Nothing: reply() comes later.
  using Answer = std::function<std::optional<std::string>(Asker asker, std::string_view request)>;
  Control(Clock& clock, MetricsPage& metrics, Answer answer);
  ~Control();  // removes the socket
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  // Empty: listening. Else one line for the operator. REQUIRES: the caller holds the lock of `data_dir`,
  // since what a server that was killed left there is replaced.
  std::string open(const std::string& data_dir);
  // Serves what has come; waits at most `timeout_ms` for it. Without open(): only waits.
  void serve(int timeout_ms);
  // Answers, unless the peer has gone. Once for each request that was not answered at once.
  void reply(Asker asker, std::string answer);
  void reply_error(Asker asker, std::string_view why);
  // The peer's socket, for an answer that takes its time: it is the caller's from now on, as is the limit of
  // time. -1: the peer has gone. Once, instead of reply().
  int detach(Asker asker);

 private:
  struct Peer {
    int fd = -1;
    uint64_t until_ms = 0;
    uint64_t number = 0;  // who it is, beside others that had this place
    std::string request;
    bool asked = false;  // the request is whole
    std::string answer;  // empty: there is none yet
    size_t num_sent = 0;
  };
  void accept_one();
  void read_some(Peer& peer);
  void write_some(Peer& peer);
  void refuse(Peer& peer, std::string_view why);
  void end(Peer& peer);
  Peer* peer_of(Asker asker);  // null: it has gone

  Clock& clock_;
  MetricsPage& metrics_;
  Answer answer_;
  int listener_ = -1;
  std::string path_;
  std::array<Peer, kControlPeersMax> peers_;
  uint64_t num_peers_ = 0;  // ever
};

}  // namespace perch::chat
