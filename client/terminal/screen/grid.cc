#include "client/terminal/screen/grid.h"

#include <algorithm>

#include "client/terminal/screen/grapheme.h"

namespace perch::client::screen {

static void blank(Cell& cell) {
  cell.text.assign(1, ' ');
  cell.exact = true;
}

Grid::Grid(Size size)
    : size_(size),
      rows_(static_cast<size_t>(size.rows), std::vector<Cell>(static_cast<size_t>(size.columns))) {}

int Grid::put(Position at, std::string_view text, Style style, int width) {
  if (at.row < 0 || at.row >= size_.rows || at.column < 0) return 0;
  width = std::min(width, size_.columns - at.column);
  auto& cells = rows_[static_cast<size_t>(at.row)];
  int used = 0;
  for (size_t begin = 0; begin < text.size();) {
    const Cluster next = cluster_at(text, begin);
    if (used + next.width > width) break;
    begin += next.text.size();
    const auto column = static_cast<size_t>(at.column + used);
    const size_t end = column + static_cast<size_t>(next.width);
    // Of a wide one that is half overwritten nothing stays.
    if (cells[column].text.empty()) blank(cells[column - 1]);
    if (end < cells.size() && cells[end].text.empty()) blank(cells[end]);
    const std::string drawn(next.drawable ? next.text : "\xef\xbf\xbd");
    cells[column] = {.text = drawn, .style = style, .exact = next.exact};
    if (next.width == 2) cells[column + 1] = {.text = "", .style = style};
    used += next.width;
  }
  return used;
}

void Grid::fill(Position at, int width, Style style) {
  put(at, std::string(static_cast<size_t>(std::max(width, 0)), ' '), style, width);
}

std::string Grid::text(int row) const {
  std::string out;
  for (const Cell& cell : rows_[static_cast<size_t>(row)]) out += cell.text;
  out.erase(out.find_last_not_of(' ') + 1);
  return out;
}

}  // namespace perch::client::screen
