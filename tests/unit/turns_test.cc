// What a core still does while its turns are full: peers that never pause take nothing from others.
#include "chat/core.h"
#include "core_fixture.h"

namespace perch::chat {
namespace {

class TurnsTest : public CoreTest {
 protected:
  TurnsTest() {
    num_cores_ = 1;
    completions_per_turn_ = 1;
  }
  void start_crowded() {
    start();
    for (UserId user = 100; user < 100 + kIdle; ++user) idle_.push_back(login(user, "i"));
  }
  // One turn of the node with the core's completions all used up: the flooder has always sent something more.
  void full_turn(Peer& flooder) {
    flooder.say(codec::ping(1, 1));
    core(0).turn(0);
    turn_store();
  }
  // Each idle connection puts deadlines off by two more full turns.
  static constexpr UserId kIdle = 30;
  std::vector<Peer> idle_;
};

TEST_F(TurnsTest, SendsStartAlsoInFullTurns) {
  start_crowded();
  Peer flooder = login(3, "f");
  Peer ann = login(kAnn, "a"), bo = login(bob(), "b");
  ann.say(message(bob(), 1));
  for (int i = 0; i < 20; ++i) full_turn(flooder);
  bo.expect_message(1);
  EXPECT_FALSE(flooder.heard().empty());
}

TEST_F(TurnsTest, DeadlinesAreOnlyPutOffByFullTurns) {
  start_crowded();
  Peer flooder = login(3, "f");
  Peer ann = login(kAnn, "a"), bo = login(bob(), "b");
  ann.say(message(bob(), 1));
  for (int i = 0; i < 20; ++i) full_turn(flooder);
  bo.expect_message(1);
  EXPECT_TRUE(ann.heard().empty());
  clock_.advance_ns(uint64_t{limits_.confirm_ms_max + 1} * 1'000'000);
  for (int i = 0; i < 200; ++i) full_turn(flooder);
  ann.expect_result(1, wire::Tick::Accepted);  // not confirmed in time, so it was stored
}

}  // namespace
}  // namespace perch::chat
