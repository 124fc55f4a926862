#include "client/terminal/item_text.h"

#include <charconv>
#include <cstdio>

#include "client/terminal/text.h"
#include "client/utf8.h"

namespace perch::client {
namespace {

constexpr size_t kQuotedBytes = 40;

// The beginning of a text, in quotes.
std::string quoted(const std::string& text) {
  const std::string_view head = utf8_head(text, kQuotedBytes);
  std::string out = "\"";
  out += printable(std::string(head));
  out += head.size() < text.size() ? "…\"" : "\"";
  return out;
}

std::string instead_of_text(Shown shown) {
  switch (shown) {
    case Shown::kDeleted:
      return "[deleted]";
    case Shown::kUnreadable:
      return "[a message that cannot be read]";
    case Shown::kNewer:
      return "[a message of a newer version]";
    case Shown::kText:
    case Shown::kBytes:
      break;
  }
  return "";
}

std::string quote_text(const Quote& quote) {
  if (!quote.here) return "a message that is not here";
  if (quote.shown == Shown::kText) return quoted(quote.text);
  return quote.shown == Shown::kBytes ? "a message" : instead_of_text(quote.shown);
}

// In front of an answer.
std::string answer_text(const Quote& quote) {
  std::string out = "(to ";
  out += quote_text(quote);
  out += ") ";
  return out;
}

// What a message is that something is said about: its beginning, if it is here.
std::string target_text(Client& client, const MessageId& id) {
  const auto found = client.message(id);
  if (!found.ok() || found->line.shown == Shown::kDeleted) return "a message";
  return found->line.shown == Shown::kText ? quoted(found->line.text) : "a message";
}

template <typename Number>
bool take_number(std::string_view& text, Number& number, int base) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (parsed.ec != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(parsed.ptr - text.data()));
  return true;
}

bool take_dot(std::string_view& text) {
  if (!text.starts_with('.')) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<MessageId> id_of(std::string_view text) {
  MessageId id;
  const bool whole = take_number(text, id.user, 10) && take_dot(text) && take_number(text, id.device, 10) &&
                     take_dot(text) && take_number(text, id.origin, 16) && take_dot(text) &&
                     take_number(text, id.seq, 10) && text.empty();
  return whole ? std::optional(id) : std::nullopt;
}

struct Unit {
  char letter;
  uint32_t seconds;
};
constexpr Unit kUnits[] = {{'w', 604'800}, {'d', 86'400}, {'h', 3600}, {'m', 60}, {'s', 1}};

}  // namespace

std::string shown(const HistoryLine& line) {
  if (line.shown == Shown::kText) return printable(line.text);
  if (line.shown == Shown::kBytes) return shown(line.content, line.body);
  return instead_of_text(line.shown);
}

std::string plain_text(const HistoryLine& line) {
  return line.shown == Shown::kBytes ? text_of(line.body) : line.text;
}

std::string shown_whole(const HistoryLine& line, UserId me, const std::string& peer) {
  std::string out = line.answers ? answer_text(*line.answers) : "";
  out += shown(line);
  if (line.edited) out += " (edited)";
  for (const Reaction& each : line.reactions) {
    out += " [" + printable(each.emoji) + " " + (each.user == me ? "you" : peer) + "]";
  }
  return out;
}

std::string told(Client& client, const InboxMessage& in, const std::string& who) {
  const std::string variant = in.variant != 0 ? "  [another message under a known id]" : "";
  if (in.content != kContentItem) return who + ": " + shown(in.content, in.body) + variant;
  const auto item = decode_item(in.body);
  if (!item.ok()) return who + ": " + instead_of_text(Shown::kUnreadable) + variant;
  switch (item->kind) {
    case ItemKind::kText: {
      std::string answer;
      if (item->target.seq != 0) {
        const auto found = client.message(in.id);
        if (found.ok() && found->line.answers) answer = answer_text(*found->line.answers);
      }
      return who + ": " + answer + printable(item->text) + variant;
    }
    case ItemKind::kEdit:
      return "* " + who + " edited a message: " + printable(item->text);
    case ItemKind::kDelete:
      return "* " + who + " deleted a message";
    case ItemKind::kReaction:
      if (item->text.empty())
        return "* " + who + " took back a reaction to " + target_text(client, item->target);
      return "* " + who + " reacted " + printable(item->text) + " to " + target_text(client, item->target);
    case ItemKind::kTimer:
      if (item->timer_s == 0) return "* " + who + " let messages stay from now on";
      return "* " + who + " let messages disappear " + time_text(item->timer_s) + " after they are read";
    case ItemKind::kProfile: {
      std::string out = "* " + who + " says to be ";
      out += item->text.empty() ? "nobody" : printable(item->text);
      if (!item->about.empty()) out.append(": ").append(printable(item->about));
      return out;
    }
    case ItemKind::kUnknown:
      return who + ": " + instead_of_text(Shown::kNewer) + variant;
    case ItemKind::kSilent:
      break;
  }
  return "";
}

std::string plain_text(const InboxMessage& in) {
  if (in.content != kContentItem) return text_of(in.body);
  auto item = decode_item(in.body);
  return item.ok() ? std::move(item->text) : "";
}

const char* kind_text(const InboxMessage& in) {
  if (in.content == kContentText) return "text";
  if (in.content != kContentItem) return "bytes";
  const auto item = decode_item(in.body);
  if (!item.ok()) return "unreadable";
  switch (item->kind) {
    case ItemKind::kText:
      return "text";
    case ItemKind::kEdit:
      return "edit";
    case ItemKind::kDelete:
      return "delete";
    case ItemKind::kReaction:
      return "reaction";
    case ItemKind::kTimer:
      return "timer";
    case ItemKind::kProfile:
      return "profile";
    case ItemKind::kUnknown:
    case ItemKind::kSilent:
      break;
  }
  return "newer";
}

const char* shown_text(const HistoryLine& line) {
  switch (line.shown) {
    case Shown::kText:
      return "text";
    case Shown::kBytes:
      return "bytes";
    case Shown::kDeleted:
      return "deleted";
    case Shown::kUnreadable:
      return "unreadable";
    case Shown::kNewer:
      break;
  }
  return "newer";
}

std::string id_text(const MessageId& id) {
  char text[80];
  std::snprintf(text, sizeof(text), "%llu.%u.%016llx.%llu", static_cast<unsigned long long>(id.user),
                id.device, static_cast<unsigned long long>(id.origin),
                static_cast<unsigned long long>(id.seq));
  return text;
}

std::string id_json(const MessageId& id) { return id.seq == 0 ? "null" : json_text(id_text(id)); }

Result<HistoryLine> line_of(Client& client, const std::vector<HistoryLine>& lines, const std::string& name) {
  if (const auto id = id_of(name)) {
    auto found = client.message(*id);
    if (!found.ok()) return found.error();
    return std::move(found->line);
  }
  size_t place = 0;
  std::string_view text = name;
  if (!take_number(text, place, 10) || !text.empty() || place == 0) return Error{Errc::kInvalid};
  if (place > lines.size()) return Error{Errc::kNotFound};
  return lines[lines.size() - place];
}

std::string time_text(uint32_t seconds) {
  if (seconds == 0) return "off";
  for (const Unit& unit : kUnits) {
    if (seconds % unit.seconds == 0) return std::to_string(seconds / unit.seconds) + " " + unit.letter;
  }
  return "";  // not reached: every number is one of seconds
}

std::optional<uint32_t> seconds_of(const std::string& text) {
  if (text == "off") return 0;
  uint32_t count = 0;
  std::string_view rest = text;
  if (!take_number(rest, count, 10) || rest.size() != 1 || count == 0) return std::nullopt;
  for (const Unit& unit : kUnits) {
    if (rest[0] == unit.letter && count <= kTimerSecondsMax / unit.seconds) return count * unit.seconds;
  }
  return std::nullopt;
}

}  // namespace perch::client
