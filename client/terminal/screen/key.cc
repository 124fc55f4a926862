#include "client/terminal/screen/key.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace perch::client::screen {
namespace {

using Kind = Key::Kind;

constexpr char kEscape = '\x1b';
constexpr std::string_view kPasteEnd = "\x1b[201~";
constexpr size_t kSequenceBytesMax = 32;  // what is longer is none

std::optional<Kind> control_key(char byte) {
  switch (byte) {
    case '\r':
    case '\n':
      return Kind::kEnter;
    case '\t':
      return Kind::kTab;
    case '\b':
    case '\x7f':
      return Kind::kBackspace;
    default:
      return std::nullopt;
  }
}

// Of "CSI 1 ; MODIFIER final" and "SS3 final".
std::optional<Kind> final_key(char final, bool by_word) {
  switch (final) {
    case 'A':
      return Kind::kUp;
    case 'B':
      return Kind::kDown;
    case 'C':
      return by_word ? Kind::kWordRight : Kind::kRight;
    case 'D':
      return by_word ? Kind::kWordLeft : Kind::kLeft;
    case 'H':
      return Kind::kHome;
    case 'F':
      return Kind::kEnd;
    case 'Z':
      return Kind::kBackTab;
    case 'P':
      return Kind::kF1;
    case 'Q':
      return Kind::kF2;
    default:
      return std::nullopt;
  }
}

// Of "CSI NUMBER ~".
std::optional<Kind> numbered_key(int number) {
  switch (number) {
    case 1:
    case 7:
      return Kind::kHome;
    case 4:
    case 8:
      return Kind::kEnd;
    case 3:
      return Kind::kDelete;
    case 5:
      return Kind::kPageUp;
    case 6:
      return Kind::kPageDown;
    case 11:
      return Kind::kF1;
    case 12:
      return Kind::kF2;
    default:
      return std::nullopt;
  }
}

size_t code_point_len(char first) {
  const auto byte = static_cast<uint8_t>(first);
  return byte < 0xc0 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

}  // namespace

std::vector<Key> KeyDecoder::feed(std::string_view bytes) {
  pending_ += bytes;
  std::vector<Key> out;
  decode(out);
  return out;
}

std::vector<Key> KeyDecoder::end() {
  std::vector<Key> out;
  if (!pending()) return out;
  if (pending_.front() == kEscape) out.push_back({Kind::kEscape, ""});
  pending_.erase(0, 1);
  decode(out);
  return out;
}

void KeyDecoder::decode(std::vector<Key>& out) {
  while (!pending_.empty() && (pasting_ ? decode_paste(out) : decode_one(out))) {
  }
}

bool KeyDecoder::decode_one(std::vector<Key>& out) {
  const char first = pending_.front();
  if (first == kEscape) return decode_escape(out);
  const size_t len = code_point_len(first);
  if (pending_.size() < len) return false;
  if (const auto kind = control_key(first)) {
    out.push_back({*kind, ""});
  } else if (static_cast<uint8_t>(first) < 0x20) {
    out.push_back({Kind::kCtrl, std::string(1, static_cast<char>(first | 0x60))});
  } else {
    out.push_back({Kind::kText, pending_.substr(0, len)});
  }
  pending_.erase(0, len);
  return true;
}

bool KeyDecoder::decode_escape(std::vector<Key>& out) {
  if (pending_.size() < 2) return false;
  const char second = pending_[1];
  if (second == '[' || second == 'O') return decode_sequence(out);
  const auto named = control_key(second);
  if (static_cast<uint8_t>(second) < 0x20 && !named) {  // the Escape key, and then another
    out.push_back({Kind::kEscape, ""});
    pending_.erase(0, 1);
    return true;
  }
  const size_t len = code_point_len(second);
  if (pending_.size() < 1 + len) return false;
  if (named == Kind::kEnter) {
    out.push_back({Kind::kAltEnter, ""});
  } else if (named == Kind::kBackspace) {
    out.push_back({Kind::kWordBackspace, ""});
  } else if (second == 'b') {
    out.push_back({Kind::kWordLeft, ""});
  } else if (second == 'f') {
    out.push_back({Kind::kWordRight, ""});
  } else {
    out.push_back({Kind::kAlt, pending_.substr(1, len)});
  }
  pending_.erase(0, 1 + len);
  return true;
}

// Parameters, then a final byte. One that is not known says nothing, rather than letters.
bool KeyDecoder::decode_sequence(std::vector<Key>& out) {
  size_t at = 2;
  const bool console = pending_.starts_with("\x1b[[");  // the function keys of the Linux console
  if (console) ++at;
  while (at < pending_.size() && pending_[at] >= 0x20 && pending_[at] < 0x40) ++at;
  if (at >= pending_.size()) {
    if (pending_.size() <= kSequenceBytesMax) return false;
    pending_.clear();
    return true;
  }
  const std::string parameters = pending_.substr(2, at - 2);
  const char final = pending_[at];
  pending_.erase(0, at + 1);
  int number = 0;
  std::from_chars(parameters.data(), parameters.data() + parameters.size(), number);
  std::optional<Kind> kind;
  if (console) {
    kind = final == 'A' ? std::optional(Kind::kF1) : final == 'B' ? std::optional(Kind::kF2) : std::nullopt;
  } else if (final == '~' && number == 200) {
    pasting_ = true;
    return true;
  } else if (final == '~') {
    kind = numbered_key(number);
  } else {
    kind = final_key(final, parameters.find(';') != std::string::npos);
  }
  if (kind) out.push_back({*kind, ""});
  return true;
}

bool KeyDecoder::decode_paste(std::vector<Key>& out) {
  const size_t end = pending_.find(kPasteEnd);
  // What may be the beginning of the end stays.
  const size_t len =
      end != std::string::npos ? end : pending_.size() - std::min(pending_.size(), kPasteEnd.size() - 1);
  paste_.append(pending_, 0, std::min(len, kPasteBytesMax - paste_.size()));
  pending_.erase(0, len);
  if (end == std::string::npos) return false;
  pending_.erase(0, kPasteEnd.size());
  pasting_ = false;
  out.push_back({Kind::kPaste, std::move(paste_)});
  paste_.clear();
  return true;
}

}  // namespace perch::client::screen
