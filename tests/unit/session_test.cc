// How a session ends by itself, and what a peer may not say in one (PROTOCOL.md, Session and Errors).
#include "core_fixture.h"

namespace perch::chat {
namespace {

class SessionTest : public CoreTest {
 protected:
  uint64_t in_s(uint64_t seconds) { return clock_.wall_ms() / 1000 + seconds; }
};

// The disk stalls until the first has been closed for being slow; the second has its index by then, and both
// are to move to other cores. Whenever the answer comes, nobody is logged in as somebody else.
TEST_F(SessionTest, AnEndedLoginDoesNotTakeTheMoveOfAnother) {
  num_cores_ = 3;
  limits_.login_ms_max = 500;
  const auto user_at = [this](CoreId core, UserId from) {
    while (home_of(from, num_cores_) != core) ++from;
    return from;
  };
  for (int answered_at = 0; answered_at < 8; ++answered_at) {
    start();
    const UserId known = user_at(2, 2000);
    const UserId ended = user_at(1, 10'000 + 100 * static_cast<UserId>(answered_at));  // has no account yet
    Peer first = login(known, "k");
    leave(first);
    const auto turn_cores = [this] {
      for (auto& core : node_->cores) core->turn(0);
    };
    Peer slow = connect();
    codec::HelloFields hello;
    const std::string slow_token = token(ended, "s"), known_token = token(known, "k");
    hello.origin = 5;
    hello.attempt = 2;
    hello.token = slow_token;
    slow.say(codec::hello(hello));
    for (int i = 0; i < 6; ++i) turn_cores();
    for (int i = 0; i < 20; ++i) {
      clock_.advance_ns(100'000'000);
      for (int turn = 0; turn < 3; ++turn) turn_cores();
    }
    Peer other = connect();
    hello.token = known_token;
    other.say(codec::hello(hello));
    for (int turn = 0; turn < 8; ++turn) {
      if (turn == answered_at) turn_store();
      turn_cores();
    }
    run();
    const Heard welcome = other.take(wire::Payload::Welcome);
    ASSERT_NE(welcome.frame().payload_as_Welcome(), nullptr);
    EXPECT_EQ(welcome.frame().payload_as_Welcome()->user(), known) << "answered at " << answered_at;
    kill();
  }
}

TEST_F(SessionTest, EndsWhenItsTokenExpiresWithoutAPing) {
  limits_.silence_ms_max = 1'000'000'000;
  start();
  Peer ann = say_hello(token(kAnn, "a", in_s(60)), 77);
  ann.take(wire::Payload::Welcome);
  pass_ms(55'000, 1'000);
  EXPECT_TRUE(ann.heard().empty());
  pass_ms(10'000, 1'000);
  ann.expect_error(wire::ErrorCode::SessionExpired);
  EXPECT_TRUE(ann.ended());
}

TEST_F(SessionTest, ARefreshMovesTheEnd) {
  limits_.silence_ms_max = 1'000'000'000;
  start();
  Peer ann = say_hello(token(kAnn, "a", in_s(60)), 77);
  ann.take(wire::Payload::Welcome);
  ann.say(codec::refresh(token(kAnn, "a", in_s(7'300))));
  run();
  EXPECT_GT(ann.take(wire::Payload::Refreshed).frame().payload_as_Refreshed()->session_expires_ms(),
            clock_.wall_ms() + 7'000'000);
  pass_ms(7'200'000, 60'000);
  EXPECT_TRUE(ann.heard().empty()) << "the hourly look does not end it";
  pass_ms(200'000, 10'000);
  ann.expect_error(wire::ErrorCode::SessionExpired);
}

TEST_F(SessionTest, AStepOfTheWallClockIsSeenAtAPing) {
  start();
  Peer ann = say_hello(token(kAnn, "a", in_s(60)), 77);
  ann.take(wire::Payload::Welcome);
  clock_.jump_wall(61'000);
  ann.say(codec::ping(1, 5));
  run();
  ann.expect_error(wire::ErrorCode::SessionExpired);
}

TEST_F(SessionTest, ARefreshTellsExpiredFromInvalid) {
  start();
  Peer ann = login(kAnn, "a");
  ann.say(codec::refresh(token(kAnn, "a", in_s(0) - 100)));
  run();
  ann.expect_error(wire::ErrorCode::TokenExpired);
  Peer bo = login(bob(), "b");
  bo.say(codec::refresh(token(kAnn, "b", in_s(100))));
  run();
  bo.expect_error(wire::ErrorCode::TokenInvalid);
}

TEST_F(SessionTest, AnIdBeginsAtOne) {
  start();
  for (const auto& [origin, seq] : {std::pair<Origin, Seq>{0, 1}, {77, 0}}) {
    Peer ann = login(kAnn, "a");
    ann.say(message(bob(), seq, 1, "x", 0, origin));
    run();
    ann.expect_error(wire::ErrorCode::Malformed);
  }
  say_hello(token(kAnn, "a"), 0).expect_error(wire::ErrorCode::Malformed);
}

TEST_F(SessionTest, BusySaysWhenToComeAgain) {
  start();
  const std::string text = token(kAnn, "a");
  codec::HelloFields hello;
  hello.token = text;
  hello.origin = 77;
  hello.attempt = 1;
  Peer early = connect();
  run();
  core(0).drain();
  early.say(codec::hello(hello));
  run();
  const Heard heard = early.take(wire::Payload::Error);
  EXPECT_EQ(heard.frame().payload_as_Error()->code(), wire::ErrorCode::Busy);
  EXPECT_GT(heard.frame().payload_as_Error()->retry_ms(), 0u);
}

// New keys come while the core sleeps, and what wakes it is signed by one of them, or by one that is no more.
TEST_F(SessionTest, KeysThatWereThereFirstJudgeWhatWakesTheCore) {
  TokenKeys fresh;
  const std::string_view secret = "another secret of the same operator, as long";
  ASSERT_TRUE(fresh.add_hs256("fresh", secret).ok());
  const sim::Link* link = nullptr;
  woken_ = [&] {
    if (link == nullptr || !link->to_server.bytes.empty()) return;  // until the wait that brings the HELLO
    for (auto& core : node_->cores) core->use_keys(fresh);
  };
  start();
  for (const bool good : {true, false}) {
    for (auto& core : node_->cores) core->use_keys(keys_);
    Peer ann = connect();
    run();
    codec::HelloFields hello;
    const std::string text = good ? mint_hs256(secret, "fresh", "1", "a", 4'000'000'000) : token(kAnn, "a");
    hello.token = text;
    hello.origin = 77;
    hello.attempt = good ? 1 : 2;
    ann.say(codec::hello(hello));
    link = &ann.link();
    run();
    link = nullptr;
    if (good) {
      ann.take(wire::Payload::Welcome);
    } else {
      ann.expect_error(wire::ErrorCode::TokenInvalid);
    }
  }
}

TEST_F(SessionTest, OfTwoLoginsOfOneOpeningTheNewerAttemptLives) {
  start();
  Peer second = say_hello(token(kAnn, "a"), 77, 2);
  second.take(wire::Payload::Welcome);
  Peer first = say_hello(token(kAnn, "a"), 77, 1);
  first.expect_error(wire::ErrorCode::StaleAttempt);
  Peer third = say_hello(token(kAnn, "a"), 78, 1);
  third.take(wire::Payload::Welcome);
  const Heard heard = second.take(wire::Payload::Error);
  EXPECT_EQ(heard.frame().payload_as_Error()->code(), wire::ErrorCode::Replaced);
  EXPECT_EQ(heard.frame().payload_as_Error()->origin(), 78u);
}

// One whose row cannot be read is turned away, and nobody else has trouble.
TEST_F(SessionTest, ARowThatCannotBeReadIsItsUsersTroubleAlone) {
  accounts_auto_ = true;
  start();
  const auto spoil = [this](store::Table table, Bytes key) {
    ASSERT_TRUE(journal_.begin());
    std::vector<uint8_t> value;
    {
      const auto good = journal_.get(table, key);
      ASSERT_TRUE(good);
      value.assign(good->begin(), good->end());
    }
    value.back() ^= 1;
    ASSERT_TRUE(journal_.put(table, key, value));
    ASSERT_TRUE(journal_.commit());
  };
  Peer bo = login(bob(), "b");
  Peer eve = say_hello(mint_hs256(kSecret, "sim", "eve", "e", 4'000'000'000), 77);
  eve.take(wire::Payload::Welcome);
  restart();
  spoil(store::kUsersTable, store::pack_key(bob()));
  const std::string_view handle = "eve";
  spoil(store::kHandlesTable, {reinterpret_cast<const uint8_t*>(handle.data()), handle.size()});
  const size_t num_users = journal_.committed(store::kUsersTable).size();
  say_hello(token(bob(), "b"), 77).expect_error(wire::ErrorCode::Busy);
  say_hello(mint_hs256(kSecret, "sim", "eve", "e", 4'000'000'000), 77).expect_error(wire::ErrorCode::Busy);
  EXPECT_EQ(journal_.committed(store::kUsersTable).size(), num_users) << "no second account for one handle";
  Peer ann = login(kAnn, "a");
  ann.say(message(bob(), 1));
  run();
  ann.expect_rejected(wire::RejectReason::MailboxFull);
  // Told that nobody has the name, a client would reject for good what it has for it.
  ann.say(codec::resolve(5, handle));
  run();
  const Heard answer = ann.take(wire::Payload::Error);
  EXPECT_EQ(answer.frame().payload_as_Error()->code(), wire::ErrorCode::Busy);
  EXPECT_EQ(answer.frame().payload_as_Error()->request(), 5u);
  EXPECT_GT(answer.frame().payload_as_Error()->retry_ms(), 0u);
  ann.say(codec::resolve(6, "nobody"));
  run();
  ann.expect_error(wire::ErrorCode::NotFound);
  EXPECT_FALSE(ann.ended());
  login(10'000, "new here");
}

// A client has a new origin each time it opens its database. That the last one is known does not end with the
// server; and to come back with the same one, as in a storm of logins, writes nothing.
TEST_F(SessionTest, ANewOriginIsOnTheDiskAndAnOldOneWritesNothing) {
  start();
  const auto opening = [this](Origin origin, Origin previous, uint64_t attempt) {
    Peer ann = say_hello(token(kAnn, "a"), origin, attempt, previous);
    const Heard welcome = ann.take(wire::Payload::Welcome);
    EXPECT_FALSE(welcome.frame().payload_as_Welcome()->continuity_broken()) << origin;
    leave(ann);
  };
  opening(5, 0, 1);
  opening(6, 5, 1);
  const uint64_t commits = disk_.num_commits;
  opening(6, 5, 2);
  EXPECT_EQ(disk_.num_commits, commits);
  opening(7, 6, 1);
  EXPECT_EQ(disk_.num_commits, commits + 1);
  restart();
  opening(8, 7, 1);
}

TEST_F(SessionTest, NoAccountIsMadeWhereThatIsNotAllowed) {
  accounts_auto_ = false;
  start();
  say_hello(token(kAnn, "a"), 77).expect_error(wire::ErrorCode::NoAccount);
}

}  // namespace
}  // namespace perch::chat
