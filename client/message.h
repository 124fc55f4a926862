// Messages as a profile holds them: what came, and a conversation line by line.
#pragma once
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
  kKnown,       // nothing changed
  kRenumbered,  // known, the larger number was taken
  kVariant,     // known id with other bytes: kept as a row of its own
};

// A received message in order of arrival, for whoever shows messages once.
struct Arrival {
  uint64_t arrival = 0;  // counts up
  InboxMessage message;  // what came
};

// One message of a conversation, whoever sent it.
struct HistoryLine {
  bool mine = false;          // sent by this user, here or on another device
  bool own_device = false;    // an outbox row: mark and open say how far it got
  RowStatus row;              // own_device only
  MessageId id;               // not own_device
  uint64_t arrival = 0;       // not own_device
  Mark mark = Mark::kQueued;  // its ticks, if it is this user's
  Number number = 0;          // its place in the conversation
  uint64_t time_ms = 0;       // as of InboxMessage and RowStatus
  uint8_t content = 0;        // 0: text in UTF-8
  uint32_t variant = 0;       // as of InboxMessage
  std::vector<uint8_t> body;  // any bytes
};

// With whom this profile has talked.
struct Conversation {
  UserId peer = 0;          // 0: the handle was never resolved
  std::string handle;       // empty: none is known
  uint64_t num_unread = 0;  // received, and neither read here nor on another device of this user
  HistoryLine last;         // what was said last
};

// A message that was searched for.
struct Found {
  UserId peer = 0;   // whose conversation it is in; 0: it waits for a handle
  HistoryLine line;  // the message
};

}  // namespace perch::client
