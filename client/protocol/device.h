// Device is the client's half of the protocol of DELIVERY.md, without I/O: bytes and time go in, bytes and
// events come out. The client library, the load generator and the simulator drive the same code.
//
//            on_connected             WELCOME
//   kOffline ------------> kHello ------------> kOnline
//      ^  ^---- on_disconnected ----|-------------|
//      |                            v ERROR that a retry cannot cure, storage failure but kBusy
//      |---- set_token -------- kStopped
//
// A loop around it:
//   if state() is kOffline and now >= connect_at_ms(): connect, then on_connected() or on_disconnected()
//   on_bytes() with what was read; write and drop output(); on_timer() at next_timer_ms();
//   when wants_close(): write what is left of output() as far as it goes, close, on_disconnected()
//
// ON: one thread. OWNER: borrows storage, clock, random and events for its life.
// NEVER: blocks (other than in Storage), calls back from send() or mark_read().
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "client/events.h"
#include "client/storage.h"
#include "codec/encode.h"
#include "codec/framer.h"
#include "core/clock.h"
#include "core/random.h"

namespace perch::client {

// SOURCE: PROTOCOL.md, Coming back; 5.1; 5.2.
inline constexpr uint64_t kResultMsMax = 30'000;   // a row without result for so long: reconnect
inline constexpr uint64_t kAnswerMsMax = 10'000;   // a Ping and nothing heard for so long: reconnect
inline constexpr uint64_t kWelcomeMsMax = 15'000;  // HELLO without WELCOME for so long: reconnect
inline constexpr uint64_t kSteadyMs = 10'000;      // a session that lived so long clears the failures

class Device {
 public:
  enum class State : uint8_t { kOffline, kHello, kOnline, kStopped };

  struct Options {
    std::string token;                     // JWT
    std::string agent = "perch/0.1";       // name and version, at most 128 bytes
    uint32_t body_bytes_max = 64 * 1024;   // of what it sends, until WELCOME says otherwise
    uint32_t frame_bytes_max = 66 * 1024;  // … prefix included
  };

  // Begins in kOffline and wants to connect at once.
  Device(Storage& storage, Clock& clock, Random& random, DeviceEvents& events, Options options);

  // --- the user's side: works in every state ---
  // Commits one message to the outbox and sends it if the session and the window allow. Exactly one of `to`
  // and `handle` says to whom; an unknown handle waits until the server has resolved it. ORDER: messages to
  // one user arrive as composed, except that what waits for a handle is passed by what is sent to the id of
  // the same user. ERRORS: kInvalid (nobody, both, or a handle that cannot be one), kTooLarge (detail: the
  // limit), those of the storage.
  Result<RowId> send(UserId to, std::string_view handle, uint8_t content, Bytes body);
  // Commits read marks for everything unread of `peer`; how many rows that took. ERRORS: those of the
  // storage.
  Result<size_t> mark_read(UserId peer);
  // Asks the server whose handle this is, once per session, or until it can say, and only while online;
  // on_resolved() tells. What is sent to a handle asks by itself.
  void resolve(std::string_view handle);
  // Another process may have added rows: gives them ids and sends them.
  void poke();
  // A fresh token: presented at once on a running session, after WELCOME during a login, else at the next
  // login. Leaves kStopped if that was about the token.
  void set_token(std::string_view token);

  // --- the transport's side ---
  void on_connected();     // REQUIRES: state() is kOffline
  void on_disconnected();  // also after a failed attempt to connect
  // What was received, as one unit: all of it is committed in one transaction, then confirmed. The bytes are
  // written to. Ignored when wants_close().
  void on_bytes(MutableBytes bytes);
  void on_timer();
  // The session is about to be given up on purpose: tells the server which results it need not keep any more,
  // if no frame has. What is lost with a connection is told on the next session.
  void leave();
  std::vector<uint8_t>& output() { return session_.output; }  // the caller writes and removes
  bool wants_close() const { return session_.wants_close; }
  uint64_t connect_at_ms() const { return connect_at_ms_; }  // monotonic; meaningful in kOffline, 0: now
  uint64_t next_timer_ms() const;                            // monotonic; UINT64_MAX: none

