// World::Client is a device: the real protocol of the client, its storage, and the user who is impatient.
#pragma once
#include <algorithm>
#include <memory>
#include <string>

#include "world.h"

namespace perch::sim {

inline constexpr std::string_view kSecret = "the secret of a simulated operator, long enough";

struct World::Client final : public client::DeviceEvents {
  Client(World& w, UserId u, std::string n, uint64_t seed)
      : world(w), user(u), name(std::move(n)), random(seeded_random(seed)), storage(*random) {
    token = mint_hs256(kSecret, "sim", std::to_string(user), name, 4'000'000'000);
  }
  void open() { device = std::make_unique<client::Device>(storage, world.clock_, *random, *this, options()); }
  client::Device::Options options() const {
    client::Device::Options out;
    out.token = token;
    return out;
  }

  void on_online(const client::LoginInfo& info) override {
    world.log("%s online as device %u", label().c_str(), info.device);
    world.trace(info.session);
    was_online = true;
    world.oracle_.registered(index, info.device);
    if (info.overflowed) world.oracle_.told_gap(index);
  }
  void on_offline(std::string_view why) override {
    world.log("%s offline: %.*s", label().c_str(), static_cast<int>(why.size()), why.data());
  }
  void on_message(const client::InboxMessage& message, client::Insert insert) override {
    world.log("%s has %.*s number %llu (%d)", label().c_str(),
              static_cast<int>(std::min<size_t>(message.body.size(), 8)),
              reinterpret_cast<const char*>(message.body.data()),
              static_cast<unsigned long long>(message.number), static_cast<int>(insert));
    world.trace(message.number);
    world.oracle_.received(index, message, insert);
  }
  void on_row(const client::RowStatus& row) override {
    world.log("%s row seq %llu to %llu mark %d number %llu%s", label().c_str(),
              static_cast<unsigned long long>(row.seq), static_cast<unsigned long long>(row.to),
              static_cast<int>(row.mark), static_cast<unsigned long long>(row.number),
              row.open ? " open" : "");
    world.trace(row.seq * 8 + static_cast<uint64_t>(row.mark));
    world.oracle_.row_changed(index, row);
  }
  void on_hold(client::HoldReason reason, uint32_t wait_ms) override {
    world.log("%s held, reason %d, %u ms", label().c_str(), static_cast<int>(reason), wait_ms);
  }
  void on_error(client::ErrorCode code, std::string_view text) override {
    world.log("%s error %d %.*s", label().c_str(), static_cast<int>(code), static_cast<int>(text.size()),
              text.data());
    switch (code) {
      case client::ErrorCode::kReplaced:
        // By another opening: the device has stopped. By its own: this is its newest connection, so the one
        // that took over is older.
        if (device->state() != client::Device::State::kStopped)
          world.oracle_.fail("H16 a stale login took over from " + label());
        return;
      case client::ErrorCode::kStaleAttempt:
      case client::ErrorCode::kLoginTimeout:
      case client::ErrorCode::kFrameTimeout:
      case client::ErrorCode::kBusy:
      case client::ErrorCode::kSlowReader:
      case client::ErrorCode::kIdle:
        return;
      default:
        world.oracle_.fail("the server refuses a correct client: error " +
                           std::to_string(static_cast<int>(code)) + " " + std::string(text) + " to " +
                           label());
    }
  }
  void on_stopped(client::StopReason reason, std::string_view) override {
    world.log("%s stopped: %s", label().c_str(), client::name_of(reason));
    if (reason != client::StopReason::kReplaced)
      world.oracle_.fail(std::string("a client stopped: ") + client::name_of(reason));
  }
  std::string label() const { return std::to_string(user) + "/" + name; }

  World& world;
  UserId user;
  std::string name;
  std::string token;
  size_t index = 0;  // in the oracle
  std::unique_ptr<Random> random;
  client::MemoryStore storage;
  std::unique_ptr<client::Device> device;
  std::unique_ptr<client::MemoryStore> copy;  // of its storage, from which it may be restored
  std::shared_ptr<Link> link;
  uint64_t away_until_ns = 0;  // not trying to connect
  bool was_online = false;
  bool restored = false;   // … it was
  bool impatient = false;  // gives up the present connection once HELLO is written
};

}  // namespace perch::sim
