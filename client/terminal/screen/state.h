// What the full-screen client shows, as data: nothing here knows a terminal or a Client. Keys change it
// (update.h), the controller fills it (client/terminal/screen.cc), layout.h draws it.
//
// TEXTS: of peers; layout makes them harmless, so they stand here as they came.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/terminal/screen/editor.h"
#include "core/types.h"

namespace perch::client::screen {

// One with whom one has talked, or begins to.
struct Contact {
  std::string to;    // as Client::send() takes it
  std::string name;  // for people
  UserId peer = 0;   // 0: nobody knows yet who that is
  uint64_t num_unread = 0;
  std::string preview;   // what was said last
  uint64_t time_ms = 0;  // … and when; 0: nothing yet
};

// A message of the open conversation.
struct Entry {
  std::string key;  // its name as long as it is loaded
  bool mine = false;
  std::string who;
  uint64_t time_ms = 0;
  std::string text;
  std::string quote;      // of what it answers; empty: nothing
  std::string reactions;  // to it
  std::string mark;       // behind the text: that it was edited, ticks, why it was not delivered
  bool is_gone = false;   // deleted, or cannot be shown: `text` says so
  bool is_read = false;
  bool is_lost = false;  // rejected, expired
};

// A message that was searched for.
struct Hit {
  std::string to;  // whose conversation
  std::string name;
  Entry entry;
  Number number = 0;
};

// A row of the conversation: `part` counts the rows of the message `key`.
struct Anchor {
  std::string key;
  int part = 0;
  friend bool operator==(const Anchor&, const Anchor&) = default;
};

enum class Mode : uint8_t {
  kChat,  // writing; also while nothing is open
  kList,  // choosing a conversation
  kNew,   // asking for a new one
  kFind,  // asking what to look for
  kHits,  // choosing among what was found
  kHelp,
  kLogin,   // asking for a server and a token
  kSelect,  // choosing a message of the conversation: state.selected
  kReact,   // asking for an emoji
  kDelete,  // asking whether it is meant so
  kTimer,   // asking for a time
};

// What the line one writes in is for.
enum class Purpose : uint8_t {
  kMessage,
  kAnswer,  // to the message state.about
  kEdit,    // of it
};

struct Login {
  Editor server, token;
  bool at_token = false;  // which of the two is written in
  std::string why;        // what went wrong; or what is going on
  bool trying = false;    // a connection
  bool again = false;     // the profile has worked before: it knows its server, and can be read
};

struct State {
  Mode mode = Mode::kList;
  std::string account;  // who one is
  std::string link;     // "online", "offline", …
  bool linked = false;
  std::string trouble;  // why it is not, and what that means; empty: all is well
  std::string notice;   // said once, until the next key

  std::vector<Contact> contacts;  // the latest first
  size_t picked = 0;              // kList: of contacts; kHits: of hits
  std::string open;               // Contact::to; empty: none
  std::vector<Entry> entries;     // of that conversation, oldest first
  bool all_loaded = false;        // there is nothing before them
  bool end_loaded = true;         // … and after them
  std::optional<Anchor> bottom;   // the lowest row shown; none: the last, whatever comes
  std::string first_new;          // key of the first that was unread when the conversation was opened
  std::string marked;             // key of what was searched for
  std::string selected;           // key of the message that something is to be done with
  Purpose purpose = Purpose::kMessage;
  std::string about;  // key
  std::vector<Hit> hits;
  std::string sought;
  size_t help_row = 0;  // the first that is shown

  Editor editor;                              // the message
  Editor prompt;                              // kNew, kFind, kReact, kTimer
  std::map<std::string, std::string> drafts;  // of the other conversations
  Login login;
  uint64_t now_ms = 0;  // by the wall clock
};

}  // namespace perch::client::screen
