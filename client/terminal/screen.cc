// perch without a command: the full-screen chat. It holds the Client and the terminal together; what is shown
// and what keys do is in client/terminal/screen/.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "client/terminal/command.h"
#include "client/terminal/screen/capabilities.h"
#include "client/terminal/screen/entries.h"
#include "client/terminal/screen/key.h"
#include "client/terminal/screen/layout.h"
#include "client/terminal/screen/painter.h"
#include "client/terminal/screen/terminal.h"
#include "client/terminal/screen/update.h"
#include "client/terminal/text.h"
#include "core/clock.h"

namespace perch::client {
namespace {

using screen::contact_of;
using screen::entry_of;
using screen::Intent;
using screen::Mode;
using screen::State;
using screen::Terminal;

constexpr size_t kPageEntries = 200;
constexpr size_t kHits = 200;
constexpr uint64_t kTurnMs = 500;
constexpr uint64_t kEscapeMs = 50;   // then it was the Escape key
constexpr uint64_t kLookMs = 1'000;  // how often is looked for what another process has received
constexpr const char* kElsewhere = "another process has this profile's connection and sends what you write";

class Screen final : public DeviceEvents {
 public:
  Screen(const Flags& flags, screen::Capabilities capabilities, Terminal& terminal)
      : flags_(flags), painter_(std::move(capabilities)), terminal_(terminal) {}
  int run();

 private:
  void on_online(const LoginInfo& info) override;
  void on_offline(std::string_view why) override;
  void on_message(const InboxMessage& /*message*/, Insert /*insert*/) override { changed_ = true; }
  void on_row(const RowStatus& row) override { changed_ = changed_ || row.kind == RowKind::kMessage; }
  void on_read_elsewhere(UserId /*peer*/, const ReadMark& /*mark*/) override { changed_ = true; }
  void on_resolved(std::string_view handle, UserId user) override;
  void on_unreadable(const MessageId& id) override { state_.notice = unreadable_text(id); }
  void on_stopped(StopReason reason, std::string_view text) override;

  void begin();
  void open_client(const std::string& server, const std::string& token);
  void ask_login(const std::string& why, bool at_token);
  void wait_for_keys();
  void turn();
  void perform(const Intent& intent);
  void send(const Intent& intent);
  void find(const std::string& text);
  void go_to(const screen::Hit& hit);
  void open(const std::string& to);
  void load();
  void load_contacts();
  void load_entries();
  void read_and_seen();
  void paint();
  // Says what went wrong with the profile. True: nothing did.
  template <typename T>
  bool good(const Result<T>& result) {
    if (!result.ok())
      state_.notice = "the profile cannot be used: " + std::string(name_of(result.error().code));
    return result.ok();
  }

