#include "client/terminal/screen/update.h"

#include <algorithm>

namespace perch::client::screen {
namespace {

using Kind = Key::Kind;
using Intents = std::vector<Intent>;
using Ask = Intent::Kind;

size_t index_of_open(const State& state) {
  size_t at = 0;
  while (at < state.contacts.size() && state.contacts[at].to != state.open) ++at;
  return at;
}

Intents open_contact(size_t index, const State& state) {
  if (index >= state.contacts.size()) return {};
  return {{.kind = Ask::kOpen, .to = state.contacts[index].to}};
}

// The conversation `step` further, around the ends.
Intents open_neighbour(const State& state, bool forward) {
  const size_t count = state.contacts.size();
  if (count == 0) return {};
  const size_t at = index_of_open(state);
  if (at == count) return open_contact(forward ? 0 : count - 1, state);
  return open_contact((at + (forward ? 1 : count - 1)) % count, state);
}

void pick(State& state, bool down, size_t count) {
  if (down && state.picked + 1 < count) ++state.picked;
  if (!down && state.picked > 0) --state.picked;
}

Intents scroll(State& state, const View& view, bool up) {
  if (view.rows.empty()) return {};
  // One row stays, so that one sees where one was.
  const size_t step = static_cast<size_t>(std::max(view.page - 1, 1)), last = view.rows.size() - 1;
  const size_t top_page = std::min(static_cast<size_t>(view.page), view.rows.size()) - 1;
  const size_t to =
      up ? std::max(view.bottom - std::min(view.bottom, step), top_page) : std::min(view.bottom + step, last);
  const bool at_end = to == last && state.end_loaded;
  state.bottom = at_end ? std::nullopt : std::optional(view.rows[to].at);
  if (!up && to == last && !state.end_loaded) return {{.kind = Ask::kNewer}};
  if (up && to == top_page && !state.all_loaded) return {{.kind = Ask::kOlder}};
  return {};
}

// Keys that mean the same whatever is shown. nullopt: none of them.
std::optional<Intents> on_common_key(const Key& key) {
  if (key.kind != Kind::kCtrl) return std::nullopt;
  if (key.text == "c" || key.text == "q") return Intents{{.kind = Ask::kQuit}};
  if (key.text == "l") return Intents{{.kind = Ask::kRedraw}};
  if (key.text == "z") return Intents{{.kind = Ask::kSuspend}};
  return std::nullopt;
}

void ask(State& state, Mode mode) {
  state.mode = mode;
  state.prompt.clear();
}

// Keys that go somewhere else, from a conversation and from the list. nullopt: none of them.
std::optional<Intents> on_way_key(State& state, const Key& key) {
  switch (key.kind) {
    case Kind::kTab:
      return open_neighbour(state, true);
    case Kind::kBackTab:
      return open_neighbour(state, false);
    case Kind::kF1:
      state.mode = Mode::kHelp;
      state.help_row = 0;
      return Intents{};
    case Kind::kAlt:
      if (key.text.size() != 1 || key.text[0] < '1' || key.text[0] > '9') return std::nullopt;
      return open_contact(static_cast<size_t>(key.text[0] - '1'), state);
    case Kind::kCtrl:
      if (key.text != "t" && key.text != "f") return std::nullopt;
      ask(state, key.text == "t" ? Mode::kNew : Mode::kFind);
      return Intents{};
    default:
      return std::nullopt;
  }
}

// --- one message -------------------------------------------------------------------------------------------

size_t index_of(const State& state, const std::string& key) {
  size_t at = 0;
  while (at < state.entries.size() && state.entries[at].key != key) ++at;
  return at;
}

// Of what is shown lowest. REQUIRES: there are entries.
size_t entry_at_bottom(const State& state, const View& view) {
  const size_t last = state.entries.size() - 1;
  return view.rows.empty() ? last : std::min(index_of(state, view.rows[view.bottom].at.key), last);
}

// Selects it, and shows all of it if there is room.
void select(State& state, size_t index, const View& view) {
  state.mode = Mode::kSelect;
  state.selected = state.entries[index].key;
  const auto is_of_it = [&](const TranscriptRow& row) { return row.at.key == state.selected; };
  const auto first = std::ranges::find_if(view.rows, is_of_it);
  if (first == view.rows.end()) return;
  const auto begin = static_cast<size_t>(first - view.rows.begin());
  size_t end = begin;
  while (end + 1 < view.rows.size() && is_of_it(view.rows[end + 1])) ++end;
  const auto page = static_cast<size_t>(view.page);
  size_t bottom = std::max(view.bottom, end);
  if (begin + page <= bottom) bottom = begin + page - 1;
  const bool at_end = bottom + 1 == view.rows.size() && state.end_loaded;
  state.bottom = at_end ? std::nullopt : std::optional(view.rows[bottom].at);
}

// What one wrote before one began to answer or to edit is there again.
void write_message(State& state) {
  if (state.purpose == Purpose::kEdit) state.editor.set(state.drafts[state.open]);
  state.purpose = Purpose::kMessage;
  state.about.clear();
}

Intents send(State& state) {
  Intent intent{.kind = Ask::kSend, .to = state.open, .text = state.editor.take(), .key = state.about};
  if (state.purpose == Purpose::kAnswer) intent.kind = Ask::kAnswer;
  if (state.purpose == Purpose::kEdit) intent.kind = Ask::kEdit;
  write_message(state);
  state.bottom.reset();
  return {intent};
}

Intents on_select_key(State& state, const Key& key, const View& view) {
  if (key.kind == Kind::kPageUp || key.kind == Kind::kPageDown)
    return scroll(state, view, key.kind == Kind::kPageUp);
  const size_t at = index_of(state, state.selected);
  const bool there = at < state.entries.size();
  if (key.kind == Kind::kUp && there && at > 0) {
    select(state, at - 1, view);
    return at - 1 == 0 && !state.all_loaded ? Intents{{.kind = Ask::kOlder}} : Intents{};
  }
  if (key.kind == Kind::kDown && at + 1 < state.entries.size()) {
    select(state, at + 1, view);
    return at + 2 == state.entries.size() && !state.end_loaded ? Intents{{.kind = Ask::kNewer}} : Intents{};
  }
  if (key.kind == Kind::kEscape || !there) state.mode = Mode::kChat;
  if (key.kind != Kind::kText || !there) return {};
  const Entry& entry = state.entries[at];
  const bool editable = entry.mine && !entry.is_gone;
  if (key.text == "a" && !entry.is_gone) {
    state.mode = Mode::kChat;
    state.purpose = Purpose::kAnswer;
    state.about = entry.key;
  } else if (key.text == "e" && editable) {
    state.mode = Mode::kChat;
    state.drafts[state.open] = state.editor.text();
    state.purpose = Purpose::kEdit;
    state.about = entry.key;
    state.editor.set(entry.text);
  } else if (key.text == "d" && editable) {
    state.mode = Mode::kDelete;
  } else if (key.text == "r" && !entry.is_gone) {
    ask(state, Mode::kReact);
  } else if (key.text == "e" || key.text == "d") {
    state.notice = entry.is_gone ? "it is gone" : "only what you wrote";
  }
  return {};
}

Intents on_delete_key(State& state, const Key& key) {
  state.mode = Mode::kChat;
  if (key.kind != Kind::kText || key.text != "y") return {};
  return {{.kind = Ask::kDelete, .key = state.selected}};
}

Intents on_chat_key(State& state, const Key& key, const View& view) {
  if (auto way = on_way_key(state, key)) return *way;
  switch (key.kind) {
    case Kind::kEnter:
      if (state.editor.empty()) return {};
      return send(state);
    case Kind::kPageUp:
      return scroll(state, view, true);
    case Kind::kPageDown:
      return scroll(state, view, false);
    case Kind::kEscape:
      if (state.purpose != Purpose::kMessage) {
        write_message(state);
        return {};
      }
      state.bottom.reset();
      state.marked.clear();
      return state.end_loaded ? Intents{} : Intents{{.kind = Ask::kLatest}};
    case Kind::kF2:
      state.mode = Mode::kList;
      state.picked = index_of_open(state);
      return {};
    case Kind::kCtrl:
      if (key.text == "s") {
        if (!state.entries.empty()) select(state, entry_at_bottom(state, view), view);
        return {};
      }
      if (key.text == "y") {
        ask(state, Mode::kTimer);
        return {};
      }
      if (key.text == "d" && state.editor.empty()) return {{.kind = Ask::kQuit}};
      break;
    case Kind::kText:
      if (key.text != "?" || !state.editor.empty()) break;
      state.mode = Mode::kHelp;
      state.help_row = 0;
      return {};
    default:
      break;
  }
  state.editor.on_key(key);
  return {};
}

// Of a field that has one line: what is pasted may end in another.
void write(Editor& field, Key key) {
  if (key.kind == Kind::kAltEnter) return;
  std::erase_if(key.text, [](char c) { return c == '\n' || c == '\r'; });
  field.on_key(key);
}

// Back to where one was: without a conversation that is the list.
void leave(State& state) {
  state.mode = state.open.empty() ? Mode::kList : Mode::kChat;
  if (state.open.empty()) state.picked = 0;
}

Intents on_list_key(State& state, const Key& key) {
  if (auto way = on_way_key(state, key)) return *way;
  switch (key.kind) {
    case Kind::kUp:
    case Kind::kDown:
      pick(state, key.kind == Kind::kDown, state.contacts.size());
      return {};
    case Kind::kEnter:
      return open_contact(state.picked, state);
    case Kind::kEscape:
    case Kind::kF2:
      leave(state);
      return {};
    case Kind::kText:
      if (key.text == "?") {
        state.mode = Mode::kHelp;
        state.help_row = 0;
      }
      return {};
    default:
      return {};
  }
}

Intents on_prompt_key(State& state, const Key& key) {
  if (key.kind == Kind::kEscape) {
    leave(state);
    return {};
  }
  if (key.kind != Kind::kEnter) {
    write(state.prompt, key);
    return {};
  }
  const Mode asked = state.mode;
  leave(state);
  std::string text = state.prompt.text();
  if (asked == Mode::kReact) return {{.kind = Ask::kReact, .text = text, .key = state.selected}};
  if (text.empty()) return {};
  if (asked == Mode::kFind) return {{.kind = Ask::kFind, .text = text}};
  if (asked == Mode::kTimer) return {{.kind = Ask::kTimer, .to = state.open, .text = text}};
  if (text.front() == '@') text.erase(0, 1);
  if (text.empty()) return {};
  return {{.kind = Ask::kOpen, .to = text}};
}

Intents on_hits_key(State& state, const Key& key) {
  switch (key.kind) {
    case Kind::kUp:
    case Kind::kDown:
      pick(state, key.kind == Kind::kDown, state.hits.size());
      return {};
    case Kind::kEnter:
      if (state.picked >= state.hits.size()) return {};
      return {{.kind = Ask::kGoTo}};
    case Kind::kEscape:
      leave(state);
      return {};
    default:
      return {};
  }
}

Intents on_help_key(State& state, const Key& key) {
  if (key.kind == Kind::kDown || key.kind == Kind::kPageDown) {
    ++state.help_row;
  } else if (key.kind == Kind::kUp || key.kind == Kind::kPageUp) {
    state.help_row -= state.help_row > 0 ? 1 : 0;
  } else {
    leave(state);
    // Who wants to say "?" alone types it twice.
    if (key.kind == Kind::kText && key.text == "?" && !state.open.empty()) state.editor.insert("?");
  }
  return {};
}

Intents on_login_key(State& state, const Key& key) {
  Login& login = state.login;
  if (login.trying) {
    if (key.kind == Kind::kEscape) return {{.kind = Ask::kGiveUp}};
    return {};
  }
  switch (key.kind) {
    case Kind::kTab:
    case Kind::kBackTab:
    case Kind::kUp:
    case Kind::kDown:
      login.at_token = !login.at_token;
      return {};
    case Kind::kEnter:
      if (!login.at_token && login.token.empty()) {
        login.at_token = true;
        return {};
      }
      if (login.server.empty() && !login.again) {
        login.at_token = false;
        return {};
      }
      if (login.token.empty()) return {};
      return {{.kind = Ask::kLogin}};
    case Kind::kEscape:
      if (login.again) leave(state);
      return {};
    default:
      write(login.at_token ? login.token : login.server, key);
      return {};
  }
}

}  // namespace

std::vector<Intent> on_key(State& state, const Key& key, const View& view) {
  state.notice.clear();
  if (auto common = on_common_key(key)) return *common;
  switch (state.mode) {
    case Mode::kChat:
      return on_chat_key(state, key, view);
    case Mode::kList:
      return on_list_key(state, key);
    case Mode::kNew:
    case Mode::kFind:
    case Mode::kReact:
    case Mode::kTimer:
      return on_prompt_key(state, key);
    case Mode::kSelect:
      return on_select_key(state, key, view);
    case Mode::kDelete:
      return on_delete_key(state, key);
    case Mode::kHits:
      return on_hits_key(state, key);
    case Mode::kHelp:
      return on_help_key(state, key);
    case Mode::kLogin:
      return on_login_key(state, key);
  }
  return {};
}

void show(State& state, const std::string& to) {
  if (state.open != to) {
    write_message(state);
    if (!state.open.empty()) state.drafts[state.open] = state.editor.draft();
    state.editor.set(state.drafts[to]);
    state.entries.clear();
  }
  state.open = to;
  state.mode = Mode::kChat;
  state.bottom.reset();
  state.marked.clear();
  state.first_new.clear();
  const auto known = [&](const Contact& each) { return each.to == to; };
  if (std::ranges::any_of(state.contacts, known)) return;
  Contact begun;
  begun.to = begun.name = to;
  state.contacts.insert(state.contacts.begin(), begun);
}

}  // namespace perch::client::screen
