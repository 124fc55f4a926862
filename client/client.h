// Client is the library a program links: a profile on disk, a connection that comes and goes by itself, and
// the promise that what send() returned for is delivered or reported, whatever crashes in between.
//
//   struct Events : perch::client::DeviceEvents { void on_message(…) override { … } } events;
//   auto client = perch::client::Client::open(
//       {.profile_path = "me", .server = address, .token = jwt}, events);
//   (*client)->send("alice", "hello");
//   (*client)->run();
//
// ON: one thread, the caller's; there are no others inside. Only stop() may be called from elsewhere.
// CALLBACKS: DeviceEvents come from inside poll() and run() only, after what they tell is committed. They may
//            call everything but resolve(), poll(), run() and the destructor.
// ERRORS: what is read or written here is on the disk of the profile: kBusy (another program holds the
//         database for longer than 5 s), kCorrupt, kFull, kSystem (detail: errno). A failed read is never an
//         empty answer. The connection comes back after kBusy, as after any other end; the rest stops it
//         (StopReason::kStorage).
// NEVER: throws. Blocks only in commits (fsync) and, for a server given by name instead of address, in the
// lookup.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client/events.h"
#include "client/identity.h"
#include "client/item.h"
#include "client/message.h"
#include "client/row.h"
#include "core/api.h"
#include "core/result.h"
#include "core/types.h"

struct addrinfo;

namespace perch {
class Random;
}

namespace perch::client {

class Device;
class SqliteStore;

// What Client::open() is told.
struct ClientOptions {
  std::string profile_path;         // a directory; made if missing
  std::string server = {};          // "host:port" or "[v6]:port"; empty: the one stored in the profile
  std::string token = {};           // JWT; empty: the one stored in the profile
  std::string agent = "perch/0.1";  // name and version, at most 128 bytes
  bool connect = true;              // false: never connects, only adds to the outbox and reads
};

// A profile and its connection; the top of this file has the contract.
class PERCH_API Client {
 public:
  // Opens the profile and stores `server` and `token` in it for the next time. Does not connect yet: poll()
  // does. If another process holds the profile's connection, connects() is false: what is sent goes into the
  // outbox and that process sends it; when that ends, poll() takes over.
  // LIFETIME: `events` outlives the Client.
  // ERRORS: kInvalid (a server that is no host:port, or none known while connecting), kNewerFormat, kSystem
  // (detail: errno), kCorrupt, kFull, kBusy.
  static Result<std::unique_ptr<Client>> open(const ClientOptions& options, DeviceEvents& events);
  // Says goodbye to the server as far as that goes without waiting.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // --- messages: all of it works offline. ERRORS: those of the disk, and those that are named ---
  // Commits a message to the outbox: from here on it survives a crash. `to` is a user id in digits or a
  // handle, with or without '@'; a handle is resolved by the server, and if nobody has it the row is rejected
  // (NotFound). Returns the row; on_row() and status() tell how far it got. ERRORS, and nothing was queued:
  // kInvalid (`to` can name nobody), kTooLarge (detail: bytes allowed; what the server said at the last login
  // of this Client, 64 KiB before one), kPoisoned (the device has stopped with StopReason::kStorage).
  // The text carries the conversation's timer; and to whom this user's profile was not sent yet, that goes
  // first.
  Result<RowId> send(std::string_view to, std::string_view text);
  // The same for bytes of any kind, without a timer; `content` says which: 0 is text in UTF-8, 1 an item
  // (client/item.h), 2 and above are the application's.
  Result<RowId> send(std::string_view to, uint8_t content, Bytes body);
  // Tells `peer` and this user's other devices that everything received from `peer` has been read. Returns
  // the number of read marks queued. A handle that was never resolved: 0. ERRORS: kPoisoned, as of send().
  Result<size_t> mark_read(std::string_view peer);
  // The user that `peer` (digits or a handle) names; 0 while a handle was never resolved.
  Result<UserId> user_of(std::string_view peer);
  // A handle that was resolved to `user`; empty if none was.
  Result<std::string> handle_of(UserId user);
  // Asks the server whose handle `peer` is, if that is not known; on_resolved() tells. Offline, or if another
  // process has the connection: nothing.
  void resolve(std::string_view peer);
  // How far a row of this profile has got: its state on the disk at this moment, which may be ahead of what
  // on_row() has told, and is the only word on rows while another process has the connection. A copy.
  // ERRORS: kNotFound: there is no such row.
  Result<RowStatus> status(RowId row);
  // The last `limit` messages of the conversation, oldest first, own open rows last.
  Result<std::vector<HistoryLine>> history(std::string_view peer, size_t limit);
  // Of any place in it: the last `before` messages under `number` (HistoryLine::number) and the first `after`
  // of that and above, oldest first. Own rows that are open have no place yet. Costs what it returns, however
  // long the conversation is.
  Result<std::vector<HistoryLine>> history_around(std::string_view peer, Number number, size_t before,
                                                  size_t after);
  // With whom this profile has talked, that with the latest message first.
  Result<std::vector<Conversation>> conversations();
  // The latest `limit` texts that contain `text`, the oldest first; upper and lower case of a-z are the same.
  // `peer` empty: of every conversation; one that was never resolved: nothing. Reads every text there is.
  Result<std::vector<Found>> search(std::string_view text, std::string_view peer, size_t limit);
  // Received messages that no set_seen() has covered, in order of arrival. on_message() tells what comes now;
  // this tells what came in while another program of this profile was running, or was committed just before a
  // crash.
  Result<std::vector<Arrival>> unseen(size_t limit);
  // What has arrived up to here was shown.
  Result<void> set_seen(uint64_t arrival);

