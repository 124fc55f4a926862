// The control socket: who is answered, and that no peer keeps another one waiting.
#include "chat/control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <thread>

#include "core/control_client.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/temp_folder.h"

namespace perch::chat {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class ControlTest : public ::testing::Test {
 protected:
  void open() { ASSERT_EQ(control.open(folder), ""); }
  void serve(int turns = 20) {
    for (int i = 0; i < turns; ++i) control.serve(1);
  }
  Result<std::string> ask(const std::string& request) {
    auto answer = std::async(std::launch::async, [&] { return ask_control(folder, request); });
    while (answer.wait_for(std::chrono::seconds(0)) != std::future_status::ready) control.serve(1);
    return answer.get();
  }
  int connected() {
    const auto address = control_address(folder);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)), 0);
    return fd;
  }
  // All that has come; "(open)" behind it if there may be more.
  std::string read_all(int fd) {
    std::string all;
    char part[65536];
    ssize_t got;
    while ((got = recv(fd, part, sizeof(part), 0)) > 0) all.append(part, static_cast<size_t>(got));
    return got < 0 && errno == EAGAIN ? all + "(open)" : all;
  }

  TempFolder temp;
  const std::string& folder = temp.path();
  FakeClock clock;
  MetricsPage metrics{MetricScope::kMain};
  std::vector<Control::Asker> late;
  std::string large = std::string(1 << 20, 'x') + '\n';
  Control control{clock, metrics,
                  [this](Control::Asker asker, std::string_view request) -> std::optional<std::string> {
                    if (request == "health") return "ok\n";
                    if (request == "later") {
                      late.push_back(asker);
                      return std::nullopt;
                    }
                    return request == "large" ? large : "";
                  }};
};

TEST_F(ControlTest, AnswersALineAndEnds) {
  open();
  const Result<std::string> answer = ask("health");
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(*answer, "ok\n");
  EXPECT_EQ(metrics.value(Metric::kControlRequests), 1u);
  EXPECT_EQ(metrics.value(Metric::kControlRefused), 0u);
}

TEST_F(ControlTest, AnswersInAsManyPiecesAsItTakes) {
  open();
  const Result<std::string> answer = ask("large");
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(*answer == large);
}

TEST_F(ControlTest, RefusesWhatItDoesNotKnow) {
  open();
  for (const char* request : {"", "healthy", "GET / HTTP/1.1"}) {
    const Result<std::string> answer = ask(request);
    ASSERT_TRUE(answer.ok());
    EXPECT_THAT(*answer, StartsWith(kControlError)) << request;
  }
  EXPECT_EQ(metrics.value(Metric::kControlRefused), 3u);
}

TEST_F(ControlTest, RefusesALongRequestWithOrWithoutItsEnd) {
  open();
  const Result<std::string> answer = ask(std::string(kControlRequestBytesMax + 1, 'h'));
  ASSERT_TRUE(answer.ok());
  EXPECT_THAT(*answer, HasSubstr("too long"));
  const int endless = connected();
  constexpr size_t kPieces = 10;
  const std::string piece(kControlRequestBytesMax / kPieces + 1, 'h');
  for (size_t i = 0; i < kPieces; ++i) {
    send(endless, piece.data(), piece.size(), MSG_NOSIGNAL);
    serve(3);
  }
  EXPECT_THAT(read_all(endless), HasSubstr("too long"));
  close(endless);
}

TEST_F(ControlTest, AnswersLateAndOnlyWhoAsked) {
  open();
  const int first = connected(), gone = connected();
  send(first, "later\n", 6, 0);
  send(gone, "later\n", 6, 0);
  serve();
  ASSERT_EQ(late.size(), 2u);
  EXPECT_EQ(read_all(first), "(open)");
  EXPECT_EQ(*ask("health"), "ok\n");  // nobody waits for them
  close(gone);
  serve();
  const int heir = connected();  // has the place of who went
  serve();
  control.reply(late[0], "now\n");
  control.reply(late[1], "for somebody else\n");
  serve();
  EXPECT_EQ(read_all(first), "now\n");
  EXPECT_EQ(read_all(heir), "(open)");
  for (const int fd : {first, heir}) close(fd);
}

