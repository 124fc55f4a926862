#include <algorithm>

#include "chat/recovery_fan_out.h"
#include "node_sim.h"

namespace perch::sim {

void World::start_node() {
  node_ = std::make_unique<Node>();
  Node& node = *node_;
  node.num_cores = static_cast<uint16_t>(1 + random_->below(3));
  node.random = seeded_random(random_->next());
  Result<std::unique_ptr<store::Writer>> writer =
      store::Writer::open(journal_, tables_, plan_.limits, *node.random);
  if (!writer) return oracle_.fail(std::string("the store does not open: ") + name_of(writer.error().code));
  node.writer = std::move(*writer);
  ceiling_file_ = node.writer->ceiling();
  node.mesh = std::make_unique<Mesh>(static_cast<uint16_t>(node.num_cores + 2), plan_.limits.mesh_slots);
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
    options.served_ms = node.writer->served_ms();
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
  }
  if (plan_.calm && disk_.num_commits != num_commits_of_logins_)
    oracle_.fail("S11 a calm run wrote to the disk");
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

}  // namespace perch::sim
