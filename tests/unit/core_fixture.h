// CoreTest: a whole node in the test's thread, over the simulator's sockets, disk and time, and raw peers
// that say exactly what the test wants, when it wants. turn() of single cores makes any crossing happen.
#pragma once
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "chat/core.h"
#include "chat/recovery_fan_out.h"
#include "chat/store_thread.h"
#include "codec/encode.h"
#include "codec/framer.h"
#include "store/writer.h"
#include "tests/sim/clock_sim.h"
#include "tests/sim/ring_sim.h"
#include "tests/sim/store_sim.h"

namespace perch::chat {

inline constexpr std::string_view kSecret = "the secret of a simulated operator, long enough";

// One frame as a peer got it.
struct Heard {
  std::vector<uint8_t> bytes;
  const wire::Frame& frame() const { return *codec::trusted(bytes); }
  wire::Payload type() const { return frame().payload_type(); }
};

// The client's end of one connection.
class Peer {
 public:
  explicit Peer(sim::Network& network, int listener) : link_(std::make_shared<sim::Link>()) {
    network.backlogs[listener].push_back(link_);
  }
  void say(const codec::FrameBytes& frame) {
    const std::string_view bytes(reinterpret_cast<const char*>(frame.data()), frame.size());
    ASSERT_EQ(link_->client_write(bytes), bytes.size());
  }
  void leave() { link_->client_close(); }
  sim::Link& link() { return *link_; }
  bool ended() {
    listen();
    return link_->to_client.ended && heard_.empty();
  }
  // What it heard and nobody took yet.
  std::deque<Heard>& heard() {
    listen();
    return heard_;
  }
  // The next frame, which must be of this kind.
  Heard take(wire::Payload type) {
    listen();
    if (heard_.empty()) {
      ADD_FAILURE() << "nothing heard, wanted " << wire::EnumNamePayload(type);
      return {codec::pong(0)};
    }
    Heard first = std::move(heard_.front());
    heard_.pop_front();
    EXPECT_STREQ(wire::EnumNamePayload(first.type()), wire::EnumNamePayload(type));
    return first;
  }
  void expect_error(wire::ErrorCode code) {
    const Heard heard = take(wire::Payload::Error);
    const wire::Error* error = heard.frame().payload_as_Error();
    ASSERT_NE(error, nullptr);
    EXPECT_STREQ(wire::EnumNameErrorCode(error->code()), wire::EnumNameErrorCode(code));
  }
  void expect_hold(wire::HoldReason reason) {
    const Heard heard = take(wire::Payload::Hold);
    const wire::Hold* hold = heard.frame().payload_as_Hold();
    ASSERT_NE(hold, nullptr);
    EXPECT_STREQ(wire::EnumNameHoldReason(hold->reason()), wire::EnumNameHoldReason(reason));
    EXPECT_GT(hold->wait_ms(), 0u);
  }
  void expect_rejected(wire::RejectReason reason) {
    const Heard heard = take(wire::Payload::Rejected);
    const wire::Rejected* rejected = heard.frame().payload_as_Rejected();
    ASSERT_NE(rejected, nullptr);
    EXPECT_STREQ(wire::EnumNameRejectReason(rejected->reason()), wire::EnumNameRejectReason(reason));
  }
  Number expect_result(Seq seq, wire::Tick tick) {
    const Heard heard = take(wire::Payload::Outcome);
    const wire::Outcome* outcome = heard.frame().payload_as_Outcome();
    if (outcome == nullptr) return 0;
    EXPECT_EQ(outcome->seq(), seq);
    EXPECT_STREQ(wire::EnumNameTick(outcome->tick()), wire::EnumNameTick(tick));
    return outcome->number();
  }
  void expect_message(Seq seq) {
    const Heard heard = take(wire::Payload::Message);
    ASSERT_NE(heard.frame().route(), nullptr);
    EXPECT_EQ(heard.frame().route()->seq(), seq);
  }
  void expect_receipt(Seq up_to, Seq first = 0) {
    const Heard heard = take(wire::Payload::Receipt);
    const wire::Receipt* receipt = heard.frame().payload_as_Receipt();
    ASSERT_NE(receipt, nullptr);
    EXPECT_EQ(receipt->first(), first);
    EXPECT_EQ(receipt->up_to(), up_to);
  }

 private:
  void listen() {
    for (;;) {
      bool over = false;
      std::string bytes = link_->client_read(SIZE_MAX, UINT64_MAX, over);
      if (bytes.empty()) return;
      const auto fed = framer_.feed({reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()}, 1u << 20,
                                    [this](MutableBytes frame) {
                                      heard_.push_back({{frame.begin(), frame.end()}});
                                      return true;
                                    });
      ASSERT_TRUE(fed);
    }
  }
  std::shared_ptr<sim::Link> link_;
  codec::Framer framer_;
  std::deque<Heard> heard_;
};

class CoreTest : public ::testing::Test {
 protected:
  CoreTest() {
    PERCH_CHECK(keys_.add_hs256("sim", kSecret).ok());
    limits_.connections_max = 64;
    ring_options_.sockets = 64;
    ring_options_.buffers = 64;
  }
  ~CoreTest() override { kill(); }

