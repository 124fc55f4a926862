// The kernel's ring, on the loopback address only. Every wait is bounded.
#include "core/ring.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/resident_bytes.h"

namespace perch {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

RingOptions small() {
  RingOptions options;
  options.submissions = 64;
  options.completions = 256;
  options.sockets = 64;
  options.buffers = 8;
  options.buffer_bytes = 1024;
  options.connects = true;
  return options;
}

std::unique_ptr<Ring> make_ring(const RingOptions& options) {
  auto ring = make_uring(options);
  if (!ring) {
    ADD_FAILURE() << explain_ring_error(ring.error());
    std::abort();
  }
  return std::move(ring).value();
}

// A listening process descriptor on 127.0.0.1 and a port of the kernel's choice.
struct Listener {
  int descriptor;
  sockaddr_storage address{};
  Listener() : descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    auto& in = reinterpret_cast<sockaddr_in&>(address);
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(in);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(descriptor, generic, length), 0);
    EXPECT_EQ(listen(descriptor, 64), 0);
    EXPECT_EQ(getsockname(descriptor, generic, &length), 0);
  }
  Listener(const Listener&) = delete;
  ~Listener() { ::close(descriptor); }
};

// A blocking peer with a process descriptor.
struct Peer {
  int descriptor;
  explicit Peer(const Listener& listener) : descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    timeval limit{5, 0};
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    EXPECT_EQ(
        ::connect(descriptor, reinterpret_cast<const sockaddr*>(&listener.address), sizeof(sockaddr_in)), 0);
  }
  Peer(const Peer&) = delete;
  ~Peer() { close(); }
  void close() {
    if (descriptor >= 0) ::close(descriptor);
    descriptor = -1;
  }
  void write(const std::string& text) {
    ASSERT_EQ(::send(descriptor, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  std::string read(size_t size) {
    std::string text(size, 0);
    const ssize_t got = ::recv(descriptor, text.data(), size, MSG_WAITALL);
    text.resize(got < 0 ? 0 : static_cast<size_t>(got));
    return text;
  }
};

std::optional<Completion> next(Ring& ring, uint64_t timeout_ns = 5 * kSecond) {
  Completion completion;
  if (ring.wait({&completion, 1}, timeout_ns) == 0) return std::nullopt;
  return completion;
}

// The completion of `user_data`; no other may come.
Completion expect(Ring& ring, uint64_t user_data) {
  auto completion = next(ring);
  EXPECT_TRUE(completion.has_value());
  EXPECT_EQ(completion.value_or(Completion{}).user_data, user_data);
  return completion.value_or(Completion{});
}

Socket accept_one(Ring& ring, const Listener& listener) {
  ring.accept(listener.descriptor, nullptr, 1);
  Completion accepted = expect(ring, 1);
  EXPECT_GE(accepted.result, 0);
  return static_cast<Socket>(accepted.result);
}

std::string text_of(const Completion& completion) {
  return {reinterpret_cast<const char*>(completion.bytes.data()), completion.bytes.size()};
}

TEST(Ring, ProbeSucceeds) {
  auto probed = probe_uring();
  EXPECT_TRUE(probed.ok()) << explain_ring_error(probed.ok() ? Error{Errc::kSystem} : probed.error());
}

TEST(Ring, EveryErrorIsOneLineThatNamesTheRemedy) {
  struct Case {
    Errc code;
    int number;
    const char* remedy;
  };
  // EPERM has two causes; which one it is the sysctl of this machine says.
  for (const Case& c :
       {Case{Errc::kSystem, EPERM, "kernel.io_uring_disabled|seccomp"},
        Case{Errc::kSystem, EACCES, "seccomp"},
        Case{Errc::kUnsupported, ENOSYS, "has no io_uring.*6\\.1 or newer"},
        Case{Errc::kUnsupported, EINVAL, "lacks an io_uring feature.*6\\.1 or newer"},
        Case{Errc::kUnsupported, EOPNOTSUPP, "lacks an io_uring feature.*6\\.1 or newer"},
        Case{Errc::kSystem, ENOMEM, "LimitMEMLOCK.*--reactors"}, Case{Errc::kSystem, EMFILE, "LimitNOFILE"},
        Case{Errc::kSystem, ENFILE, "LimitNOFILE"}, Case{Errc::kSystem, EIO, "failed: Input/output error"}}) {
    EXPECT_THAT(explain_ring_error(Error{c.code, c.number}), ::testing::ContainsRegex(c.remedy)) << c.number;
  }
  for (const Errc code : {Errc::kSystem, Errc::kUnsupported}) {
    for (int number = 1; number <= EHWPOISON; ++number) {
      const std::string text = explain_ring_error(Error{code, number});
      EXPECT_GT(text.size(), 20u);
      EXPECT_LT(text.size(), 250u) << text;
      EXPECT_EQ(text.find('\n'), std::string::npos);
    }
  }
}

TEST(Ring, AKernelThatIsTooOldOrSwitchedOffIsNamed) {
  EXPECT_STREQ(
      explain_ring_error(Error{Errc::kUnsupported, EINVAL}, "5.10.0-28-amd64", 0),
      "kernel 5.10.0-28-amd64 lacks an io_uring feature (Invalid argument); Perch needs 6.1 or newer");
  EXPECT_STREQ(explain_ring_error(Error{Errc::kUnsupported, ENOSYS}, "4.19.0", 0),
               "kernel 4.19.0 has no io_uring, or a seccomp filter hides it; Perch needs 6.1 or newer");
  EXPECT_STREQ(explain_ring_error(Error{Errc::kSystem, EPERM}, "6.12.0", 2),
               "io_uring is switched off: sysctl kernel.io_uring_disabled is 2, set it to 0");
  EXPECT_THAT(explain_ring_error(Error{Errc::kSystem, EPERM}, "6.12.0", 0), ::testing::HasSubstr("seccomp"));
}

TEST(Ring, AServersRingRefusesToConnect) {
  RingOptions options = small();
  options.connects = false;
  auto ring = make_ring(options);
  Listener listener;
  ring->connect(listener.address, nullptr, 1);
  EXPECT_EQ(expect(*ring, 1).result, -EACCES);
  ring->accept(listener.descriptor, nullptr, 2);
  Peer peer(listener);
  EXPECT_GE(expect(*ring, 2).result, 0);
}

// 16 MiB of receive buffers: a core that nobody talks to does not pay for them.
TEST(Ring, BuffersAreAllocatedWhenFirstUsed) {
  RingOptions options = small();
  options.buffers = 2048;
  options.buffer_bytes = 8192;
  const size_t before = resident_bytes();
  const auto ring = make_ring(options);
  EXPECT_LT(resident_bytes(), before + 2048 * 8192 / 4);
}

TEST(Ring, WaitReturnsAfterItsTimeout) {
  auto ring = make_ring(small());
  EXPECT_FALSE(next(*ring, 0).has_value());
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(next(*ring, 20'000'000).has_value());
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(20));
}

TEST(Ring, AcceptPollReceiveSendEnd) {
  auto ring = make_ring(small());
  Listener listener;
  PeerAddress address;
  ring->accept(listener.descriptor, &address, 7);
  Peer peer(listener);
  const Completion accepted = expect(*ring, 7);
  ASSERT_GE(accepted.result, 0);
  ASSERT_LT(accepted.result, 64);
  EXPECT_FALSE(accepted.has_buffer);
  const auto socket = static_cast<Socket>(accepted.result);

  sockaddr_in own{};
  socklen_t length = sizeof(own);
  getsockname(peer.descriptor, reinterpret_cast<sockaddr*>(&own), &length);
  const auto& seen = reinterpret_cast<const sockaddr_in&>(address.storage);
  EXPECT_EQ(seen.sin_port, own.sin_port);

  ring->receive(socket, 8);
  EXPECT_EQ(expect(*ring, 8).result, -EAGAIN);
  EXPECT_EQ(ring->num_buffers_free(), 8u);

  ring->poll_readable(socket, 9);
  EXPECT_FALSE(next(*ring, 0).has_value());
  peer.write("tick");
  EXPECT_GE(expect(*ring, 9).result, 0);
  ring->receive(socket, 10);
  const Completion received = expect(*ring, 10);
  ASSERT_EQ(received.result, 4);
  ASSERT_TRUE(received.has_buffer);
  EXPECT_EQ(text_of(received), "tick");
  EXPECT_EQ(ring->num_buffers_free(), 7u);
  ring->give_back(received.buffer);
  EXPECT_EQ(ring->num_buffers_free(), 8u);

  std::array<iovec, 2> parts{iovec{const_cast<char*>("to"), 2}, iovec{const_cast<char*>("ck!"), 3}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  ring->send(socket, &message, 11);
  EXPECT_EQ(expect(*ring, 11).result, 5);
  EXPECT_EQ(peer.read(5), "tock!");

  ring->poll_readable(socket, 12);
  peer.close();
  EXPECT_GE(expect(*ring, 12).result, 0);
  ring->receive(socket, 13);
  const Completion end = expect(*ring, 13);
  EXPECT_EQ(end.result, 0);
  EXPECT_FALSE(end.has_buffer);
  EXPECT_EQ(ring->num_buffers_free(), 8u);
  ring->close(socket, 14);
  EXPECT_EQ(expect(*ring, 14).result, 0);
}

TEST(Ring, SendWaitsForAllAndSurvivesABrokenPipe) {
  auto ring = make_ring(small());
  Listener listener;
  Peer peer(listener);
  const Socket socket = accept_one(*ring, listener);
  std::vector<char> bytes(8 << 20, 'x');
  iovec part{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ring->send(socket, &message, 2);
  std::thread reader([&] { EXPECT_EQ(peer.read(bytes.size()).size(), bytes.size()); });
  EXPECT_EQ(expect(*ring, 2).result, static_cast<int32_t>(bytes.size()));
  reader.join();
  ring->shutdown(socket);
  ring->send(socket, &message, 3);
  const int32_t first = expect(*ring, 3).result;  // the shutdown may be later than the send
  if (first >= 0) {
    ring->send(socket, &message, 4);
    EXPECT_LT(expect(*ring, 4).result, 0);
  }
  ring->close(socket, 5);
  EXPECT_EQ(expect(*ring, 5).result, 0);
}

TEST(Ring, ShutdownEndsAnArmedPollAndCompletesNothingElse) {
  auto ring = make_ring(small());
  Listener listener;
  Peer peer(listener);
  const Socket socket = accept_one(*ring, listener);
  ring->poll_readable(socket, 2);
  EXPECT_FALSE(next(*ring, 0).has_value());
  ring->shutdown(socket);
  ring->shutdown(socket);
  EXPECT_GE(expect(*ring, 2).result, 0);
  EXPECT_FALSE(next(*ring, 20'000'000).has_value());
  EXPECT_EQ(peer.read(1), "");
  ring->close(socket, 3);
  EXPECT_EQ(expect(*ring, 3).result, 0);
}

// The kernel's worker looks the slot up when it runs: a slot that is closed and taken again at once must not
// be shut down in its new life.
TEST(Ring, ShutdownThenCloseNeverHitsTheNextOwnerOfTheSlot) {
  RingOptions options = small();
  options.sockets = 1;
  auto ring = make_ring(options);
  Listener listener;
  for (int round = 0; round < 1000; ++round) {
    Peer first(listener);
    const Socket socket = accept_one(*ring, listener);
    ASSERT_EQ(socket, 0u);
    Peer second(listener);
    ring->shutdown(socket);
    ring->close(socket, 2);
    ASSERT_EQ(expect(*ring, 2).result, 0);
    const Socket again = accept_one(*ring, listener);
    ASSERT_EQ(again, 0u);
    ASSERT_EQ(first.read(1), "");
    second.write("b");
    ring->poll_readable(again, 3);
    ASSERT_GE(expect(*ring, 3).result, 0);
    ring->receive(again, 4);
    const Completion received = expect(*ring, 4);
    ASSERT_EQ(received.result, 1);
    ring->give_back(received.buffer);
    ring->close(again, 5);
    ASSERT_EQ(expect(*ring, 5).result, 0);
  }
}

TEST(Ring, TableFullIsAnError) {
  RingOptions options = small();
  options.sockets = 2;
  auto ring = make_ring(options);
  Listener listener;
  Peer a(listener), b(listener), c(listener);
  accept_one(*ring, listener);
  const Socket second = accept_one(*ring, listener);
  PeerAddress dropped;
  ring->accept(listener.descriptor, &dropped, 2);
  EXPECT_EQ(expect(*ring, 2).result, -ENFILE);
  EXPECT_EQ(c.read(1), "");  // the kernel had taken it off the backlog
  EXPECT_EQ(dropped.storage.ss_family, AF_INET) << "and said who it was";
  ring->connect(listener.address, nullptr, 3);
  EXPECT_EQ(expect(*ring, 3).result, -ENFILE);
  ring->close(second, 4);
  EXPECT_EQ(expect(*ring, 4).result, 0);
  Peer d(listener);
  EXPECT_EQ(accept_one(*ring, listener), second);
}

TEST(Ring, EmptyPoolIsAnErrorAndNothingIsRead) {
  RingOptions options = small();
  options.buffers = 2;
  options.buffer_bytes = 4;
  auto ring = make_ring(options);
  Listener listener;
  Peer peer(listener);
  const Socket socket = accept_one(*ring, listener);
  peer.write("aaaabbbbcc");
  std::vector<Completion> held;
  for (int i = 0; i < 2; ++i) {
    ring->poll_readable(socket, 2);
    expect(*ring, 2);
    ring->receive(socket, 3);
    held.push_back(expect(*ring, 3));
    ASSERT_EQ(held.back().result, 4);
  }
  EXPECT_EQ(ring->num_buffers_free(), 0u);
  ring->receive(socket, 4);
  EXPECT_EQ(expect(*ring, 4).result, -ENOBUFS);
  EXPECT_EQ(text_of(held[0]), "aaaa");
  EXPECT_EQ(text_of(held[1]), "bbbb");
  for (const Completion& completion : held) ring->give_back(completion.buffer);
  ring->receive(socket, 5);
  const Completion last = expect(*ring, 5);
  EXPECT_EQ(text_of(last), "cc");
  ring->give_back(last.buffer);
}

TEST(Ring, ConnectWithAndWithoutALocalAddress) {
  auto ring = make_ring(small());
  Listener listener;
  sockaddr_storage local{};
  auto& local_in = reinterpret_cast<sockaddr_in&>(local);
  local_in.sin_family = AF_INET;
  local_in.sin_addr.s_addr = inet_addr("127.0.0.2");
  for (const sockaddr_storage* from :
       {static_cast<const sockaddr_storage*>(nullptr), &std::as_const(local)}) {
    PeerAddress address;
    ring->accept(listener.descriptor, &address, 1);
    ring->connect(listener.address, from, 2);
    std::map<uint64_t, int32_t> results;
    for (int i = 0; i < 2; ++i) {
      auto completion = next(*ring);
      ASSERT_TRUE(completion.has_value());
      results[completion->user_data] = completion->result;
    }
    ASSERT_GE(results[1], 0);
    ASSERT_GE(results[2], 0);
    const auto& seen = reinterpret_cast<const sockaddr_in&>(address.storage);
    EXPECT_EQ(seen.sin_addr.s_addr, inet_addr(from == nullptr ? "127.0.0.1" : "127.0.0.2"));
  }
}

TEST(Ring, ConnectFailsOnceAndGivesItsSlotBack) {
  RingOptions options = small();
  options.sockets = 1;
  auto ring = make_ring(options);
  sockaddr_storage nobody{};
  {
    Listener listener;
    nobody = listener.address;
  }
  for (int i = 0; i < 5; ++i) {
    ring->connect(nobody, nullptr, 2);
    EXPECT_EQ(expect(*ring, 2).result, -ECONNREFUSED);
  }
  sockaddr_storage foreign{};
  auto& foreign_in = reinterpret_cast<sockaddr_in&>(foreign);
  foreign_in.sin_family = AF_INET;
  foreign_in.sin_addr.s_addr = inet_addr("192.0.2.1");  // nobody's own address (RFC 5737)
  ring->connect(nobody, &foreign, 3);
  EXPECT_EQ(expect(*ring, 3).result, -EADDRNOTAVAIL);
  EXPECT_FALSE(next(*ring, 0).has_value());
}

TEST(Ring, MovesASocketToAnotherThreadsRing) {
  Listener listener;
  Peer peer(listener);
  auto ring = make_ring(small());
  const Socket socket = accept_one(*ring, listener);  // before the other thread accepts from the same backlog
  std::atomic<int> target_id{-1};
  std::atomic<int> slot{-1};
  std::thread target([&] {
    RingOptions options = small();
    options.sockets = 4;
    auto there = make_ring(options);
    // Takes slots of its own, so that the slot here is not by chance the slot there.
    Peer a(listener), b(listener);
    EXPECT_EQ(accept_one(*there, listener), 0u);
    EXPECT_EQ(accept_one(*there, listener), 1u);
    target_id.store(there->id());
    expect(*there, Ring::kWakeUserData);
    const auto arrived = static_cast<Socket>(slot.load());
    ASSERT_EQ(arrived, 2u);
    there->poll_readable(arrived, 13);
    EXPECT_GE(expect(*there, 13).result, 0);
    there->receive(arrived, 14);
    const Completion received = expect(*there, 14);
    EXPECT_EQ(text_of(received), "moved");
    if (received.has_buffer) there->give_back(received.buffer);
    there->shutdown(arrived);
    there->close(arrived, 15);
    EXPECT_EQ(expect(*there, 15).result, 0);
  });
  while (target_id.load() < 0) std::this_thread::yield();
  ring->move(socket, target_id.load(), 2);
  const Completion moved = expect(*ring, 2);
  EXPECT_EQ(moved.result, 2);  // slots 0 and 1 over there are taken
  slot.store(moved.result);
  ring->close(socket, 3);
  EXPECT_EQ(expect(*ring, 3).result, 0);
  peer.write("moved");
  ring->wake(target_id.load());
  EXPECT_FALSE(next(*ring, 0).has_value());
  EXPECT_EQ(peer.read(1), "");
  target.join();
}

TEST(Ring, MoveToAFullTableChangesNothing) {
  Listener listener;
  RingOptions options = small();
  auto ring = make_ring(options);
  options.sockets = 1;
  auto full = make_ring(options);
  Peer a(listener), b(listener);
  accept_one(*full, listener);
  const Socket socket = accept_one(*ring, listener);
  ring->move(socket, full->id(), 2);
  EXPECT_EQ(expect(*ring, 2).result, -ENFILE);
  b.write("x");
  ring->poll_readable(socket, 3);
  EXPECT_GE(expect(*ring, 3).result, 0);
}

TEST(Ring, AFailedWakeIsSwallowed) {
  auto ring = make_ring(small());
  int target;
  {
    auto gone = make_ring(small());
    target = gone->id();
  }
  ring->wake(target);
  EXPECT_FALSE(next(*ring, 20'000'000).has_value());
}

// More operations than the SQ holds, more completions than the CQ holds: none is lost.
TEST(Ring, OverflowOfBothQueuesLosesNothing) {
  RingOptions options = small();
  options.submissions = 8;
  options.completions = 16;
  auto ring = make_ring(options);
  Listener listener;
  Peer peer(listener);
  const Socket socket = accept_one(*ring, listener);
  constexpr uint64_t kNum = 500;
  for (uint64_t i = 0; i < kNum; ++i) ring->receive(socket, 100 + i);
  std::vector<bool> seen(kNum);
  std::array<Completion, 7> batch;
  for (size_t num = 0; num < kNum;) {
    const size_t got = ring->wait(batch, kSecond);
    ASSERT_GT(got, 0u);
    for (size_t i = 0; i < got; ++i) {
      EXPECT_EQ(batch[i].result, -EAGAIN);
      ASSERT_FALSE(seen.at(batch[i].user_data - 100));
      seen[batch[i].user_data - 100] = true;
    }
    num += got;
  }
  EXPECT_FALSE(next(*ring, 0).has_value());
}

// A busy turn is one system call, however much it submits and takes.
TEST(Ring, ABusyTurnIsOneSystemCall) {
  auto ring = make_ring(small());
  Listener listener;
  Peer peer(listener);
  const Socket socket = accept_one(*ring, listener);
  for (uint64_t i = 0; i < 50; ++i) ring->receive(socket, i);
  std::array<Completion, 64> batch;
  const uint64_t before = ring->num_syscalls();
  EXPECT_EQ(ring->wait(batch, kSecond), 50u);
  EXPECT_EQ(ring->num_syscalls(), before + 1);
}

}  // namespace
}  // namespace perch
