// What perchd's environment says of who has started it. What it is told then: supervision_test.cc.
#include "chat/service_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

namespace perch::chat {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ServiceManagerTest : public ::testing::Test {
 protected:
  void TearDown() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS"})
      unsetenv(name);
  }
  static void set(const char* name, const std::string& value) { setenv(name, value.c_str(), 1); }
  const std::string own_ = std::to_string(getpid());
};

TEST_F(ServiceManagerTest, WithoutOneThereIsNothingToDo) {
  ServiceManager none;
  EXPECT_EQ(none.open(), "");
  none.tell("READY=1");
  EXPECT_FALSE(none.lags());
  EXPECT_EQ(none.watchdog_ms(), 0u);
  EXPECT_TRUE(none.sockets().empty());
}

TEST_F(ServiceManagerTest, TakesWhatIsMeantForThisProcess) {
  set("WATCHDOG_USEC", "10000000");
  set("WATCHDOG_PID", own_);
  set("LISTEN_FDS", "2");
  set("LISTEN_PID", own_);
  ServiceManager manager;
  ASSERT_EQ(manager.open(), "");
  EXPECT_EQ(manager.watchdog_ms(), 10'000u);
  EXPECT_THAT(manager.sockets(), ElementsAre(3, 4));
}

TEST_F(ServiceManagerTest, LeavesWhatIsMeantForAnother) {
  set("WATCHDOG_USEC", "10000000");
  set("WATCHDOG_PID", "1");
  set("LISTEN_FDS", "2");
  set("LISTEN_PID", "1");
  ServiceManager manager;
  ASSERT_EQ(manager.open(), "");
  EXPECT_EQ(manager.watchdog_ms(), 0u);
  EXPECT_TRUE(manager.sockets().empty());
}

TEST_F(ServiceManagerTest, SaysWhatIsWrongWithTheEnvironment) {
  const auto problem = [] { return ServiceManager().open(); };
  set("NOTIFY_SOCKET", "run/notify");
  EXPECT_THAT(problem(), HasSubstr("NOTIFY_SOCKET: run/notify: not the address of a Unix socket"));
  set("NOTIFY_SOCKET", "/" + std::string(200, 'x'));
  EXPECT_THAT(problem(), HasSubstr("not the address of a Unix socket"));
  set("NOTIFY_SOCKET", "/none/notify");
  EXPECT_THAT(problem(), HasSubstr("NOTIFY_SOCKET: /none/notify: No such file or directory"));
  set("LISTEN_PID", own_);
  set("LISTEN_FDS", "65");
  EXPECT_THAT(problem(), HasSubstr("LISTEN_FDS: 65 sockets; pass 64 or fewer"));
}

}  // namespace
}  // namespace perch::chat
