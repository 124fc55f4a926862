// A profile that another program has locked: the session ends, nothing is lost, and the device comes back.
#include <sqlite3.h>

#include "client/sqlite_store.h"
#include "tests/unit/device_fixture.h"
#include "tests/unit/temp_folder.h"

namespace perch::client {
namespace {

constexpr Error kLocked{Errc::kBusy};

class DeviceBusyTest : public DeviceTest {
 protected:
  // It wants to be disconnected, and to try again some time later.
  void expect_a_break(Device& device) {
    EXPECT_TRUE(device.wants_close());
    EXPECT_TRUE(take(device).empty());
    EXPECT_EQ(device.stop_reason(), StopReason::kNone);
    device.on_disconnected();
    EXPECT_EQ(events_.offline, std::vector<std::string>{"the profile is locked by another program"});
    EXPECT_EQ(device.state(), Device::State::kOffline);
    EXPECT_GT(device.connect_at_ms(), clock_.mono_ms());
    EXPECT_TRUE(events_.stops.empty());
  }
};

TEST_F(DeviceBusyTest, WhatCouldNotBeCommittedComesAgain) {
  Device d = device();
  log_in(d);
  const MemoryStore before = store_;
  store_.fail_commits(kLocked);
  feed(d, {incoming(1, 1024, "a")});
  EXPECT_TRUE(events_.messages.empty());
  expect_a_break(d);
  store_ = before;
  log_in(d);
  feed(d, {incoming(1, 1024, "a")});
  EXPECT_EQ(confirms(take(d)), std::vector<uint64_t>{1});
  EXPECT_EQ(events_.messages, (std::vector<std::pair<Seq, Insert>>{{1, Insert::kNew}}));
}

TEST_F(DeviceBusyTest, ALoginThatCouldNotBeCommittedIsMadeAgain) {
  Device d = device();
  const MemoryStore before = store_;
  store_.fail_commits(kLocked);
  d.on_connected();
  take(d);
  feed(d, {welcome()});
  EXPECT_TRUE(events_.logins.empty());
  expect_a_break(d);
  store_ = before;
  log_in(d);
  EXPECT_EQ(store_.identity().user, kMe);
}

TEST_F(DeviceBusyTest, ARowThatCouldNotBeMarkedAsSentGoesOutLater) {
  Device d = device();
  log_in(d);
  feed(d, {codec::hold(origin(), 1, wire::HoldReason::Rate, 100)});
  send(d, "x");
  take(d);
  const MemoryStore before = store_;
  store_.fail_commits(kLocked);
  clock_.ms += 100;
  d.on_timer();
  expect_a_break(d);
  store_ = before;
  log_in(d);
  EXPECT_EQ(seqs(take(d)), std::vector<Seq>{1});
}

TEST_F(DeviceBusyTest, ARowThatCannotBeReadGoesOutLater) {
  Device d = device();
  log_in(d);
  store_.fail_reads(kLocked);
  d.poke();
  expect_a_break(d);
  send(d, "x");  // the row is kept, and gets its id at the login
  store_.fail_reads(std::nullopt);
  log_in(d);
  EXPECT_EQ(seqs(take(d)), std::vector<Seq>{1});
}

TEST_F(DeviceBusyTest, WithoutASessionThereIsNothingToBreak) {
  Device d = device();
  store_.fail_reads(kLocked);
  d.poke();
  EXPECT_FALSE(d.wants_close());
  EXPECT_EQ(d.state(), Device::State::kOffline);
  EXPECT_TRUE(events_.stops.empty());
}

TEST_F(DeviceBusyTest, WhatWasCommittedBeforeIsTold) {
  frame_bytes_max_ = 8192;
  Device d = device();
  log_in(d);
  const RowId row = send(d, std::string(60'000, 'x'));  // rejected at once; send() does not call back
  EXPECT_TRUE(events_.rows.empty());
  store_.fail_commits(kLocked);
  feed(d, {incoming(1, 1024, "a")});
  EXPECT_TRUE(events_.messages.empty());
  ASSERT_EQ(events_.rows.size(), 1u);
  EXPECT_EQ(events_.rows[0].row, row);
}

TEST_F(DeviceBusyTest, AStopIsToldEvenIfWhatCameBeforeItIsNot) {
  Device d = device();
  log_in(d);
  store_.fail_commits(kLocked);
  feed(d, {incoming(1, 1024, "a"), codec::error(wire::ErrorCode::NoAccount, "")});
  EXPECT_TRUE(events_.messages.empty());
  EXPECT_EQ(events_.stops, std::vector<StopReason>{StopReason::kNoAccount});
  EXPECT_EQ(d.stop_reason(), StopReason::kNoAccount);
}

// With SQLite itself, which begins no transaction while another connection writes.
TEST_F(DeviceBusyTest, AnotherProgramThatHoldsTheDatabaseIsOutwaited) {
  const TempFolder folder;
  auto profile = SqliteStore::open(folder.path(), *random_, true, 1);
  ASSERT_TRUE(profile.ok());
  SqliteStore& store = **profile;
  Device d(store, clock_, *random_, events_, {.token = "t"});
  log_in(d);
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open((folder.path() + "/profile.db").c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_EQ(d.send(kPeer, "", 0, {}).error().code, Errc::kBusy);
  feed(d, {incoming(1, 1024, "a"), codec::outcome(1, 1, 2048, 9, wire::Tick::Accepted)});
  expect_a_break(d);
  d.on_connected();  // and it still does
  take(d);
  feed(d, {welcome()});
  EXPECT_TRUE(d.wants_close());
  d.on_disconnected();
  EXPECT_EQ(store.identity().after, 0u) << "as on the disk";
  EXPECT_EQ(store.identity().next_seq, 1u);
  ASSERT_EQ(sqlite3_exec(other, "COMMIT", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(other);
  log_in(d);
  feed(d, {incoming(1, 1024, "a")});
  EXPECT_EQ(confirms(take(d)), std::vector<uint64_t>{1});
  EXPECT_EQ(store.arrivals(0, 10)->size(), 1u);
  EXPECT_TRUE(events_.stops.empty());
}

}  // namespace
}  // namespace perch::client
