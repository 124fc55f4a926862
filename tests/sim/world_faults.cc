#include <algorithm>

#include "client_sim.h"
#include "node_sim.h"

namespace perch::sim {

// In three steps, as long as the faults let pass between them: the journal is copied, then the tables, then
// the server comes back with both. What it promised since may be gone, but for what the senders still have.
void World::copy_or_put_back() {
  // A device that the copy does not know would be another one to the server.
  if (!std::ranges::all_of(clients_, [](const auto& client) { return client->was_online; })) return;
  if (journal_copy_.empty()) {
    journal_copy_ = journal_.copy();
    return;
  }
  if (tables_copy_.empty()) {
    tables_copy_ = tables_.copy();
    return;
  }
  if (node_) kill_node("a backup is put back");
  ++totals_.put_back;
  journal_.put_back(journal_copy_);
  tables_.put_back(tables_copy_);
  const std::unique_ptr<Random> random = seeded_random(random_->next());
  if (!store::Writer::mark_restored(journal_, ceiling_file_, *random))
    return oracle_.fail("the store that was put back cannot be opened");
  oracle_.server_restored();
  if (random_->below(2) == 0) return;  // the same copy may be put back again
  journal_copy_.clear();
  tables_copy_.clear();
}

// As the main thread asks for it. What becomes of it if the node dies first nobody knows.
void World::block_or_unblock() {
  const UserId user = 1 + random_->below(plan_.num_users), whom = 1 + random_->below(plan_.num_users);
  if (user == whom) return;
  ++totals_.blocks;
  const bool on = !blocks_.erase({user, whom});
  if (on) blocks_.insert({user, whom});
  log("%llu %s %llu", static_cast<unsigned long long>(user), on ? "blocks" : "unblocks",
      static_cast<unsigned long long>(whom));
  oracle_.block_asked(user, whom, on);
  auto question = std::make_unique<chat::Question>();
  question->kind = on ? chat::Question::Kind::kBlock : chat::Question::Kind::kUnblock;
  question->user = user;
  question->whom = whom;
  MeshEndpoint& main = node_->mesh->endpoint(static_cast<CoreId>(node_->num_cores + 1));
  main.post(chat::home_of(user, node_->num_cores),
            Hop::make(chat::kHopQuestion, chat::QuestionHop{question.get()}));
  main.publish();
  node_->questions.push_back(std::move(question));
}

void World::hear_operator() {
  if (!node_ || node_->questions.empty()) return;
  MeshEndpoint& main = node_->mesh->endpoint(static_cast<CoreId>(node_->num_cores + 1));
  main.drain([this](const Hop& hop) {
    const chat::Question& answered = *hop.as<chat::QuestionHop>().question;
    if (answered.found)
      oracle_.block_answered(answered.user, answered.whom, answered.kind == chat::Question::Kind::kBlock);
    std::erase_if(node_->questions, [&](const auto& asked) { return asked.get() == &answered; });
  });
  main.publish();
}

void World::faults() {
  Client& victim = *clients_[random_->below(clients_.size())];
  if (chance(plan_.compose)) compose(victim);
  if (chance(plan_.mark_read) && victim.device->state() == client::Device::State::kOnline) {
    if (!victim.device->mark_read(1 + random_->below(plan_.num_users)))
      oracle_.fail("a client cannot mark as read");
    oracle_.marked_read(victim.index);
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
  if (chance(plan_.restore)) copy_or_restore(victim);
  if (chance(plan_.go_away)) {
    victim.away_until_ns = clock_.mono_ns() + random_->below(5'000'000'000);
    disconnect(victim);
  }
  if (chance(plan_.wall_jump)) clock_.jump_wall(static_cast<int64_t>(random_->below(7'200'000)) - 3'600'000);
  if (chance(plan_.time_jump)) clock_.advance_ns(random_->below(3'000'000'000));
  // No more is admitted; or what was admitted has no room either.
  if (chance(plan_.store_full)) disk_.fill = disk_.fill > 0.5 ? 0.1 : plan_.seed % 2 == 0 ? 0.92 : 0.97;
  if (chance(plan_.put_back)) copy_or_put_back();
  if (!node_) return;
  if (chance(plan_.block)) block_or_unblock();
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

}  // namespace perch::sim
