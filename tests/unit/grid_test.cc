#include "client/terminal/screen/grid.h"

#include <gtest/gtest.h>

namespace perch::client::screen {
namespace {

TEST(Grid, TextTakesItsColumns) {
  Grid grid({10, 2});
  EXPECT_EQ(grid.put({0, 1}, "a漢b", Style::kPlain, 10), 4);
  EXPECT_EQ(grid.text(0), " a漢b");
  EXPECT_EQ(grid.row(0)[2].text, "漢");
  EXPECT_EQ(grid.row(0)[3].text, "");
  EXPECT_EQ(grid.text(1), "");
}

TEST(Grid, NothingIsCutInHalfOrLeavesTheScreen) {
  Grid grid({5, 1});
  EXPECT_EQ(grid.put({0, 2}, "a漢漢", Style::kPlain, 10), 3);
  EXPECT_EQ(grid.put({0, 0}, "漢", Style::kPlain, 1), 0);
  EXPECT_EQ(grid.put({1, 0}, "x", Style::kPlain, 5), 0);
  EXPECT_EQ(grid.put({-1, 0}, "x", Style::kPlain, 5), 0);
  EXPECT_EQ(grid.put({0, 7}, "x", Style::kPlain, 5), 0);
  EXPECT_EQ(grid.text(0), "  a漢");
}

TEST(Grid, AWideCellThatIsHalfOverwrittenIsGone) {
  Grid grid({6, 1});
  grid.put({0, 0}, "漢字", Style::kPlain, 6);
  grid.put({0, 1}, "x", Style::kPlain, 6);
  EXPECT_EQ(grid.text(0), " x字");
  grid.put({0, 2}, "y", Style::kPlain, 6);
  EXPECT_EQ(grid.text(0), " xy");
}

TEST(Grid, IsTheLastGateBeforeTheTerminal) {
  Grid grid({12, 1});
  grid.put({0, 0}, "a\x1b[2J\x07\xc2\x9b\xff\u0301", Style::kPlain, 12);
  EXPECT_EQ(grid.text(0), "a�[2J����");
  for (const Cell& cell : grid.row(0)) {
    for (const char byte : cell.text) EXPECT_GE(static_cast<uint8_t>(byte), 0x20);
  }
}

TEST(Grid, AFillHasAStyle) {
  Grid grid({5, 1});
  grid.put({0, 0}, "abcde", Style::kPlain, 5);
  grid.fill({0, 1}, 3, Style::kTitle);
  EXPECT_EQ(grid.text(0), "a   e");
  EXPECT_EQ(grid.row(0)[2].style, Style::kTitle);
  grid.fill({0, 1}, -1, Style::kTitle);
}

}  // namespace
}  // namespace perch::client::screen
