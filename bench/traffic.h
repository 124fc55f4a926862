// Traffic carries the ledger's messages over wires: as Perch's protocol, or bare for the relay.
//
// ON: one thread. Order of calls: start(), then tick() at least every 20 ms beside the wires' turns; send()
// once ready().
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "bench/ledger.h"
#include "bench/wires.h"
#include "client/memory_store.h"
#include "client/protocol/device.h"
#include "core/random.h"

namespace perch::bench {

class Traffic : public WireEvents {
 public:
  explicit Traffic(Ledger& ledger) : ledger_(ledger) {}
  virtual void start(Wires& wires) { wires_ = &wires; }
  virtual void tick() = 0;
  virtual bool ready() const = 0;
  virtual void send(uint32_t sender, Bytes body) = 0;
  virtual std::string problem() const { return ""; }  // not empty: the run is over
  // Senders whose messages have arrived since the last look; the caller takes them out.
  std::vector<uint32_t>& freed() { return freed_; }

 protected:
  void arrived(uint32_t recipient, Bytes body);
  Ledger& ledger_;
  Wires* wires_ = nullptr;

 private:
  std::vector<uint32_t> freed_;
};

struct PerchCounters {
  uint64_t logins = 0, resent = 0, holds = 0, rejected = 0, disconnects = 0;
  uint64_t known = 0;  // repetitions that the client's inbox took out, as it has to
  uint64_t renumbered = 0;
  uint64_t confirms = 0, results = 0;
};

// One Device with memory storage for each connection, user ids from `first_user` on.
class PerchTraffic final : public Traffic {
 public:
  struct Login {
    std::string secret, kid;
    UserId first_user = 1;
  };
  PerchTraffic(Ledger& ledger, const Login& login);
  ~PerchTraffic() override;
  void tick() override;
  bool ready() const override { return num_online_ == ledger_.num_connections(); }
  void send(uint32_t sender, Bytes body) override;
  std::string problem() const override { return problem_; }
  PerchCounters counters() const;

  void on_connected(uint32_t wire) override;
  void on_bytes(uint32_t wire, MutableBytes bytes) override;
  void on_closed(uint32_t wire, int error) override;

 private:
  struct Peer;
  void flush(uint32_t index);

  UserId first_user_;
  std::unique_ptr<Random> random_;
  std::deque<Peer> peers_;  // addresses stay: devices refer to their stores
  uint32_t num_online_ = 0, num_connecting_ = 0;
  uint64_t num_rejected_ = 0, num_disconnects_ = 0;
  std::string problem_;
};

// The same bodies in frames of the same size, without a meaning: the body, then filling.
class RelayTraffic final : public Traffic {
 public:
  RelayTraffic(Ledger& ledger, size_t frame_bytes);
  void tick() override;
  bool ready() const override { return wires_->num_connected() == ledger_.num_connections(); }
  void send(uint32_t sender, Bytes body) override;
  std::string problem() const override { return problem_; }

  void on_connected(uint32_t wire) override;
  void on_bytes(uint32_t wire, MutableBytes bytes) override;
  void on_closed(uint32_t wire, int error) override;

 private:
  size_t frame_bytes_;
  std::vector<uint8_t> frame_;
  std::vector<std::vector<uint8_t>> partial_;
  uint32_t num_asked_ = 0;
  std::string problem_;
};

// Bytes on the wire of a message with such a body.
size_t message_frame_bytes(size_t body_bytes);

}  // namespace perch::bench
