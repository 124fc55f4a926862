#include "core_peek.h"

namespace perch::chat {

std::string CorePeek::left(const Core& core, const std::set<UserId>& restored) {
  std::string out;
  const auto count = [&out](const char* name, uint64_t number) {
    if (number != 0) out += std::string(" ") + name + " " + std::to_string(number);
  };
  count("bytes of frames", core.frames_.bytes_held());
  count("logins on the move", core.moving_.size());
  count("store operations", core.num_store_ops_);
  count("hops", core.mesh_.num_waiting_to_publish());
  uint64_t num_sessions = 0, num_flights_forgotten = 0;
  for (const auto& [id, user] : core.users_) {
    const size_t before = out.size();
    const bool forgets = restored.contains(id);
    count("items", user->items.size());
    count("writes of the row", user->row_changed + user->row_posted + user->after_row.size());
    for (const auto& device : user->devices) {
      if (!device) continue;
      count("items for a device", device->num_waiting);
      count("bytes for a device", device->bytes_waiting);
      if (forgets)
        num_flights_forgotten += device->flights.size();
      else
        count("flights of a device", device->flights.size());
      count("without a result", device->num_without_result);
      if (!forgets) count("marks", device->marks.size());
      count("receipts", device->receipts.size());
      count("expiries to tell", device->expired.size());
      count("slow", device->slow);
      if (!device->session) continue;
      ++num_sessions;
      const Session& session = *device->session;
      count("unconfirmed", session.sent.size());
      count("unconfirmed bytes", session.sent_bytes);
      count("statuses to tell", session.expired_to_tell.size() + session.receipts_to_tell.size());
      count("waiting results", session.results_wait);
    }
    if (out.size() != before) out += " of user " + std::to_string(id);
  }
  count("flights", core.flights_.size() - num_flights_forgotten);
  if (num_sessions != core.num_sessions_now_) out += " sessions are counted wrong";
  return out;
}

}  // namespace perch::chat