  const Flags& flags_;
  screen::Painter painter_;
  Terminal& terminal_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<Running> running_;
  State state_;
  screen::View view_{.grid = screen::Grid({0, 0}), .cursor = {}, .rows = {}};
  screen::KeyDecoder keys_;
  size_t limit_ = kPageEntries;  // of entries that are loaded
  bool changed_ = true;
  bool asked_ = false;  // whose handle that of the open conversation is
  uint64_t looked_ms_ = 0;
  bool quit_ = false;
};

void Screen::on_online(const LoginInfo& info) {
  state_.account = info.handle.empty() ? std::to_string(info.user) : info.handle;
  state_.link = "online";
  state_.linked = true;
  state_.trouble.clear();
  if (info.continuity_broken || info.overflowed || info.new_incarnation) state_.notice = login_text(info);
  if (state_.mode == Mode::kLogin) {
    state_.mode = state_.open.empty() ? Mode::kList : Mode::kChat;
    state_.login = {};
  }
  asked_ = false;
  changed_ = true;
}

void Screen::on_offline(std::string_view why) {
  state_.link = "offline";
  state_.linked = false;
  const std::string reason = why.empty() ? "" : " (" + std::string(why) + ")";
  state_.trouble = "offline" + reason + ": trying again; what you write is kept and sent later";
  if (state_.mode == Mode::kLogin)
    state_.login.why = "no connection" + reason + ": trying again; Esc: give up";
}

void Screen::on_resolved(std::string_view handle, UserId user) {
  if (handle == state_.open && user == 0) state_.notice = "nobody has the handle " + std::string(handle);
  changed_ = true;
}

void Screen::on_stopped(StopReason reason, std::string_view text) {
  state_.link = "stopped";
  state_.linked = false;
  std::string why = name_of(reason);
  if (!text.empty()) why += " (" + std::string(text) + ")";
  state_.trouble = "stopped: " + why;
  if (reason == StopReason::kToken || reason == StopReason::kNoAccount || reason == StopReason::kOtherUser ||
      reason == StopReason::kDeviceLimit)
    ask_login("the server does not let this device in: " + why, true);
}

void Screen::ask_login(const std::string& why, bool at_token) {
  state_.mode = Mode::kLogin;
  state_.login.at_token = at_token;
  state_.login.again = client_ && client_->identity().user != 0;
  state_.login.trying = false;
  state_.login.why = why;
}

void Screen::begin() {
  if (!has_profile(flags_)) return ask_login("", false);
  open_client("", "");
}

void Screen::open_client(const std::string& server, const std::string& token) {
  running_.reset();
  client_.reset();
  auto opened = Client::open({.profile_path = flags_.profile, .server = server, .token = token}, *this);
  if (!opened.ok()) {
    const bool address = opened.error().code == Errc::kInvalid;
    return ask_login(address && server.empty() ? ""
                     : address                 ? server + ": a server is HOST:PORT"
                                               : flags_.profile + ": " + name_of(opened.error().code),
                     false);
  }
  client_ = std::move(*opened);
  running_ = std::make_unique<Running>(*client_);
  const Identity& me = client_->identity();
  state_.account = !me.handle.empty() ? me.handle : me.user != 0 ? std::to_string(me.user) : "";
  if (me.user == 0) {
    state_.mode = Mode::kLogin;
    state_.login.trying = true;
    state_.login.why = "connecting; Esc: give up";
  } else {
    state_.mode = Mode::kList;
  }
  state_.link = "connecting";
  changed_ = true;
}

int Screen::run() {
  begin();
  while (!quit_ && !interrupted()) {
    turn();
    paint();
    wait_for_keys();
    if (terminal_.take_suspend()) terminal_.suspend();
    if (terminal_.take_resumed() || terminal_.take_resized()) painter_.forget();
  }
  return kDone;
}

void Screen::wait_for_keys() {
  const uint64_t wait_ms = keys_.pending() ? kEscapeMs : kTurnMs;
  bool readable = false;
  if (client_) {
    readable = client_->poll(wait_ms, STDIN_FILENO);
  } else {
    readable = Terminal::wait_for_input(wait_ms);
  }
  std::vector<screen::Key> keys;
  if (readable) {
    keys = keys_.feed(terminal_.read(quit_));
  } else if (keys_.pending()) {
    keys = keys_.end();
  }
  for (const screen::Key& key : keys) {
    for (const Intent& intent : on_key(state_, key, view_)) perform(intent);
    if (keys.size() > 1) view_ = layout(state_, terminal_.size());  // the next key scrolls what this one left
  }
}

// Shows what has happened.
void Screen::turn() {
  state_.now_ms = system_clock().wall_ms();
  if (!client_ || state_.mode == Mode::kLogin) return;
  if (!client_->connects()) {
    state_.link = "another process";
    state_.linked = true;
    state_.trouble = kElsewhere;
    if (now_ms() >= looked_ms_ + kLookMs) changed_ = true;
  } else if (state_.trouble == kElsewhere) {
    state_.trouble.clear();
    state_.link = "connecting";
    state_.linked = false;
  }
  if (!asked_ && !state_.open.empty() && client_->online()) {
    asked_ = true;
    client_->resolve(state_.open);
  }
  if (changed_) load();
}

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
    screen::Contact contact = contact_of(each);
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
  const auto lines = client_->history(state_.open, limit_);
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
  for (const HistoryLine& line : *lines) state_.entries.push_back(entry_of(line, name));
  state_.all_loaded = lines->size() < limit_;
  if (fresh) state_.first_new = first_unread(state_.entries, num_unread);
}

// What is on the screen was read, if one is where the new ones are; and what has come need not be shown by
// another program of this profile.
void Screen::read_and_seen() {
  const bool shown = state_.mode == Mode::kChat || state_.mode == Mode::kNew || state_.mode == Mode::kFind;
  if (!state_.open.empty() && !state_.bottom && shown) {
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
    case Kind::kOlder:
      limit_ += kPageEntries;
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
  asked_ = false;
  changed_ = true;
}

void Screen::send(const Intent& intent) {
  state_.first_new.clear();
  const auto row = client_->send(intent.to, intent.text);
  if (!row.ok()) {
    state_.editor.set(intent.text);  // nothing of it is lost
    state_.notice = row.error().code == Errc::kTooLarge
                        ? "too long: at most " + std::to_string(row.error().detail) + " bytes"
                    : row.error().code == Errc::kInvalid
                        ? intent.to + " can be nobody's name"
                        : "not sent: " + std::string(name_of(row.error().code));
  }
  changed_ = true;
}

void Screen::find(const std::string& text) {
  const auto found = client_->search(text, "", kHits);
  if (!good(found)) return;
  state_.hits.clear();
  for (const Found& each : *found) {
    std::string name = each.peer == 0 ? "?" : name_of_user(*client_, each.peer);
    state_.hits.push_back(
        {.to = name, .name = name, .entry = entry_of(each.line, name), .number = each.line.number});
  }
  std::ranges::reverse(state_.hits);  // the latest first
  state_.sought = text;
  state_.picked = 0;
  state_.mode = Mode::kHits;
}

void Screen::go_to(const screen::Hit& hit) {
  open(hit.to);
  const auto is_it = [&](const screen::Entry& each) { return each.key == hit.entry.key; };
  load();
  while (std::ranges::none_of(state_.entries, is_it) && !state_.all_loaded) {
    limit_ *= 2;
    load_entries();
  }
  state_.marked = hit.entry.key;
  state_.bottom = screen::Anchor{hit.entry.key, 0};
}

void Screen::paint() {
  view_ = layout(state_, terminal_.size());
  if (!terminal_.write(painter_.paint(view_.grid, view_.cursor))) quit_ = true;
}

}  // namespace

bool can_run_screen() {
  const char* name = std::getenv("TERM");
  return Terminal::is_there() && name != nullptr && std::string_view(name) != "dumb" &&
         screen::capabilities_of(name, false).ok();
}

int run_screen(const Flags& flags) {
  const char* no_colour = std::getenv("NO_COLOR");
  auto capabilities =
      screen::capabilities_of(std::getenv("TERM"), no_colour == nullptr || *no_colour == '\0');
  if (!capabilities.ok()) return complain(kNoProfile, "this terminal cannot be used");
  auto terminal = Terminal::open(capabilities->enter, capabilities->leave);
  if (!terminal.ok()) return complain(kNoProfile, "the terminal cannot be used");
  return Screen(flags, std::move(*capabilities), **terminal).run();
}

}  // namespace perch::client
