#include "client/terminal/screen/painter.h"

#include <algorithm>

namespace perch::client::screen {
namespace {

constexpr size_t kRed = 1, kGreen = 2, kYellow = 3, kBlue = 4, kCyan = 6;

bool all_exact(const std::vector<Cell>& cells) {
  return std::ranges::all_of(cells, [](const Cell& cell) { return cell.exact; });
}

}  // namespace

std::string Painter::paint(const Grid& grid, std::optional<Position> cursor) {
  std::string out = can_.hide_cursor;
  if (shown_.size() != grid.size()) {
    out += can_.reset + can_.clear;
    shown_ = Grid(grid.size());
  }
  for (int row = 0; row < grid.size().rows; ++row) paint_row(row, grid, out);
  shown_ = grid;
  if (cursor) out += can_.move(*cursor) + can_.show_cursor;
  return out;
}

void Painter::paint_row(int row, const Grid& grid, std::string& out) {
  const auto& before = shown_.row(row);
  const auto& cells = grid.row(row);
  size_t begin = 0, end = cells.size();
  while (begin < end && cells[begin] == before[begin]) ++begin;
  if (begin == end) return;
  while (cells[end - 1] == before[end - 1]) --end;
  // Of a wide cell both halves differ or none, so none is written by halves.
  if (!all_exact(cells) || !all_exact(before)) {
    begin = 0;  // nobody knows what stands where
    end = cells.size();
  }
  out += can_.move({row, static_cast<int>(begin)});
  std::optional<Style> style;
  for (size_t at = begin; at < end; ++at) {
    const Cell& cell = cells[at];
    if (cell.text.empty()) continue;
    if (style != cell.style) out += can_.reset + look(cell.style);
    style = cell.style;
    if (cell.exact) {
      out += cell.text;
      continue;
    }
    const bool wide = at + 1 < cells.size() && cells[at + 1].text.empty();
    const int column = static_cast<int>(at);
    out += wide ? "  " : " ";
    out += can_.move({row, column}) + cell.text + can_.move({row, column + (wide ? 2 : 1)});
  }
  out += can_.reset;
}

std::string Painter::look(Style style) const {
  switch (style) {
    case Style::kPlain:
      return "";
    case Style::kFaint:
    case Style::kDate:
      return can_.faint;
    case Style::kTitle:
    case Style::kSelected:
      return can_.reverse;
    case Style::kWarning:
      return can_.reverse + can_.bold + colour(kRed);
    case Style::kUnread:
      return can_.bold + colour(kGreen);
    case Style::kPeer:
      return can_.bold + colour(kCyan);
    case Style::kMine:
      return can_.bold;
    case Style::kRead:
      return can_.bold + colour(kBlue);
    case Style::kError:
      return can_.bold + colour(kRed);
    case Style::kMatch:
      return can_.underline + colour(kYellow);
  }
  return "";
}

}  // namespace perch::client::screen
