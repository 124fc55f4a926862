// Item is what a message contains (PROTOCOL.md, 10): a text, or what is said about one. It travels as the
// body of a Message; the server and the delivering half of the client (client/protocol/) never look into it.
//
// Pure functions, no state. ERRORS: as named; a peer may send anything.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/api.h"
#include "core/result.h"
#include "core/types.h"

namespace perch::client {

// What Message.content says of the body.
inline constexpr uint8_t kContentText = 0;  // it is a text in UTF-8
inline constexpr uint8_t kContentItem = 1;  // it is an Item. 2 and above: the application's own

// SOURCE of the limits: PROTOCOL.md, 10.
inline constexpr size_t kItemTextBytesMax = 64'512;       // with all that is around it still within 64 KiB
inline constexpr size_t kEmojiBytesMax = 64;              // of a reaction
inline constexpr size_t kNameBytesMax = 64;               // of a profile
inline constexpr size_t kAboutBytesMax = 512;             // of a profile
inline constexpr uint32_t kTimerSecondsMax = 31'536'000;  // 365 days

// What an item is for.
enum class ItemKind : uint8_t {
  kText = 0,      // to be shown
  kEdit = 1,      // another text for a message of its author
  kDelete = 2,    // a message of its author is gone, for everyone
  kReaction = 3,  // to a message; an empty text takes it back
  kTimer = 4,     // how long new texts of this conversation are there once they are read
  kProfile = 5,   // the name and the about text of who sends it
  kUnknown = 6,   // of a newer version, to be shown as such
  kSilent = 7,    // of a newer version, and nobody misses it
};

// One thing said.
struct Item {
  ItemKind kind = ItemKind::kText;  // what it is for
  // kText and kEdit: the text. kReaction: the emoji. kProfile: the name; empty: none.
  std::string text = {};
  std::string about = {};  // kProfile
  MessageId target = {};   // kEdit, kDelete, kReaction: which message. kText: which it answers; seq 0: none
  uint32_t timer_s = 0;    // kText, kTimer: seconds; 0: for good

  // All of both is the same.
  bool operator==(const Item&) const = default;
};

// The body of a Message with kContentItem. ERRORS: kInvalid (what decode_item() would refuse; a kind of
// a newer version), kTooLarge (a text over its limit; detail: the limit).
PERCH_API Result<std::vector<uint8_t>> encode_item(const Item& item);
// What such a body says. ERRORS: kInvalid (not what PROTOCOL.md, 10 allows: to be shown as a message that
// cannot be read).
PERCH_API Result<Item> decode_item(Bytes body);

}  // namespace perch::client
