// Messages as a profile holds them: what came, and a conversation line by line.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "client/row.h"
#include "core/types.h"

namespace perch::client {

// A message that came: of somebody else, or a copy of what this user sent from another device.
struct InboxMessage {
  MessageId id;  // its name on every device
  // Whose conversation it belongs to; the recipient's for copies of what this user sent elsewhere.
  UserId peer = 0;
  Number number = 0;          // its place in the conversation
  uint64_t time_ms = 0;       // the server's wall clock when it was taken, for display
  uint8_t content = 0;        // 0: text in UTF-8
  std::vector<uint8_t> body;  // as the sender made it: any bytes
  uint32_t variant = 0;       // not 0: another message came under this id before
  Mark mark = Mark::kQueued;  // copies of own messages: what receipts said
};

// What became of a message that came.
enum class Insert : uint8_t {
  kNew,         // it was not there
  kKnown,       // nothing changed, or it is about what is deleted already
  kRenumbered,  // known, the larger number was taken
  kVariant,     // known id with other bytes: kept as a row of its own
};

// A received message in order of arrival, for whoever shows messages once.
struct Arrival {
  uint64_t arrival = 0;  // counts up
  InboxMessage message;  // what came
};

// What there is to be shown of a message.
enum class Shown : uint8_t {
  kText = 0,        // its text, as it stands now
  kBytes = 1,       // `body`, of an application's own making
  kDeleted = 2,     // by its author, for everyone: nothing is left of it
  kUnreadable = 3,  // it says that it is an item (client/item.h), and is none
  kNewer = 4,       // a kind of item that this version does not know
};

// What somebody said about a message in one emoji.
struct Reaction {
  UserId user = 0;    // who
  std::string emoji;  // of at most 64 bytes; UTF-8, and nobody promises that it is an emoji
};

// The message that another one answers, as it stands now.
struct Quote {
  MessageId id;                // its name on every device
  bool here = false;           // false: this profile has it not, or no more; what follows says nothing
  Shown shown = Shown::kText;  // as of HistoryLine
  std::string text;            // as of HistoryLine
};

// One message of a conversation, whoever sent it, as it stands now: as last edited, with the reactions to it.
// What is said about a message (an edit, a reaction) is no line of its own.
struct HistoryLine {
  bool mine = false;           // sent by this user, here or on another device
  bool own_device = false;     // an outbox row: mark and open say how far it got
  RowStatus row;               // own_device only
  MessageId id;                // seq 0: it has none yet, as its row
  uint64_t arrival = 0;        // not own_device
  Mark mark = Mark::kQueued;   // its ticks, if it is this user's
  Number number = 0;           // its place in the conversation
  uint64_t time_ms = 0;        // as of InboxMessage and RowStatus
  uint8_t content = 0;         // as it was sent: 0: text in UTF-8, 1: an item
  uint32_t variant = 0;        // as of InboxMessage
  std::vector<uint8_t> body;   // as it was sent: any bytes; empty if it is deleted
  Shown shown = Shown::kText;  // what of it can be shown
  // With Shown::kText. Of `content` 0 any bytes, of an item valid UTF-8; control characters in both.
  std::string text;
  bool edited = false;              // `text` is another than it was
  std::optional<Quote> answers;     // which message it answers
  std::vector<Reaction> reactions;  // one of each user at most, the earliest first
  uint32_t timer_s = 0;             // it is gone so many seconds after it was read; 0: never
  uint64_t ends_ms = 0;             // it is gone then, by this device's wall clock; 0: that is not known yet
};

// With whom this profile has talked.
struct Conversation {
  UserId peer = 0;          // 0: the handle was never resolved
  std::string handle;       // empty: none is known
  uint64_t num_unread = 0;  // received, and neither read here nor on another device of this user
  HistoryLine last;         // what was said last
};

// Who somebody says to be.
struct Profile {
  std::string name;   // up to 64 bytes of UTF-8; empty: none. Anybody may choose any
  std::string about;  // up to 512 bytes of UTF-8
};

// A message, and where it is.
struct Found {
  UserId peer = 0;   // whose conversation it is in; 0: it waits for a handle
  HistoryLine line;  // the message
};

}  // namespace perch::client
