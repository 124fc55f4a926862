// ClientTest: a Client over a real profile and a real socket, at whose other end the test says what a server
// says.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/client.h"
#include "codec/encode.h"
#include "codec/framer.h"
#include "net/listen.h"
#include "tests/unit/temp_folder.h"

namespace perch::client {

inline constexpr UserId kMe = 5, kBob = 7;
inline const std::string kNobody = "127.0.0.1:9";  // discard: nothing listens there

// A server of one connection at a time, which never waits.
class ScriptedServer {
 public:
  ScriptedServer() {
    const auto listener = net::open_listener("127.0.0.1:0", false);
    if (!listener.ok()) return;
    listener_ = *listener;
    ::fcntl(listener_, F_SETFL, O_NONBLOCK);
    address_ = "127.0.0.1:" + std::to_string(*net::local_port(listener_));
  }
  ~ScriptedServer() {
    hang_up();
    for (const int fd : waiting_) {
      if (fd >= 0) ::close(fd);
    }
    if (listener_ >= 0) ::close(listener_);
  }
  const std::string& address() const { return address_; }
  void hang_up() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
    framer_ = codec::Framer();
    heard_.clear();
  }
  // From here on whoever connects gets no answer: the queue of those that wait to be accepted is full.
  void stop_answering() {
    sockaddr_storage address{};
    socklen_t len = sizeof(address);
    ASSERT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &len), 0);
    ASSERT_EQ(::listen(listener_, 0), 0);
    for (int& fd : waiting_) {
      fd = ::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      (void)::connect(fd, reinterpret_cast<const sockaddr*>(&address), len);
    }
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
  std::array<int, 2> waiting_ = {-1, -1};
  std::string address_;
  codec::Framer framer_;
  std::deque<codec::FrameBytes> heard_;
};

struct Events : DeviceEvents {
  void on_stopped(StopReason reason, std::string_view text) override {
    stopped.push_back(reason);
    stop_text = text;
  }
  std::vector<StopReason> stopped;
  std::string stop_text;
};

class ClientTest : public testing::Test {
 protected:
  Result<std::unique_ptr<Client>> try_open(const std::string& server, const std::string& token,
                                           bool connect = true, const std::string& profile = "/me") {
    return Client::open(
        {.profile_path = folder_ + profile, .server = server, .token = token, .connect = connect}, events_);
  }
  std::unique_ptr<Client> open(const std::string& server = kNobody, const std::string& token = "t",
                               bool connect = true) {
    auto client = try_open(server, token, connect);
    EXPECT_TRUE(client.ok());
    return client.ok() ? std::move(client).value() : nullptr;
  }
  // As another program would, behind the back of who has it open.
  void change(const char* sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open((folder_ + "/me/profile.db").c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(db);
  }
  // Of this process.
  static size_t num_sockets() {
    size_t num = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code ignored;  // the iterator's own is gone by then
      num += std::filesystem::read_symlink(entry, ignored).string().starts_with("socket:");
    }
    return num;
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

  TempFolder temp_;
  const std::string& folder_ = temp_.path();
  Events events_;
  ScriptedServer server_;
};

}  // namespace perch::client
