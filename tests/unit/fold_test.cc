#include "client/fold.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace perch::client {
namespace {

constexpr UserId kAuthor = 7, kPeer = 8;

Place at(Number number) { return {.number = number}; }
Place open_row(uint64_t row) { return {.open = true, .local = row}; }
Remark edit(UserId by, Place place, std::string text) {
  return {ItemKind::kEdit, by, place, std::move(text)};
}
Remark reaction(UserId by, Place place, std::string text) {
  return {ItemKind::kReaction, by, place, std::move(text)};
}

// "text", "*" if it was edited, and the reactions.
std::string folded(std::vector<Remark> remarks, Shown shown = Shown::kText) {
  std::string all;
  std::ranges::sort(remarks, {}, [](const Remark& remark) { return remark.text; });
  do {  // the order in which they came says nothing
    HistoryLine line;
    line.id = {kAuthor, 1, 5, 9};
    line.shown = shown;
    line.text = "as sent";
    fold(line, remarks);
    std::string out = line.text + (line.edited ? "*" : "");
    for (const Reaction& each : line.reactions) out += " " + std::to_string(each.user) + each.emoji;
    if (!all.empty() && all != out) return "depends on the order: " + all + " or " + out;
    all = out;
  } while (
      std::ranges::next_permutation(remarks, {}, [](const Remark& remark) { return remark.text; }).found);
  return all;
}

struct Case {
  const char* why;
  std::vector<Remark> remarks;
  const char* expected;
};

TEST(FoldTest, FollowsTheRulesOfTheProtocol) {
  const Case cases[] = {
      {"nothing was said", {}, "as sent"},
      {"the author edits", {edit(kAuthor, at(10), "b")}, "b*"},
      {"somebody else edits", {edit(kPeer, at(10), "b")}, "as sent"},
      {"the later edit counts", {edit(kAuthor, at(10), "b"), edit(kAuthor, at(20), "a")}, "a*"},
      {"… not the one that came later", {edit(kAuthor, at(20), "b"), edit(kAuthor, at(10), "a")}, "b*"},
      {"an open row is last", {edit(kAuthor, at(99), "b"), edit(kAuthor, open_row(1), "a")}, "a*"},
      {"… and of two the later", {edit(kAuthor, open_row(2), "b"), edit(kAuthor, open_row(1), "a")}, "b*"},
      {"an edit into the same text", {edit(kAuthor, at(10), "as sent")}, "as sent*"},
      {"a reaction", {reaction(kPeer, at(10), "+")}, "as sent 8+"},
      {"to one's own message", {reaction(kAuthor, at(10), "+")}, "as sent 7+"},
      {"of both, the earlier first",
       {reaction(kPeer, at(10), "+"), reaction(kAuthor, at(20), "-")},
       "as sent 8+ 7-"},
      {"the last of one user counts",
       {reaction(kPeer, at(20), "+"), reaction(kPeer, at(10), "-")},
       "as sent 8+"},
      {"… and takes its place",
       {reaction(kPeer, at(10), "+"), reaction(kAuthor, at(20), "-"), reaction(kPeer, at(30), "!")},
       "as sent 7- 8!"},
      {"taken back", {reaction(kPeer, at(10), "+"), reaction(kPeer, at(20), "")}, "as sent"},
      {"and again", {reaction(kPeer, at(10), ""), reaction(kPeer, at(20), "+")}, "as sent 8+"},
      {"an edit leaves reactions", {edit(kAuthor, at(20), "b"), reaction(kPeer, at(10), "+")}, "b* 8+"},
  };
  for (const Case& each : cases) EXPECT_EQ(folded(each.remarks), each.expected) << each.why;
}

TEST(FoldTest, OnlyATextCanBeEdited) {
  for (const Shown shown : {Shown::kBytes, Shown::kUnreadable, Shown::kNewer}) {
    EXPECT_EQ(folded({edit(kAuthor, at(10), "b"), reaction(kPeer, at(20), "+")}, shown), "as sent 8+");
  }
}

}  // namespace
}  // namespace perch::client
