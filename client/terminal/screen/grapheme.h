// What a person sees as one character, and how many columns of a terminal it takes: UAX #29 clusters, so that
// a family of emoji, a flag or a letter with accents is one thing to draw, to step over and to delete.
//
// Terminals disagree about the width of such clusters, and nothing asks them. A width here is what Unicode
// wants, and `exact` says whether every terminal agrees; the painter does not rely on it where they do not.
// ON: any thread; nothing is kept.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace perch::client::screen {

struct Cluster {
  std::string_view text;  // LIFETIME: of what it is a part of
  int width = 1;          // columns: 1 or 2
  bool exact = true;      // every terminal draws it so wide
  bool drawable = true;  // false: controls, broken UTF-8, marks that stand alone; something has to replace it
};

// REQUIRES: at < text.size(), at the beginning of a cluster.
Cluster cluster_at(std::string_view text, size_t at);
// Where the cluster before `at` begins. REQUIRES: at is the beginning of a cluster, or the end; not 0.
size_t cluster_before(std::string_view text, size_t at);

int width_of(std::string_view text);
// The longest beginning of `text` that fits into `width` columns.
std::string_view fitting(std::string_view text, int width);
// The same, with … at its end if something is cut off.
std::string shortened(std::string_view text, int width);
// `text` in rows of at most `width` columns, broken at blanks where there are some. At least one row; a row
// loses the blanks it was broken at. REQUIRES: width >= 2.
std::vector<std::string_view> wrapped(std::string_view text, int width);

// What a peer wrote, line by line, without anything that drives a terminal or turns its text around:
// controls and broken UTF-8 become U+FFFD, invisible formatting goes, a tab is blanks, and a cluster has an
// end. A line ends with "\n", "\r\n" or "\r", as terminals paste it.
std::vector<std::string> harmless_lines(std::string_view text);
// The same in one line.
std::string harmless(std::string_view text);

}  // namespace perch::client::screen
