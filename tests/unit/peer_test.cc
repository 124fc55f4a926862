#include "net/peer.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

namespace perch::net {
namespace {

TEST(Peer, IsWrittenAsPeopleWriteIt) {
  PeerAddress peer;
  EXPECT_EQ(text_of(peer), "");
  auto& v4 = reinterpret_cast<sockaddr_in&>(peer.storage);
  v4.sin_family = AF_INET;
  v4.sin_port = htons(1234);
  ASSERT_EQ(inet_pton(AF_INET, "10.0.200.3", &v4.sin_addr), 1);
  EXPECT_EQ(text_of(peer), "10.0.200.3:1234");
  peer = {};
  auto& v6 = reinterpret_cast<sockaddr_in6&>(peer.storage);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(65'535);
  ASSERT_EQ(inet_pton(AF_INET6, "2001:db8::7", &v6.sin6_addr), 1);
  EXPECT_EQ(text_of(peer), "[2001:db8::7]:65535");
}

}  // namespace
}  // namespace perch::net
