// The operator's questions about one user (chat/question.h).
#include <algorithm>

#include "chat/core.h"

namespace perch::chat {

// Who is not in memory has nothing that waits and no session: its row says all, and it is not loaded for
// that.
void Core::answer(Question& question) {
  const auto loaded = users_.find(question.user);
  if (loaded != users_.end()) return look_at(*loaded->second, question);
  const Result<store::UserRow> row = read_fresh([&] { return reader_->user(question.user); });
  if (!row) {
    question.found = row.error();
    return;
  }
  question.handle = row->handle;
  for (const store::DeviceRow& device : row->devices) look_at(device, question.devices.emplace_back());
}

void Core::look_at(const store::DeviceRow& row, DeviceState& state) const {
  state.number = row.number;
  state.name = row.name;
  state.has_gap = row.overflowed || row.missed;
  const uint64_t now_ms = served_ms();
  state.unseen_ms = now_ms - std::min(now_ms, row.seen_ms);
}

void Core::look_at(User& user, Question& question) {
  question.handle = user.handle;
  const uint64_t now_ms = served_ms();
  for (size_t slot = 0; slot < kSlots; ++slot) {
    const Device* device = user.devices[slot].get();
    if (device == nullptr || device->is_nobody()) continue;
    DeviceState& state = question.devices.emplace_back();
    look_at(device->row, state);
    state.num_open_rows = device->flights.size();
    if (device->session) {
      state.is_online = true;
      state.unseen_ms = 0;
      state.expires_ms = device->session->expires_ms;
    }
  }
  const auto count = [now_ms](Waits& waits, const Item& item, bool sent) {
    ++waits.num;
    waits.bytes += item.frame_bytes;
    waits.oldest_ms = std::max(waits.oldest_ms, now_ms - std::min(now_ms, item.taken_ms));
    waits.num_written += item.state == Item::State::kStored;
    waits.num_sent += sent;
  };
  for (const auto& [position, item] : user.items) {
    if (item.mask == 0) continue;  // all have it; only its receipt is not safe yet
    count(question.waits, item, item.sent != 0);
    for (DeviceState& state : question.devices) {
      const int bit = 1 << user.slot_of(state.number);
      if ((item.mask & bit) != 0) count(state.waits, item, (item.sent & bit) != 0);
    }
  }
}

}  // namespace perch::chat
