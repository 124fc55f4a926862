// A Client whose profile cannot be read, or is shared with other processes.
#include "client/client.h"

#include "tests/unit/client_fixture.h"

namespace perch::client {
namespace {

TEST_F(ClientTest, AProfileThatCannotBeReadEndsIt) {
  auto client = open();
  ASSERT_TRUE(client->send("7", "kept").ok());
  change("DROP TABLE outbox; DROP TABLE inbox");
  client->run();
  EXPECT_EQ(client->stop_reason(), StopReason::kStorage);
  EXPECT_EQ(events_.stop_text, "a read failed");
  EXPECT_EQ(client->send("7", "more").error().code, Errc::kPoisoned);
  EXPECT_FALSE(client->mark_read("7").ok());
}

// In one turn with the connection that it began.
TEST_F(ClientTest, AProfileThatCannotBeReadEndsItAtOnce) {
  auto client = open(server_.address());
  change("DROP TABLE outbox; DROP TABLE inbox");
  for (int turn = 0; turn < 10; ++turn) client->poll(10);
  EXPECT_EQ(events_.stopped, std::vector{StopReason::kStorage});
  EXPECT_TRUE(server_.heard().empty());
}

TEST_F(ClientTest, AProfileThatCannotBeReadEndsAnAttemptToConnect) {
  server_.stop_answering();
  auto client = open(server_.address());
  const size_t before = num_sockets();
  client->poll(0);
  ASSERT_EQ(num_sockets(), before + 1) << "the attempt";
  change("DROP TABLE outbox; DROP TABLE inbox");
  turn(*client, [&] { return client->stop_reason() == StopReason::kStorage; });
  client->poll(0);
  EXPECT_EQ(num_sockets(), before);
  EXPECT_EQ(events_.stopped, std::vector{StopReason::kStorage});
}

TEST_F(ClientTest, WhatCannotBeReadIsNotTakenForNothing) {
  auto client = open();
  const RowId row = *client->send("@bob", "hello");
  EXPECT_EQ(client->history("bob", 10)->size(), 1u);
  EXPECT_TRUE(client->unseen(10)->empty());
  change("DROP TABLE outbox; DROP TABLE inbox; DROP TABLE handles");
  EXPECT_EQ(client->history("7", 10).error().code, Errc::kCorrupt);
  EXPECT_EQ(client->history("bob", 10).error().code, Errc::kCorrupt);
  EXPECT_EQ(client->unseen(10).error().code, Errc::kCorrupt);
  EXPECT_EQ(client->status(row).error().code, Errc::kCorrupt);
  EXPECT_EQ(client->user_of("bob").error().code, Errc::kCorrupt);
  EXPECT_EQ(client->handle_of(7).error().code, Errc::kCorrupt);
  EXPECT_EQ(client->mark_read("bob").error().code, Errc::kCorrupt);
  client.reset();
  change("DROP TABLE settings");
  EXPECT_EQ(Client::open({.profile_path = folder_ + "/me"}, events_).error().code, Errc::kCorrupt)
      << "not kInvalid";
}

TEST_F(ClientTest, WhatAnotherProcessLeftIsTakenOver) {
  auto owner = open();
  auto waiting = open();
  ASSERT_TRUE(owner->connects());
  ASSERT_FALSE(waiting->connects());
  const RowId row = *waiting->send("7", "left behind");
  waiting->poll(0);
  EXPECT_FALSE(waiting->connects());
  EXPECT_EQ(waiting->status(row)->seq, 0u) << "ids are the owner's to give";
  const RowId earlier = *owner->send("7", "the owner's last");
  const RowId late = *waiting->send("7", "after it");
  const uint64_t seq = owner->status(earlier)->seq;
  const Origin origin = owner->identity().origin;
  owner.reset();
  for (int turn = 0; turn < 100 && !waiting->connects(); ++turn) waiting->poll(1000);
  ASSERT_TRUE(waiting->connects());
  EXPECT_NE(waiting->identity().origin, origin);
  EXPECT_GT(waiting->status(late)->seq, seq) << "it knows which ids were given";
  EXPECT_FALSE(open()->connects());
}

TEST_F(ClientTest, WhoDoesNotOwnTheProfileKnowsWhatTheOwnerLearns) {
  auto owner = open(server_.address());
  auto other = open();
  auto reader = open("", "", false);
  token_of_login(*owner);
  welcome(*owner);
  turn(*other, [&] { return other->identity().user == kMe; });
  turn(*reader, [&] { return reader->identity().user == kMe; });
}

TEST_F(ClientTest, WhoNeverConnectsTakesNothingOver) {
  auto reader = Client::open({.profile_path = folder_ + "/me", .connect = false}, events_);
  ASSERT_TRUE(reader.ok());
  for (int turn = 0; turn < 10; ++turn) (*reader)->poll(50);
  EXPECT_FALSE((*reader)->connects());
  EXPECT_TRUE(open()->connects());
}

}  // namespace
}  // namespace perch::client
