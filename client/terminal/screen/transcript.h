// A conversation as rows: date lines, names, wrapped texts, ticks.
#pragma once
#include <string>
#include <vector>

#include "client/terminal/screen/grid.h"
#include "client/terminal/screen/state.h"

namespace perch::client::screen {

struct Piece {
  int column = 0;  // in the pane
  std::string text;
  Style style = Style::kPlain;
};

struct TranscriptRow {
  Anchor at;
  std::vector<Piece> pieces;
};

// REQUIRES: width >= 20.
std::vector<TranscriptRow> transcript(const State& state, int width);

// Which of the rows stands lowest: that of state.bottom, else the last.
size_t bottom_row(const State& state, const std::vector<TranscriptRow>& rows);

}  // namespace perch::client::screen