TEST_F(ControlTest, AnErrorThatComesLateIsOne) {
  open();
  const int peer = connected();
  send(peer, "later\n", 6, 0);
  serve();
  control.reply_error(late.at(0), "not today");
  serve();
  EXPECT_EQ(read_all(peer), "error: not today\n");
  EXPECT_EQ(metrics.value(Metric::kControlRefused), 1u);
  close(peer);
}

TEST_F(ControlTest, AStuckPeerCostsNobodyElseAnything) {
  open();
  const int silent = connected(), slow = connected(), deaf = connected();
  send(slow, "hea", 3, 0);
  send(deaf, "large\n", 6, 0);
  serve();
  EXPECT_EQ(*ask("health"), "ok\n");
  send(slow, "lth\n", 4, 0);
  serve();
  EXPECT_EQ(read_all(slow), "ok\n");
  clock.ms += kControlMsMax;
  serve();
  EXPECT_EQ(read_all(silent), "");
  const std::string cut = read_all(deaf);
  EXPECT_LT(cut.size(), large.size());
  EXPECT_FALSE(cut.ends_with("(open)"));
  EXPECT_EQ(metrics.value(Metric::kControlRefused), 2u);
  for (const int fd : {silent, slow, deaf}) close(fd);
}

TEST_F(ControlTest, WhoComesWhenAllPlacesAreTakenWaitsForOne) {
  open();
  std::vector<int> silent;
  for (size_t i = 0; i < kControlPeersMax; ++i) silent.push_back(connected());
  serve();
  const int next = connected();
  send(next, "health\n", 7, 0);
  serve();
  EXPECT_EQ(read_all(next), "(open)");
  clock.ms += kControlMsMax;
  serve();
  EXPECT_EQ(read_all(next), "ok\n");
  for (const int fd : silent) close(fd);
  close(next);
}

TEST_F(ControlTest, BelongsToItsOwnerAlone) {
  open();
  struct stat found {};
  ASSERT_EQ(stat((folder + "/control").c_str(), &found), 0);
  EXPECT_TRUE(S_ISSOCK(found.st_mode));
  EXPECT_EQ(found.st_mode & 07777, 0600u);
}

// The mode keeps strangers out; where somebody has opened it, who they are does.
TEST_F(ControlTest, AnswersNoStranger) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  open();
  ASSERT_EQ(chmod(folder.c_str(), 0755), 0);
  ASSERT_EQ(chmod((folder + "/control").c_str(), 0666), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    if (setuid(kNobody) != 0) _exit(2);
    const Result<std::string> answer = ask_control(folder, "health");
    _exit(answer.ok() && answer->starts_with(kControlError) && answer->find("root") != answer->npos ? 0 : 1);
  }
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) control.serve(1);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(ControlTest, ReplacesWhatAKilledServerLeft) {
  open();
  Control second(clock, metrics, [](Control::Asker, std::string_view) { return "second\n"; });
  ASSERT_EQ(second.open(folder), "");
  auto answer = std::async(std::launch::async, [&] { return ask_control(folder, "health"); });
  while (answer.wait_for(std::chrono::seconds(0)) != std::future_status::ready) second.serve(1);
  EXPECT_EQ(*answer.get(), "second\n");
}

TEST_F(ControlTest, SaysThatNoServerRuns) {
  EXPECT_EQ(ask_control(folder, "health").error().code, Errc::kNotFound);
  {
    Control ended(clock, metrics, [](Control::Asker, std::string_view) { return "ok\n"; });
    ASSERT_EQ(ended.open(folder), "");
  }
  EXPECT_FALSE(std::filesystem::exists(folder + "/control"));
  EXPECT_EQ(ask_control(folder, "health").error().code, Errc::kNotFound);
}

TEST_F(ControlTest, RefusesAFolderWhoseNameIsTooLong) {
  const std::string long_name = "/tmp/" + std::string(100, 'x');
  EXPECT_THAT(control.open(long_name), HasSubstr("99 bytes"));
  EXPECT_EQ(ask_control(long_name, "health").error(), (Error{Errc::kTooLarge, 99}));
  EXPECT_TRUE(control_address(std::string(99, 'x')).ok());
  EXPECT_FALSE(control_address(std::string(100, 'x')).ok());
}

}  // namespace
}  // namespace perch::chat
