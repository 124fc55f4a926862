// World runs a whole node and its users in one thread from one seed: N cores, the store, and devices with
// their storage, each stepped in the order the seed says. First everybody logs in, then come the faults, then
// all is healed and everything must arrive.
#pragma once
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "chat/core.h"
#include "chat/store_thread.h"
#include "client/memory_store.h"
#include "client/protocol/device.h"
#include "clock_sim.h"
#include "oracle.h"
#include "plan.h"
#include "ring_sim.h"
#include "store_sim.h"

namespace perch::sim {

class World {
 public:
  World(const Plan& plan, bool log, Totals& totals);
  ~World();
  // Empty: every promise was kept. Else the one that was broken.
  std::string run();
  uint64_t trace_hash() const { return trace_; }

 private:
  struct Client;
  struct Node;

  void start_node();
  void stop_node();
  void kill_node(const char* why);
  void copy_or_put_back();
  bool node_must_stop();
  void step();
  void step_actor(size_t actor);
  void step_client(Client& client);
  void faults();
  void compose(Client& client);
  void block_or_unblock();
  void hear_operator();
  void disconnect(Client& client);
  void end_process(Client& client);
  void restart(Client& client);
  void copy_or_restore(Client& client);
  void round();
  void pass_time();
  bool all_online() const;
  bool heal();
  std::string left_in_memory() const;
  void check_rest();
  void trace(uint64_t what);
  void log(const char* format, ...) __attribute__((format(printf, 2, 3)));
  bool chance(uint32_t millionths) { return sim::chance(*random_, millionths); }
  bool failed() const { return !oracle_.failure().empty(); }

  Plan plan_;
  bool log_;
  Totals& totals_;
  std::unique_ptr<Random> random_;
  SimClock clock_;
  Network network_;
  SimDisk disk_;
  SimKv journal_;
  SimKv tables_;
  Oracle oracle_;
  TokenKeys keys_;
  std::unique_ptr<Node> node_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::set<std::pair<UserId, UserId>> blocks_;  // as last asked for: who, whom
  uint64_t down_until_ns_ = 0;
  // A backup of the store, the journal first (DELIVERY.md H22), and the file beside it.
  std::vector<SimKv::Map> journal_copy_, tables_copy_;
  uint64_t ceiling_file_ = 0;
  bool faulty_ = false;
  bool draining_ = false;
  uint64_t num_idle_ = 0;
  uint64_t last_moved_ = 0;
  uint64_t num_bodies_ = 0;
  uint64_t num_commits_of_logins_ = 0;  // calm: when everybody was online
  uint64_t trace_ = 0xcbf29ce484222325u;
};

}  // namespace perch::sim
