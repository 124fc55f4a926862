// What a receipt or a read mark costs a profile does not grow with the conversation, or a long one would cost
// its square. Counted in steps of SQLite's machine.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <utility>

#include "client/sqlite_store.h"
#include "tests/unit/temp_folder.h"

namespace perch::client {
namespace {

constexpr UserId kMe = 5, kPeer = 7;
constexpr DeviceNo kMine = 1, kOther = 2;
constexpr Origin kPeerOrigin = 99, kOtherOrigin = 98, kThirdOrigin = 97;

size_t num_steps = 0;

int step(void*) {
  ++num_steps;
  return 0;
}

int watch(sqlite3* db, char**, const sqlite3_api_routines*) {
  sqlite3_progress_handler(db, 1, step, nullptr);
  return SQLITE_OK;
}

// In which everybody has read everything, and then one message more went each way: from here, from another
// device of this user, and from the peer, who says something about ours.
class Dialogue {
 public:
  explicit Dialogue(Seq length) {
    auto opened = SqliteStore::open(folder_.path(), *random_, true);
    EXPECT_TRUE(opened.ok());
    store_ = std::move(opened).value();
    store_->begin();
    store_->set_login(kMe, kMine, 1, "");
    for (Seq seq = 1; seq <= length; ++seq) exchange();
    deliver();
    read();
    exchange();
    EXPECT_TRUE(store_->commit().ok());
  }
  void exchange() {
    ++last_;
    NewRow row;
    row.to = kPeer;
    store_->bind_row(store_->add_row(row), kPeer, store_->take_seq(), Bytes());
    store_->close_row(store_->identity().origin, last_, Mark::kAccepted, 0, last_, 1);
    for (const bool copy : {false, true}) {
      InboxMessage in;
      in.id = copy ? MessageId{kMe, kOther, kOtherOrigin, last_} : MessageId{kPeer, 1, kPeerOrigin, last_};
      in.peer = kPeer;
      in.number = last_;
      store_->insert_message(in);
    }
    InboxMessage reaction;
    reaction.id = {kPeer, 2, kThirdOrigin, last_};
    reaction.peer = kPeer;
    reaction.number = last_;
    reaction.content = kContentItem;
    reaction.body = encode_item({.kind = ItemKind::kReaction,
                                 .text = "+",
                                 .target = {kMe, kMine, store_->identity().origin, last_}})
                        .value();
    store_->insert_message(reaction);
  }
  void deliver() {
    delivered_ = store_->rows_delivered(kPeer, store_->identity().origin, 1, last_).size();
    store_->mark_copies(kMe, kOther, kPeer, kOtherOrigin, 1, last_, Mark::kDelivered);
  }
  void read() {
    read_ = store_->rows_read(kPeer, store_->identity().origin, last_).size();
    store_->mark_copies(kMe, kOther, kPeer, kOtherOrigin, 0, last_, Mark::kRead);
    store_->mark_inbox_read(kPeer, {1, kPeerOrigin, last_});
  }
  void say_read() {
    NewRow row;
    row.kind = RowKind::kRead;
    row.to = kPeer;
    row.read = {1, kPeerOrigin, last_};
    store_->add_row(row);
  }
  void list() { (void)store_->conversations(); }
  void leaf() { (void)store_->history_around(kPeer, last_ / 2, 3, 3); }
  void expire() { store_->expire_row(kPeer, store_->identity().origin, last_); }
  size_t steps_of(void (Dialogue::*change)()) {
    store_->begin();
    num_steps = 0;
    (this->*change)();
    const size_t steps = num_steps;
    EXPECT_TRUE(store_->commit().ok());
    return steps;
  }
  size_t delivered() const { return delivered_; }
  size_t read_rows() const { return read_; }

 private:
  TempFolder folder_;
  std::unique_ptr<Random> random_ = seeded_random(1);
  std::unique_ptr<SqliteStore> store_;
  Seq last_ = 0;
  size_t delivered_ = 0, read_ = 0;
};

TEST(SqliteCostTest, DoesNotGrowWithTheConversation) {
  ASSERT_EQ(sqlite3_auto_extension(reinterpret_cast<void (*)()>(watch)), SQLITE_OK);
  Dialogue shorter(10), longer(1000);
  EXPECT_EQ(longer.delivered(), 1000u);
  EXPECT_EQ(longer.read_rows(), 1000u);
  for (const auto& [name, change] : std::initializer_list<std::pair<const char*, void (Dialogue::*)()>>{
           {"a read mark to send", &Dialogue::say_read},
           {"an expiry", &Dialogue::expire},
           {"a receipt for what has expired", &Dialogue::deliver},
           {"a read mark", &Dialogue::read},
           {"a read mark again", &Dialogue::read},
           {"the list of conversations", &Dialogue::list},
           {"a page from its middle", &Dialogue::leaf}}) {
    const size_t few = shorter.steps_of(change), many = longer.steps_of(change);
    EXPECT_GT(few, 0u) << name;
    EXPECT_LE(many, few + few / 2) << name;
  }
  sqlite3_reset_auto_extension();
}

}  // namespace
}  // namespace perch::client
