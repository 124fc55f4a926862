// Plan is everything a seed decides before its run, so that it can be printed first. Totals is what the runs
// add up to.
#pragma once
#include <initializer_list>
#include <string>

#include "core/limits.h"
#include "core/random.h"
#include "core/ring.h"
#include "ring_sim.h"

namespace perch::sim {

template <typename T>
T pick(Random& random, std::initializer_list<T> of) {
  return of.begin()[random.below(of.size())];
}

// Everything the seed decides, so that it can be printed before the run.
struct Plan {
  uint64_t seed = 0;
  bool calm = false;  // all online, no faults: nothing may be written
  bool tiny = false;  // queues and windows so small that every "full" is common
  bool all_log_in_first = true;
  uint16_t num_users = 2;
  uint32_t num_steps = 4000;
  uint32_t step_ns_max = 100'000;
  // Chances in a million per step.
  uint32_t compose = 0, mark_read = 0, kill = 0, drain = 0, disk_fault = 0, cut = 0, freeze = 0,
           client_kill = 0;
  uint32_t go_away = 0, wall_jump = 0, store_full = 0, time_jump = 0;
  uint32_t switch_crash = 0;  // between a commit of one environment and the next of the other
  uint32_t disk_refuse = 0;   // no room, once
  uint32_t disk_fail = 0;     // a failed write or commit, and the node has to notice by itself
  uint32_t stale_login = 0;   // per connection: its HELLO arrives after that of the next one
  // Subjects: a seed may have some of them, drawn apart from all the above.
  bool narrow = false;  // queues to and windows of a session so small that a login cannot be answered at once
  Faults faults;
  Limits limits;
  RingOptions ring;
  bool quota = false;     // mailboxes so small that devices overflow and messages are refused
  uint32_t restore = 0;   // a device's storage is copied, or put back to the copy
  bool expiry = false;    // messages expire within the run
  uint32_t block = 0;     // a user blocks another, or no more
  uint32_t put_back = 0;  // the server's store is copied, or put back to the copy
  static Plan from(uint64_t seed);
  void draw_subjects();
  std::string text() const;
};

struct Totals {
  uint64_t seeds = 0, calm_seeds = 0, steps = 0, messages = 0, deliveries = 0, renumbered = 0, rejected = 0;
  uint64_t taken = 0, handed_to_store = 0, commits = 0, rows_written = 0, holds = 0, replaced = 0;
  // How often each fault struck.
  uint64_t refused_full = 0, gaps_told = 0, restores = 0, expired = 0, put_back = 0, blocks = 0;
  uint64_t kills = 0, disk_crashes = 0, switch_crashes = 0, disk_refusals = 0, disk_failures = 0, drains = 0,
           drained = 0, cuts = 0, freezes = 0, client_kills = 0, stale_logins = 0;
  template <typename F>
  void each(F f) const {
    f("seeds", seeds);
    f("calm", calm_seeds);
    f("steps", steps);
    f("messages", messages);
    f("deliveries", deliveries);
    f("renumbered", renumbered);
    f("rejected", rejected);
    f("refused for a full mailbox", refused_full);
    f("gaps told", gaps_told);
    f("expired", expired);
    f("commits", commits);
    f("mailbox rows written", rows_written);
    f("holds", holds);
    f("replaced sessions", replaced);
    f("kills", kills);
    f("disk crashes", disk_crashes);
    f("crashes between the environments", switch_crashes);
    f("refusals for room", disk_refusals);
    f("failed writes", disk_failures);
    f("drains", drains);
    f("drained to the end", drained);
    f("cuts", cuts);
    f("freezes", freezes);
    f("client kills", client_kills);
    f("client restores", restores);
    f("server restores", put_back);
    f("blocks and their ends", blocks);
    f("stale logins", stale_logins);
  }
};

}  // namespace perch::sim
