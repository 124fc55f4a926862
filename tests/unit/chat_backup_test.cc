#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

#include "chat/backup.h"
#include "store/backup_reader.h"
#include "tests/sim/store_sim.h"
#include "tests/unit/store_fixture.h"

namespace perch::chat {
namespace {

// More than a socket holds, so that a reader who waits makes the sender wait.
class ChatBackupTest : public store::StoreTest {
 protected:
  ChatBackupTest() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair_), 0); }
  ~ChatBackupTest() override { hang_up(); }
  void TearDown() override {
    backup_.reset();  // before the environments that it reads
    StoreTest::TearDown();
  }
  void hang_up() {
    if (pair_[0] >= 0) ::close(std::exchange(pair_[0], -1));
  }
  void start() {
    open();
    for (Number number = 1; number <= 40; ++number) accept(number, store::pattern(60'000, 1));
    Result<store::Cut> cut = writer_->cut();
    ASSERT_TRUE(cut.ok());
    backup_->start(pair_[1], std::move(*cut), 77);
  }
  Backup::Ended wait() {
    for (;;) {
      if (std::optional<Backup::Ended> ended = backup_->ended()) return *std::move(ended);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  Result<store::BackupSummary> read(std::string& problem) {
    store::BackupReader reader([this](MutableBytes buffer) -> Result<size_t> {
      const ssize_t got = recv(pair_[0], buffer.data(), buffer.size(), 0);
      if (got < 0) return Error{Errc::kSystem, errno};
      return static_cast<size_t>(got);
    });
    Result<store::BackupSummary> summary = reader.read();
    problem = reader.problem();
    return summary;
  }
  int pair_[2];
  std::optional<Backup> backup_{std::in_place};
};

TEST_F(ChatBackupTest, SendsAllOfItAndThenAnotherMayBegin) {
  start();
  EXPECT_TRUE(backup_->running());
  std::string problem;
  const Result<store::BackupSummary> summary = read(problem);
  ASSERT_TRUE(summary.ok()) << problem;
  EXPECT_EQ(summary->num_messages, 40u);
  const Backup::Ended ended = wait();
  EXPECT_EQ(ended.broken, "");
  EXPECT_EQ(ended.bytes, summary->bytes);
  EXPECT_FALSE(backup_->running());
  EXPECT_FALSE(backup_->ended().has_value());
}

TEST_F(ChatBackupTest, WhoAskedIsToldWhyItIsBrokenOff) {
  start();
  backup_->stop("there is no room");
  std::string problem;
  EXPECT_EQ(read(problem).error().code, Errc::kStopped);
  EXPECT_EQ(problem, "there is no room");
  EXPECT_EQ(wait().broken, "there is no room");
}

TEST_F(ChatBackupTest, WhoAskedMayGo) {
  start();
  hang_up();
  EXPECT_EQ(wait().broken, "who asked for it has gone");
}

// Nobody reads, and the sender waits in the kernel.
TEST_F(ChatBackupTest, EndsWithItsOwner) { start(); }

}  // namespace
}  // namespace perch::chat
