#include "client/terminal/screen/editor.h"

#include <algorithm>

#include "client/terminal/screen/grapheme.h"

namespace perch::client::screen {

bool Editor::on_key(const Key& key) {
  using Kind = Key::Kind;
  switch (key.kind) {
    case Kind::kText:
    case Kind::kPaste:
      insert(key.text);
      return true;
    case Kind::kAltEnter:
      insert("\n");
      return true;
    case Kind::kLeft:
      if (cursor_ > 0) cursor_ = cluster_before(text_, cursor_);
      return true;
    case Kind::kRight:
      cursor_ = next();
      return true;
    case Kind::kWordLeft:
      cursor_ = word_left();
      return true;
    case Kind::kWordRight:
      cursor_ = word_right();
      return true;
    case Kind::kHome:
      cursor_ = line_begin(cursor_);
      return true;
    case Kind::kEnd:
      cursor_ = line_end(cursor_);
      return true;
    case Kind::kBackspace:
      if (cursor_ > 0) erase(cluster_before(text_, cursor_), cursor_);
      return true;
    case Kind::kWordBackspace:
      erase(word_left(), cursor_);
      return true;
    case Kind::kDelete:
      erase(cursor_, next());
      return true;
    case Kind::kUp:
      return move_line(true) || recall(true);
    case Kind::kDown:
      return move_line(false) || recall(false);
    case Kind::kCtrl:
      if (key.text == "a") {
        cursor_ = line_begin(cursor_);
      } else if (key.text == "e") {
        cursor_ = line_end(cursor_);
      } else if (key.text == "u") {
        erase(line_begin(cursor_), cursor_);
      } else if (key.text == "k") {
        erase(cursor_, line_end(cursor_));
      } else if (key.text == "w") {
        erase(word_left(), cursor_);
      } else {
        return false;
      }
      return true;
    default:
      return false;
  }
}

void Editor::insert(std::string_view text) {
  std::string clean;
  const std::vector<std::string> lines = harmless_lines(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) clean += '\n';
    clean += lines[i];
  }
  if (text_.size() + clean.size() > kBytesMax) {
    size_t len = 0;
    while (len < clean.size()) {
      const size_t more = cluster_at(clean, len).text.size();
      if (text_.size() + len + more > kBytesMax) break;
      len += more;
    }
    clean.resize(len);
  }
  text_.insert(cursor_, clean);
  // What was put in may have become one cluster with what is beside it.
  const size_t end = cursor_ + clean.size();
  cursor_ = line_begin(end);
  while (cursor_ < end) cursor_ = next();
}

void Editor::set(std::string_view text) {
  text_ = text;
  cursor_ = text_.size();
  recalled_ = history_.size();
}

std::string Editor::take() {
  std::string taken = std::move(text_);
  if (history_.empty() || history_.back() != taken) history_.push_back(taken);
  if (history_.size() > kHistoryMax) history_.erase(history_.begin());
  clear();
  return taken;
}

size_t Editor::next() const {
  return cursor_ == text_.size() ? cursor_ : cursor_ + cluster_at(text_, cursor_).text.size();
}

size_t Editor::word_left() const {
  size_t at = cursor_;
  const auto blank = [&](size_t i) { return text_[i] == ' ' || text_[i] == '\n'; };
  while (at > 0 && blank(at - 1)) --at;
  while (at > 0 && !blank(at - 1)) --at;
  return at;
}

size_t Editor::word_right() const {
  size_t at = cursor_;
  const auto blank = [&](size_t i) { return text_[i] == ' ' || text_[i] == '\n'; };
  while (at < text_.size() && blank(at)) ++at;
  while (at < text_.size() && !blank(at)) ++at;
  return at;
}

size_t Editor::line_begin(size_t at) const {
  const size_t before = at == 0 ? std::string::npos : text_.rfind('\n', at - 1);
  return before == std::string::npos ? 0 : before + 1;
}

size_t Editor::line_end(size_t at) const { return std::min(text_.find('\n', at), text_.size()); }

void Editor::erase(size_t begin, size_t end) {
  text_.erase(begin, end - begin);
  cursor_ = begin;
}

bool Editor::move_line(bool up) {
  const size_t begin = line_begin(cursor_), end = line_end(cursor_);
  if (up ? begin == 0 : end == text_.size()) return false;
  const int column = width_of(std::string_view(text_).substr(begin, cursor_ - begin));
  const size_t to = up ? line_begin(begin - 1) : end + 1;
  cursor_ = to + fitting(std::string_view(text_).substr(to, line_end(to) - to), column).size();
  return true;
}

bool Editor::recall(bool older) {
  if (!is_recalled()) {
    draft_ = text_;
    recalled_ = history_.size();
  }
  if (older ? recalled_ == 0 : recalled_ >= history_.size()) return false;
  recalled_ += older ? -1 : 1;
  text_ = recalled_ == history_.size() ? draft_ : history_[recalled_];
  cursor_ = text_.size();
  return true;
}

}  // namespace perch::client::screen