  void start() {
    auto writer = store::Writer::open(journal_, tables_, limits_, *random_);
    ASSERT_TRUE(writer);
    node_ = std::make_unique<Node>();
    Node& node = *node_;
    node.writer = std::move(*writer);
    node.mesh = std::make_unique<Mesh>(static_cast<uint16_t>(num_cores_ + 2), limits_.mesh_slots);
    std::vector<int> ids;
    for (uint16_t i = 0; i <= num_cores_; ++i) {
      RingOptions options = ring_options_;
      if (i == num_cores_) options.sockets = options.buffers = 0;
      node.rings.push_back(std::make_unique<sim::SimRing>(network_, options));
      node.mesh->endpoint(i).bind(*node.rings.back());
      if (i < num_cores_) ids.push_back(node.rings.back()->id());
    }
    for (uint16_t i = 0; i < num_cores_; ++i) {
      CoreOptions options;
      options.id = i;
      options.num_cores = num_cores_;
      options.store = num_cores_;
      options.ring_ids = ids;
      options.accounts_auto = accounts_auto_;
      options.boot = 1;
      options.incarnation = node.writer->incarnation();
      options.counter = node.writer->base();
      options.ceiling = node.writer->ceiling();
      options.served_ms = node.writer->served_ms();
      if (numbers_left_ > 0) options.counter = options.ceiling - numbers_left_;
      options.completions_per_turn = completions_per_turn_;
      options.woken = woken_;
      node.pages.push_back(std::make_unique<MetricsPage>(MetricScope::kReactor, i));
      node.logs.push_back(std::make_unique<Log>(clock_, *node.pages.back()));
      node.cores.push_back(std::make_unique<Core>(options, *node.rings[i], node.mesh->endpoint(i), clock_,
                                                  *node.pages[i], *node.logs[i], limits_, keys_,
                                                  node.writer->make_reader()));
    }
    RecoveryFanOut fan_out(node.cores);
    ASSERT_TRUE(node.writer->recover(fan_out));
    for (auto& core : node.cores) core->recovered();
    node.pages.push_back(std::make_unique<MetricsPage>(MetricScope::kStore));
    node.logs.push_back(std::make_unique<Log>(clock_, *node.pages.back()));
    node.store_thread =
        std::make_unique<StoreThread>(*node.writer, node.mesh->endpoint(num_cores_), *node.rings[num_cores_],
                                      num_cores_, *node.pages.back(), *node.logs.back(), limits_, clock_);
    for (uint16_t i = 0; i < num_cores_; ++i) {
      network_.backlogs[i];
      node.cores[i]->net().listen(i);
    }
  }
  // As kill -9: what is committed stays.
  void kill() {
    if (!node_) return;
    node_->store_thread.reset();
    node_->cores.clear();
    node_->rings.clear();
    node_.reset();
    network_.rings.clear();
    network_.backlogs.clear();
    journal_.reboot();
    tables_.reboot();
  }
  void restart() {
    kill();
    start();
  }

