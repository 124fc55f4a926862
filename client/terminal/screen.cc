#include "client/terminal/screen.h"

#include <unistd.h>

#include <cstdlib>

#include "client/terminal/screen/capabilities.h"
#include "client/terminal/text.h"
#include "core/clock.h"

namespace perch::client {

using screen::Mode;
using screen::Terminal;

namespace {

constexpr uint64_t kTurnMs = 500;
constexpr uint64_t kEscapeMs = 50;   // then it was the Escape key
constexpr uint64_t kLookMs = 1'000;  // how often is looked for what another process has received
constexpr const char* kElsewhere = "another process has this profile's connection and sends what you write";

}  // namespace
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

void Screen::on_unreadable(const MessageId& id) { state_.notice = unreadable_text(id); }

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
    for (const screen::Intent& intent : on_key(state_, key, view_)) perform(intent);
    if (keys.size() > 1) view_ = layout(state_, terminal_.size());  // the next key scrolls what this one left
  }
}

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

void Screen::paint() {
  view_ = layout(state_, terminal_.size());
  if (!terminal_.write(painter_.paint(view_.grid, view_.cursor))) quit_ = true;
}

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