  // --- what is said about a message (PROTOCOL.md, 10): rows of the outbox like any other, which go to the
  // other devices of both users. ERRORS, beside those of send(): kNotFound (no message of that name is here,
  // or it is deleted), kInvalid (it is not this user's, where it has to be; no UTF-8; nothing at all) ---

  // The message of that id, as it stands now. ERRORS: kNotFound.
  Result<Found> message(const MessageId& id);
  // A text that answers that message, in its conversation.
  Result<RowId> reply(const MessageId& id, std::string_view text);
  // Another text for a message of this user.
  Result<RowId> edit(const MessageId& id, std::string_view text);
  // The same for one that was sent from here. While the row has no id it changes in place, and is returned.
  Result<RowId> edit(RowId row, std::string_view text);
  // Deletes a message of this user for everyone: its contents are removed from this disk at once, and from
  // those of the others when they hear of it.
  Result<RowId> remove(const MessageId& id);
  // The same for one that was sent from here. A row that has no id yet is no more, and 0 is returned.
  Result<RowId> remove(RowId row);
  // What this user says of that message in one emoji of at most 64 bytes, instead of what was said before.
  // Empty: nothing any more.
  Result<RowId> react(const MessageId& id, std::string_view emoji);
  // How long texts of this conversation, sent from now on by either user, are there once they are read, in
  // seconds; 0: for good. ERRORS: kTooLarge (detail: 365 days).
  Result<RowId> set_timer(std::string_view peer, uint32_t seconds);
  // The same as it is now.
  Result<uint32_t> timer(std::string_view peer);
  // This user's name (at most 64 bytes) and about text (512), for those whom it has written to, those whom it
  // is going to, and its other devices. Returns the last of the rows that takes. ERRORS: kTooLarge, kNotFound
  // (before the first login of this profile nobody knows who this is).
  Result<RowId> set_profile(const Profile& profile);
  // What `peer` says to be; of this user what it has said itself. Empty: nothing.
  Result<Profile> profile(std::string_view peer);

  // Who this is. LIFETIME: the Client's; the values change at a login and when rows get ids; in a process
  // that has not the connection, in the poll() after that.
  const Identity& identity() const;

  // --- the loop ---
  // One turn: connects when it is time, reads, writes, waits for at most timeout_ms. Returns true when
  // `also_fd` (a descriptor of the caller's, such as stdin; -1: none) can be read, has ended or is no open
  // descriptor: reading it says which.
  bool poll(uint64_t timeout_ms, int also_fd = -1);
  // Turns until stop(), or until the device stopped by itself (stop_reason()).
  void run();
  // Ends run() soon. May be called from another thread and from a signal handler.
  void stop();
  // A fresh token, for the running session and the next ones; stored in the profile. If the device stopped
  // because of the old one (StopReason::kToken), it comes back. ERRORS: those of the disk: the old one stays.
  Result<void> set_token(std::string_view token);

  // This process has the profile's connection, or tries to; false: another process has.
  bool connects() const;
  // The server knows this device as present.
  bool online() const;
  // kNone unless the device has stopped by itself.
  StopReason stop_reason() const;
  // What this Client has done since open(); nothing of it is on the disk. LIFETIME: the Client's; the values
  // grow in poll(), run(), send() and mark_read(), on the Client's thread: for another one, copy them there.
  const DeviceCounters& counters() const;

 private:
  struct Target {
    UserId user = 0;
    std::string handle = {};
  };
  static Target target_of(std::string_view to);
  Result<void> load_seen();
  Result<RowId> post(const Target& to, uint8_t content, Bytes body);
  Result<RowId> post(const Target& to, const Item& item);
  Result<RowId> say(std::string_view to, Item text);
  Result<void> introduce(const Target& to);  // sends the profile, if it was not
  Result<Found> own_message(const MessageId& id);
  Result<void> forget_ended();
  void tell_changes();

  struct Ready {
    short connection = 0;  // of poll()
    bool also = false;
  };

  Client();
  void prepare();
  bool wants_session() const;     // and has none, nor an attempt
  uint64_t next_wake_ms() const;  // monotonic; something is due then, whatever comes
  Ready wait(uint64_t until, int also_fd);
  void serve(short events);        // what came on the connection, and what is due
  void look_around(uint64_t now);  // for what other processes of this profile have done
  void take_over();                // if the process that owns the profile has ended
  void connect();                  // begins with the first address
  void connect_next();             // goes on with the next one, or gives up
  void finish_connect();
  void disconnect();
  void read();
  void write();

  DeviceEvents* events_ = nullptr;
  std::unique_ptr<SqliteStore> store_;
  std::unique_ptr<Random> random_;
  std::unique_ptr<Device> device_;
  std::string host_, port_;
  struct addrinfo* addresses_ = nullptr;
  struct addrinfo* address_ = nullptr;  // the one being tried
  std::vector<uint8_t> input_;
  bool wants_to_connect_ = false;
  int fd_ = -1;
  bool connecting_ = false;
  uint64_t connect_by_ms_ = 0;
  size_t written_ = 0;  // of the device's output
  uint64_t looked_at_ms_ = 0;
  uint64_t data_version_ = 0;
  uint64_t seen_ = 0;  // arrival
  int wake_fd_ = -1;
  bool stopped_ = false;
};

}  // namespace perch::client