  Core& core(CoreId id) { return *node_->cores[id]; }
  Core& home(UserId user) { return core(home_of(user, num_cores_)); }
  // A frame takes three turns: readable, received, answered.
  void turn(UserId user, int times = 5) {
    for (int i = 0; i < times; ++i) home(user).turn(0);
  }
  void turn_store() { node_->store_thread->turn(0); }
  // Until everything that is on its way has arrived.
  void run(int rounds = 20) {
    for (int i = 0; i < rounds; ++i) {
      for (auto& each : node_->cores) each->turn(0);
      turn_store();
      clock_.advance_ns(1'000);
    }
  }
  // Time passes in steps small enough that no deadline is jumped over.
  void pass_ms(uint64_t ms, uint64_t step_ms = 100) {
    for (uint64_t passed = 0; passed < ms; passed += step_ms) {
      clock_.advance_ns(std::min(step_ms, ms - passed) * 1'000'000);
      run(3);
    }
  }

  std::string token(UserId user, std::string_view device, uint64_t exp = 4'000'000'000) {
    return mint_hs256(kSecret, "sim", std::to_string(user), device, exp);
  }
  Peer connect() { return Peer(network_, 0); }
  Peer say_hello(const std::string& token, Origin origin, uint64_t attempt = 1, Origin previous = 0) {
    Peer peer = connect();
    codec::HelloFields hello;
    hello.token = token;
    hello.origin = origin;
    hello.attempt = attempt;
    hello.previous_origin = previous;
    peer.say(codec::hello(hello));
    run();
    return peer;
  }
  // Logs in and takes the WELCOME; `welcome` gets it.
  Peer login(UserId user, std::string_view device, Heard* welcome = nullptr, Origin origin = 77) {
    Peer peer = say_hello(token(user, device), origin);
    Heard heard = peer.take(wire::Payload::Welcome);
    if (welcome) *welcome = std::move(heard);
    return peer;
  }
  // As the main thread asks, by an endpoint that has no ring.
  void ask(Question& question) {
    MeshEndpoint& main = node_->mesh->endpoint(static_cast<CoreId>(num_cores_ + 1));
    main.post(home_of(question.user, num_cores_), Hop::make(kHopQuestion, QuestionHop{&question}));
    main.publish();
    run();
    size_t num_answers = 0;
    main.drain([&](const Hop& hop) {
      num_answers += hop.kind == kHopAnswer && hop.as<QuestionHop>().question == &question;
    });
    EXPECT_EQ(num_answers, 1u);
  }
  void leave(Peer& peer) {
    peer.leave();
    run();
  }
  // Bob's device is away; Ann sends him a message and hears that it is stored. She stays.
  Peer ann_sends_to_absent_bob(Seq seq = 1, std::string_view device = "b") {
    Peer bo = login(bob(), device);
    leave(bo);
    Peer ann = login(kAnn, "a");
    ann.say(message(bob(), seq));
    run();
    ann.expect_result(seq, wire::Tick::Accepted);
    return ann;
  }
  static codec::FrameBytes message(UserId to, Seq seq, Seq closed = 1, std::string_view body = "hello",
                                   Number after = 0, Origin origin = 77) {
    return codec::message({to, origin, seq, closed, after}, 0,
                          {reinterpret_cast<const uint8_t*>(body.data()), body.size()});
  }

  size_t num_values(sim::SimKv& kv, store::Table first, store::Table end) {
    size_t num = 0;
    for (store::Table table = first; table < end; ++table) num += kv.committed(table).size();
    return num;
  }
  size_t num_rows() { return num_values(tables_, 0, store::kNumMailboxTables); }
  size_t num_records() { return num_values(journal_, store::kJournalTable, store::kJournalTable + 1); }

  // Stops the node and counts what the disk still has for anybody.
  size_t num_waiting_after_restart() {
    struct Count final : store::RecoveryVisitor {
      size_t num = 0;
      void item(const store::RecoveredItem&) override { ++num; }
      void mark(const store::RecoveredMark&) override {}
      void receipt(const store::RecoveredReceipt&) override { ++num; }
      void expired(const store::RecoveredExpired&) override { ++num; }
    };
    kill();
    auto writer = store::Writer::open(journal_, tables_, limits_, *random_);
    Count count;
    EXPECT_TRUE(writer.ok() && (*writer)->recover(count).ok());
    return count.num;
  }

  // Two users on different cores, if there are two.
  static constexpr UserId kAnn = 1;
  UserId bob() const {
    for (UserId user = 2;; ++user)
      if (num_cores_ == 1 || home_of(user, num_cores_) != home_of(kAnn, num_cores_)) return user;
  }

  struct Node {
    std::unique_ptr<store::Writer> writer;
    std::unique_ptr<Mesh> mesh;
    std::vector<std::unique_ptr<sim::SimRing>> rings;
    std::vector<std::unique_ptr<MetricsPage>> pages;  // of the cores, then of the store
    std::vector<std::unique_ptr<Log>> logs;           // nobody reads them
    std::vector<std::unique_ptr<Core>> cores;
    std::unique_ptr<StoreThread> store_thread;
  };
  uint16_t num_cores_ = 2;
  bool accounts_auto_ = true;
  size_t completions_per_turn_ = 512;
  std::function<void()> woken_;  // of every core
  uint64_t numbers_left_ = 0;    // below the ceiling; 0: as many as the store gives at a start
  Limits limits_;
  RingOptions ring_options_;
  std::unique_ptr<Random> random_ = seeded_random(1);
  sim::SimClock clock_;
  sim::Network network_{clock_, *random_};
  sim::SimDisk disk_;
  sim::SimKv journal_{disk_, store::kJournalTableNames.size()};
  sim::SimKv tables_{disk_, store::kMailboxTableNames.size()};
  TokenKeys keys_;
  std::unique_ptr<Node> node_;
};

}  // namespace perch::chat

// What a killed node held in hops is lost with it, as in a real process: no leak of ours.
extern "C" inline const char* __asan_default_options() { return "detect_leaks=0"; }
