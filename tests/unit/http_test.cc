// What monitoring asks over HTTP: what is answered, what is refused and counted, and that no peer keeps
// another one waiting. Over real sockets, one thread.
#include "chat/http.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/fake_clock.h"

namespace perch::chat {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class HttpTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(http.open("127.0.0.1:0"), ""); }
  int connected() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port =
        htons(static_cast<uint16_t>(std::stoi(http.address().substr(http.address().rfind(':') + 1))));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int result = connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
    EXPECT_TRUE(result == 0 || errno == EINPROGRESS);
    return fd;
  }
  void serve(int turns = 10) {
    for (int i = 0; i < turns; ++i) {
      http.serve();
      usleep(1'000);
    }
  }
  // Sends all, then serves until the server has ended its side or nothing has come for a while.
  std::string ask(int fd, std::string_view request) {
    std::string all;
    char part[65536];
    for (int idle = 0; idle < 200;) {
      if (!request.empty()) {
        const ssize_t sent = send(fd, request.data(), request.size(), MSG_NOSIGNAL);
        if (sent > 0) request.remove_prefix(static_cast<size_t>(sent));
      }
      http.serve();
      const ssize_t got = recv(fd, part, sizeof(part), 0);
      if (got == 0) return all;
      if (got < 0 && errno != EAGAIN && errno != ENOTCONN) return all + "(reset)";
      if (got > 0) {
        all.append(part, static_cast<size_t>(got));
        idle = 0;
      } else {
        ++idle;
        usleep(1'000);
      }
    }
    return all + "(open)";
  }
  std::string ask(std::string_view request) {
    const int fd = connected();
    const std::string answer = ask(fd, request);
    close(fd);
    return answer;
  }
  uint64_t count(Metric metric) const { return metrics.value(metric); }

  FakeClock clock;
  MetricsPage metrics{MetricScope::kMain};
  std::string large = std::string(8 << 20, 'x');
  Http http{clock, metrics, [this](std::string_view path) -> std::optional<HttpAnswer> {
              if (path == "/good") return HttpAnswer{.body = "well\n"};
              if (path == "/bad") return HttpAnswer{.good = false, .body = "ill\n"};
              if (path == "/large") return HttpAnswer{.body = large};
              return {};
            }};
};

TEST_F(HttpTest, AnswersAGet) {
  EXPECT_EQ(
      ask("GET /good HTTP/1.1\r\nHost: x\r\n\r\n"),
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\nCache-Control: "
      "no-store\r\nConnection: close\r\n\r\nwell\n");
  EXPECT_THAT(ask("GET /bad HTTP/1.1\r\nhost: x\r\n\r\n"),
              StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
  EXPECT_THAT(ask("GET /good?a=b HTTP/1.0\r\n\r\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(count(Metric::kHttpRequests), 3u);
}

TEST_F(HttpTest, AnswersAHeadWithoutTheBody) {
  const std::string answer = ask("HEAD /good HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("Content-Length: 5\r\n"));
  EXPECT_TRUE(answer.ends_with("\r\n\r\n"));
}

TEST_F(HttpTest, ReadsARequestInPieces) {
  const int fd = connected();
  EXPECT_EQ(ask(fd, "GET /go"), "(open)");
  EXPECT_EQ(ask(fd, "od HTTP/1.1\r\nHost: x\r\n\r"), "(open)");
  EXPECT_THAT(ask(fd, "\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
  close(fd);
}

TEST_F(HttpTest, SendsWhatIsLargerThanASocketTakes) {
  const std::string answer = ask("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(answer.ends_with(large));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(HttpTest, RefusesWhatItDoesNotHave) {
  EXPECT_THAT(ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_EQ(count(Metric::kHttpNotFound), 1u);
  const std::string answer = ask("POST /good HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 405 Method Not Allowed\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\nAllow: GET, HEAD\r\n"));
  EXPECT_EQ(count(Metric::kHttpMethod), 1u);
  EXPECT_EQ(count(Metric::kHttpRequests), 0u);
}

TEST_F(HttpTest, RefusesWhatIsNoRequest) {
  uint64_t num = 0;
  for (const char* request : {"\r\n\r\n", "GET\r\n\r\n", "GET /good\r\n\r\n",
                              "GET good HTTP/1.1\r\nHost: x\r\n\r\n", "GET /good HTTP/2\r\nHost: x\r\n\r\n",
                              "GET /good HTTP/1.1\r\n\r\n", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"}) {
    EXPECT_THAT(ask(request), StartsWith("HTTP/1.1 400 Bad Request\r\n")) << request;
    EXPECT_EQ(count(Metric::kHttpMalformed), ++num) << request;
  }
}

TEST_F(HttpTest, RefusesARequestThatIsTooLong) {
  const std::string most = "GET /good HTTP/1.1\r\nHost: ";
  const std::string fits = most + std::string(kHttpRequestBytesMax - most.size() - 4, 'x') + "\r\n\r\n";
  ASSERT_EQ(fits.size(), kHttpRequestBytesMax);
  EXPECT_THAT(ask(fits), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(ask(most + "x" + fits.substr(most.size())), StartsWith("HTTP/1.1 431 "));
  // The answer arrives although much of what was sent is not read before it.
  const std::string answer = ask("GET /good HTTP/1.1\r\nX: " + std::string(1 << 20, 'x'));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 431 "));
  EXPECT_EQ(count(Metric::kHttpTooLarge), 2u);
}

TEST_F(HttpTest, NoPeerKeepsItsPlaceForEver) {
  std::vector<int> stuck;
  for (size_t i = 0; i < kHttpPeersMax; ++i) stuck.push_back(connected());
  serve(3 * kHttpPeersMax);
  EXPECT_EQ(count(Metric::kHttpPaused), 1u);
  const int waiting = connected();
  EXPECT_EQ(ask(waiting, "GET /good HTTP/1.1\r\nHost: x\r\n\r\n"), "(open)");
  clock.ms += kHttpMsMax;
  EXPECT_THAT(ask(waiting, ""), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(count(Metric::kHttpTimeout), kHttpPeersMax);
  // Who has its answer and stays is ended too, and that is no refusal.
  serve();
  clock.ms += kHttpMsMax;
  serve();
  EXPECT_EQ(count(Metric::kHttpTimeout), kHttpPeersMax);
  close(waiting);
  for (const int fd : stuck) close(fd);
}

TEST_F(HttpTest, SaysThatAnAddressIsInUse) {
  Http other(clock, metrics, [](std::string_view) { return std::nullopt; });
  EXPECT_THAT(other.open(http.address()),
              HasSubstr("operations.listen: " + http.address() + ": Address already"));
}

}  // namespace
}  // namespace perch::chat
