// What the full-screen chat shows of the profile.
#include <algorithm>

#include "client/terminal/screen.h"
#include "client/terminal/screen/entries.h"
#include "core/clock.h"

namespace perch::client {

using screen::Mode;

namespace {

// As many are loaded and followed; who scrolls further back leaves the end.
constexpr size_t kEntriesMax = 1'000;

}  // namespace

void Screen::load() {
  changed_ = false;
  looked_ms_ = now_ms();
  load_contacts();
  load_entries();
  read_and_seen();
}

void Screen::load_contacts() {
  const auto conversations = client_->conversations();
  if (!good(conversations)) return;
  // One that has only been opened has no message yet.
  std::optional<screen::Contact> begun;
  for (const screen::Contact& each : state_.contacts)
    if (each.to == state_.open) begun = each;
  // What is chosen stays so when the order changes.
  const std::string picked = state_.picked < state_.contacts.size() ? state_.contacts[state_.picked].to : "";
  state_.contacts.clear();
  bool found = false;
  UserId open_user = 0;
  if (!state_.open.empty()) {
    const auto user = client_->user_of(state_.open);
    if (good(user)) open_user = *user;
  }
  for (const Conversation& each : *conversations) {
    screen::Contact contact = screen::contact_of(each);
    if (each.peer != 0) {
      const auto profile = client_->profile(std::to_string(each.peer));
      // Anybody may choose any name, so the handle stands with it.
      if (good(profile) && !profile->name.empty()) contact.name = profile->name + " (" + contact.to + ")";
    }
    // It may have been opened by another name.
    if (contact.to == state_.open || (open_user != 0 && contact.peer == open_user)) {
      state_.open = contact.to;
      found = true;
    }
    state_.contacts.push_back(std::move(contact));
  }
  if (!found && begun) state_.contacts.insert(state_.contacts.begin(), *begun);
  const auto place = std::ranges::find(state_.contacts, picked, &screen::Contact::to);
  if (state_.mode == Mode::kList && place != state_.contacts.end())
    state_.picked = static_cast<size_t>(place - state_.contacts.begin());
}

void Screen::load_entries() {
  if (state_.open.empty()) return;
  auto lines = read_lines();
  if (!good(lines)) return;
  std::string name = state_.open;
  uint64_t num_unread = 0;
  for (const screen::Contact& each : state_.contacts) {
    if (each.to != state_.open) continue;
    name = each.name;
    num_unread = each.num_unread;
  }
  const bool fresh = state_.entries.empty();
  state_.entries.clear();
  lines_ = std::move(*lines);
  for (const HistoryLine& line : lines_) state_.entries.push_back(screen::entry_of(line, name));
  if (fresh) state_.first_new = first_unread(state_.entries, num_unread);
}

Result<std::vector<HistoryLine>> Screen::read_lines() {
  if (place_) {
    auto lines = client_->history_around(state_.open, *place_, kPageEntries, kPageEntries);
    if (!lines.ok()) return lines;
    const auto before = static_cast<size_t>(std::ranges::count_if(
        *lines, [&](const HistoryLine& line) { return line.number != 0 && line.number < *place_; }));
    if (lines->size() - before >= kPageEntries) {
      state_.all_loaded = before < kPageEntries;
      state_.end_loaded = false;
      return lines;
    }
    place_.reset();  // the end is near
    limit_ = 2 * kPageEntries;
  }
  auto lines = client_->history(state_.open, limit_);
  if (lines.ok()) state_.all_loaded = lines->size() < limit_;
  state_.end_loaded = true;
  return lines;
}

void Screen::load_older() {
  changed_ = true;
  if (!place_ && limit_ < kEntriesMax) {
    limit_ += kPageEntries;
    return;
  }
  const auto numbered = [](const HistoryLine& line) { return line.number != 0; };
  const auto first = std::ranges::find_if(lines_, numbered);
  if (first != lines_.end()) place_ = first->number;
}

void Screen::read_and_seen() {
  const bool shown = state_.mode == Mode::kChat || state_.mode == Mode::kNew || state_.mode == Mode::kFind;
  if (!state_.open.empty() && !state_.bottom && state_.end_loaded && shown) {
    for (screen::Contact& each : state_.contacts) {
      if (each.to != state_.open || each.num_unread == 0) continue;
      if (good(client_->mark_read(state_.open))) each.num_unread = 0;
    }
  }
  if (!client_->connects()) return;
  while (true) {
    const auto next = client_->unseen(256);
    if (!good(next) || next->empty()) return;
    if (!good(client_->set_seen(next->back().arrival))) return;
  }
}

}  // namespace perch::client
