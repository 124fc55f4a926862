// What a core tells the operator of one of its users, and that asking changes nothing.
#include "chat/question.h"

#include "core_fixture.h"

namespace perch::chat {
namespace {

class QuestionTest : public CoreTest {
 protected:
  Question told(UserId user) {
    Question question;
    question.user = user;
    ask(question);
    return question;
  }
  size_t num_users_loaded(UserId user) {
    return node_->pages[home_of(user, num_cores_)]->value(Metric::kUsers);
  }
};

TEST_F(QuestionTest, WhoIsNotThereIsNotFound) {
  start();
  EXPECT_EQ(told(4711).found.error().code, Errc::kNotFound);
}

TEST_F(QuestionTest, SaysWhichDevicesAreOnlineAndSinceWhenTheOthersAreNot) {
  start();
  Peer phone = login(kAnn, "phone");
  Peer tablet = login(kAnn, "tablet");
  leave(tablet);
  pass_ms(5'000);
  const Question ann = told(kAnn);
  ASSERT_TRUE(ann.found);
  ASSERT_EQ(ann.devices.size(), 2u);
  EXPECT_EQ(ann.devices[0].name, "phone");
  EXPECT_EQ(ann.devices[0].number, 1u);
  EXPECT_TRUE(ann.devices[0].is_online);
  EXPECT_EQ(ann.devices[0].unseen_ms, 0u);
  EXPECT_EQ(ann.devices[0].expires_ms, 4'000'000'000'000u);
  EXPECT_EQ(ann.devices[1].name, "tablet");
  EXPECT_FALSE(ann.devices[1].is_online);
  EXPECT_GE(ann.devices[1].unseen_ms, 5'000u);
  EXPECT_LT(ann.devices[1].unseen_ms, 6'000u);
  EXPECT_EQ(ann.waits.num, 0u);
}

TEST_F(QuestionTest, CountsWhatWaitsForEachDeviceAndEachMessageOnce) {
  start();
  Peer phone = login(bob(), "phone");
  Peer tablet = login(bob(), "tablet");
  leave(tablet);
  Peer ann = login(kAnn, "a");
  ann.say(message(bob(), 1));
  run();
  phone.expect_message(1);
  phone.say(codec::confirm(1, 1));
  run();
  pass_ms(3'000);  // the tablet's is stored
  ann.say(message(bob(), 2));
  run();
  const Question told_bob = told(bob());
  ASSERT_EQ(told_bob.devices.size(), 2u);
  const Waits &at_phone = told_bob.devices[0].waits, &at_tablet = told_bob.devices[1].waits;
  EXPECT_EQ(at_phone.num, 1u);
  EXPECT_EQ(at_phone.num_sent, 1u);
  EXPECT_EQ(at_tablet.num, 2u);
  EXPECT_EQ(at_tablet.num_sent, 0u);
  EXPECT_GT(at_tablet.bytes, at_phone.bytes);
  EXPECT_GE(at_tablet.oldest_ms, 3'000u);
  EXPECT_LT(at_phone.oldest_ms, 3'000u);
  EXPECT_EQ(told_bob.waits.num, 2u);
  EXPECT_EQ(told_bob.waits.bytes, at_tablet.bytes);
  EXPECT_EQ(told_bob.waits.num_written, 2u);
}

TEST_F(QuestionTest, WhoIsNotInMemoryIsReadFromTheDiskAndStaysThere) {
  start();
  Peer ann = login(kAnn, "a");
  leave(ann);
  restart();
  run();
  ASSERT_EQ(num_users_loaded(kAnn), 0u);
  const Question question = told(kAnn);
  ASSERT_EQ(question.devices.size(), 1u);
  EXPECT_EQ(question.devices[0].name, "a");
  EXPECT_FALSE(question.devices[0].is_online);
  EXPECT_EQ(num_users_loaded(kAnn), 0u);
}

}  // namespace
}  // namespace perch::chat
