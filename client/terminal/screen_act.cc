// What keys ask the full-screen chat for.
#include <algorithm>

#include "client/terminal/item_text.h"
#include "client/terminal/screen.h"
#include "client/terminal/screen/entries.h"
#include "client/terminal/text.h"

namespace perch::client {

using screen::Intent;
using screen::Mode;

static constexpr size_t kHits = 200;

void Screen::perform(const Intent& intent) {
  using Kind = Intent::Kind;
  switch (intent.kind) {
    case Kind::kQuit:
      quit_ = true;
      return;
    case Kind::kRedraw:
      painter_.forget();
      return;
    case Kind::kSuspend:
      terminal_.suspend();
      return;
    case Kind::kOpen:
      open(intent.to);
      return;
    case Kind::kSend:
      send(intent);
      return;
    case Kind::kAnswer:
    case Kind::kEdit:
    case Kind::kDelete:
    case Kind::kReact:
      remark(intent);
      return;
    case Kind::kTimer:
      set_timer(intent);
      return;
    case Kind::kOlder:
      load_older();
      return;
    case Kind::kNewer:
      place_ = lines_.back().number;
      changed_ = true;
      return;
    case Kind::kLatest:
      place_.reset();
      changed_ = true;
      return;
    case Kind::kFind:
      find(intent.text);
      return;
    case Kind::kGoTo:
      go_to(screen::Hit(state_.hits[state_.picked]));
      return;
    case Kind::kLogin:
      open_client(state_.login.server.text(), state_.login.token.text());
      return;
    case Kind::kGiveUp:
      running_.reset();
      client_.reset();
      state_.link.clear();
      state_.trouble.clear();
      ask_login("", false);
      return;
  }
}

void Screen::open(const std::string& to) {
  show(state_, to);
  limit_ = kPageEntries;
  place_.reset();
  asked_ = false;
  changed_ = true;
}

void Screen::send(const Intent& intent) {
  state_.first_new.clear();
  place_.reset();  // one sees what one sends
  if (!queued(client_->send(intent.to, intent.text)))
    state_.editor.set(intent.text);  // nothing of it is lost
}

bool Screen::queued(const Result<RowId>& row) {
  changed_ = true;
  if (row.ok()) return true;
  const Error error = row.error();
  state_.notice = error.code == Errc::kTooLarge
                      ? "too long: at most " + std::to_string(error.detail) + " bytes"
                  : error.code == Errc::kInvalid  ? "that cannot be said to " + state_.open
                  : error.code == Errc::kNotFound ? "that message is gone"
                                                  : "not sent: " + std::string(name_of(error.code));
  return false;
}

void Screen::remark(const Intent& intent) {
  using Kind = Intent::Kind;
  const auto of_key = [&](const screen::Entry& each) { return each.key == intent.key; };
  const auto entry = std::ranges::find_if(state_.entries, of_key);
  if (entry == state_.entries.end()) return;
  const HistoryLine& line = lines_[static_cast<size_t>(entry - state_.entries.begin())];
  const bool is_row = line.own_device && line.id.seq == 0;
  if (is_row && (intent.kind == Kind::kAnswer || intent.kind == Kind::kReact)) {
    state_.notice = "it has not been sent yet";
    if (intent.kind == Kind::kAnswer) state_.editor.set(intent.text);
    return;
  }
  switch (intent.kind) {
    case Kind::kAnswer:
      if (!queued(client_->reply(line.id, intent.text))) state_.editor.set(intent.text);
      return;
    case Kind::kEdit:
      queued(is_row ? client_->edit(line.row.row, intent.text) : client_->edit(line.id, intent.text));
      return;
    case Kind::kDelete:
      queued(is_row ? client_->remove(line.row.row) : client_->remove(line.id));
      return;
    default:
      queued(client_->react(line.id, intent.text));
      return;
  }
}

void Screen::set_timer(const Intent& intent) {
  const auto seconds = seconds_of(intent.text);
  if (!seconds) {
    state_.notice = intent.text + " is no time: 30s, 5m, 12h, 7d, 2w or off";
    return;
  }
  if (!queued(client_->set_timer(intent.to, *seconds))) return;
  state_.notice = *seconds == 0 ? "messages stay"
                                : "new messages disappear " + time_text(*seconds) + " after they are read";
}

void Screen::find(const std::string& text) {
  const auto found = client_->search(text, "", kHits);
  if (!good(found)) return;
  state_.hits.clear();
  for (const Found& each : *found) {
    std::string name = each.peer == 0 ? "?" : name_of_user(*client_, each.peer);
    state_.hits.push_back(
        {.to = name, .name = name, .entry = screen::entry_of(each.line, name), .number = each.line.number});
  }
  std::ranges::reverse(state_.hits);  // the latest first
  state_.sought = text;
  state_.picked = 0;
  state_.mode = Mode::kHits;
}

void Screen::go_to(const screen::Hit& hit) {
  open(hit.to);
  if (hit.number != 0) place_ = hit.number;
  state_.marked = hit.entry.key;
  state_.bottom = screen::Anchor{hit.entry.key, 0};
}

}  // namespace perch::client
