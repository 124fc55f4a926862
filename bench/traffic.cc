#include "bench/traffic.h"

#include <algorithm>
#include <cstring>

#include "codec/encode.h"
#include "core/clock.h"
#include "tls/token.h"

namespace perch::bench {
namespace {

constexpr uint32_t kConnectingMax = 128;  // at once, so that nobody's login waits for its deadline
constexpr uint64_t kTokenSeconds = 86'400;

}  // namespace

size_t message_frame_bytes(size_t body_bytes) {
  const std::vector<uint8_t> body(body_bytes);
  return codec::message({.to = 1, .origin = 1, .seq = 1, .closed = 1, .after = 1}, 0, body).size();
}

void Traffic::arrived(uint32_t recipient, Bytes body) {
  if (const auto sender = ledger_.arrived(recipient, body, system_clock().mono_ns()))
    freed_.push_back(*sender);
}

// ---- Perch

struct PerchTraffic::Peer final : client::DeviceEvents {
  Peer(PerchTraffic& owner, uint32_t at, Random& random, client::Device::Options options)
      : traffic(owner),
        index(at),
        store(random, false),
        device(store, system_clock(), random, *this, std::move(options)) {}

  void on_online(const client::LoginInfo&) override {
    ++traffic.num_online_;
    online = true;
  }
  void on_offline(std::string_view) override { offline(); }
  void on_message(const client::InboxMessage& message, client::Insert insert) override {
    // A renumbered message is one the user has already seen.
    if (insert != client::Insert::kRenumbered) traffic.arrived(index, message.body);
  }
  void on_row(const client::RowStatus& row) override {
    if (row.mark == client::Mark::kRejected || row.mark == client::Mark::kExpired) ++traffic.num_rejected_;
  }
  void on_stopped(client::StopReason reason, std::string_view text) override {
    offline();
    traffic.problem_ =
        std::string("a device was refused: ") + client::name_of(reason) + ": " + std::string(text);
  }
  void offline() {
    if (!online) return;
    online = false;
    --traffic.num_online_;
    ++traffic.num_disconnects_;
  }

  PerchTraffic& traffic;
  uint32_t index;
  client::MemoryStore store;
  client::Device device;
  bool wired = false;       // connecting or connected
  bool connecting = false;  // until it is online or gone
  bool online = false;
};

PerchTraffic::PerchTraffic(Ledger& ledger, const Login& login)
    : Traffic(ledger), first_user_(login.first_user), random_(system_random()) {
  const uint64_t expires_s = system_clock().wall_ms() / 1000 + kTokenSeconds;
  for (uint32_t i = 0; i < ledger.num_connections(); ++i) {
    client::Device::Options options;
    options.token = mint_hs256(login.secret, login.kid, std::to_string(first_user_ + i), "bench", expires_s);
    options.agent = "perch-bench";
    peers_.emplace_back(*this, i, *random_, std::move(options));
  }
}

PerchTraffic::~PerchTraffic() = default;

void PerchTraffic::tick() {
  const uint64_t now = system_clock().mono_ms();
  for (uint32_t i = 0; i < peers_.size(); ++i) {
    Peer& peer = peers_[i];
    if (peer.device.next_timer_ms() <= now) {
      peer.device.on_timer();
      flush(i);
    }
    const bool wants = !peer.wired && peer.device.state() == client::Device::State::kOffline;
    if (!wants || peer.device.connect_at_ms() > now || num_connecting_ >= kConnectingMax) continue;
    peer.wired = peer.connecting = true;
    ++num_connecting_;
    wires_->connect(i);
  }
}

void PerchTraffic::send(uint32_t sender, Bytes body) {
  if (!peers_[sender].device.send(first_user_ + ledger_.partner(sender), "", 0, body).ok()) {
    problem_ = "a device did not take a message";
  }
  flush(sender);
}

void PerchTraffic::flush(uint32_t index) {
  Peer& peer = peers_[index];
  std::vector<uint8_t>& output = peer.device.output();
  if (!output.empty()) {
    wires_->write(index, output);
    output.clear();
  }
  if (peer.device.wants_close()) wires_->close(index);
}

void PerchTraffic::on_connected(uint32_t wire) {
  peers_[wire].device.on_connected();
  flush(wire);
}

void PerchTraffic::on_bytes(uint32_t wire, MutableBytes bytes) {
  Peer& peer = peers_[wire];
  peer.device.on_bytes(bytes);
  if (peer.connecting && peer.online) {
    peer.connecting = false;
    --num_connecting_;
  }
  flush(wire);
}

void PerchTraffic::on_closed(uint32_t wire, int) {
  Peer& peer = peers_[wire];
  if (peer.connecting) --num_connecting_;
  peer.wired = peer.connecting = false;
  peer.device.on_disconnected();
}

PerchCounters PerchTraffic::counters() const {
  PerchCounters sum;
  for (const Peer& peer : peers_) {
    const client::DeviceCounters& c = peer.device.counters();
    sum.logins += c.logins;
    sum.resent += c.resent;
    sum.holds += c.holds;
    sum.known += c.known;
    sum.renumbered += c.renumbered;
    sum.confirms += c.confirms;
    sum.results += c.results;
  }
  sum.rejected = num_rejected_;
  sum.disconnects = num_disconnects_;
  return sum;
}

// ---- relay

RelayTraffic::RelayTraffic(Ledger& ledger, size_t frame_bytes)
    : Traffic(ledger), frame_bytes_(frame_bytes), frame_(frame_bytes), partial_(ledger.num_connections()) {}

void RelayTraffic::tick() {
  while (num_asked_ < partial_.size() && num_asked_ < wires_->num_connected() + kConnectingMax) {
    wires_->connect(num_asked_++);
  }
}

void RelayTraffic::send(uint32_t sender, Bytes body) {
  std::memcpy(frame_.data(), body.data(), body.size());
  wires_->write(sender, frame_);
}

void RelayTraffic::on_connected(uint32_t wire) {
  const uint32_t names[2] = {wire, ledger_.partner(wire)};
  uint8_t bytes[sizeof(names)];
  std::memcpy(bytes, names, sizeof(names));
  wires_->write(wire, bytes);
}

void RelayTraffic::on_bytes(uint32_t wire, MutableBytes bytes) {
  std::vector<uint8_t>& partial = partial_[wire];
  while (!bytes.empty()) {
    if (partial.empty() && bytes.size() >= frame_bytes_) {
      arrived(wire, bytes.first(frame_bytes_));
      bytes = bytes.subspan(frame_bytes_);
      continue;
    }
    const size_t take = std::min(bytes.size(), frame_bytes_ - partial.size());
    partial.insert(partial.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(take));
    bytes = bytes.subspan(take);
    if (partial.size() < frame_bytes_) continue;
    arrived(wire, partial);
    partial.clear();
  }
}

void RelayTraffic::on_closed(uint32_t, int error) {
  problem_ =
      error == 0 ? "the relay closed a connection" : std::string("a connection: ") + std::strerror(error);
}

}  // namespace perch::bench
