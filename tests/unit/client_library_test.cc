// Client over a real profile and a real socket, at whose other end the test says what a server says.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "client/client.h"
#include "codec/encode.h"
#include "codec/framer.h"
#include "net/listen.h"

namespace perch::client {
namespace {

constexpr UserId kMe = 5, kBob = 7;
const std::string kNobody = "127.0.0.1:9";  // discard: nothing listens there

// A server of one connection at a time, which never waits.
class Server {
 public:
  Server() {
    const auto listener = net::open_listener("127.0.0.1:0", false);
    if (!listener.ok()) return;
    listener_ = *listener;
    ::fcntl(listener_, F_SETFL, O_NONBLOCK);
    address_ = "127.0.0.1:" + std::to_string(*net::local_port(listener_));
  }
  ~Server() {
    hang_up();
    if (listener_ >= 0) ::close(listener_);
  }
  const std::string& address() const { return address_; }
  void hang_up() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
    framer_ = codec::Framer();
    heard_.clear();
  }
  void say(const codec::FrameBytes& frame) {
    ASSERT_EQ(::send(fd_, frame.data(), frame.size(), MSG_NOSIGNAL), static_cast<ssize_t>(frame.size()));
  }
  // Frames that came and were not taken yet.
  std::deque<codec::FrameBytes>& heard() {
    if (fd_ < 0) fd_ = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    uint8_t chunk[4096];
    for (ssize_t len = 0; fd_ >= 0 && (len = ::recv(fd_, chunk, sizeof(chunk), MSG_DONTWAIT)) > 0;) {
      EXPECT_TRUE(
          framer_.feed(MutableBytes(chunk, static_cast<size_t>(len)), 1u << 20, [this](MutableBytes bytes) {
            heard_.emplace_back(bytes.begin(), bytes.end());
            return true;
          }));
    }
    return heard_;
  }

 private:
  int listener_ = -1, fd_ = -1;
  std::string address_;
  codec::Framer framer_;
  std::deque<codec::FrameBytes> heard_;
};

struct Events : DeviceEvents {
  void on_stopped(StopReason reason, std::string_view) override { stopped.push_back(reason); }
  std::vector<StopReason> stopped;
};

class ClientLibraryTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "perch_library_XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Result<std::unique_ptr<Client>> try_open(const std::string& server, const std::string& token,
                                           bool connect = true, const std::string& profile = "/me") {
    return Client::open(
        {.profile_path = folder_ + profile, .server = server, .token = token, .connect = connect}, events_);
  }
  std::unique_ptr<Client> open(const std::string& server, const std::string& token, bool connect = true) {
    auto client = try_open(server, token, connect);
    EXPECT_TRUE(client.ok());
    return client.ok() ? std::move(client).value() : nullptr;
  }
  static void turn(Client& client, const std::function<bool()>& until) {
    for (int turn = 0; turn < 3000 && !until(); ++turn) client.poll(10);
    EXPECT_TRUE(until());
  }
  // The next frame that the server hears, which must be of this kind.
  codec::FrameBytes take(Client& client, wire::Payload type) {
    turn(client, [this] { return !server_.heard().empty(); });
    if (server_.heard().empty()) return {};
    codec::FrameBytes first = std::move(server_.heard().front());
    server_.heard().pop_front();
    EXPECT_STREQ(wire::EnumNamePayload(codec::trusted(first)->payload_type()), wire::EnumNamePayload(type));
    return first;
  }
  std::string token_of_login(Client& client) {
    const codec::FrameBytes bytes = take(client, wire::Payload::Hello);
    if (bytes.empty()) return "";
    return codec::trusted(bytes)->payload_as_Hello()->token()->str();
  }
  void welcome(Client& client) {
    server_.say(codec::welcome({.boot = 1,
                                .session = 1,
                                .incarnation = 1,
                                .user = kMe,
                                .device = 1,
                                .window = 64,
                                .body_bytes_max = 64 * 1024,
                                .frame_bytes_max = 66 * 1024,
                                .ping_ms = 30'000}));
    turn(client, [&] { return client.online(); });
  }
  static std::vector<std::string> bodies(Client& client) {
    std::vector<std::string> found;
    const auto history = client.history(std::to_string(kBob), 10);
    for (const HistoryLine& line : *history) {
      found.emplace_back(line.body.begin(), line.body.end());
    }
    return found;
  }

  std::string folder_;
  Events events_;
  Server server_;
};

TEST_F(ClientLibraryTest, OpenNeedsAServerThatCouldBeOne) {
  for (const char* server : {"", "host", "host:", ":7110", "host:0", "host:65536", "host:x", "host:1 "}) {
    EXPECT_EQ(try_open(server, "t").error().code, Errc::kInvalid) << server;
  }
  EXPECT_TRUE(try_open("", "", false).ok()) << "who never connects needs none";
  EXPECT_TRUE(try_open("[::1]:7110", "t").ok());
}

TEST_F(ClientLibraryTest, OpenSaysWhyThereIsNoProfile) {
  std::ofstream(folder_ + "/file") << "no directory";
  EXPECT_EQ(try_open(kNobody, "t", true, "/file").error(), (Error{Errc::kSystem, ENOTDIR}));
  EXPECT_EQ(try_open(kNobody, "t", true, "/file/me").error(), (Error{Errc::kSystem, ENOTDIR}));
  std::filesystem::create_directory(folder_ + "/broken");
  std::ofstream(folder_ + "/broken/profile.db") << std::string(4096, 'x');
  EXPECT_EQ(try_open(kNobody, "t", true, "/broken").error().code, Errc::kCorrupt);
}

TEST_F(ClientLibraryTest, WhatSendReturnedForIsThereAfterwardsInOrder) {
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

TEST_F(ClientLibraryTest, OneProcessConnectsAndSendsForTheOthers) {
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

TEST_F(ClientLibraryTest, WhatWaitedGoesOutInOrderAndIsClosedByItsResult) {
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

TEST_F(ClientLibraryTest, StopEndsRunFromAnotherThread) {
  auto client = open(kNobody, "t");
  for (int time = 0; time < 2; ++time) {
    std::thread other([&] { client->stop(); });
    client->run();
    other.join();
    EXPECT_EQ(client->stop_reason(), StopReason::kNone) << "it can run again";
  }
}

TEST_F(ClientLibraryTest, AFreshTokenIsPresentedAtOnceAndAtEveryLoginFromThenOn) {
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

TEST_F(ClientLibraryTest, ARefusedTokenEndsRunUntilThereIsAnother) {
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
