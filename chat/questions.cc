// The operator's questions about one user, and what he wants done (chat/question.h).
#include <algorithm>

#include "chat/core.h"

namespace perch::chat {

void Core::answer(const QuestionHop& hop, CoreId asker) {
  if (answered(*hop.question, asker)) post(asker, kHopAnswer, hop);
}

// False: it will be, once the disk has it.
bool Core::answered(Question& question, CoreId asker) {
  switch (question.kind) {
    case Question::Kind::kLook:
      look_up(question);
      return true;
    case Question::Kind::kBlocks:
    case Question::Kind::kBlock:
    case Question::Kind::kUnblock:
      return answer_block(question, asker);
    case Question::Kind::kDisconnect:
      disconnect(question);
      return true;
    case Question::Kind::kRevoke:
      return revoke(question, asker);
  }
  PERCH_CHECK(!"a question of no known kind");
}

bool Core::answer_block(Question& question, CoreId asker) {
  const Result<User*> user = load_user(question.user);
  if (!user) {
    question.found = user.error();
    return true;
  }
  if (question.kind != Question::Kind::kBlocks && question.whom != question.user) {
    const bool on = question.kind == Question::Kind::kBlock;
    switch (change_block(question.user, question.whom, on, BlockAsk{{}, 0, &question, asker})) {
      case BlockChange::kAsked:
        return false;
      case BlockChange::kNone:
        break;
      case BlockChange::kTooMany:
        question.found = Error{Errc::kTooLarge, limits_.blocks_max};
        return true;
      case BlockChange::kBusy:
        question.found = Error{Errc::kBusy};
        return true;
    }
  }
  const auto blocked = blocked_by(question.user);
  question.blocks.assign(blocked.begin(), blocked.end());
  return true;
}

// Who is not in memory has nothing that waits and no session: its row says all, and it is not loaded for
// that.
void Core::look_up(Question& question) {
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
