#include "client/terminal/screen/painter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "client/terminal/screen/grapheme.h"

namespace perch::client::screen {
namespace {

// A terminal of xterm's kind, as far as a painter drives it, that has its own opinion about widths.
class FakeTerminal {
 public:
  FakeTerminal(Size size, int (*width)(std::string_view cluster))
      : size_(size),
        width_(width),
        rows_(static_cast<size_t>(size.rows), Row(static_cast<size_t>(size.columns), " ")) {}
  void write(std::string_view bytes) {
    for (size_t at = 0; at < bytes.size();) {
      if (bytes[at] == '\x1b') {
        at = control(bytes, at);
      } else {
        const Cluster cluster = cluster_at(bytes, at);
        put(cluster.text);
        at += cluster.text.size();
      }
    }
  }
  std::string text(int row) const {
    std::string out;
    for (const std::string& cell : rows_[static_cast<size_t>(row)]) out += cell;
    return out;
  }
  const std::string& cell(int row, int column) const {
    return rows_[static_cast<size_t>(row)][static_cast<size_t>(column)];
  }

 private:
  using Row = std::vector<std::string>;
  size_t control(std::string_view bytes, size_t at) {
    if (bytes.substr(at, 3) == "\x1b(B") return at + 3;  // a part of sgr0
    EXPECT_EQ(bytes[at + 1], '[') << "a sequence of which the painter should know nothing";
    size_t end = at + 2;
    while (end < bytes.size() && bytes[end] < 0x40) ++end;
    const std::string parameters(bytes.substr(at + 2, end - at - 2));
    if (bytes[end] == 'H') {
      row_ = column_ = 0;
      if (std::sscanf(parameters.c_str(), "%d;%d", &row_, &column_) == 2) --row_, --column_;
    } else if (bytes[end] == 'J') {
      rows_.assign(rows_.size(), Row(static_cast<size_t>(size_.columns), " "));
    }
    return end + 1;
  }
  // A wide one that is half overwritten is gone.
  void put(std::string_view cluster) {
    Row& row = rows_[static_cast<size_t>(row_)];
    const int width = width_(cluster);
    for (int i = 0; i < width; ++i) {
      const int at = std::min(column_ + i, size_.columns - 1);  // no wrapping
      std::string& cell = row[static_cast<size_t>(at)];
      if (cell.empty() && at > 0) row[static_cast<size_t>(at - 1)] = " ";
      if (at + 1 < size_.columns && row[static_cast<size_t>(at + 1)].empty())
        row[static_cast<size_t>(at + 1)] = " ";
      cell = i == 0 ? std::string(cluster) : "";
    }
    column_ = std::min(column_ + width, size_.columns - 1);
  }

