#include "client/terminal/text.h"

#include <cstdio>
#include <ctime>

#include "client/utf8.h"

namespace perch::client {

std::string text_of(const std::vector<uint8_t>& body) { return {body.begin(), body.end()}; }

std::string printable(const std::string& text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t len = utf8_sequence_len(text, at);
    const uint8_t first = static_cast<uint8_t>(text[at]);
    const bool c1 = len == 2 && first == 0xc2 && static_cast<uint8_t>(text[at + 1]) < 0xa0;
    if (len == 0 || (len == 1 && (first < 0x20 || first == 0x7f) && first != '\t') || c1) {
      out += first == '\n' ? " " : "\xef\xbf\xbd";
    } else {
      out.append(text, at, len);
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
    if (len == 0) {
      out += "\\ufffd";
    } else if (len == 1 && (first < 0x20 || first == '"' || first == '\\' || first == 0x7f)) {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\u%04x", first);
      out += escaped;
    } else {
      out.append(text, at, len);
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
