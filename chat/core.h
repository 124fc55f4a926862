// Core: everything one reactor owns, and the rules of delivery (DELIVERY.md, 2) on it.
//
// ON: one reactor thread; turn() is called in a loop. Nothing here waits: what needs the disk or another core
//     is posted and goes on when the answer hop arrives.
// FILES: core.cc loop and hops · frames.cc · store_ops.cc · recovery.cc · user_row.cc · devices.cc
//        · login.cc · revocation.cc · session.cc · blocks.cc · sender.cc taking and results
//        · mailbox.cc lists and hand-over · confirmations.cc · receipts.cc · expiry.cc · questions.cc
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>

#include "chat/blocks.h"
#include "chat/flight.h"
#include "chat/login.h"
#include "chat/question.h"
#include "chat/user.h"
#include "codec/encode.h"
#include "codec/outcome_template.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/probe.h"
#include "core/served_time.h"
#include "tls/token.h"

namespace perch::chat {

struct CoreOptions {
  CoreId id = 0;
  uint16_t num_cores = 1;
  CoreId store = 1;           // endpoint of the store thread
  std::vector<int> ring_ids;  // of every core, by CoreId
  bool accounts_auto = false;
  uint64_t boot = 0;
  uint64_t incarnation = 0;
  uint64_t counter = 0;    // where numbers start
  uint64_t ceiling = 0;    // … and must stop until it is raised
  uint64_t served_ms = 0;  // in earlier runs: core/served_time.h
  size_t completions_per_turn = 512;
  // Every turn calls it behind its wait and before anything that has come is looked at: the moment at which
  // use_keys() and changed limits hold for all that came after they were there to be taken.
  std::function<void()> woken = {};
};

class Core final : public net::Handler, public store::RecoveryVisitor {
 public:
  Core(CoreOptions options, Ring& ring, MeshEndpoint& mesh, Clock& clock, MetricsPage& metrics, Log& log,
       const Limits& limits, const TokenKeys& keys, std::unique_ptr<store::Reader> reader);
  ~Core() override;

  net::Net& net() { return net_; }
  // From the next login on. LIFETIME: they outlive it, or the next call.
  void use_keys(const TokenKeys& keys) { keys_ = &keys; }

  // One turn of the loop: completions before hops before timers, so that a confirmation that has arrived is
  // seen before its deadline (DELIVERY.md H27). Sleeps at most `sleep_ns_max` and only if there is nothing to
  // do.
  void turn(uint64_t sleep_ns_max);
  // SIGTERM. After it drained() becomes true once everything in memory is safe and said.
  void drain();
  bool draining() const { return draining_; }
  bool drained() const;
  bool store_failed() const { return store_poisoned_; }

  // Before the first turn, on any thread: what waited when the node stopped. REQUIRES: of users of this core.
  void item(const store::RecoveredItem& item) override;
  void mark(const store::RecoveredMark& mark) override;
  void receipt(const store::RecoveredReceipt& receipt) override;
  void expired(const store::RecoveredExpired& expired) override;
  void recovered();  // sorts the lists

 private:
  friend struct CorePeek;  // tests: what is left in memory

  // ---- core.cc
  void on_hop(const Hop& hop);
  template <typename T>
  void post(CoreId target, HopKind kind, const T& payload) {
    mesh_.post(target, Hop::make(kind, payload));
  }
  CoreId home(UserId user) const { return home_of(user, options_.num_cores); }
  // Reads again on a new snapshot before it says that something is not there: the one of this turn may be
  // older than what a hop of this turn tells of.
  template <typename Read>
  auto read_fresh(const Read& read) {
    auto result = read();
    if (result) return result;
    reader_->release();
    return read();
  }
  Result<User*> load_user(UserId id);  // ERRORS: kNotFound; those of Reader, which it logs
  User* find_user(UserId id);          // null: neither there nor readable
  // ERRORS: kNotFound: it was removed, nobody is left to be told. What waits for it is kept for a start that
  // knows more: kBusy: the disk may still say that it is one; those of Reader.
  Result<Device*> load_device(UserId user, DeviceNo number);
  void log_unreadable(UserId user, std::string_view handle, Errc why);
  User& put_user(const store::UserRow& row);
  store::UserRow row_of(const User& user) const;
  bool deadlines_may_pass(size_t num_completions);
  void on_timer(Timer& timer);
  void return_leases();
  void publish_gauges();

  // ---- frames.cc
  void on_frame(net::ConnId id, MutableBytes frame) override;
  void on_violation(net::ConnId id, net::CloseReason reason) override;
  void on_writable(net::ConnId id) override;
  void on_closed(net::ConnId id, net::CloseReason reason) override;
  bool send(Session& session, Bytes bytes);
  void fail(net::ConnId id, wire::ErrorCode code, std::string_view text, Origin origin = 0);
  void count_error(wire::ErrorCode code);
  void log_refused(net::ConnId id, wire::ErrorCode code, std::string_view text);
  struct Bound {
    User* user = nullptr;
    Device* device = nullptr;
    uint32_t generation = 0;
  };
  Bound* bound(net::ConnId id);

