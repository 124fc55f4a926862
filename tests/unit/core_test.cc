// Both ways through a whole node, in order: the ground on which the other tests of chat/ stand.
#include "chat/core.h"

#include "core_fixture.h"

namespace perch::chat {
namespace {

TEST_F(CoreTest, BothConnectedNothingIsWritten) {
  start();
  Peer ann = login(kAnn, "a"), bo = login(bob(), "b");
  const uint64_t commits = disk_.num_commits;
  ann.say(message(bob(), 1));
  run();
  bo.expect_message(1);
  EXPECT_TRUE(ann.heard().empty()) << "no tick on memory alone";
  bo.say(codec::confirm(1, 1));
  run();
  ann.expect_result(1, wire::Tick::Delivered);
  EXPECT_EQ(disk_.num_commits, commits);
}

TEST_F(CoreTest, RecipientAwayGetsItWithAReceiptToTheSender) {
  start();
  Peer ann = login(kAnn, "a");
  Peer bo = login(bob(), "b");
  leave(bo);
  ann.say(message(bob(), 1));
  run();
  ann.expect_result(1, wire::Tick::Accepted);
  restart();
  bo = login(bob(), "b");
  ann = login(kAnn, "a");
  bo.expect_message(1);
  bo.say(codec::confirm(1, 1));
  run();
  ann.expect_receipt(1);
  ann.say(codec::confirm(1, 2));
  run();
  restart();
  Peer again = login(bob(), "b");
  EXPECT_TRUE(again.heard().empty());
}

}  // namespace
}  // namespace perch::chat
