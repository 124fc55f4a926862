// What every Storage does, in memory and on disk: the simulator judges with the one, people rely on the
// other.
#include "client/storage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "client/memory_store.h"
#include "client/sqlite_store.h"
#include "tests/unit/temp_folder.h"

namespace perch::client {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr UserId kMe = 5, kPeer = 7, kOther = 8;
constexpr Origin kPeerOrigin = 0x8000000000000001u;  // the sign bit too, for SQLite's signed integers

// One kind of storage: made once, opened again and again.
class Medium {
 public:
  virtual ~Medium() = default;
  virtual Storage& store() = 0;
  virtual void reopen() = 0;
  virtual Mark mark_of_copy(const MessageId& id) = 0;
};

class InMemory final : public Medium {
 public:
  Storage& store() override { return store_; }
  void reopen() override { store_.reopen(*random_); }
  Mark mark_of_copy(const MessageId& id) override { return store_.inbox().at(id).message.mark; }

 private:
  std::unique_ptr<Random> random_ = seeded_random(1);
  MemoryStore store_{*random_};
};

class OnDisk final : public Medium {
 public:
  OnDisk() { reopen(); }
  Storage& store() override { return *store_; }
  void reopen() override {
    store_.reset();
    auto opened = SqliteStore::open(folder_.path(), *random_, true);
    EXPECT_TRUE(opened.ok());
    store_ = std::move(opened).value();
  }
  Mark mark_of_copy(const MessageId& id) override {
    const auto arrivals = store_->arrivals(0, 1000);
    for (const Arrival& next : *arrivals) {
      if (next.message.id == id) return next.message.mark;
    }
    ADD_FAILURE() << "no such copy";
    return Mark::kQueued;
  }

 private:
  TempFolder folder_;
  std::unique_ptr<Random> random_ = seeded_random(1);
  std::unique_ptr<SqliteStore> store_;
};

struct Kind {
  const char* name;
  std::unique_ptr<Medium> (*make)();
};

class StorageTest : public ::testing::TestWithParam<Kind> {
 protected:
  Storage& store() { return medium_->store(); }
  void transact(const std::function<void(Storage&)>& change) {
    store().begin();
    change(store());
    ASSERT_TRUE(store().commit().ok());
  }
  static NewRow message_row(UserId to, std::string_view text = "hello", std::string_view handle = "") {
    NewRow row;
    row.to = to;
    row.handle = handle;
    row.content = 3;
    row.body.assign(text.begin(), text.end());
    row.time_ms = 99;
    return row;
  }
  static NewRow read_row(UserId to, const ReadMark& mark) {
    NewRow row;
    row.kind = RowKind::kRead;
    row.to = to;
    row.read = mark;
    return row;
  }
  // A row with an id.
  RowId bound(const NewRow& row) {
    RowId id = 0;
    transact([&](Storage& s) {
      id = s.add_row(row);
      const Seq seq = s.take_seq();
      const std::vector<uint8_t> frame = {1, 2, static_cast<uint8_t>(seq)};
      s.bind_row(id, row.to, seq, frame);
    });
    return id;
  }
  std::vector<Seq> open_seqs(Seq above = 0, size_t limit = 100) {
    std::vector<Seq> out;
    const auto rows = store().open_rows(above, limit);
    for (const OpenRow& row : *rows) out.push_back(row.seq);
    return out;
  }
  std::optional<RowStatus> close(Seq seq, Mark mark, Number number = 1024, uint8_t reason = 0) {
    std::optional<RowStatus> out;
    transact([&](Storage& s) { out = s.close_row(origin(), seq, mark, reason, number, 555); });
    return out;
  }
  std::vector<Seq> marked(UserId peer, Seq up_to, Mark mark, Origin of = 0, Seq first = 0) {
    std::vector<Seq> out;
    transact([&](Storage& s) {
      const Origin from = of != 0 ? of : origin();
      for (const RowStatus& row :
           mark == Mark::kRead ? s.rows_read(peer, from, up_to) : s.rows_delivered(peer, from, first, up_to))
        out.push_back(row.seq);
    });
    return out;
  }
  Insert insert(Seq seq, Number number, std::string_view text = "hi", UserId from = kPeer,
                UserId peer = kPeer, uint32_t* variant = nullptr) {
    InboxMessage in;
    in.id = {from, 1, kPeerOrigin, seq};
    in.peer = peer;
    in.number = number;
    in.body.assign(text.begin(), text.end());
    Insert out{};
    transact([&](Storage& s) { out = s.insert_message(in); });
    if (variant != nullptr) *variant = in.variant;
    return out;
  }
  void log_in() {
    transact([](Storage& s) { s.set_login(kMe, 2, 77, "me"); });
  }
  Origin origin() { return store().identity().origin; }
  Mark mark(RowId row) { return store().status(row)->mark; }

