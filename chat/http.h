// Http: what a monitoring system asks over TCP, on an address of its own (operations.listen). GET and HEAD,
// one request a connection, HTTP/1.0 and 1.1:
//
//     /metrics    the counters of all threads in the Prometheus text format
//     /healthz    200 while the process can do its work, else 503: should it be restarted?
//     /readyz     200 while clients may be sent here, else 503
//
// It says nothing of users or messages, and anybody who reaches the address may ask.
//
// ON: the main thread, never a reactor. serve() reads and writes without blocking, so a peer that is stuck
//     costs its place for kHttpMsMax and nobody else's time.
#pragma once
#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "core/metrics.h"

namespace perch::chat {

inline constexpr size_t kHttpPeersMax = 16;  // further ones wait in the backlog [perch_http_paused_total]
inline constexpr size_t kHttpRequestBytesMax = 8192;  // [perch_http_refused_total{reason="too_large"}]
// From accept to the last byte of the answer [perch_http_refused_total{reason="timeout"}].
inline constexpr uint64_t kHttpMsMax = 5'000;

struct HttpAnswer {
  bool good = true;  // 200, else 503
  std::string_view type = "text/plain; charset=utf-8";
  std::string body;
};

class Http {
 public:
  // What there is at a path, without its query; empty: nothing.
  using Find = std::function<std::optional<HttpAnswer>(std::string_view path)>;
  Http(Clock& clock, MetricsPage& metrics, Find find);
  ~Http();
  Http(const Http&) = delete;
  Http& operator=(const Http&) = delete;

  // Empty: listening. Else one line for the operator.
  [[nodiscard]] std::string open(const std::string& address);
  const std::string& address() const { return address_; }  // with the real port; empty: not open
  // Serves what has come, and waits for nothing. Without open(): nothing.
  void serve();

 private:
  struct Peer {
    int fd = -1;
    uint64_t until_ms = 0;
    std::string request;
    std::string answer;  // empty: still reading
    size_t num_sent = 0;
    bool is_answered() const { return !answer.empty() && num_sent == answer.size(); }
  };
  void accept_one();
  void turn(Peer& peer);
  void read_some(Peer& peer);
  void write_some(Peer& peer);
  void wait_for_end(Peer& peer);
  void answer(Peer& peer, std::string_view head);
  void refuse(Peer& peer, Metric reason, std::string_view status);
  void end(Peer& peer);

  Clock& clock_;
  MetricsPage& metrics_;
  Find find_;
  int listener_ = -1;
  bool paused_ = false;
  std::string address_;
  std::array<Peer, kHttpPeersMax> peers_;
};

}  // namespace perch::chat
