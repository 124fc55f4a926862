// A screen as rows of styled cells, and the last gate before the terminal: whatever is put, a cell holds one
// cluster that can be drawn.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace perch::client::screen {

// What a text is; the painter knows how that looks on this terminal.
enum class Style : uint8_t {
  kPlain,
  kFaint,     // times, hints, what matters less
  kTitle,     // the bar at the top
  kWarning,   // … while something is wrong
  kSelected,  // where one is
  kUnread,    // what has not been read
  kPeer,      // names
  kMine,
  kDate,  // lines between
  kRead,  // a tick that says so
  kError,
  kMatch,  // what was searched for
};

struct Size {
  int columns = 80, rows = 24;
  friend bool operator==(const Size&, const Size&) = default;
};

struct Position {
  int row = 0, column = 0;
  friend bool operator==(const Position&, const Position&) = default;
};

struct Cell {
  std::string text = " ";  // one cluster; empty: the right half of the cell before
  Style style = Style::kPlain;
  bool exact = true;  // grapheme.h
  friend bool operator==(const Cell&, const Cell&) = default;
};

class Grid {
 public:
  explicit Grid(Size size);
  Size size() const { return size_; }
  const std::vector<Cell>& row(int row) const { return rows_[static_cast<size_t>(row)]; }
  // Puts as much of `text` as fits into `width` columns from `at`; returns how many it took. What lies out of
  // the screen is left out. What cannot be drawn is U+FFFD.
  int put(Position at, std::string_view text, Style style, int width);
  // Blanks of that style.
  void fill(Position at, int width, Style style);
  // A row as text, without the blanks at its end.
  std::string text(int row) const;

 private:
  Size size_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace perch::client::screen
