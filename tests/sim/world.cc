#include "world.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "client_sim.h"
#include "core_peek.h"
#include "node_sim.h"
#include "store/keyspace.h"

namespace perch::sim {
namespace {

constexpr uint32_t kSetupRounds = 4'000;
constexpr uint32_t kHealRounds = 60'000;
constexpr uint32_t kRestRounds = 4'000;
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

World::World(const Plan& plan, bool log, Totals& totals)
    : plan_(plan),
      log_(log),
      totals_(totals),
      random_(seeded_random(plan.seed)),
      network_(clock_, *random_),
      journal_(disk_, store::kJournalTableNames.size()),
      tables_(disk_, store::kMailboxTableNames.size()),
      oracle_(journal_, tables_, clock_) {
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
  hear_operator();
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
    hear_operator();
    pass_time();
    if (failed()) return;
    if (!node_) return;  // the numbering of actors has changed
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
      check_rest();
      return true;
    }
  }
  return false;
}

std::string World::left_in_memory() const {
  if (!node_) return " nothing is up";
  std::string out;
  std::set<UserId> restored;
  for (const auto& client : clients_)
    if (client->restored) restored.insert(client->user);
  size_t num_connections = 0;
  for (const auto& core : node_->cores) {
    out += chat::CorePeek::left(*core, restored);
    num_connections += core->net().num_connections();
  }
  const size_t num_links = static_cast<size_t>(
      std::ranges::count_if(clients_, [](const auto& client) { return client->link != nullptr; }));
  if (num_connections != num_links) out += " connections without a client";
  return out;
}

// S9 in memory. A half-open connection is noticed by its silence only, and a row that was closed by the next
// Ping, so rest takes its time.
void World::check_rest() {
  for (uint32_t i = 0; i < kRestRounds && !failed(); ++i) {
    if (i % 32 == 0 && left_in_memory().empty()) return;
    round();
  }
  if (!failed()) oracle_.fail("S9 at rest the memory still has" + left_in_memory());
}

std::string World::run() {
  ++totals_.seeds;
  if (plan_.quota) oracle_.allow_overflow();
  if (plan_.expiry) oracle_.allow_expiry(plan_.limits.expiry_ms);
  totals_.calm_seeds += plan_.calm;
  start_node();
  if (plan_.all_log_in_first) {
    for (uint32_t i = 0; i < kSetupRounds && !failed() && !all_online(); ++i) round();
    if (!failed() && !all_online()) oracle_.fail("not everybody could log in");
  }
  num_commits_of_logins_ = disk_.num_commits;
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
  totals_.refused_full += oracle_.num_full();
  totals_.gaps_told += oracle_.num_gaps();
  totals_.expired += oracle_.num_expired();
  totals_.commits += disk_.num_commits;
  totals_.rows_written += tables_.num_puts();
  totals_.switch_crashes += disk_.num_switch_crashes;
  totals_.disk_refusals += disk_.num_refusals;
  totals_.disk_failures += disk_.num_failures;
  trace(disk_.num_commits);
  return oracle_.failure();
}

}  // namespace perch::sim