  const Size size_;
  int (*width_)(std::string_view);
  std::vector<Row> rows_;
  int row_ = 0, column_ = 0;
};

int as_we_think(std::string_view cluster) { return cluster_at(cluster, 0).width; }
bool is_ascii(std::string_view cluster) { return static_cast<uint8_t>(cluster[0]) < 0x80; }
// Knows no clusters: each code point by itself.
int by_code_points(std::string_view cluster) {
  if (is_ascii(cluster)) return 1;
  int width = 0;
  for (size_t at = 0; at < cluster.size();) {
    size_t end = at + 1;
    while (end < cluster.size() && (static_cast<uint8_t>(cluster[end]) & 0xc0) == 0x80) ++end;
    const Cluster one = cluster_at(cluster.substr(at, end - at), 0);
    width += one.drawable ? one.width : 0;
    at = end;
  }
  return std::max(width, 1);
}
// Thinks that nothing but ideographs is wide, as one of 1999.
int of_old(std::string_view cluster) { return cluster_at(cluster, 0).exact ? as_we_think(cluster) : 1; }

Capabilities of_terminal(const char* name, bool colour) {
  auto found = capabilities_of(name, colour);
  EXPECT_TRUE(found.ok());
  return *found;
}

constexpr const char* kTexts[] = {"",           "👨\u200d👩\u200d👧",        "plain",
                                  "漢字 wide",  "👨\u200d👩\u200d👧 family", "❤\ufe0f heart",
                                  "🇩🇪🇫🇷 flags", "e\u0301 accent",         "👍🏽👍🏽👍🏽 tones"};
constexpr Size kSize{30, 7};
constexpr int kMarkAt = 20;

Grid example(size_t first) {
  Grid grid(kSize);
  for (int row = 0; row < kSize.rows; ++row) {
    grid.put({row, 0}, kTexts[(first + static_cast<size_t>(row)) % std::size(kTexts)], Style::kPlain,
             kMarkAt);
    grid.put({row, kMarkAt}, "|right", Style::kPeer, 10);
  }
  return grid;
}

TEST(Painter, WhatFollowsStandsWhereItShouldWhateverATerminalThinksOfWidths) {
  for (const auto width : {as_we_think, by_code_points, of_old}) {
    FakeTerminal terminal(kSize, width);
    Painter painter(of_terminal("xterm-256color", true));
    for (size_t frame = 0; frame < 2 * std::size(kTexts); ++frame) {
      terminal.write(painter.paint(example(frame), Position{0, 0}));
      for (int row = 0; row < kSize.rows; ++row) {
        std::string right;
        for (int column = kMarkAt; column < kMarkAt + 6; ++column) right += terminal.cell(row, column);
        EXPECT_EQ(right, "|right") << "frame " << frame << ": " << terminal.text(row);
        const std::string word = std::string(kTexts[(frame + static_cast<size_t>(row)) % std::size(kTexts)]);
        for (int column = 0; column < kMarkAt; ++column) {
          const std::string& cell = terminal.cell(row, column);
          const bool is_part = column < width_of(word) && word.find(cell) != std::string::npos;
          EXPECT_TRUE(cell == " " || is_part) << "what should not be there: " << cell;
        }
        const size_t blank = word.find(' ');
        if (blank == std::string::npos) continue;
        int column = width_of(std::string_view(word).substr(0, blank + 1));
        for (const char letter : word.substr(blank + 1))
          EXPECT_EQ(terminal.cell(row, column++), std::string(1, letter))
              << "frame " << frame << ": " << terminal.text(row);
      }
    }
  }
}

TEST(Painter, WritesOnlyWhatDiffers) {
  Painter painter(of_terminal("xterm", false));
  Grid grid({40, 3});
  grid.put({0, 0}, "the first row", Style::kPlain, 40);
  painter.paint(grid, {});
  EXPECT_EQ(painter.paint(grid, {}).find("first"), std::string::npos);
  grid.put({0, 4}, "other", Style::kPlain, 40);
  const std::string bytes = painter.paint(grid, {});
  EXPECT_NE(bytes.find("other"), std::string::npos);
  EXPECT_EQ(bytes.find("row"), std::string::npos);
  painter.forget();
  EXPECT_NE(painter.paint(grid, {}).find("row"), std::string::npos);
}

TEST(Painter, HalfAnIdeographIsNeverWritten) {
  FakeTerminal terminal({10, 1}, as_we_think);
  Painter painter(of_terminal("xterm", false));
  for (const char* text : {"漢字漢字", " 漢字漢字", "漢 字漢字", "abcdefgh", "a漢字"}) {
    Grid grid({10, 1});
    grid.put({0, 0}, text, Style::kPlain, 10);
    terminal.write(painter.paint(grid, {}));
    EXPECT_EQ(terminal.text(0).substr(0, std::string_view(text).size()), text);
  }
}

TEST(Painter, ColoursAreOnlyUsedWhereTheyAreWanted) {
  Grid grid({20, 1});
  grid.put({0, 0}, "error", Style::kError, 20);
  const auto painted = [&](const char* name, bool colour) {
    return Painter(of_terminal(name, colour)).paint(grid, {});
  };
  EXPECT_NE(painted("xterm-256color", true).find("\x1b[31m"), std::string::npos);
  EXPECT_EQ(painted("xterm-256color", false).find("\x1b[31m"), std::string::npos);
  EXPECT_EQ(painted("vt100", true).find("\x1b[31m"), std::string::npos);
  EXPECT_NE(painted("vt100", true).find("\x1b[1m"), std::string::npos) << "bold says it as well";
}

TEST(Painter, SomeTerminalsCannotBeUsed) {
  EXPECT_EQ(capabilities_of("dumb", true).error().code, Errc::kUnsupported);
  EXPECT_EQ(capabilities_of("no-such-terminal", true).error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace perch::client::screen
