// What messages contain, for people and for programs: lines as they stand, what was said about them, and how
// one names a message or a time on the command line.
#pragma once
#include <optional>
#include <string>

#include "client/client.h"
#include "client/item.h"

namespace perch::client {

// A message as it stands now, printable: its text, or what there is instead of one; no reactions.
std::string shown(const HistoryLine& line);
// The same for programs: any bytes, json_text() comes after; empty if there is no text.
std::string plain_text(const HistoryLine& line);
// … and with what belongs to it: the message it answers, that it was edited, the reactions of the user `me`
// and of the other, `peer`.
std::string shown_whole(const HistoryLine& line, UserId me, const std::string& peer);

// What came, as one printable line: "bob: hello", or "* bob deleted a message", which no text can look like.
// `who` is printable. Empty: there is nothing to be shown.
std::string told(Client& client, const InboxMessage& in, const std::string& who);
// The text of what came, an item's too, as plain_text().
std::string plain_text(const InboxMessage& in);

const char* kind_text(const InboxMessage& in);    // for programs: "text", "edit", "bytes" …
const char* shown_text(const HistoryLine& line);  // for programs: "text", "deleted" …

// "user.device.origin.seq", as `perch history --json` prints it; the origin in hex.
std::string id_text(const MessageId& id);
std::string id_json(const MessageId& id);  // null if it names no message
// The message that somebody names: by that, or by its place in `lines` from the end, 1 is the last.
// ERRORS: kInvalid (neither), kNotFound (there are not so many).
Result<HistoryLine> line_of(Client& client, const std::vector<HistoryLine>& lines, const std::string& name);
// 90 is "90 s", 3600 "1 h"; "30s", "5m", "12h", "7d", "2w" or "off" the other way. Nothing: that is no time.
std::string time_text(uint32_t seconds);
std::optional<uint32_t> seconds_of(const std::string& text);

}  // namespace perch::client
