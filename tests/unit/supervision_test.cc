// What the service manager hears, by a socket of the test's, while threads go on or stand still.
#include "chat/supervision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/unit/fake_clock.h"
#include "tests/unit/temp_folder.h"

namespace perch::chat {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

class SupervisionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    address_.sun_family = AF_UNIX;
    path_.copy(address_.sun_path, sizeof(address_.sun_path) - 1);
    manager_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ASSERT_EQ(bind(manager_, reinterpret_cast<const sockaddr*>(&address_), sizeof(address_)), 0);
    setenv("NOTIFY_SOCKET", path_.c_str(), 1);
    pages_.push_back(std::make_unique<MetricsPage>(MetricScope::kReactor, 0));
    pages_.push_back(std::make_unique<MetricsPage>(MetricScope::kStore));
  }
  void TearDown() override {
    close(manager_);
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC"}) unsetenv(name);
  }
  std::string heard() {
    std::string all;
    char part[1 << 17];
    ssize_t got;
    while ((got = recv(manager_, part, sizeof(part), 0)) > 0) all.append(part, static_cast<size_t>(got));
    return all;
  }
  // A second in which the first `num_turning` threads go round.
  std::string second(size_t num_turning, Health health = Health::kOk) {
    clock_.ms += 1'000;
    for (size_t i = 0; i < num_turning; ++i) pages_[i]->add(Metric::kTurns);
    supervision_.serve(health);
    return heard();
  }

  TempFolder folder_;
  std::string path_ = folder_.path() + "/notify";
  sockaddr_un address_{};
  int manager_ = -1;
  FakeClock clock_;
  std::vector<std::unique_ptr<MetricsPage>> pages_;
  Supervision supervision_{clock_};
};

TEST_F(SupervisionTest, TellsWhatAUnitGoesThrough) {
  ASSERT_EQ(supervision_.open(), "");
  supervision_.serve(Health::kStarting);
  EXPECT_EQ(heard(), "STATUS=reads what waited\n");
  supervision_.started(pages_);
  EXPECT_EQ(heard(), "READY=1\n");
  EXPECT_EQ(second(2), "STATUS=serves\n");
  EXPECT_EQ(second(2), "");
  EXPECT_EQ(second(2, Health::kDraining), "STOPPING=1\nSTATUS=drains\n");
}

TEST_F(SupervisionTest, TellsOfAReload) {
  ASSERT_EQ(supervision_.open(), "");
  supervision_.reloading();
  EXPECT_EQ(heard(), "RELOADING=1\nMONOTONIC_USEC=1000000000\n");
  supervision_.reloaded();
  EXPECT_EQ(heard(), "READY=1\n");
}

TEST_F(SupervisionTest, TellsOfARefusedReloadUntilThereIsMoreToTell) {
  ASSERT_EQ(supervision_.open(), "");
  EXPECT_EQ(second(2), "STATUS=serves\n");
  supervision_.reload_refused("perchd.toml:3: log.level: a\nREADY=1");
  EXPECT_EQ(heard(), "STATUS=reload refused: perchd.toml:3: log.level: a READY=1\n");
  EXPECT_EQ(second(2), "") << "it stands";
  supervision_.reloaded();
  EXPECT_EQ(second(2), "READY=1\nSTATUS=serves\n");
  supervision_.reload_refused("again");
  EXPECT_EQ(heard(), "STATUS=reload refused: again\n");
  EXPECT_EQ(second(2, Health::kFull), "STATUS=the disk is full: messages are held\n");
}

TEST_F(SupervisionTest, ALongReasonIsCutBetweenTwoCharacters) {
  ASSERT_EQ(supervision_.open(), "");
  for (const char* pad : {"", "x"}) {
    std::string why = pad;
    for (int i = 0; i < 5'000; ++i) why += "\u00fc";
    supervision_.reload_refused(why);
    const std::string said = heard();
    EXPECT_LE(said.size(), 1'100u);
    EXPECT_GE(said.size(), 1'000u);
    EXPECT_THAT(said, EndsWith("\u00fc\n"));
  }
}

TEST_F(SupervisionTest, FeedsTheWatchdogWhileAllGoOn) {
  setenv("WATCHDOG_USEC", "10000000", 1);
  ASSERT_EQ(supervision_.open(), "");
  EXPECT_EQ(second(0), "STATUS=serves\n");  // not before it has started
  supervision_.started(pages_);
  heard();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(second(2), "WATCHDOG=1\n");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(second(1), "WATCHDOG=1\n") << "a slow turn is no stuck thread";
  for (int i = 0; i < 20; ++i) EXPECT_EQ(second(1), "");
  EXPECT_EQ(supervision_.stalled_ms(), 24'000u);
  EXPECT_EQ(second(2), "WATCHDOG=1\n");
  EXPECT_EQ(supervision_.stalled_ms(), 0u);
}

TEST_F(SupervisionTest, WhatIsNotTakenAtOnceIsNotLost) {
  ASSERT_EQ(supervision_.open(), "");
  for (int i = 0; i < 1'000; ++i)  // more than the manager's queue takes
    supervision_.serve(i % 2 == 0 ? Health::kOk : Health::kFull);
  supervision_.started(pages_);
  std::string all;
  for (std::string more = heard(); !more.empty(); more = heard()) {
    all += more;
    supervision_.serve(Health::kOk);
  }
  EXPECT_THAT(all, HasSubstr("\nREADY=1\n"));
}

}  // namespace
}  // namespace perch::chat
