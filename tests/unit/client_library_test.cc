// What the comments of client.h promise.
#include <fstream>
#include <thread>

#include "core/clock.h"
#include "tests/unit/client_fixture.h"

namespace perch::client {
namespace {

TEST_F(ClientTest, OpenNeedsAServerThatCouldBeOne) {
  for (const char* server : {"", "host", "host:", ":7110", "host:0", "host:65536", "host:x", "host:1 "}) {
    EXPECT_EQ(try_open(server, "t").error().code, Errc::kInvalid) << server;
  }
  EXPECT_TRUE(try_open("", "", false).ok()) << "who never connects needs none";
  EXPECT_TRUE(try_open("[::1]:7110", "t").ok());
}

TEST_F(ClientTest, OpenSaysWhyThereIsNoProfile) {
  std::ofstream(folder_ + "/file") << "no directory";
  EXPECT_EQ(try_open(kNobody, "t", true, "/file").error(), (Error{Errc::kSystem, ENOTDIR}));
  EXPECT_EQ(try_open(kNobody, "t", true, "/file/me").error(), (Error{Errc::kSystem, ENOTDIR}));
  std::filesystem::create_directory(folder_ + "/broken");
  std::ofstream(folder_ + "/broken/profile.db") << std::string(4096, 'x');
  EXPECT_EQ(try_open(kNobody, "t", true, "/broken").error().code, Errc::kCorrupt);
}

TEST_F(ClientTest, WhatSendReturnedForIsThereAfterwardsInOrder) {
  RowId first = 0, second = 0;
  {
    auto client = open(kNobody, "t");
    EXPECT_TRUE(client->connects());
    first = *client->send("7", "first");
    second = *client->send("7", "second");
    EXPECT_EQ(client->send("", "to nobody").error().code, Errc::kInvalid);
    EXPECT_EQ(client->send("7", std::string(64 * 1024 + 1, 'x')).error(),
              (Error{Errc::kTooLarge, 64 * 1024}));
  }
  auto reader = open("", "", false);
  EXPECT_EQ(bodies(*reader), (std::vector<std::string>{"first", "second"}));
  EXPECT_EQ(reader->status(first)->seq, 1u);
  EXPECT_EQ(reader->status(second)->seq, 2u);
  EXPECT_TRUE(reader->status(second)->open);
  EXPECT_EQ(reader->status(second + 1).error().code, Errc::kNotFound) << "what was refused is nowhere";
}

TEST_F(ClientTest, OneProcessConnectsAndSendsForTheOthers) {
  auto owner = open(server_.address(), "t");
  auto other = open("", "");
  EXPECT_TRUE(owner->connects());
  EXPECT_FALSE(other->connects());
  const RowId row = *other->send("7", "from another process");
  EXPECT_EQ(other->send("", "to nobody").error().code, Errc::kInvalid);
  EXPECT_EQ(other->status(row)->seq, 0u) << "ids are the owner's to give";
  token_of_login(*owner);
  welcome(*owner);
  EXPECT_FALSE(take(*owner, wire::Payload::Message).empty());
  EXPECT_EQ(other->status(row)->seq, 1u);
}

TEST_F(ClientTest, WhatWaitedGoesOutInOrderAndIsClosedByItsResult) {
  auto client = open(server_.address(), "t");
  const RowId rows[] = {*client->send("7", "first"), *client->send("7", "second")};
  EXPECT_EQ(token_of_login(*client), "t");
  welcome(*client);
  for (Seq seq = 1; seq <= 2; ++seq) {
    const codec::FrameBytes bytes = take(*client, wire::Payload::Message);
    ASSERT_FALSE(bytes.empty());
    EXPECT_EQ(codec::trusted(bytes)->route()->seq(), seq);
    EXPECT_EQ(codec::trusted(bytes)->route()->to(), kBob);
  }
  const Origin origin = client->identity().origin;
  server_.say(codec::outcome(origin, 1, 1024, 1, wire::Tick::Delivered));
  server_.say(codec::outcome(origin, 2, 2048, 1, wire::Tick::Accepted));
  turn(*client, [&] { return !client->status(rows[1])->open; });
  EXPECT_FALSE(client->status(rows[0])->open);
  EXPECT_EQ(client->status(rows[0])->mark, Mark::kDelivered);
  EXPECT_EQ(client->status(rows[1])->mark, Mark::kAccepted);
}

TEST_F(ClientTest, ANumberThatNobodyCanHaveIsRefused) {
  const std::string largest = "9223372036854775807";
  auto owner = open();
  auto other = open("", "");
  for (Client* client : {owner.get(), other.get()}) {
    EXPECT_TRUE(client->send(largest, "hello").ok());
    for (const char* to : {"0", "@0", "9223372036854775808", "18446744073709551615", "18446744073709551616",
                           "@99999999999999999999999"}) {
      const auto row = client->send(to, "hello");
      EXPECT_TRUE(!row.ok() && row.error().code == Errc::kInvalid) << to << ' ' << client->connects();
      EXPECT_EQ(*client->user_of(to), 0u) << to;
    }
  }
}

TEST_F(ClientTest, PollWaitsForEverToo) {
  auto client = open("", "", false);
  const uint64_t until = system_clock().mono_ms() + 350;
  int turns = 0;
  for (; system_clock().mono_ms() < until; ++turns) client->poll(UINT64_MAX);
  EXPECT_LE(turns, 10) << "it wakes to look for other processes' rows, every 100 ms";
}

TEST_F(ClientTest, PollTellsOfADescriptorThatIsClosed) {
  auto client = open("", "", false);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  EXPECT_FALSE(client->poll(0, ends[0]));
  EXPECT_EQ(::write(ends[1], "x", 1), 1);
  EXPECT_TRUE(client->poll(0, ends[0]));
  ::close(ends[1]);
  ::close(ends[0]);
  EXPECT_TRUE(client->poll(0, ends[0]));
  EXPECT_FALSE(client->poll(0, -1));
}

TEST_F(ClientTest, StopEndsRunFromAnotherThread) {
  auto client = open(kNobody, "t");
  for (int time = 0; time < 2; ++time) {
    std::thread other([&] { client->stop(); });
    client->run();
    other.join();
    EXPECT_EQ(client->stop_reason(), StopReason::kNone) << "it can run again";
  }
}

TEST_F(ClientTest, AFreshTokenIsPresentedAtOnceAndAtEveryLoginFromThenOn) {
  auto client = open(server_.address(), "old");
  EXPECT_EQ(token_of_login(*client), "old");
  welcome(*client);
  ASSERT_TRUE(client->set_token("fresh").ok());
  const codec::FrameBytes bytes = take(*client, wire::Payload::Refresh);
  ASSERT_FALSE(bytes.empty());
  EXPECT_EQ(codec::trusted(bytes)->payload_as_Refresh()->token()->str(), "fresh");
  server_.say(codec::refreshed(1));
  server_.hang_up();
  turn(*client, [&] { return !client->online(); });
  EXPECT_EQ(token_of_login(*client), "fresh");
  client.reset();
  server_.hang_up();
  client = open("", "");
  EXPECT_EQ(token_of_login(*client), "fresh") << "kept in the profile, as the server is";
}

TEST_F(ClientTest, ARefusedTokenEndsRunUntilThereIsAnother) {
  auto client = open(server_.address(), "old");
  EXPECT_EQ(token_of_login(*client), "old");
  server_.say(codec::error(wire::ErrorCode::TokenExpired, "expired"));
  client->run();
  EXPECT_EQ(client->stop_reason(), StopReason::kToken);
  EXPECT_EQ(events_.stopped, std::vector{StopReason::kToken});
  server_.hang_up();
  ASSERT_TRUE(client->set_token("fresh").ok());
  EXPECT_EQ(token_of_login(*client), "fresh");
  welcome(*client);
}

}  // namespace
}  // namespace perch::client