  State state() const { return state_; }
  StopReason stop_reason() const { return stop_reason_; }  // kNone unless state() is kStopped
  const DeviceCounters& counters() const { return counters_; }
  size_t num_in_flight() const {
    return session_.in_flight.size();
  }  // rows sent on this session without a result

 private:
  struct InFlight {
    Origin origin;
    Seq seq;
    uint64_t sent_ms;
  };

  bool on_frame(MutableBytes bytes);
  void on_welcome(const wire::Welcome& welcome);
  void on_message(const wire::Route& route, const wire::Message& message);
  void on_read(const wire::Route& route, const wire::Read& read);
  void on_receipt(const wire::Receipt& receipt);
  void on_unreadable(const wire::Route* route);
  void on_expired(const wire::Expired& expired);
  void on_result(Origin origin, Seq seq, Mark mark, uint8_t reason, Number number, uint64_t time_ms);
  void on_hold(const wire::Hold& hold);
  void on_error(const wire::Error& error);
  void on_resolved(uint64_t request, UserId user);
  bool put_off(uint64_t request, uint32_t retry_ms);  // false: nothing was asked for by that number

  void transact();  // begins a transaction if none is open
  bool commit();    // ends it, if any; false: it failed, see storage_failed()
  void storage_failed(Error error, std::string_view text);  // ends the session, or stops
  void present_token();  // a REFRESH, if set_token() gave one that the server has not seen and it may go out
  void emit(const codec::FrameBytes& frame);
  void tell(std::function<void()> event) { told_.push_back(std::move(event)); }
  void flush_events();
  void bind(const WaitingRow& row);
  // Gives ids to all rows that can have one, in order of composition: the order of a conversation is that of
  // its seqs, so no row gets one while an older one could.
  void bind_waiting();
  void fill();  // sends open rows as far as the window allows
  bool leave_out_oversized(std::vector<OpenRow>& rows);
  bool fits(Bytes frame) const { return frame.size() <= options_.frame_bytes_max; }
  void keep_deadlines();
  void ask(const std::string& handle);  // RESOLVE, unless this session has asked already
  void resolve_waiting();
  uint64_t retry_at(uint32_t retry_ms);
  Seq say_closed();                 // `closed` for a frame that goes out now
  void drop(std::string_view why);  // asks the transport to close
  void stop(StopReason reason, std::string_view text);

  Storage& storage_;
  Clock& clock_;
  Random& random_;
  DeviceEvents& events_;
  Options options_;

  State state_ = State::kOffline;
  StopReason stop_reason_ = StopReason::kNone;
  bool token_waits_ = false;  // the server has not seen it
  std::string why_;
  uint64_t attempt_ = 0;
  uint32_t failures_ = 0;
  uint64_t connect_at_ms_ = 0;
  uint64_t retry_at_ms_ = 0;  // not before: BUSY and GOAWAY

  // A new one from on_disconnected() on.
  struct Session {
    codec::Framer framer;
    std::vector<uint8_t> output;
    std::deque<InFlight> in_flight;  // in order of sending
    Seq cursor = 0;                  // everything open up to here has been sent
    Seq said_closed = 0;             // last told
    bool more_open = false;          // open rows above the cursor may exist
    Seq marked_at_once = 0;          // bind() marked it as sent just before fill() sends it
    uint32_t window = 0;
    uint64_t counted = 0, confirmed = 0;
    uint64_t hold_until_ms = 0;
    uint64_t goaway_at_ms = 0;
    uint64_t ping_ms = 30'000;
    uint64_t connected_at_ms = 0, pinged_at_ms = 0;
    uint64_t answer_by_ms = 0;  // a Ping went out and nothing was heard since; 0: none such
    uint64_t nonce = 0, request = 0;
    std::map<uint64_t, std::string> asked;  // request to handle
    std::set<std::string, std::less<>> asked_handles;
    std::multimap<uint64_t, std::string> ask_again;  // when; of asked_handles
    bool refreshing = false;                         // the server has not answered to the token
    bool told_stuck = false;
    bool wants_close = false;
  };
  Session session_;

  bool in_transaction_ = false;
  std::vector<std::function<void()>> told_;  // events; from this one on of the open transaction:
  size_t num_told_before_ = 0;
  std::function<void()> told_last_;  // that it stopped, which is true whatever becomes of the transaction
  DeviceCounters counters_;
};

}  // namespace perch::client
