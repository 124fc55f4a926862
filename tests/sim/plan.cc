#include "plan.h"

#include <memory>

namespace perch::sim {

Plan Plan::from(uint64_t seed) {
  const std::unique_ptr<Random> owned = seeded_random(seed * 0x9e3779b97f4a7c15u + 1);
  Random& r = *owned;
  Plan plan;
  plan.seed = seed;
  plan.calm = r.below(10) == 0;
  plan.tiny = !plan.calm && r.below(3) == 0;
  plan.all_log_in_first = plan.calm || r.below(3) != 0;
  plan.num_users = static_cast<uint16_t>(2 + r.below(3));
  plan.num_steps = static_cast<uint32_t>(2000 + r.below(6000));
  plan.compose = pick<uint32_t>(r, {2'000, 20'000, 60'000});
  plan.mark_read = pick<uint32_t>(r, {0, 0, 2'000});
  plan.limits.connections_max = 64;
  plan.limits.ping_ms = 3'000;
  plan.limits.silence_ms_max = 8'000;
  plan.ring.sockets = 64;
  plan.ring.buffers = 16;
  if (plan.calm) {
    plan.step_ns_max = 2'000;
    return plan;
  }
  plan.step_ns_max = pick<uint32_t>(r, {2'000, 100'000, 1'000'000});
  plan.limits.confirm_ms_max = pick<uint32_t>(r, {5, 50, 500, 2'000});
  plan.limits.move_after_ms = pick<uint64_t>(r, {5, 50, 1'000, 60'000});
  plan.limits.move_ms = pick<uint64_t>(r, {5, 100, 1'000});
  plan.kill = pick<uint32_t>(r, {0, 200, 1'000, 3'000});
  plan.disk_fault = pick<uint32_t>(r, {0, 0, 500, 2'000});
  plan.switch_crash = pick<uint32_t>(r, {0, 0, 500});
  plan.disk_refuse = pick<uint32_t>(r, {0, 0, 2'000, 10'000});
  plan.disk_fail = pick<uint32_t>(r, {0, 0, 500});
  plan.stale_login = pick<uint32_t>(r, {0, 0, 200'000});
  plan.drain = pick<uint32_t>(r, {0, 0, 300});
  plan.cut = pick<uint32_t>(r, {0, 500, 5'000});
  plan.freeze = pick<uint32_t>(r, {0, 0, 300, 2'000});
  plan.client_kill = pick<uint32_t>(r, {0, 0, 500, 2'000});
  plan.go_away = pick<uint32_t>(r, {0, 500, 3'000});
  plan.wall_jump = pick<uint32_t>(r, {0, 200});
  plan.store_full = pick<uint32_t>(r, {0, 0, 200});
  plan.time_jump = pick<uint32_t>(r, {0, 500, 3'000});
  plan.faults.delay = pick<uint32_t>(r, {0, 100'000, 500'000});
  plan.faults.short_transfer = pick<uint32_t>(r, {0, 100'000, 600'000});
  plan.faults.reset = pick<uint32_t>(r, {0, 0, 1'000});
  plan.faults.no_buffers = pick<uint32_t>(r, {0, 0, 50'000});
  plan.faults.refuse_accept = pick<uint32_t>(r, {0, 0, 100'000});
  plan.faults.refuse_move = pick<uint32_t>(r, {0, 0, 100'000});
  if (plan.tiny) {
    plan.limits.window = 2;
    plan.limits.mesh_slots = 2;
    plan.limits.unconfirmed_frames_max = 3;
    plan.limits.unconfirmed_bytes_max = 2'000;
    plan.limits.batch_ops_max = 2;
    plan.limits.chunk_bytes_max = 64;
    plan.limits.flights_max = pick<uint32_t>(r, {4, 64});
    plan.limits.rate_burst = pick<uint32_t>(r, {3, 1000});
    plan.ring.buffers = 2;
    plan.ring.buffer_bytes = 64;
    plan.limits.unclosed_windows_max = pick<uint32_t>(r, {1, 4});
  }
  plan.draw_subjects();
  return plan;
}

// From another stream than the rest, so that a new subject leaves the plans of the seeds without it as they
// were.
void Plan::draw_subjects() {
  const std::unique_ptr<Random> owned = seeded_random(seed * 0xbf58476d1ce4e5b9u + 2);
  Random& r = *owned;
  narrow = r.below(8) == 0;
  if (narrow) {
    limits.send_queue_frames_max = pick<uint32_t>(r, {4, 8, 16});
    limits.unconfirmed_frames_max = pick<uint32_t>(r, {1, 2, 256});
    limits.flights_max = pick<uint32_t>(r, {2, 4, 65'536});
    // Many receipts for one device: its messages are of many origins, and it is away when they are fetched.
    client_kill = 4'000;
    go_away = 6'000;
    compose = 60'000;
  }
  if (r.below(8) == 0) {
    restore = pick<uint32_t>(r, {1'000, 4'000});
    client_kill = 2'000;
  }
  quota = r.below(8) == 0;
  if (quota) {
    limits.mailbox_items_max = pick<uint32_t>(r, {1, 2, 5, 10'000});
    limits.mailbox_bytes_max = pick<uint64_t>(r, {300, 700, 5'000, 64u << 20});
    if (limits.mailbox_bytes_max == 64u << 20 && limits.mailbox_items_max == 10'000)
      limits.mailbox_items_max = 3;
    go_away = 6'000;
    compose = 20'000;
  }
  expiry = r.below(8) == 0;
  if (expiry) {
    limits.expiry_ms = pick<uint64_t>(r, {200, 2'000, 10'000});
    go_away = 6'000;
    compose = 20'000;
    time_jump = pick<uint32_t>(r, {500, 3'000});
  }
  if (r.below(8) == 0) put_back = pick<uint32_t>(r, {1'000, 4'000});
  // Everything is of two at once (S13). Drawn last, for the same reason.
  if (tiny && r.below(4) == 0) {
    narrow = true;
    limits.send_queue_frames_max = 4;  // the least: at half of it messages wait
    limits.unconfirmed_frames_max = 2;
    limits.flights_max = 2;
  }
  if (r.below(6) == 0) block = pick<uint32_t>(r, {500, 3'000});
}

std::string Plan::text() const {
  std::string out = "seed " + std::to_string(seed);
  const auto add = [&out](const char* name, uint64_t value) {
    if (value != 0) out += std::string(" ") + name + "=" + std::to_string(value);
  };
  add("calm", calm);
  add("tiny", tiny);
  add("all_log_in_first", all_log_in_first);
  add("users", num_users);
  add("steps", num_steps);
  add("step_ns_max", step_ns_max);
  add("compose", compose);
  add("mark_read", mark_read);
  add("kill", kill);
  add("drain", drain);
  add("disk_fault", disk_fault);
  add("switch_crash", switch_crash);
  add("disk_refuse", disk_refuse);
  add("disk_fail", disk_fail);
  add("stale_login", stale_login);
  add("cut", cut);
  add("freeze", freeze);
  add("client_kill", client_kill);
  add("go_away", go_away);
  add("wall_jump", wall_jump);
  add("store_full", store_full);
  add("time_jump", time_jump);
  add("delay", faults.delay);
  add("short_transfer", faults.short_transfer);
  add("reset", faults.reset);
  add("no_buffers", faults.no_buffers);
  add("refuse_accept", faults.refuse_accept);
  add("refuse_move", faults.refuse_move);
  add("confirm_ms_max", limits.confirm_ms_max);
  add("move_after_ms", limits.move_after_ms);
  add("move_ms", limits.move_ms);
  add("window", limits.window);
  add("mesh_slots", limits.mesh_slots);
  add("flights_max", limits.flights_max);
  add("rate_burst", limits.rate_burst);
  add("unclosed_windows_max", limits.unclosed_windows_max);
  add("restore", restore);
  add("quota", quota);
  if (quota) {
    add("mailbox_items_max", limits.mailbox_items_max);
    add("mailbox_bytes_max", limits.mailbox_bytes_max);
  }
  add("put_back", put_back);
  add("block", block);
  if (expiry) add("expiry_ms", limits.expiry_ms);
  add("narrow", narrow);
  if (narrow) {
    add("send_queue_frames_max", limits.send_queue_frames_max);
    add("unconfirmed_frames_max", limits.unconfirmed_frames_max);
  }
  return out;
}

}  // namespace perch::sim
