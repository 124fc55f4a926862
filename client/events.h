// What a device tells its owner: DeviceEvents, and the words in it.
#pragma once
#include <cstdint>
#include <string_view>

#include "client/identity.h"
#include "client/message.h"
#include "client/row.h"
#include "core/api.h"
#include "core/types.h"

namespace perch::client {

// Why a device does not come back by itself.
enum class StopReason : uint8_t {
  kNone,         // it does
  kReplaced,     // another opening of this device took over
  kToken,        // forged, unknown, expired; set_token() may cure it
  kNoAccount,    // nobody made the account that the token names
  kDeviceLimit,  // the user has as many devices as the server allows
  kVersion,      // no common protocol version
  kOtherUser,    // the token is not of the user this storage belongs to
  kStorage,      // a commit or a read failed, and not because another program holds a lock
};
// For people, in English. LIFETIME: static.
PERCH_API const char* name_of(StopReason reason) noexcept;

// Why the server takes nothing new for a while. A later server may know reasons that are not among these.
enum class HoldReason : uint8_t {
  kRate = 1,       // this device sends faster than it may
  kStoreFull = 2,  // the server's disk is full
  kBusy = 3,       // the server is
  kDraining = 4,   // the server is about to stop
};

// What the server says is wrong; PROTOCOL.md, 8, has who does what then. A later server may know codes that
// are not among these.
enum class ErrorCode : uint16_t {
  kMalformed = 1,        // bytes that are no frame
  kTooLarge = 2,         // a frame over the server's limit
  kVersion = 3,          // no common protocol version
  kState = 4,            // a frame that is not allowed now
  kUnknownFrame = 5,     // a frame that the server does not know
  kTokenInvalid = 6,     // forged, malformed, of an unknown key
  kTokenExpired = 7,     // at a login
  kNoAccount = 8,        // nobody made this account
  kDeviceLimit = 9,      // the user has too many devices
  kReplaced = 10,        // another login of this device took over
  kStaleAttempt = 11,    // a login older than the present session's
  kLoginTimeout = 12,    // no login in time
  kFrameTimeout = 13,    // a frame was not finished in time
  kWindow = 14,          // more without a result than allowed
  kConfirm = 15,         // a confirmation of more than was sent
  kSessionExpired = 16,  // the token's end has come
  kBusy = 17,            // the server cannot do that now
  kSlowReader = 18,      // the mailbox was full while the device was online
  kNotFound = 19,        // no such handle; on_resolved() tells, not on_error()
  kIdle = 20,            // nothing was heard for too long
  kBlockLimit = 21,      // this user blocks as many as it may
};

// What a device tells, in the order in which it happened. Every call comes after the commit of what it tells
// about, from inside Client::poll() and Client::run(). A process that ends between a commit and its call
// never tells: what must not be missed is asked from the profile (Client::unseen(), Client::status()).
//
// ON: the thread that turns the loop. LIFETIME: arguments until the call returns; the texts are a peer's or
// the server's, and may hold any bytes. ERRORS: none can be returned; an exception must not leave a call.
// MAY CALL: everything of the Client but resolve(), poll(), run() and the destructor; who drives a Device of
// his own (client/protocol/device.h): send(), mark_read() and set_token().
class DeviceEvents {
 public:
  virtual ~DeviceEvents() = default;
  // At each login.
  virtual void on_online(const LoginInfo& /*info*/) {}
  // The session, or the attempt to have one, is over; another attempt follows by itself. Not after
  // on_stopped().
  virtual void on_offline(std::string_view /*why*/) {}
  // A message came, or a copy of what this user sent from another device. Never with kKnown. kRenumbered:
  // told before, and only its place in the order is another.
  virtual void on_message(const InboxMessage& /*message*/, Insert /*insert*/) {}
  // A row of this device has got further: a tick, a read mark, a rejection, an expiry, a later place in the
  // order. Also rows of earlier processes and of others of this profile; `open` may still be true.
  virtual void on_row(const RowStatus& /*row*/) {}
  // A message or a read mark of `id`, or, if that names nobody, a receipt or an expiry came that this version
  // cannot read. It was confirmed all the same, or everything behind it would wait for ever, and nothing of
  // it is kept.
  virtual void on_unreadable(const MessageId& /*id*/) {}
  // This user has read so far, on another device.
  virtual void on_read_elsewhere(UserId /*peer*/, const ReadMark& /*mark*/) {}
  // The server has said whose handle that is; `user` is 0 if nobody has it.
  virtual void on_resolved(std::string_view /*handle*/, UserId /*user*/) {}
  // The server takes nothing new for so long; what waits goes out by itself then.
  virtual void on_hold(HoldReason /*reason*/, uint32_t /*wait_ms*/) {}
  // The server said so; on_offline() or on_stopped() tells what follows. The session goes on if kBusy is
  // about a handle that the server cannot read now, which is asked for again, or kTooLarge about a row that
  // was sent before and is over this server's limit: it waits, with all behind it.
  virtual void on_error(ErrorCode /*code*/, std::string_view /*text*/) {}
  // It does not come back by itself: stop_reason() says why, and whether set_token() may help.
  virtual void on_stopped(StopReason /*reason*/, std::string_view /*text*/) {}
  // What history() tells of the conversation with `peer` has changed other than by on_message() and on_row():
  // a message was edited, deleted or reacted to, its timer has ended, or the timer of the conversation or a
  // profile is another. Only of a Client.
  virtual void on_changed(UserId /*peer*/) {}
};

// What a device has done since it was made. They only grow.
struct DeviceCounters {
  uint64_t sent = 0;        // rows that went out for the first time
  uint64_t resent = 0;      // … again
  uint64_t results = 0;     // answers to them, of any kind but a hold
  uint64_t rejected = 0;    // of those: rejections
  uint64_t holds = 0;       // the server asked to wait
  uint64_t messages = 0;    // received, copies of own ones too; of them:
  uint64_t known = 0;       // nothing changed
  uint64_t renumbered = 0;  // the larger number was taken
  uint64_t variants = 0;    // other bytes under a known id
  uint64_t receipts = 0;    // received
  uint64_t confirms = 0;    // sent
  uint64_t commits = 0;     // of the device's own transactions
  uint64_t unreadable = 0;  // counted frames that this client cannot read
  uint64_t skipped = 0;     // frames of a kind that this client does not know
  uint64_t logins = 0;      // sessions that got a WELCOME
};

}  // namespace perch::client
