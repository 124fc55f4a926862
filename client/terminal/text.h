// What `perch` prints: bytes of peers made harmless, marks, reasons and times in words.
#pragma once
#include <string>
#include <vector>

#include "client/client.h"

namespace perch::client {

// The same bytes; printable() or json_text() come after.
std::string text_of(const std::vector<uint8_t>& body);

// What a peer wrote must not drive the terminal: control characters and broken UTF-8 become U+FFFD, a
// line break a blank; what turns the direction of text is left out.
std::string printable(const std::string& text);
// A message for people: text made printable; of anything else what it is.
std::string shown(uint8_t content, const std::vector<uint8_t>& body);
// A string of JSON, quotes included; broken UTF-8 becomes U+FFFD. What printable() changes is escaped:
// JSON is read on terminals too.
std::string json_text(const std::string& text);

// The handle if this profile knows it, printable, else the number.
std::string name_of_user(Client& client, UserId user);
std::string clock_text(uint64_t time_ms);  // of the wall clock; local time, to the minute
const char* mark_text(Mark mark);          // for people
// For programs, as `perch history --json` prints it.
const char* state_text(const HistoryLine& line);
std::string reason_text(uint8_t reason);           // of a rejection: RejectReason
std::string unreadable_text(const MessageId& id);  // of DeviceEvents::on_unreadable()
std::string login_text(const LoginInfo& info);     // who is online, and what may be missing

}  // namespace perch::client
