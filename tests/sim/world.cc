#include "world.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "chat/recovery_fan_out.h"
#include "core/mesh.h"
#include "store/keyspace.h"

namespace perch::sim {
namespace {

constexpr std::string_view kSecret = "the secret of a simulated operator, long enough";
constexpr uint32_t kSetupRounds = 4'000;
constexpr uint32_t kHealRounds = 60'000;
constexpr uint64_t kIdleRounds = 12;  // hops travel in rounds that move no byte
constexpr uint64_t kIdleJumpMsMax = 500;

// What is left at a restart. All zero at rest (S9).
class CountWaiting final : public store::RecoveryVisitor {
 public:
  void item(const store::RecoveredItem& found) override {
    what += " item " + std::to_string(found.number) + " for " + std::to_string(found.waiting.user) + "/" +
            std::to_string(found.waiting.devices[0]);
  }
  void mark(const store::RecoveredMark&) override {}
  void receipt(const store::RecoveredReceipt& found) override {
    what += " receipt for " + std::to_string(found.key.user) + "/" + std::to_string(found.key.to_device) +
            " up to " + std::to_string(found.up_to);
  }
  void expired(const store::RecoveredExpired&) override { what += " expiry"; }
  std::string what;
};

}  // namespace

// --- the node

struct World::Node {
  uint16_t num_cores = 1;
  std::unique_ptr<Random> random;
  std::unique_ptr<store::Writer> writer;
  std::unique_ptr<Mesh> mesh;
  std::vector<std::unique_ptr<SimRing>> rings;      // of the cores, then of the store
  std::vector<std::unique_ptr<MetricsPage>> pages;  // of the cores, then of the store
  std::vector<std::unique_ptr<Log>> logs;           // nobody reads them
  std::vector<std::unique_ptr<chat::Core>> cores;
  std::unique_ptr<chat::StoreThread> store_thread;
  uint64_t stops_at_ns = UINT64_MAX;
};

void World::start_node() {
  node_ = std::make_unique<Node>();
  Node& node = *node_;
  node.num_cores = static_cast<uint16_t>(1 + random_->below(3));
  node.random = seeded_random(random_->next());
  Result<std::unique_ptr<store::Writer>> writer =
      store::Writer::open(journal_, tables_, plan_.limits, *node.random);
  if (!writer) return oracle_.fail(std::string("the store does not open: ") + name_of(writer.error().code));
  node.writer = std::move(*writer);
  node.mesh = std::make_unique<Mesh>(static_cast<uint16_t>(node.num_cores + 1), plan_.limits.mesh_slots);
  network_.rings.clear();
  network_.backlogs.clear();
  std::vector<int> ids;
  for (uint16_t i = 0; i <= node.num_cores; ++i) {
    RingOptions options = plan_.ring;
    if (i == node.num_cores) options.sockets = options.buffers = 0;
    node.rings.push_back(std::make_unique<SimRing>(network_, options));
    node.mesh->endpoint(i).bind(*node.rings.back());
    if (i < node.num_cores) ids.push_back(node.rings.back()->id());
  }
  const uint64_t boot = node.random->next();
  for (uint16_t i = 0; i < node.num_cores; ++i) {
    node.pages.push_back(std::make_unique<MetricsPage>(MetricScope::kReactor, i));
    node.logs.push_back(std::make_unique<Log>(clock_, *node.pages.back()));
    chat::CoreOptions options;
    options.id = i;
    options.num_cores = node.num_cores;
    options.store = node.num_cores;
    options.ring_ids = ids;
    options.accounts_auto = true;
    options.boot = boot;
    options.incarnation = node.writer->incarnation();
    options.counter = node.writer->base();
    options.ceiling = node.writer->ceiling();
    node.cores.push_back(std::make_unique<chat::Core>(options, *node.rings[i], node.mesh->endpoint(i), clock_,
                                                      *node.pages[i], *node.logs[i], plan_.limits, keys_,
                                                      node.writer->make_reader()));
  }
  chat::RecoveryFanOut fan_out(node.cores);
  const Result<void> read = node.writer->recover(fan_out);
  if (!read) return oracle_.fail(std::string("the store cannot be read: ") + name_of(read.error().code));
  for (auto& core : node.cores) core->recovered();
  node.pages.push_back(std::make_unique<MetricsPage>(MetricScope::kStore));
  node.logs.push_back(std::make_unique<Log>(clock_, *node.pages.back()));
  node.store_thread = std::make_unique<chat::StoreThread>(
      *node.writer, node.mesh->endpoint(node.num_cores), *node.rings[node.num_cores], node.num_cores,
      *node.pages.back(), *node.logs.back(), plan_.limits, clock_);
  for (uint16_t i = 0; i < node.num_cores; ++i) {
    network_.backlogs[i];
    node.cores[i]->net().listen(i);
  }
  draining_ = false;
  log("node up with %u cores", node.num_cores);
}

// Everything in memory goes; the disk stays as it was committed.
void World::stop_node() {
  Node& node = *node_;
  for (const auto& page : node.pages) {
    totals_.taken += page->value(Metric::kTaken);
    totals_.handed_to_store += page->value(Metric::kToStore);
    for (const Metric held :
         {Metric::kHeldRate, Metric::kHeldStoreFull, Metric::kHeldBusy, Metric::kHeldDraining})
      totals_.holds += page->value(held);
    totals_.replaced += page->value(Metric::kErrorReplaced);
    if (plan_.calm && page->value(Metric::kToStore) > 0)
      oracle_.fail("S11 a calm run wrote messages to the disk");
  }
  for (auto& [listener, backlog] : network_.backlogs)
    for (auto& link : backlog) link->cut(*random_);
  node.store_thread.reset();
  node.cores.clear();
  node.rings.clear();
  node_.reset();
  network_.rings.clear();
  network_.backlogs.clear();
  journal_.reboot();
  tables_.reboot();
  disk_.disarm();
  oracle_.server_stopped();
}

void World::kill_node(const char* why) {
  log("node killed: %s", why);
  // What the kernel still holds for the clients is delivered or lost.
  for (auto& client : clients_) disconnect(*client);
  stop_node();
  down_until_ns_ = clock_.mono_ns() + random_->below(faulty_ ? 2'000'000'000 : 1'000'000);
}

// --- clients

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
  void on_hold(wire::HoldReason reason, uint32_t wait_ms) override {
    world.log("%s held, reason %d, %u ms", label().c_str(), static_cast<int>(reason), wait_ms);
  }
  void on_error(wire::ErrorCode code, std::string_view text) override {
    world.log("%s error %d %.*s", label().c_str(), static_cast<int>(code), static_cast<int>(text.size()),
              text.data());
    switch (code) {
      case wire::ErrorCode::Replaced:
        // By another opening: the device has stopped. By its own: this is its newest connection, so the one
        // that took over is older.
        if (device->state() != client::Device::State::kStopped)
          world.oracle_.fail("H16 a stale login took over from " + label());
        return;
      case wire::ErrorCode::StaleAttempt:
      case wire::ErrorCode::LoginTimeout:
      case wire::ErrorCode::FrameTimeout:
      case wire::ErrorCode::Busy:
      case wire::ErrorCode::SlowReader:
      case wire::ErrorCode::Idle:
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
  std::shared_ptr<Link> link;
  uint64_t away_until_ns = 0;  // not trying to connect
  bool was_online = false;
  bool impatient = false;  // gives up the present connection once HELLO is written
};

// The client's end is gone; what it had written may still arrive.
void World::disconnect(Client& client) {
  if (!client.link) return;
  client.impatient = false;
  client.link->cut(*random_);
  client.link->client_close();
  client.link.reset();
  client.device->on_disconnected();
}

// The process dies; what its storage has committed is there for the next one, which has a new origin.
void World::restart(Client& client) {
  log("%s restarts", client.label().c_str());
  client.impatient = false;
  if (client.link) {
    if (random_->below(2)) client.link->cut(*random_);
    client.link->client_close();
    client.link.reset();
  }
  client.device.reset();
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

// --- the schedule

World::World(const Plan& plan, bool log, Totals& totals)
    : plan_(plan),
      log_(log),
      totals_(totals),
      random_(seeded_random(plan.seed)),
      network_(clock_, *random_),
      journal_(disk_, store::kJournalTableNames.size()),
      tables_(disk_, store::kMailboxTableNames.size()),
      oracle_(journal_, tables_) {
  PERCH_CHECK(keys_.add_hs256("sim", kSecret).ok());
  for (UserId user = 1; user <= plan_.num_users; ++user) {
    const uint64_t num_devices = 1 + random_->below(3);
    for (uint64_t i = 0; i < num_devices; ++i) {
      clients_.push_back(
          std::make_unique<Client>(*this, user, std::string(1, static_cast<char>('a' + i)), random_->next()));
      clients_.back()->index = oracle_.add_device(user, clients_.back()->storage);
      clients_.back()->open();
    }
  }
}

World::~World() = default;

void World::trace(uint64_t what) {
  trace_ ^= what + clock_.mono_ns();
  trace_ *= 0x100000001b3u;
}

void World::log(const char* format, ...) {
  if (!log_) return;
  std::printf("%12.3f ms  ", static_cast<double>(clock_.mono_ns() - 1'000'000'000) / 1e6);
  va_list arguments;
  va_start(arguments, format);
  std::vprintf(format, arguments);
  va_end(arguments);
  std::printf("\n");
}

// A poisoned node has a moment to go down by itself; what it tells in that time is judged like everything
// else.
bool World::node_must_stop() {
  const bool failed =
      std::ranges::any_of(node_->cores, [](const auto& core) { return core->store_failed(); });
  if (failed && node_->stops_at_ns == UINT64_MAX)
    node_->stops_at_ns = clock_.mono_ns() + random_->below(1'000'000'000);
  return clock_.mono_ns() >= node_->stops_at_ns;
}

// Actors: the cores, the store, the clients.
void World::step_actor(size_t actor) {
  const uint64_t sleep = random_->below(2) * 1'000'000;
  if (node_) {
    if (actor < node_->num_cores) {
      node_->cores[actor]->turn(sleep);
    } else if (actor == node_->num_cores) {
      node_->store_thread->turn(sleep);
      if (disk_.crashed) {  // nobody may hear of this turn
        ++totals_.disk_crashes;
        return kill_node("the disk crashed");
      }
    }
    if (actor <= node_->num_cores) {
      if (node_must_stop()) kill_node("the store failed");
      return;
    }
    actor -= node_->num_cores + 1u;
  }
  if (actor < clients_.size()) step_client(*clients_[actor]);
}

void World::pass_time() {
  clock_.advance_ns(1 + random_->below(plan_.step_ns_max));
  if (network_.num_moved != last_moved_) {
    last_moved_ = network_.num_moved;
    num_idle_ = 0;
    return;
  }
  const size_t num_actors = clients_.size() + (node_ ? node_->num_cores + 1u : 0u);
  if (++num_idle_ < kIdleRounds * num_actors) return;
  num_idle_ = 0;
  uint64_t until_ms = clock_.mono_ms() + kIdleJumpMsMax;
  for (const auto& client : clients_) {
    const bool offline = client->device->state() == client::Device::State::kOffline;
    until_ms =
        std::min(until_ms, offline ? client->device->connect_at_ms() : client->device->next_timer_ms());
  }
  if (until_ms > clock_.mono_ms())
    clock_.advance_ns((until_ms - clock_.mono_ms()) * 1'000'000);
  else
    clock_.advance_ns(50'000'000);
}

void World::step() {
  ++totals_.steps;
  if (!node_ && clock_.mono_ns() >= down_until_ns_) start_node();
  if (failed()) return;
  const size_t num_actors = clients_.size() + (node_ ? node_->num_cores + 1u : 0u);
  step_actor(random_->below(num_actors));
  pass_time();
}

// Every actor once, in random order, so that a healed world makes progress on all sides.
void World::round() {
  if (!node_ && clock_.mono_ns() >= down_until_ns_) start_node();
  std::vector<size_t> order(clients_.size() + (node_ ? node_->num_cores + 1u : 0u));
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random_->below(i)]);
  for (const size_t actor : order) {
    ++totals_.steps;
    step_actor(actor);
    pass_time();
    if (failed()) return;
    if (!node_) return;  // the numbering of actors has changed
  }
}

void World::faults() {
  Client& victim = *clients_[random_->below(clients_.size())];
  if (chance(plan_.compose)) compose(victim);
  if (chance(plan_.mark_read) && victim.device->state() == client::Device::State::kOnline) {
    if (!victim.device->mark_read(1 + random_->below(plan_.num_users)))
      oracle_.fail("a client cannot mark as read");
  }
  if (chance(plan_.cut) && victim.link) {
    ++totals_.cuts;
    log("%s loses its connection", victim.label().c_str());
    // The server may see it at once, or only by silence.
    if (random_->below(4) == 0)
      victim.link->to_server.frozen_until_ns = clock_.mono_ns() + random_->below(20'000'000'000);
    disconnect(victim);
  }
  if (chance(plan_.freeze) && victim.link) {
    ++totals_.freezes;
    log("%s freezes", victim.label().c_str());
    const uint64_t until =
        clock_.mono_ns() + random_->below(pick<uint64_t>(*random_, {3'000'000, 20'000'000'000}));
    if (random_->below(3) != 0) victim.link->to_server.frozen_until_ns = until;
    if (random_->below(3) != 0) victim.link->to_client.frozen_until_ns = until;
    // The user is impatient: the old connection's bytes arrive after the new one's.
    if (random_->below(2)) {
      victim.link->client_close();
      victim.link.reset();
      victim.device->on_disconnected();
    }
  }
  if (chance(plan_.client_kill)) {
    ++totals_.client_kills;
    restart(victim);
  }
  if (chance(plan_.go_away)) {
    victim.away_until_ns = clock_.mono_ns() + random_->below(5'000'000'000);
    disconnect(victim);
  }
  if (chance(plan_.wall_jump)) clock_.jump_wall(static_cast<int64_t>(random_->below(7'200'000)) - 3'600'000);
  if (chance(plan_.time_jump)) clock_.advance_ns(random_->below(3'000'000'000));
  if (chance(plan_.store_full)) disk_.fill = disk_.fill > 0.5 ? 0.1 : 0.95;
  if (!node_) return;
  if (chance(plan_.disk_fault)) {
    disk_.operations_to_crash = 1 + random_->below(30);
    disk_.commit_survives = random_->below(2) == 0;
  }
  if (chance(plan_.switch_crash)) disk_.crash_at_switch = true;
  if (chance(plan_.disk_refuse)) disk_.operations_to_refusal = 1 + random_->below(10);
  if (chance(plan_.disk_fail)) {
    disk_.operations_to_failure = 1 + random_->below(30);
    disk_.commit_survives = random_->below(2) == 0;
  }
  if (chance(plan_.kill)) {
    ++totals_.kills;
    return kill_node("kill -9");
  }
  if (chance(plan_.drain) && !draining_) {
    ++totals_.drains;
    draining_ = true;
    log("node drains");
    for (auto& core : node_->cores) core->drain();
  }
  if (draining_ && std::ranges::all_of(node_->cores, [](const auto& core) { return core->drained(); }) &&
      random_->below(100) == 0) {
    ++totals_.drained;
    kill_node("drained");
  }
}

bool World::all_online() const {
  return std::ranges::all_of(
      clients_, [](const auto& client) { return client->device->state() == client::Device::State::kOnline; });
}

bool World::heal() {
  log("healing");
  faulty_ = false;
  network_.faults = {};
  disk_.fill = 0.1;
  disk_.disarm();
  if (draining_ && node_) kill_node("still draining");
  for (auto& client : clients_) {
    client->away_until_ns = 0;
    if (client->link) client->link->to_server.frozen_until_ns = client->link->to_client.frozen_until_ns = 0;
  }
  for (uint32_t i = 0; i < kHealRounds && !failed(); ++i) {
    round();
    if (i % 32 == 0 && node_ && all_online() && oracle_.converged()) {
      // The last confirmations and receipts travel to the disk.
      for (uint32_t k = 0; k < 400 && !failed(); ++k) round();
      return true;
    }
  }
  return false;
}

std::string World::run() {
  ++totals_.seeds;
  totals_.calm_seeds += plan_.calm;
  start_node();
  if (plan_.all_log_in_first) {
    for (uint32_t i = 0; i < kSetupRounds && !failed() && !all_online(); ++i) round();
    if (!failed() && !all_online()) oracle_.fail("not everybody could log in");
  }
  faulty_ = !plan_.calm;
  network_.faults = plan_.faults;
  for (uint32_t i = 0; i < plan_.num_steps && !failed(); ++i) {
    faults();
    step();
  }
  if (!failed() && !heal() && !failed()) {
    const auto missing = oracle_.first_missing();
    oracle_.fail("stuck: " + missing.value_or("the node does not come up"));
  }
  if (!failed()) oracle_.check_numbers();
  if (!failed()) {
    stop_node();
    const std::unique_ptr<Random> random = seeded_random(1);
    auto writer = store::Writer::open(journal_, tables_, plan_.limits, *random);
    CountWaiting waiting;
    if (!writer || !(*writer)->recover(waiting))
      oracle_.fail("the store does not open at the end");
    else if (!waiting.what.empty())
      oracle_.fail("S9 at rest the disk still has" + waiting.what);
  }
  if (node_) stop_node();
  totals_.messages += oracle_.num_messages();
  totals_.deliveries += oracle_.num_deliveries();
  totals_.renumbered += oracle_.num_renumbered();
  totals_.rejected += oracle_.num_rejected();
  totals_.commits += disk_.num_commits;
  totals_.rows_written += tables_.num_puts();
  totals_.switch_crashes += disk_.num_switch_crashes;
  totals_.disk_refusals += disk_.num_refusals;
  totals_.disk_failures += disk_.num_failures;
  trace(disk_.num_commits);
  return oracle_.failure();
}

}  // namespace perch::sim
