// MemoryStore keeps a device in memory: for the simulator, the load generator and tests. It is no disk: a
// benchmark that uses it says so. Copyable, so that a simulator can restore a device from an older state.
#pragma once
#include <map>
#include <set>
#include <tuple>

#include "client/seq_set.h"
#include "client/storage.h"
#include "core/random.h"

namespace perch::client {

class MemoryStore final : public Storage {
 public:
  struct Row {
    RowStatus status;
    NewRow composed;
    bool sent = false;
    std::vector<uint8_t> frame;
  };
  struct Received {
    InboxMessage message;
    bool read = false;
  };

  // keep_history false: for the load generator, which has a million of these. Closed rows are forgotten at
  // once; of messages only which came, and the largest number of each sender's, in a few bytes however many
  // there were. inbox() stays empty, nothing is ever unread, and other bytes under a known id go unnoticed.
  explicit MemoryStore(Random& random, bool keep_history = true) : keep_history_(keep_history) {
    reopen(random);
  }

  // What opening a database does: a new origin, never 0.
  void reopen(Random& random);

  const Identity& identity() const override { return identity_; }
  void begin() override;
  Result<void> commit() override;
  void set_login(UserId user, DeviceNo device, uint64_t incarnation, std::string_view handle) override;
  void raise_after(Number number) override;
  void set_handle(std::string_view handle, UserId user) override;
  Result<UserId> user_of(std::string_view handle) override;
  RowId add_row(const NewRow& row) override;
  Seq take_seq() override { return identity_.next_seq++; }
  void bind_row(RowId row, UserId to, Seq seq, Bytes frame) override;
  void mark_sent(Seq seq) override;
  Result<std::vector<WaitingRow>> bindable_rows(size_t limit) override;
  Result<std::vector<std::string>> unresolved_handles() override;
  Result<std::vector<OpenRow>> open_rows(Seq above, size_t limit) override;
  Seq lowest_open() override { return open_.empty() ? 0 : *open_.begin(); }
  Result<RowStatus> status(RowId row) override;
  std::optional<RowStatus> close_row(Origin origin, Seq seq, Mark mark, uint8_t reason, Number number,
                                     uint64_t time_ms) override;
  std::vector<RowStatus> reject_handle(std::string_view handle, uint8_t reason) override;
  std::vector<RowStatus> rows_delivered(UserId peer, Origin origin, Seq first, Seq up_to) override;
  std::vector<RowStatus> rows_read(UserId peer, Origin origin, Seq up_to) override;
  std::optional<RowStatus> expire_row(UserId peer, Origin origin, Seq seq) override;
  size_t reopen_accepted() override;
  Insert insert_message(InboxMessage& message) override;
  void mark_copies(UserId me, DeviceNo device, UserId peer, Origin origin, Seq first, Seq up_to,
                   Mark mark) override;
  void expire_copy(UserId me, DeviceNo device, Origin origin, Seq seq) override;
  void mark_inbox_read(UserId peer, const ReadMark& mark) override;
  Result<std::vector<ReadMark>> unread(UserId peer) override;

  // --- what tests, the simulator's oracle and reports look at ---
  const std::map<RowId, Row>& rows() const { return rows_; }
  const std::map<MessageId, Received>& inbox() const { return inbox_; }
  const std::vector<InboxMessage>& variants() const { return variants_; }
  uint64_t num_commits() const { return num_commits_; }
  // The next commits fail with this error, until told otherwise. What they wrote stays in memory: after a
  // failed commit the store is only good for being replaced by an older copy.
  void fail_commits(std::optional<Error> error) { failure_ = error; }
  // The same for reads of rows that have something to be done with.
  void fail_reads(std::optional<Error> error) { read_failure_ = error; }

 private:
  template <typename Change>
  std::vector<RowStatus> change_rows(UserId peer, Origin origin, Seq first, Seq up_to, Change change);
  struct Stream {  // from one opening of a sender's device
    SeqSet seen;
    Number largest = 0;
  };
  Insert insert_without_history(const InboxMessage& message);

  bool keep_history_;
  Identity identity_;
  bool welcomed_ = false;
  bool in_transaction_ = false;
  std::optional<Error> failure_, read_failure_;
  uint64_t num_commits_ = 0;
  RowId next_row_ = 1;
  std::map<RowId, Row> rows_;
  std::map<Seq, RowId> by_seq_;
  std::set<Seq> open_;
  std::set<RowId> waiting_;
  std::map<std::string, UserId, std::less<>> handles_;
  std::map<MessageId, Received> inbox_;
  std::vector<InboxMessage> variants_;
  std::map<std::tuple<UserId, DeviceNo, Origin>, Stream> streams_;  // !keep_history_
};

}  // namespace perch::client