 private:
  std::unique_ptr<Medium> medium_ = GetParam().make();

 protected:
  Medium& medium() { return *medium_; }
};

INSTANTIATE_TEST_SUITE_P(
    Every, StorageTest,
    ::testing::Values(Kind{"Memory",
                           []() -> std::unique_ptr<Medium> { return std::make_unique<InMemory>(); }},
                      Kind{"Sqlite", []() -> std::unique_ptr<Medium> { return std::make_unique<OnDisk>(); }}),
    [](const auto& kind) { return kind.param.name; });

// --- who this is -------------------------------------------------------------------------------------------

TEST_P(StorageTest, EveryOpeningDrawsAnOriginAndKnowsTheLastWelcomedOne) {
  const Origin first = origin();
  EXPECT_NE(first, 0u);
  EXPECT_EQ(store().identity().previous_origin, 0u);
  EXPECT_EQ(store().identity().user, 0u);
  medium().reopen();
  EXPECT_NE(origin(), first);
  EXPECT_EQ(store().identity().previous_origin, 0u) << "nobody ever saw the first one";
  log_in();
  const Origin welcomed = origin();
  medium().reopen();
  medium().reopen();
  EXPECT_EQ(store().identity().previous_origin, welcomed) << "the one in between was never welcomed";
  EXPECT_NE(origin(), welcomed);
  EXPECT_EQ(store().identity().user, kMe);
  EXPECT_EQ(store().identity().device, 2);
  EXPECT_EQ(store().identity().incarnation, 77u);
  EXPECT_EQ(store().identity().handle, "me");
}

TEST_P(StorageTest, AfterGrowsAndSeqsAreNeverTakenTwice) {
  transact([](Storage& s) {
    s.raise_after(2048);
    s.raise_after(1024);
    EXPECT_EQ(s.take_seq(), 1u);
    EXPECT_EQ(s.take_seq(), 2u);
  });
  medium().reopen();
  EXPECT_EQ(store().identity().after, 2048u);
  transact([](Storage& s) { EXPECT_EQ(s.take_seq(), 3u); });
}

TEST_P(StorageTest, HandlesAreRemembered) {
  EXPECT_EQ(*store().user_of("bob"), 0u);
  transact([](Storage& s) { s.set_handle("bob", kPeer); });
  EXPECT_EQ(*store().user_of("bob"), kPeer);
  transact([](Storage& s) { s.set_handle("bob", kOther); });
  medium().reopen();
  EXPECT_EQ(*store().user_of("bob"), kOther);
  EXPECT_EQ(*store().user_of("Bob"), 0u);
}

// --- outbox ------------------------------------------------------------------------------------------------

TEST_P(StorageTest, ARowWaitsThenIsOpenUnderItsId) {
  RowId row = 0;
  transact([&](Storage& s) { row = s.add_row(message_row(kPeer)); });
  ASSERT_TRUE(store().status(row));
  EXPECT_TRUE(store().status(row)->open);
  EXPECT_EQ(store().status(row)->seq, 0u);
  EXPECT_EQ(store().status(row)->to, kPeer);
  EXPECT_EQ(store().status(row)->time_ms, 99u);
  EXPECT_EQ(store().lowest_open(), 0u) << "a row without an id holds nothing back";
  EXPECT_THAT(open_seqs(), IsEmpty());
  const auto waiting = *store().bindable_rows(10);
  ASSERT_EQ(waiting.size(), 1u);
  EXPECT_EQ(waiting[0].row, row);
  EXPECT_EQ(waiting[0].to, kPeer);
  EXPECT_EQ(waiting[0].content, 3);
  EXPECT_THAT(waiting[0].body, ElementsAre('h', 'e', 'l', 'l', 'o'));
  const std::vector<uint8_t> frame = {9, 8, 7};
  transact([&](Storage& s) { s.bind_row(row, kPeer, s.take_seq(), frame); });
  EXPECT_THAT(*store().bindable_rows(10), IsEmpty());
  const auto open = *store().open_rows(0, 10);
  ASSERT_EQ(open.size(), 1u);
  EXPECT_EQ(open[0].row, row);
  EXPECT_EQ(open[0].origin, origin());
  EXPECT_EQ(open[0].seq, 1u);
  EXPECT_FALSE(open[0].sent);
  EXPECT_EQ(open[0].frame, frame);
  transact([](Storage& s) { s.mark_sent(1); });
  EXPECT_TRUE(store().open_rows(0, 10).value()[0].sent);
  EXPECT_EQ(store().status(row + 1).error().code, Errc::kNotFound);
  const Origin of = origin();
  medium().reopen();
  EXPECT_EQ(store().open_rows(0, 10).value()[0].origin, of) << "a row keeps the id it was given";
}

TEST_P(StorageTest, OpenRowsComeInOrderFromAnywhere) {
  for (int i = 0; i < 5; ++i) bound(message_row(kPeer));
  EXPECT_THAT(open_seqs(), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(open_seqs(2), ElementsAre(3, 4, 5));
  EXPECT_THAT(open_seqs(1, 2), ElementsAre(2, 3));
  EXPECT_EQ(store().lowest_open(), 1u);
  close(1, Mark::kAccepted);
  close(3, Mark::kDelivered, 2048);
  EXPECT_THAT(open_seqs(), ElementsAre(2, 4, 5));
  EXPECT_EQ(store().lowest_open(), 2u);
}

TEST_P(StorageTest, RowsForAHandleWaitUntilItIsKnown) {
  transact([](Storage& s) {
    s.add_row(message_row(0, "a", "bob"));
    s.add_row(message_row(0, "b", "carol"));
    s.add_row(message_row(kOther, "c"));
    s.add_row(message_row(0, "d", "bob"));
  });
  EXPECT_THAT(*store().unresolved_handles(), ElementsAre("bob", "carol"));
  EXPECT_EQ(store().bindable_rows(10)->size(), 1u);
  transact([](Storage& s) { s.set_handle("bob", kPeer); });
  EXPECT_THAT(*store().unresolved_handles(), ElementsAre("carol"));
  std::vector<UserId> to;
  const auto bindable = store().bindable_rows(10);
  for (const WaitingRow& row : *bindable) to.push_back(row.to);
  EXPECT_THAT(to, ElementsAre(kPeer, kOther, kPeer)) << "in order of composition";
  EXPECT_EQ(store().bindable_rows(2)->size(), 2u);
}

TEST_P(StorageTest, AHandleThatNobodyHasRejectsWhatWaitsForIt) {
  RowId waits = 0, other = 0;
  transact([&](Storage& s) {
    waits = s.add_row(message_row(0, "a", "nobody"));
    other = s.add_row(message_row(0, "b", "somebody"));
  });
  std::vector<RowStatus> rejected;
  transact([&](Storage& s) { rejected = s.reject_handle("nobody", 1); });
  ASSERT_EQ(rejected.size(), 1u);
  EXPECT_EQ(rejected[0].row, waits);
  EXPECT_EQ(rejected[0].mark, Mark::kRejected);
  EXPECT_EQ(rejected[0].reason, 1);
  EXPECT_FALSE(store().status(waits)->open);
  EXPECT_TRUE(store().status(other)->open);
  EXPECT_THAT(*store().unresolved_handles(), ElementsAre("somebody"));
}

TEST_P(StorageTest, AnUnsentReadRowIsReplacedByANewerOneOfItsKey) {
  const RowId first = bound(read_row(kPeer, {1, 44, 5}));
  const RowId other_device = bound(read_row(kPeer, {2, 44, 5}));
  const RowId other_user = bound(read_row(kOther, {1, 44, 5}));
  const RowId second = bound(read_row(kPeer, {1, 44, 6}));
  EXPECT_FALSE(store().status(first));
  EXPECT_TRUE(store().status(other_device) && store().status(other_user));
  EXPECT_THAT(open_seqs(), ElementsAre(2, 3, 4));
  transact([](Storage& s) { s.mark_sent(4); });
  bound(read_row(kPeer, {1, 44, 7}));
  EXPECT_TRUE(store().status(second)) << "what was sent is fixed";
  EXPECT_THAT(open_seqs(), ElementsAre(2, 3, 4, 5));
  RowId waiting = 0;
  transact([&](Storage& s) { waiting = s.add_row(read_row(kPeer, {3, 44, 1})); });
  bound(read_row(kPeer, {3, 44, 2}));
  EXPECT_FALSE(store().status(waiting)) << "one that has no id yet as well";
  ASSERT_EQ(store().bindable_rows(10)->size(), 0u);
}

TEST_P(StorageTest, AReadRowKeepsItsMarkUntilItIsBound) {
  transact([](Storage& s) { s.add_row(read_row(kPeer, {3, kPeerOrigin, 9})); });
  const auto waiting = *store().bindable_rows(10);
  ASSERT_EQ(waiting.size(), 1u);
  EXPECT_EQ(waiting[0].kind, RowKind::kRead);
  EXPECT_EQ(waiting[0].read.device, 3);
  EXPECT_EQ(waiting[0].read.origin, kPeerOrigin);
  EXPECT_EQ(waiting[0].read.up_to, 9u);
}

TEST_P(StorageTest, ResultsCloseOnceAndOnlyGrow) {
  const RowId row = bound(message_row(kPeer));
  std::optional<RowStatus> closed;
  transact([&](Storage& s) { closed = s.close_row(origin() + 1, 1, Mark::kAccepted, 0, 1024, 5); });
  EXPECT_FALSE(closed) << "another opening's";
  EXPECT_FALSE(close(2, Mark::kAccepted));
  closed = close(1, Mark::kAccepted, 1024);
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->row, row);
  EXPECT_FALSE(closed->open);
  EXPECT_EQ(closed->mark, Mark::kAccepted);
  EXPECT_EQ(closed->number, 1024u);
  EXPECT_EQ(closed->time_ms, 555u);
  EXPECT_FALSE(close(1, Mark::kAccepted, 1024)) << "repeated";
  EXPECT_FALSE(close(1, Mark::kAccepted, 512)) << "a smaller number is no news";
  EXPECT_EQ(close(1, Mark::kAccepted, 2048)->number, 2048u);
  EXPECT_EQ(close(1, Mark::kDelivered, 2048)->mark, Mark::kDelivered);
  EXPECT_FALSE(close(1, Mark::kAccepted, 2048));
  EXPECT_EQ(mark(row), Mark::kDelivered);
  EXPECT_EQ(close(1, Mark::kRejected, 0, 3)->reason, 3);
  EXPECT_EQ(mark(row), Mark::kRejected);
}

TEST_P(StorageTest, ReceiptsMarkOneConversationUpToASeq) {
  for (const UserId to : {kPeer, kOther, kPeer, kPeer, kPeer}) bound(message_row(to));
  bound(read_row(kPeer, {1, 44, 5}));
  close(1, Mark::kAccepted);
  close(3, Mark::kRejected, 0, 2);
  close(5, Mark::kAccepted);
  close(6, Mark::kAccepted);
  EXPECT_THAT(marked(kPeer, 4, Mark::kDelivered, origin() + 1), IsEmpty());
  EXPECT_THAT(marked(kPeer, 4, Mark::kDelivered), ElementsAre(1))
      << "2 is another's, 3 was rejected, 4 may yet be";
  EXPECT_THAT(marked(kPeer, 4, Mark::kDelivered), IsEmpty()) << "repeated";
  EXPECT_THAT(marked(kPeer, 100, Mark::kDelivered), ElementsAre(5)) << "6 is no message";
  EXPECT_THAT(open_seqs(), ElementsAre(2, 4)) << "a receipt closes nothing";
}

TEST_P(StorageTest, ReadIsShownOnceDelivered) {
  std::vector<RowId> rows;
  for (int i = 0; i < 5; ++i) rows.push_back(bound(message_row(kPeer)));
  close(1, Mark::kDelivered);
  close(2, Mark::kAccepted);
  close(3, Mark::kRejected, 0, 2);
  EXPECT_THAT(marked(kPeer, 4, Mark::kRead), ElementsAre(1)) << "of the others nobody is known to have one";
  EXPECT_THAT(marked(kPeer, 4, Mark::kRead), IsEmpty()) << "repeated";
  EXPECT_THAT(marked(kPeer, 5, Mark::kDelivered), ElementsAre(2));
  EXPECT_EQ(mark(rows[1]), Mark::kRead);
  EXPECT_EQ(mark(rows[2]), Mark::kRejected);
  EXPECT_EQ(close(4, Mark::kDelivered)->mark, Mark::kRead);
  EXPECT_EQ(close(5, Mark::kDelivered)->mark, Mark::kDelivered) << "nobody said so of this one";
}

TEST_P(StorageTest, AReceiptMarksFromItsFirstSeqOn) {
  for (int i = 0; i < 4; ++i) bound(message_row(kPeer));
  for (Seq seq = 1; seq <= 4; ++seq) close(seq, Mark::kAccepted);
  EXPECT_THAT(marked(kPeer, 3, Mark::kDelivered, 0, 3), ElementsAre(3));
  EXPECT_THAT(marked(kPeer, 2, Mark::kDelivered, 0, 3), IsEmpty());
  EXPECT_THAT(marked(kPeer, 4, Mark::kDelivered, 0, 2), ElementsAre(2, 4));
}

TEST_P(StorageTest, ExpiryIsForWhatIsNotDelivered) {
  const auto expire = [&](UserId peer, Seq seq) {
    std::optional<RowStatus> out;
    transact([&](Storage& s) { out = s.expire_row(peer, origin(), seq); });
    return out;
  };
  const RowId row = bound(message_row(kPeer));
  bound(message_row(kPeer));
  close(1, Mark::kAccepted);
  close(2, Mark::kDelivered, 2048);
  EXPECT_FALSE(expire(kOther, 1));
  EXPECT_FALSE(expire(kPeer, 3));
  EXPECT_FALSE(expire(kPeer, 2)) << "delivered";
  EXPECT_EQ(expire(kPeer, 1)->mark, Mark::kExpired);
  EXPECT_FALSE(expire(kPeer, 1)) << "repeated";
  EXPECT_THAT(marked(kPeer, 9, Mark::kDelivered), IsEmpty()) << "a mark does not undo it";
  EXPECT_EQ(close(1, Mark::kDelivered, 1024)->mark, Mark::kDelivered) << "a result does";
  EXPECT_EQ(mark(row), Mark::kDelivered);
}

TEST_P(StorageTest, ARestoredServerGetsAgainWhatItAccepted) {
  for (int i = 0; i < 5; ++i) bound(message_row(kPeer));
  bound(read_row(kPeer, {1, 44, 5}));
  close(1, Mark::kAccepted, 1024);
  close(2, Mark::kDelivered, 2048);
  close(3, Mark::kRejected, 0, 1);
  close(4, Mark::kAccepted, 3072);
  close(6, Mark::kAccepted, 4096);
  const auto frame = [&](Seq seq) { return store().open_rows(seq - 1, 1).value()[0].frame; };
  size_t reopened = 0;
  transact([&](Storage& s) { reopened = s.reopen_accepted(); });
  EXPECT_EQ(reopened, 3u);
  EXPECT_THAT(open_seqs(), ElementsAre(1, 4, 5, 6)) << "6 is a read mark";
  EXPECT_THAT(frame(4), ElementsAre(1, 2, 4)) << "the same bytes";
  EXPECT_EQ(store().lowest_open(), 1u);
  transact([&](Storage& s) { reopened = s.reopen_accepted(); });
  EXPECT_EQ(reopened, 0u);
}

TEST_P(StorageTest, OfReadsARestoredServerGetsOnlyThoseThatNoLaterOneCovers) {
  const std::vector<std::pair<UserId, ReadMark>> reads = {
      {kPeer, {1, 44, 5}},  {kPeer, {1, 44, 6}},  {kOther, {1, 44, 5}}, {kPeer, {2, 44, 5}},
      {kPeer, {1, 44, 8}},  {kPeer, {1, 44, 7}},  {kPeer, {1, 45, 1}},  {kPeer, {1, 45, 2}},
      {kOther, {1, 45, 1}}, {kOther, {1, 45, 2}}, {kOther, {2, 45, 1}}, {kOther, {2, 45, 2}},
  };
  Seq seq = 0;
  for (const auto& [to, read] : reads) {
    const RowId row = bound(read_row(to, read));
    transact([&](Storage& s) { s.mark_sent(++seq); });
    ASSERT_TRUE(store().status(row));
  }
  for (Seq closed = 1; closed <= 7; ++closed) close(closed, Mark::kAccepted, closed * 1024);
  close(8, Mark::kDelivered, 8192);
  close(9, Mark::kAccepted, 9216);
  close(10, Mark::kRejected, 10240, 3);
  close(11, Mark::kAccepted, 11264);  // 12 is open still
  size_t reopened = 0;
  transact([&](Storage& s) { reopened = s.reopen_accepted(); });
  EXPECT_THAT(open_seqs(), ElementsAre(3, 4, 5, 6, 9, 12))
      << "6 came after 5 and says less, for messages that were late; 7 is covered by one that was delivered, "
         "9 "
         "only by one that was rejected, 11 by one that goes out anyway";
  EXPECT_EQ(reopened, 5u);
}

// --- inbox -------------------------------------------------------------------------------------------------

TEST_P(StorageTest, AMessageIsTakenOnceAndItsNumberOnlyGrows) {
  EXPECT_EQ(insert(1, 10), Insert::kNew);
  EXPECT_EQ(insert(1, 10), Insert::kKnown);
  EXPECT_EQ(insert(1, 20), Insert::kRenumbered);
  EXPECT_EQ(insert(1, 15), Insert::kKnown);
  EXPECT_EQ(insert(1, 20), Insert::kKnown);
  EXPECT_EQ(insert(2, 30), Insert::kNew);
  medium().reopen();
  EXPECT_EQ(insert(1, 20), Insert::kKnown);
}

TEST_P(StorageTest, OtherBytesUnderAKnownIdAreKeptApart) {
  uint32_t variant = 9;
  insert(1, 10, "one");
  EXPECT_EQ(insert(1, 11, "two", kPeer, kPeer, &variant), Insert::kVariant);
  EXPECT_EQ(variant, 1u);
  EXPECT_EQ(insert(1, 12, "three", kPeer, kPeer, &variant), Insert::kVariant);
  EXPECT_EQ(variant, 2u);
  EXPECT_EQ(insert(1, 11, "two", kPeer, kPeer, &variant), Insert::kKnown);
  EXPECT_EQ(variant, 1u);
  EXPECT_EQ(insert(1, 13, "two", kPeer, kPeer, &variant), Insert::kRenumbered);
  EXPECT_EQ(insert(1, 10, "one", kPeer, kPeer, &variant), Insert::kKnown);
  EXPECT_EQ(variant, 0u);
}

TEST_P(StorageTest, UnreadIsTheLargestSeqOfEachOpening) {
  log_in();
  EXPECT_THAT(*store().unread(kPeer), IsEmpty());
  for (const Seq seq : {1, 3, 2}) insert(seq, seq * 10);
  insert(9, 90, "hi", kOther, kOther);
  insert(4, 40, "mine, from elsewhere", kMe, kPeer);
  const auto unread = *store().unread(kPeer);
  ASSERT_EQ(unread.size(), 1u);
  EXPECT_EQ(unread[0].device, 1);
  EXPECT_EQ(unread[0].origin, kPeerOrigin);
  EXPECT_EQ(unread[0].up_to, 3u);
  EXPECT_THAT(*store().unread(kMe), IsEmpty()) << "what this user sent is not unread";
  transact([](Storage& s) { s.mark_inbox_read(kPeer, {1, kPeerOrigin, 2}); });
  EXPECT_EQ(store().unread(kPeer)->size(), 1u);
  transact([](Storage& s) { s.mark_inbox_read(kPeer, {1, kPeerOrigin, 3}); });
  EXPECT_THAT(*store().unread(kPeer), IsEmpty());
  EXPECT_EQ(store().unread(kOther)->size(), 1u);
}

TEST_P(StorageTest, CopiesOfOnesOwnMessagesHaveMarksToo) {
  log_in();
  const auto id = [](Seq seq) { return MessageId{kMe, 1, kPeerOrigin, seq}; };
  for (const Seq seq : {1, 2, 3}) insert(seq, seq, "from my other device", kMe, kPeer);
  insert(4, 4, "to another", kMe, kOther);
  transact([](Storage& s) { s.mark_copies(kMe, 1, kPeer, kPeerOrigin, 0, 2, Mark::kDelivered); });
  EXPECT_EQ(medium().mark_of_copy(id(1)), Mark::kDelivered);
  EXPECT_EQ(medium().mark_of_copy(id(2)), Mark::kDelivered);
  EXPECT_EQ(medium().mark_of_copy(id(3)), Mark::kQueued);
  transact([](Storage& s) {
    s.mark_copies(kMe, 1, kPeer, kPeerOrigin, 0, 1, Mark::kRead);
    s.mark_copies(kMe, 1, kPeer, kPeerOrigin, 0, 100, Mark::kAccepted);
    s.mark_copies(kMe, 2, kPeer, kPeerOrigin, 0, 100, Mark::kRead);
    s.expire_copy(kMe, 1, kPeerOrigin, 1);
    s.expire_copy(kMe, 1, kPeerOrigin, 4);
    s.expire_copy(kMe, 1, kPeerOrigin, 5);
  });
  EXPECT_EQ(medium().mark_of_copy(id(1)), Mark::kRead);
  EXPECT_EQ(medium().mark_of_copy(id(2)), Mark::kDelivered);
  EXPECT_EQ(medium().mark_of_copy(id(3)), Mark::kAccepted);
  EXPECT_EQ(medium().mark_of_copy(id(4)), Mark::kExpired);
}

// --- transactions ------------------------------------------------------------------------------------------

TEST_P(StorageTest, WritesNeedATransactionAndThereIsOne) {
  EXPECT_DEATH(store().add_row(message_row(kPeer)), "must be true");
  EXPECT_DEATH((void)store().commit(), "must be true");
  store().begin();
  EXPECT_DEATH(store().begin(), "must be true");
  ASSERT_TRUE(store().commit().ok());
}

}  // namespace
}  // namespace perch::client
