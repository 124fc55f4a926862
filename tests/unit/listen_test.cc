#include "net/listen.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace perch::net {
namespace {

TEST(ListenTest, SharesAPort) {
  const Result<int> first = open_listener("127.0.0.1:0", true);
  ASSERT_TRUE(first.ok());
  const Result<uint16_t> port = local_port(first.value());
  ASSERT_TRUE(port.ok());
  EXPECT_NE(port.value(), 0);
  const Result<int> second = open_listener("127.0.0.1:" + std::to_string(port.value()), true);
  EXPECT_TRUE(second.ok());
  const Result<int> third = open_listener("127.0.0.1:" + std::to_string(port.value()), false);
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error(), (Error{Errc::kSystem, EADDRINUSE}));
  EXPECT_TRUE(is_address("127.0.0.1:0") && is_address("[::1]:65535"));
  ::close(first.value());
  ::close(second.value());
  EXPECT_EQ(local_port(-1).error(), (Error{Errc::kSystem, EBADF}));
}

TEST(ListenTest, OpensIpv6) {
  const Result<int> listener = open_listener("[::1]:0", false);
  if (!listener.ok() && listener.error().detail == EADDRNOTAVAIL) GTEST_SKIP() << "this machine has no IPv6";
  ASSERT_TRUE(listener.ok());
  EXPECT_TRUE(local_port(listener.value()).ok());
  ::close(listener.value());
}

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof(value);
  EXPECT_EQ(getsockopt(fd, level, name, &value, &length), 0);
  return value;
}

// Nothing sets these on the accepted socket: it has them from its listener, or it has not got them.
TEST(ListenTest, AcceptedSocketsNoticeAPeerThatIsGone) {
  const Result<int> listener = open_listener("127.0.0.1:0", false);
  ASSERT_TRUE(listener.ok());
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(*local_port(*listener));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  const int accepted = accept4(*listener, nullptr, nullptr, SOCK_CLOEXEC);
  ASSERT_GE(accepted, 0);
  EXPECT_EQ(option(accepted, SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(accepted, IPPROTO_TCP, TCP_USER_TIMEOUT), 60'000);
  EXPECT_EQ(option(accepted, IPPROTO_TCP, TCP_NODELAY), 1);
  ::close(accepted);
  ::close(client);
  ::close(*listener);
}

TEST(ListenTest, RefusesWhatIsNoAddress) {
  for (const char* address : {"", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000",
                              "localhost:1", "::1:5", "[::1:5", "[127.0.0.1]:5", "1.2.3.4:5 "}) {
    const Result<int> result = open_listener(address, false);
    ASSERT_FALSE(result.ok()) << address;
    EXPECT_EQ(result.error().code, Errc::kInvalid) << address;
    EXPECT_FALSE(is_address(address)) << address;
  }
}

}  // namespace
}  // namespace perch::net
