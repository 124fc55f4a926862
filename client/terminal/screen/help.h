// The keys of the full-screen client, as F1 shows them and the foot of the screen reminds of them.
#pragma once
#include <string_view>

#include "client/terminal/screen/state.h"

namespace perch::client::screen {

struct HelpLine {
  std::string_view keys, what;
};

inline constexpr int kHelpKeyColumns = 20;
inline constexpr HelpLine kHelp[] = {
    {"Enter", "send; Alt-Enter begins a new line"},
    {"Tab  Shift-Tab", "the next conversation, the one before; Alt-1 … Alt-9: that one"},
    {"F2", "choose a conversation"},
    {"Ctrl-T", "begin a conversation"},
    {"Ctrl-F", "search all conversations"},
    {"Ctrl-S", "choose a message; then a: answer, e: edit, d: delete for everyone, r: react"},
    {"Ctrl-Y", "let messages of this conversation disappear"},
    {"PgUp  PgDn", "scroll; Esc goes to the end"},
    {"Up  Down", "what was written before"},
    {"Ctrl-A  Ctrl-E", "begin and end of the line, as Home and End"},
    {"Ctrl-W", "delete the word before; Ctrl-U, Ctrl-K: to the begin, to the end of the line"},
    {"Ctrl-L", "draw the screen again"},
    {"Ctrl-Z", "suspend; fg comes back"},
    {"Ctrl-C", "leave; what waits is sent the next time"},
    {"…  ✓  ✓✓  ✓✓ read", "queued; on the server; on a device of the other's; read"},
};

inline std::string_view hint(Mode mode) {
  switch (mode) {
    case Mode::kChat:
      return " F1 help  Tab next  F2 list  Ctrl-T new  Ctrl-F find  Ctrl-C leave";
    case Mode::kList:
      return " Up, Down: choose  Enter: open  Esc: back";
    case Mode::kNew:
      return " a handle or a user id  Enter: open  Esc: back";
    case Mode::kFind:
      return " Enter: search  Esc: back";
    case Mode::kSelect:
      return " Up, Down: choose  a: answer  e: edit  d: delete  r: react  Esc: back";
    case Mode::kReact:
      return " an emoji; nothing takes yours back  Enter: react  Esc: back";
    case Mode::kDelete:
      return " delete this message for everyone?  y: yes  any other key: no";
    case Mode::kTimer:
      return " how long after they are read: 30s, 5m, 1h, 7d, off  Enter: so be it  Esc: back";
    case Mode::kHits:
      return " Up, Down: choose  Enter: go there  Esc: back";
    case Mode::kHelp:
      return " Up, Down: scroll  any other key: back";
    case Mode::kLogin:
      return " Enter: go on  Tab: the other field  Ctrl-C: leave";
  }
  return "";
}

}  // namespace perch::client::screen
