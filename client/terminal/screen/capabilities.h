// What this terminal can do, from terminfo, as strings to be written.
#pragma once
#include <array>
#include <string>

#include "client/terminal/screen/grid.h"
#include "core/result.h"

namespace perch::client::screen {

struct Capabilities {
  // The alternate screen with bracketed paste, and lines that do not wrap: a cluster that this terminal draws
  // wider than we think must not run into the next row, or scroll the last.
  std::string enter, leave;
  std::string clear, hide_cursor, show_cursor;
  std::string reset, bold, faint, reverse, underline;  // empty: it cannot
  std::array<std::string, 8> colours;                  // of the text; empty: it cannot, or is not to
  std::string address;                                 // move() fills it in

  std::string move(Position to) const;
};

// `colour` false: as on a monochrome terminal. ERRORS: kNotFound, the terminal is unknown; kUnsupported, it
// cannot move its cursor or clear its screen. ON: the main thread; terminfo keeps one terminal, the last.
Result<Capabilities> capabilities_of(const std::string& terminal, bool colour);

}  // namespace perch::client::screen
