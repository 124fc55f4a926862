// Makes a terminal show a Grid: writes what differs from what it showed before.
//
// Where terminals disagree about the width of a cluster (grapheme.h), the columns are blanked first and the
// cursor is put behind them afterwards. Then what follows stands where it should, whether this terminal has
// drawn less, as one that knows no emoji with variation selectors, or more, as one that draws each member of
// a family by itself. A curses window cannot say that: its cell holds one character with accents, and it goes
// by wcwidth().
#pragma once
#include <optional>
#include <string>

#include "client/terminal/screen/capabilities.h"
#include "client/terminal/screen/grid.h"

namespace perch::client::screen {

class Painter {
 public:
  explicit Painter(Capabilities capabilities) : can_(std::move(capabilities)), shown_(Size{0, 0}) {}
  // The bytes that make the terminal show it.
  std::string paint(const Grid& grid, std::optional<Position> cursor);
  // The terminal may show anything.
  void forget() { shown_ = Grid(Size{0, 0}); }
  const Capabilities& capabilities() const { return can_; }

 private:
  void paint_row(int row, const Grid& grid, std::string& out);
  const std::string& colour(size_t number) const { return can_.colours[number]; }
  std::string look(Style style) const;

  Capabilities can_;
  Grid shown_;
};

}  // namespace perch::client::screen