 public:
  static constexpr size_t kBoundBytes = sizeof(Bound);  // for the bill

 private:
  // ---- store_ops.cc
  void submit(std::unique_ptr<store::StoreOp> op);
  void on_store_done(store::StoreOp* op);
  void confirm_record(const store::Place& place, Number number, const store::Waiting& who);

  // ---- user_row.cc
  void write_user(User& user, std::unique_ptr<LoginRequest> login = nullptr,
                  std::vector<std::unique_ptr<store::StoreOp>> after = {});
  void post_row_if_changed(User& user);
  void post_row(User& user, std::unique_ptr<LoginRequest> login);
  void row_written(std::unique_ptr<LoginRequest> login);
  void on_user_written(const store::StoreOp& op);

  // ---- devices.cc
  void note_seen(User& user, Device& device);
  bool unseen_for(const Device& device, uint64_t ms) const;
  struct Takers {
    SlotMask take = 0, miss = 0;
  };
  Takers takers(const User& user, size_t bytes, const Device* sender);
  SlotMask addressed(User& user, size_t bytes, const Device* sender);
  SlotMask begin_gaps(User& user, SlotMask missed);
  void send_back_if_left_out(const User& user, const Device& device);
  int slot_for_new_device(const User& user);
  bool is_idle(const User& user, int slot) const;
  std::vector<std::unique_ptr<store::StoreOp>> remove_device(User& user, int slot);

  // ---- login.cc
  std::optional<Claims> check_token(net::ConnId id, std::string_view token);
  void on_hello(net::ConnId id, const wire::Frame& frame);
  void refuse_unreadable(const LoginRequest& login, Errc why);
  static constexpr uint64_t moving_key(net::ConnId id) { return uint64_t{id.generation} << 32 | id.index; }
  void send_home(std::unique_ptr<LoginRequest> login);
  void on_moved(net::ConnId id, bool ok, Socket slot, uint64_t cookie) override;
  void login_here(std::unique_ptr<LoginRequest> login);

  // ---- revocation.cc
  bool is_revoked(net::ConnId id, UserId user, uint64_t issued_ms);
  bool revoke(Question& question, CoreId asker);
  void on_revoked(const store::StoreOp& op);
  void disconnect(Question& question);
  size_t turn_out(UserId user, DeviceNo device, const codec::FrameBytes& last_word);

  // ---- blocks.cc
  enum class BlockChange : uint8_t { kAsked, kNone, kTooMany, kBusy };
  Result<void> load_blocks(UserId user);
  bool blocks(UserId user, UserId whom) const;
  bool ever_blocked(UserId user, UserId whom) const;
  std::span<const UserId> blocked_by(UserId user) const;
  void on_block(Bound& at, const wire::Block& ask);
  void refuse_block(Session& session, uint64_t request);
  BlockChange change_block(UserId user, UserId whom, bool on, const BlockAsk& asked);
  void on_block_written(const store::StoreOp& op);
  void tell_blocks(UserId id, const BlockAsk& asked);
  void take_for_nobody(const MessageHop& hop, CoreId source);

  // ---- session.cc
  void welcome(std::unique_ptr<LoginRequest> login);
  void on_heard(Bound& at);
  void turn_out(User& user, Device& device, const codec::FrameBytes& last_word);
  void end_session(User& user, Device& device);
  void on_refresh(Bound& at, std::string_view token);
  void on_resolve(Session& session, const wire::Resolve& ask);
  void arm_session_timer(Session& session);
  void on_session_timer(Session& session);

  // ---- sender.cc
  void on_send(Bound& at, MutableBytes bytes, const wire::Frame& frame);
  void hold(Session& session, const wire::Route& route, wire::HoldReason reason, uint32_t wait_ms);
  void add_flight(Device& device, Flight& flight);
  void closed_up_to(Device& device, Seq closed);
  template <typename Which>
  void close_rows(Device& device, const Which& which);
  bool closes_too_little(Device& device);
  static bool would_be_covered(UserId user, const Device& device, const wire::Route& route);
  void on_admitted(const DevicesHop& hop);
  void on_rejected(const AnswerHop& hop);
  void on_needs_store(const DevicesHop& hop);
  void on_done(const DoneHop& hop);
  void on_settled(const AnswerHop& hop);
  void hand_over(Device& device, Flight& flight);
  void on_accept_flushed(store::StoreOp& op);
  void resolve_if_known(Flight& flight);
  void release_results(Device& device);
  void give_result(Device& device, Flight& flight);
  void tell_result(Session& session, Flight& flight);
  void reject(Flight& flight, wire::RejectReason reason);
  bool give_waiting_results(Device& device);
  void keep_result(const Flight& flight);
  void forget_if_over(Flight& flight);
  Device* sender_of(const Flight& flight);

