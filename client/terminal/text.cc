#include "client/terminal/text.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <iterator>
#include <string_view>

#include "client/utf8.h"

namespace perch::client {
namespace {

// What turns the direction of text (Unicode Bidirectional Algorithm, UAX #9, 2.1 to 2.6): on a terminal that
// obeys it, a peer could make the rest of a line say something else.
bool is_bidi_control(std::string_view sequence) {
  static constexpr std::string_view kControls[] = {"\u061c", "\u200e", "\u200f", "\u202a",
                                                   "\u202b", "\u202c", "\u202d", "\u202e",
                                                   "\u2066", "\u2067", "\u2068", "\u2069"};
  return std::find(std::begin(kControls), std::end(kControls), sequence) != std::end(kControls);
}
// U+0080 to U+009F: terminals may take them for escape sequences (ECMA-48, 5.3).
bool is_c1(std::string_view sequence) {
  return sequence.size() == 2 && sequence[0] == '\xc2' && static_cast<uint8_t>(sequence[1]) < 0xa0;
}
// Of JSON. REQUIRES: a code point below U+10000.
std::string escaped(unsigned value) {
  char text[8];
  std::snprintf(text, sizeof(text), "\\u%04x", value);
  return text;
}

}  // namespace

std::string text_of(const std::vector<uint8_t>& body) { return {body.begin(), body.end()}; }

std::string printable(const std::string& text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t len = utf8_sequence_len(text, at);
    const uint8_t first = static_cast<uint8_t>(text[at]);
    const std::string_view sequence = std::string_view(text).substr(at, len);
    if (len == 0 || (len == 1 && (first < 0x20 || first == 0x7f) && first != '\t') || is_c1(sequence)) {
      out += first == '\n' ? " " : "\xef\xbf\xbd";
    } else if (!is_bidi_control(sequence)) {
      out += sequence;
    }
    at += len == 0 ? 1 : len;
  }
  return out;
}

std::string shown(uint8_t content, const std::vector<uint8_t>& body) {
  if (content == 0) return printable(text_of(body));
  return "[content " + std::to_string(content) + ", " + std::to_string(body.size()) + " bytes]";
}

std::string json_text(const std::string& text) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    const size_t len = utf8_sequence_len(text, at);
    const uint8_t first = static_cast<uint8_t>(text[at]);
    const std::string_view sequence = std::string_view(text).substr(at, len);
    if (len == 0) {
      out += "\\ufffd";
    } else if (is_c1(sequence) || is_bidi_control(sequence)) {
      unsigned value = first & (len == 2 ? 0x1f : 0x0f);
      for (const char next : sequence.substr(1)) value = value << 6 | (static_cast<uint8_t>(next) & 0x3f);
      out += escaped(value);
    } else if (len == 1 && (first < 0x20 || first == '"' || first == '\\' || first == 0x7f)) {
      out += escaped(first);
    } else {
      out += sequence;
    }
    at += len == 0 ? 1 : len;
  }
  return out + "\"";
}

std::string name_of_user(Client& client, UserId user) {
  const auto handle = client.handle_of(user);
  return handle.ok() && !handle->empty() ? printable(*handle) : std::to_string(user);
}

std::string clock_text(uint64_t time_ms) {
  const time_t seconds = static_cast<time_t>(time_ms / 1000);
  tm parts{};
  localtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &parts);
  return text;
}

const char* mark_text(Mark mark) {
  switch (mark) {
    case Mark::kQueued:
      return "queued";
    case Mark::kAccepted:
      return "✓";
    case Mark::kDelivered:
      return "✓✓";
    case Mark::kRead:
      return "✓✓ read";
    case Mark::kRejected:
      return "rejected";
    case Mark::kExpired:
      return "expired";
  }
  return "?";
}

const char* state_text(const HistoryLine& line) {
  if (!line.mine) return "received";
  switch (line.mark) {
    case Mark::kQueued:
      return line.own_device ? "queued" : "accepted";
    case Mark::kAccepted:
      return "accepted";
    case Mark::kDelivered:
      return "delivered";
    case Mark::kRead:
      return "read";
    case Mark::kRejected:
      return "rejected";
    case Mark::kExpired:
      return "expired";
  }
  return "unknown";
}

std::string reason_text(uint8_t reason) {
  switch (static_cast<RejectReason>(reason)) {
    case RejectReason::kNotFound:
      return "no such user";
    case RejectReason::kTooLarge:
      return "too large";
    case RejectReason::kMailboxFull:
      return "the mailbox is full";
    case RejectReason::kNotMember:
      return "not a member";
  }
  return "reason " + std::to_string(reason);
}

std::string unreadable_text(const MessageId& id) {
  const std::string what = id.user == 0 ? "a receipt" : "something of user " + std::to_string(id.user);
  return what + " came that this version cannot read: it is not kept";
}

std::string login_text(const LoginInfo& info) {
  std::string text = "online as user " + std::to_string(info.user);
  if (!info.handle.empty()) text += " (" + printable(info.handle) + ")";
  text += ", device " + std::to_string(info.device);
  if (info.overflowed) text += "; messages for this device were dropped while it was away";
  if (info.continuity_broken)
    text += "; this profile may miss messages: the server last knew another copy of it";
  if (info.new_incarnation) {
    text += "; the server was restored, " + std::to_string(info.num_reopened) + " messages go out again";
  }
  return text;
}

}  // namespace perch::client
