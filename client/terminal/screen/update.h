// What keys do to a State, and what they ask the controller for.
#pragma once
#include <string>
#include <vector>

#include "client/terminal/screen/key.h"
#include "client/terminal/screen/layout.h"
#include "client/terminal/screen/state.h"

namespace perch::client::screen {

struct Intent {
  enum class Kind : uint8_t {
    kOpen,     // show the conversation `to`
    kSend,     // `text`, to the open conversation
    kAnswer,   // the same, as an answer to the message `key`
    kEdit,     // `text` instead of what the message `key` says
    kDelete,   // the message `key`, for everyone
    kReact,    // to the message `key` with `text`; empty: not any more
    kTimer,    // messages of the open conversation disappear; `text` says when
    kOlder,    // load what was before what is loaded
    kNewer,    // … and after it
    kLatest,   // … and the end
    kFind,     // `text`, everywhere
    kGoTo,     // state.hits[state.picked]
    kLogin,    // with state.login
    kGiveUp,   // what kLogin began
    kRedraw,   // everything: the terminal may show something else
    kSuspend,  // as a shell does
    kQuit,
  };
  Kind kind = Kind::kQuit;
  std::string to = {}, text = {}, key = {};
  friend bool operator==(const Intent&, const Intent&) = default;
};

// `view`: as the state was shown last.
std::vector<Intent> on_key(State& state, const Key& key, const View& view);

// The state shows this conversation from now on, at its end; `to` is added to the contacts if it is not among
// them. Its entries are the controller's to load.
void show(State& state, const std::string& to);

}  // namespace perch::client::screen
