#include "client_sim.h"
#include "node_sim.h"

namespace perch::sim {

// The client's end is gone; what it had written may still arrive.
void World::disconnect(Client& client) {
  if (!client.link) return;
  client.impatient = false;
  client.link->cut(*random_);
  client.link->client_close();
  client.link.reset();
  client.device->on_disconnected();
}

void World::end_process(Client& client) {
  client.impatient = false;
  if (client.link) {
    if (random_->below(2)) client.link->cut(*random_);
    client.link->client_close();
    client.link.reset();
  }
  client.device.reset();
}

// The process dies; what its storage has committed is there for the next one, which has a new origin.
void World::restart(Client& client) {
  log("%s restarts", client.label().c_str());
  end_process(client);
  client.storage.reopen(*client.random);
  client.open();
}

// A backup of the device, and one day the device comes back from it.
void World::copy_or_restore(Client& client) {
  if (!client.copy || random_->below(3) == 0) {
    client.copy = std::make_unique<client::MemoryStore>(client.storage);
    return;
  }
  ++totals_.restores;
  log("%s is restored", client.label().c_str());
  end_process(client);
  oracle_.restoring(client.index, *client.copy);
  client.restored = true;
  client.storage = *client.copy;
  client.storage.reopen(*client.random);
  client.open();
}

void World::step_client(Client& client) {
  client::Device& device = *client.device;
  const uint64_t now = clock_.mono_ns();
  if (device.state() == client::Device::State::kStopped && !client.link) {
    if (failed()) return;
    return restart(client);
  }
  if (!client.link) {
    if (now < client.away_until_ns || clock_.mono_ms() < device.connect_at_ms()) return;
    if (!node_ || network_.backlogs.empty()) return device.on_disconnected();  // refused
    client.link = std::make_shared<Link>();
    if (plan_.tiny) client.link->capacity = 200 + random_->below(4'000);
    if (faulty_ && chance(plan_.stale_login)) {
      client.link->to_server.frozen_until_ns = now + random_->below(3'000'000'000);
      client.impatient = true;
    }
    network_.backlogs[static_cast<int>(random_->below(node_->num_cores))].push_back(client.link);
    ++network_.num_moved;
    device.on_connected();
    return;
  }
  const bool whole = !faulty_ || random_->below(2) == 0;
  auto& output = device.output();
  if (client.impatient && output.empty()) {  // HELLO is on its way, and overtaken by the next connection's
    ++totals_.stale_logins;
    client.impatient = false;
    client.link->client_close();
    client.link.reset();
    return device.on_disconnected();
  }
  if (!output.empty()) {
    const size_t want = whole ? output.size() : 1 + random_->below(output.size());
    const size_t num = client.link->client_write({reinterpret_cast<const char*>(output.data()), want});
    output.erase(output.begin(), output.begin() + static_cast<ptrdiff_t>(num));
    network_.num_moved += num;
  }
  if (!device.wants_close()) {
    bool over = false;
    std::string in = client.link->client_read(whole ? 65'536 : 1 + random_->below(200), now, over);
    if (!in.empty()) {
      network_.num_moved += in.size();
      trace(in.size());
      device.on_bytes({reinterpret_cast<uint8_t*>(in.data()), in.size()});
      // A process may die after its commit and before it tells anybody.
      if (faulty_ && chance(plan_.client_kill * 3)) return restart(client);
    } else if (over) {
      client.link->client_close();
      client.link.reset();
      ++network_.num_moved;
      return device.on_disconnected();
    }
  }
  if (!device.wants_close() && clock_.mono_ms() >= device.next_timer_ms()) {
    device.on_timer();
    ++network_.num_moved;
  }
  if (device.wants_close()) {
    client.link->client_close();
    client.link.reset();
    ++network_.num_moved;
    device.on_disconnected();
  }
}

void World::compose(Client& client) {
  if (client.device->state() == client::Device::State::kStopped) return;
  const UserId to = 1 + random_->below(plan_.num_users);
  std::string body = "m";
  body.append(std::to_string(++num_bodies_)).append(" ");
  body.append(random_->below(20) == 0 ? 2'500 : random_->below(80),
              static_cast<char>('a' + num_bodies_ % 26));
  const auto row =
      client.device->send(to, {}, 0, {reinterpret_cast<const uint8_t*>(body.data()), body.size()});
  if (!row) return oracle_.fail("a client cannot compose");
  log("%s composes m%llu to %llu", client.label().c_str(), static_cast<unsigned long long>(num_bodies_),
      static_cast<unsigned long long>(to));
  oracle_.composed(client.index, to, *row, body);
}

}  // namespace perch::sim
