// Draws a State into a Grid. Pure: the same state and size give the same cells.
#pragma once
#include <optional>
#include <vector>

#include "client/terminal/screen/grid.h"
#include "client/terminal/screen/state.h"
#include "client/terminal/screen/transcript.h"

namespace perch::client::screen {

// The least that something can be shown on.
inline constexpr Size kSizeMin{.columns = 30, .rows = 8};

struct View {
  Grid grid;
  std::optional<Position> cursor;  // none: hidden
  // For scrolling (update.h): the rows of the conversation, which of them is the lowest shown, and how many
  // are shown at most.
  std::vector<TranscriptRow> rows;
  size_t bottom = 0;
  int page = 1;
};

View layout(const State& state, Size size);

}  // namespace perch::client::screen
