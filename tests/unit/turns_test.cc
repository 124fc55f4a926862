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
  void SetUp() override {
    start();
    for (UserId user = 100; user < 100 + kIdle; ++user) idle_.push_back(login(user, "i"));
    flooder_ = std::make_unique<Peer>(login(3, "f"));
    ann_ = std::make_unique<Peer>(login(kAnn, "a"));
    bo_ = std::make_unique<Peer>(login(bob(), "b"));
    ann_->say(message(bob(), 1));
    full_turns(20);
  }
  // Turns with the core's completions all used up: the flooder has always sent something more.
  void full_turns(int num) {
    for (int i = 0; i < num; ++i) {
      flooder_->say(codec::ping(1, 1));
      core(0).turn(0);
      turn_store();
    }
  }
  // Each idle connection puts deadlines off by two more full turns.
  static constexpr UserId kIdle = 30;
  std::vector<Peer> idle_;
  std::unique_ptr<Peer> flooder_, ann_, bo_;
};

TEST_F(TurnsTest, SendsStartAlsoInFullTurns) {
  bo_->expect_message(1);
  EXPECT_FALSE(flooder_->heard().empty());
}

TEST_F(TurnsTest, DeadlinesAreOnlyPutOffByFullTurns) {
  bo_->expect_message(1);
  EXPECT_TRUE(ann_->heard().empty());
  clock_.advance_ns(uint64_t{limits_.confirm_ms_max + 1} * 1'000'000);
  full_turns(200);
  ann_->expect_result(1, wire::Tick::Accepted);  // not confirmed in time, so it was stored
}

}  // namespace
}  // namespace perch::chat
