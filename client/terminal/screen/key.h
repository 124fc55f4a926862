// Bytes of a keyboard as keys: UTF-8, the sequences of xterm and its like, bracketed paste.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace perch::client::screen {

struct Key {
  enum class Kind : uint8_t {
    kText,   // `text`: what was typed, one code point
    kPaste,  // `text`: any bytes
    kCtrl,   // with the letter in `text`, lower case; what has a name of its own is not among them
    kAlt,    // with the character in `text`
    kEnter,
    kAltEnter,
    kTab,
    kBackTab,
    kEscape,
    kBackspace,
    kWordBackspace,
    kDelete,
    kLeft,
    kRight,
    kWordLeft,
    kWordRight,
    kUp,
    kDown,
    kHome,
    kEnd,
    kPageUp,
    kPageDown,
    kF1,
    kF2,
  };
  Kind kind = Kind::kText;
  std::string text;
  friend bool operator==(const Key&, const Key&) = default;
};

class KeyDecoder {
 public:
  // Longer ones lose their end.
  static constexpr size_t kPasteBytesMax = 1 << 20;

  // The keys that are complete with these bytes.
  std::vector<Key> feed(std::string_view bytes);
  // Something has begun that may go on, or may be the Escape key: if nothing comes for a moment, end() it.
  bool pending() const { return !pending_.empty() && !pasting_; }
  std::vector<Key> end();

 private:
  void decode(std::vector<Key>& out);
  bool decode_one(std::vector<Key>& out);  // false: more bytes are needed
  bool decode_escape(std::vector<Key>& out);
  bool decode_sequence(std::vector<Key>& out);
  bool decode_paste(std::vector<Key>& out);

  std::string pending_;
  bool pasting_ = false;
  std::string paste_;
};

}  // namespace perch::client::screen
