// The line one writes in: UTF-8, several lines if one wants, and what was written before.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "client/terminal/screen/key.h"

namespace perch::client::screen {

class Editor {
 public:
  // What is typed or pasted beyond it is left out; a message may not be longer (client.h, send()).
  static constexpr size_t kBytesMax = 64 * 1024;
  static constexpr size_t kHistoryMax = 100;

  const std::string& text() const { return text_; }
  size_t cursor() const { return cursor_; }  // in bytes, at the beginning of a cluster or the end
  bool empty() const { return text_.empty(); }
  // What is being written, also while something older is shown in its place.
  const std::string& draft() const { return is_recalled() ? draft_ : text_; }

  // False: the key is not one for writing.
  bool on_key(const Key& key);
  // As harmless_lines() makes it (grapheme.h).
  void insert(std::string_view text);
  void set(std::string_view text);  // the cursor is at its end
  void clear() { set(""); }
  // What was written; it is remembered, and the line is empty.
  std::string take();

 private:
  size_t next() const;  // cluster
  size_t word_left() const;
  size_t word_right() const;
  size_t line_begin(size_t at) const;
  size_t line_end(size_t at) const;
  void erase(size_t begin, size_t end);
  bool move_line(bool up);  // false: there is none
  bool recall(bool older);
  // Changed, it is a draft like any other.
  bool is_recalled() const { return recalled_ < history_.size() && text_ == history_[recalled_]; }

  std::string text_;
  size_t cursor_ = 0;
  std::vector<std::string> history_;
  size_t recalled_ = 0;  // index; history_.size(): none
  std::string draft_;    // what was being written before recall()
};

}  // namespace perch::client::screen
