// The ceiling of numbers is raised in the background while messages flow (DELIVERY.md, Identifiers).
#include <optional>

#include "chat/core.h"
#include "core_fixture.h"

namespace perch::chat {
namespace {

class CeilingTest : public CoreTest {
 protected:
  // Two devices that the disk knows, and a node whose cores are almost at the ceiling. Their logins need no
  // turn of the store, so that it is raised when the test says so.
  void start_near_the_ceiling() {
    start();
    login(kAnn, "a");
    login(bob(), "b");
    kill();
    numbers_left_ = 3;
    start();
    ann_.emplace(hello(kAnn, "a"));
    bo_.emplace(hello(bob(), "b"));
    turn_cores();
    ann_->take(wire::Payload::Welcome);
    bo_->take(wire::Payload::Welcome);
  }
  Peer hello(UserId user, std::string_view device) {
    Peer peer = connect();
    codec::HelloFields fields;
    const std::string ticket = token(user, device);
    fields.token = ticket;
    fields.origin = 77;
    fields.attempt = 1;
    peer.say(codec::hello(fields));
    return peer;
  }
  void turn_cores() {
    for (int i = 0; i < 20; ++i)
      for (auto& each : node_->cores) each->turn(0);
  }
  // Ann sends, Bo confirms: nothing of it needs the store.
  Number deliver(Seq seq) {
    ann_->say(message(bob(), seq, seq));
    turn_cores();
    bo_->expect_message(seq);
    bo_->say(codec::confirm(++num_confirmed_, 1));
    turn_cores();
    return ann_->expect_result(seq, wire::Tick::Delivered);
  }
  uint64_t ceiling_on_disk() { return *store::Writer::stored_ceiling(journal_); }
  static uint64_t counter_of(Number number) { return number >> 10; }

  std::optional<Peer> ann_, bo_;
  uint64_t num_confirmed_ = 0;
};

TEST_F(CeilingTest, HoldsOnlyUntilItIsRaised) {
  start_near_the_ceiling();
  const uint64_t low = ceiling_on_disk();
  const Number first = deliver(1), second = deliver(2);
  EXPECT_EQ(counter_of(first), low - 2);
  EXPECT_EQ(counter_of(second), low - 1) << "every number below the ceiling is given";
  ann_->say(message(bob(), 3, 3));
  turn_cores();
  ann_->expect_hold(wire::HoldReason::Busy);
  EXPECT_TRUE(bo_->heard().empty());
  EXPECT_EQ(ceiling_on_disk(), low);

  turn_store();
  turn_cores();
  EXPECT_GE(ceiling_on_disk(), low + (uint64_t{1} << 32));
  const Number third = deliver(3);
  EXPECT_GT(third, second);
  EXPECT_LT(counter_of(third), ceiling_on_disk());

  numbers_left_ = 0;
  restart();
  Peer ann = login(kAnn, "a"), bo = login(bob(), "b");
  ann.say(message(bob(), 4, 4));
  run();
  bo.expect_message(4);
  bo.say(codec::confirm(1, 1));
  run();
  EXPECT_GT(ann.expect_result(4, wire::Tick::Delivered), third) << "a number is given once";
}

TEST_F(CeilingTest, IsAskedForAgainWhenTheDiskHadNoRoom) {
  start_near_the_ceiling();
  const uint64_t low = ceiling_on_disk();
  disk_.full = true;
  turn_store();
  EXPECT_GT(disk_.num_refusals, 0u);
  EXPECT_EQ(ceiling_on_disk(), low);
  disk_.full = false;
  const Number first = deliver(1);
  EXPECT_LT(counter_of(first), low);
  run();
  EXPECT_GT(ceiling_on_disk(), low);
  EXPECT_GT(deliver(2), first);
  EXPECT_GT(deliver(3), first);
}

}  // namespace
}  // namespace perch::chat