  // ---- mailbox.cc
  void on_message(const MessageHop& hop, CoreId source);
  void on_stored(const StoredHop& hop, CoreId source);
  void pump(User& user, int slot);
  bool has_room(const Session& session);
  bool deliver_next(User& user, int slot);
  bool deliver(User& user, int slot, uint64_t position, Item& item);
  void need_store(User& user, Item& item);
  void arm_confirm_timer(User& user);
  void on_confirm_timer(User& user);
  uint64_t store_late_items(User& user);
  store::Waiting numbers_of(const User& user, SlotMask mask) const;

  // ---- confirmations.cc
  void on_confirm(Bound& at, uint64_t count, Seq closed);
  void item_confirmed(User& user, uint64_t position, int slot);
  void write_confirm(User& user, uint64_t position, SlotMask slots);
  void start_report(User& user, uint64_t position);
  Seq run_of(const User& user, const MessageId& id) const;
  static void owes_nothing(User& user, const MessageId& id, uint64_t position);
  static void owes_expired(User& user, const MessageId& id, uint64_t position);
  void drop_if_over(User& user, uint64_t position);
  void charge_mailboxes(User& user, Item& item);

  // ---- receipts.cc
  void on_receipt(store::ReceiptKey key, Seq seq, const SafeHop& who, CoreId source);
  static Seq behind_flights(const Device& device, const store::ReceiptKey& key, Seq seq);
  static void note_delivered(Device& device, Origin origin, Seq seq);
  void queue_receipt(Session& session, const store::ReceiptKey& key, PendingReceipt& pending);
  bool tell_next(Device& device);
  void store_receipt(const store::ReceiptKey& key, PendingReceipt& pending);
  void store_for_a_start(const store::ReceiptKey& key, const PendingReceipt::Waiter& waiter);
  uint64_t store_late_receipts(User& user);
  void receipt_confirmed(Device& device, const store::ReceiptKey& key, Seq up_to);
  static std::unique_ptr<store::StoreOp> receipt_ack(const store::ReceiptKey& key, Seq up_to);
  void receipt_safe(PendingReceipt& pending, Seq up_to);
  void on_safe(const SafeHop& hop);

  // ---- expiry.cc
  void arm_expiry_timer(User& user);
  void on_expiry_timer(User& user);
  void drop_and_note(User& user, SlotMask missed, std::vector<std::unique_ptr<store::StoreOp>> drops);
  uint64_t served_ms() const { return served_.at(now_.mono_ms()); }
  std::unique_ptr<store::StoreOp> drop_op(const Item& item, const store::Waiting& who, bool tell) const;
  static std::unique_ptr<store::StoreOp> expired_ack(const MessageId& id);
  void on_expired(const MessageId& id, UserId to);
  void expired_confirmed(Device& device, const MessageId& id);

  // ---- questions.cc
  void answer(const QuestionHop& hop, CoreId asker);
  bool answered(Question& question, CoreId asker);
  bool answer_block(Question& question, CoreId asker);
  void look_up(Question& question);
  void look_at(User& user, Question& question);
  void look_at(const store::DeviceRow& row, DeviceState& state) const;

  CoreOptions options_;
  Ring& ring_;
  MeshEndpoint& mesh_;
  TurnClock now_;
  MetricsPage& metrics_;
  Log& log_;
  const Limits& limits_;
  const TokenKeys* keys_;
  std::unique_ptr<store::Reader> reader_;
  FramePool frames_;
  net::Net net_;
  codec::OutcomeTemplate results_;
  TimerWheel timers_;
  FlightTable flights_;
  size_t num_flights_open_ = 0;  // of them: not over
  std::unordered_map<UserId, std::unique_ptr<User>> users_;
  std::unordered_map<UserId, BlockList> blocks_;                        // of who blocks anybody
  std::vector<Bound> bound_;                                            // by connection index
  std::unordered_map<uint64_t, std::unique_ptr<LoginRequest>> moving_;  // by moving_key(), until on_moved
  std::vector<Completion> completions_;
  size_t num_full_turns_ = 0;  // in a row: completions_ was not large enough
  uint64_t counter_;
  uint64_t ceiling_;
  bool ceiling_asked_ = false;
  uint64_t num_sessions_ = 0;  // ever, so that each has a name
  uint64_t num_sessions_now_ = 0;
  uint64_t num_store_ops_ = 0;
  std::vector<std::unique_ptr<store::StoreOp>> orphans_;  // recovery: what waits for nobody
  bool store_full_ = false;
  bool store_poisoned_ = false;
  bool draining_ = false;
  ServedTime served_;
};

}  // namespace perch::chat
