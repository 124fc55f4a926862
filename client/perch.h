// The client library in C, for C and for languages that call C: a profile on disk, a connection that comes
// and goes by itself, and the promise that what perch_send() returned for is delivered or reported, whatever
// crashes in between. The same as <perch/client.h>, which C++ programs use.
//
//   perch_callbacks on = {.size = sizeof(on), .context = me, .message = my_message};
//   perch_options options = {.size = sizeof(options), .profile = "me", .server = address, .token = jwt};
//   perch_client* client;
//   if (perch_open(&options, &on, &client, NULL) != PERCH_OK) return 1;
//   perch_send(client, "alice", "hello", NULL);
//   perch_run(client);
//   perch_close(client);
//
// THREADS: a perch_client is used by one thread at a time; there are no others inside. Only perch_stop()
//     may be called from elsewhere. Two clients have nothing in common.
// STRUCTS: each begins with `size`, which whoever allocates it sets to its sizeof. The other side reads and
//     writes no further, so that a later version may append fields: a program that was compiled before them
//     runs with a library that has them. Set the rest to zero, as the initializers above do.
// LIFETIME: what the library hands out by pointer is gone when the callback that got it returns; what it is
//     given it copies before it returns. Texts that it is given end with a zero byte; texts and bytes that it
//     hands out have their length beside them: a peer may put zero bytes in.
// CALLBACKS: come from inside perch_poll() and perch_run() only, after what they tell is committed, on the
//     thread that called. They, and those that perch_history() and perch_unseen() call, may call everything
//     but perch_resolve(), perch_poll(), perch_run() and perch_close(), which answer PERCH_INVALID.
// ERRORS: each function that can fail returns a perch_error. PERCH_INVALID also says that a pointer that must
//     not be null was, or that a `size` was too small for any version. perch_last_detail() has the number
//     behind the error.
// NEVER: throws; without memory the process ends. Blocks only in commits (fsync) and, for a server given by
//     name instead of address, in the lookup. Changes no signal handlers; writes to no standard stream.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "core/api.h"

#ifdef __cplusplus
extern "C" {
#endif

// A profile and its connection. OWNER: who called perch_open(), until perch_close().
typedef struct perch_client perch_client;

// What went wrong, as far as a caller can act on it. The detail that belongs to it: perch_last_detail().
typedef enum perch_error {
  PERCH_OK = 0,            // done
  PERCH_SYSTEM = 1,        // the kernel said no; detail: errno
  PERCH_INVALID = 2,       // an argument that can mean nothing, or a call that is not allowed now
  PERCH_TOO_LARGE = 3,     // over a limit; detail: the limit
  PERCH_NOT_FOUND = 4,     // nothing of that name is there
  PERCH_FULL = 6,          // the disk is
  PERCH_POISONED = 7,      // the device has stopped with PERCH_STOP_STORAGE
  PERCH_NEWER_FORMAT = 8,  // the profile was written by a newer Perch; detail: its format
  PERCH_CORRUPT = 9,       // the profile is damaged
  PERCH_BUSY = 13          // another program holds the profile's database for longer than 5 s
} perch_error;

// Why a device does not come back by itself.
typedef enum perch_stop_reason {
  PERCH_STOP_NONE = 0,          // it does
  PERCH_STOP_REPLACED = 1,      // another opening of this device took over
  PERCH_STOP_TOKEN = 2,         // forged, unknown, expired; perch_set_token() may cure it
  PERCH_STOP_NO_ACCOUNT = 3,    // nobody made the account that the token names
  PERCH_STOP_DEVICE_LIMIT = 4,  // the user has as many devices as the server allows
  PERCH_STOP_VERSION = 5,       // no common protocol version
  PERCH_STOP_OTHER_USER = 6,    // the token is not of the user this profile belongs to
  PERCH_STOP_STORAGE = 7        // the profile could not be read or written
} perch_stop_reason;

// What is known about a message, as the two ticks of a user interface show it.
typedef enum perch_mark {
  PERCH_QUEUED = 0,     // in the outbox only
  PERCH_ACCEPTED = 1,   // one tick: the server has it on disk
  PERCH_DELIVERED = 2,  // two ticks: a device of the recipient has it on disk
  PERCH_READ = 3,       // and its user said so
  PERCH_REJECTED = 4,   // will not be delivered; `reason` says why
  PERCH_EXPIRED = 5     // nobody fetched it in time
} perch_mark;

// Why a message will not be delivered. A later server may know others.
typedef enum perch_reject_reason {
  PERCH_REJECT_NOT_FOUND = 1,     // nobody has that id or handle
  PERCH_REJECT_TOO_LARGE = 2,     // for this server
  PERCH_REJECT_MAILBOX_FULL = 3,  // of every device of the recipient
  PERCH_REJECT_NOT_MEMBER = 4     // of that group
} perch_reject_reason;

// What became of a message that came.
typedef enum perch_insert {
  PERCH_NEW = 0,         // it was not there
  PERCH_RENUMBERED = 2,  // told before, and only its place in the order is another
  PERCH_VARIANT = 3      // a known id with other bytes: kept beside the first
} perch_insert;

// A text or bytes. Never null, even if `len` is 0; not ended by a zero byte.
typedef struct perch_bytes {
  const uint8_t* data;  // LIFETIME: as of the struct that it is in
  size_t len;           // in bytes
} perch_bytes;

// A message that came, of somebody else or a copy of what this user sent from another device; or a line of a
// conversation, whoever sent it.
typedef struct perch_message {
  size_t size;       // sizeof, as the library has it
  uint64_t peer;     // user whose conversation it belongs to; 0 in a line whose handle is not resolved
  uint64_t user;     // who sent it: (user, device, origin, seq) is its name on every device; 0 in a line that
                     // has no name yet
  uint64_t origin;   // of the sending device
  uint64_t seq;      // of the sending device
  uint64_t number;   // its place in the conversation
  uint64_t time_ms;  // the server's wall clock when it was taken, for display
  uint64_t arrival;  // counts up; 0: a row of this profile, or not told
  uint64_t row;      // not 0: a row of this profile's outbox
  perch_bytes body;  // as the sender made it: any bytes
  uint32_t variant;  // not 0: another message came under this name before
  uint16_t device;   // of the sender
  uint8_t content;   // 0: text in UTF-8
  uint8_t mine;      // 1: sent by this user, here or on another device
  uint8_t mark;      // a perch_mark, if it is mine
  uint8_t reason;    // a perch_reject_reason with PERCH_REJECTED
} perch_message;

// How far a row of the outbox has got.
typedef struct perch_row {
  size_t size;       // sizeof, as whoever allocated it has it
  uint64_t row;      // its name in this profile
  uint64_t to;       // user; 0 while the handle is not resolved
  uint64_t origin;   // with seq, its name; 0 while it has none
  uint64_t seq;      // 0 while it has none
  uint64_t number;   // its place in the conversation; 0 before the result
  uint64_t time_ms;  // composed; after the result the server's
  uint8_t kind;      // 0: a message, 1: a read mark
  uint8_t open;      // 1: no result yet
  uint8_t mark;      // a perch_mark
  uint8_t reason;    // a perch_reject_reason with PERCH_REJECTED
} perch_row;

// What the server said at a login.
typedef struct perch_login {
  size_t size;                  // sizeof, as the library has it
  uint64_t user;                // who this is
  perch_bytes handle;           // empty: none
  uint64_t session_expires_ms;  // by the server's wall clock; perch_set_token() before
  uint64_t num_reopened;        // rows that go out again because the server was restored from a backup
  uint16_t device;              // which of the user's devices
  uint8_t continuity_broken;    // 1: the server last knew another opening: this history may have a gap
  uint8_t overflowed;           // 1: messages for this device were dropped since its last login
  uint8_t new_incarnation;      // 1: the server was restored from a backup
} perch_login;

// Who a profile belongs to.
typedef struct perch_identity {
  size_t size;      // sizeof, as the caller has it
  uint64_t user;    // 0 until the first login
  uint64_t origin;  // of this opening
  uint16_t device;  // 0 until the first login
} perch_identity;

// Whom to tell. Each may be null; `context` is what each is called with first.
typedef struct perch_callbacks {
  size_t size;    // sizeof, as the caller has it
  void* context;  // the caller's
  // At each login.
  void (*online)(void* context, const perch_login* login);
  // The session, or the attempt to have one, is over; another attempt follows by itself. Not after stopped().
  void (*offline)(void* context, perch_bytes why);
  // A message came.
  void (*message)(void* context, const perch_message* message, perch_insert insert);
  // A row has got further: a tick, a read mark, a rejection, an expiry. Also rows of earlier processes and of
  // others of this profile.
  void (*row)(void* context, const perch_row* row);
  // This user has read the messages of `peer`'s device up to `seq`, on another device.
  void (*read_elsewhere)(void* context, uint64_t peer, uint16_t device, uint64_t origin, uint64_t seq);
  // The server has said whose handle that is; `user` is 0 if nobody has it.
  void (*resolved)(void* context, perch_bytes handle, uint64_t user);
  // Something of user `user`, 0: of nobody, came that this version cannot read; nothing of it is kept.
  void (*unreadable)(void* context, uint64_t user, uint16_t device, uint64_t origin, uint64_t seq);
  // The server takes nothing new for so long; what waits goes out by itself then. `reason`: PROTOCOL.md, 5.2.
  void (*hold)(void* context, uint32_t reason, uint32_t wait_ms);
  // The server says that something is wrong; offline() or stopped() tells what follows. `code`:
  // PROTOCOL.md, 8.
  void (*error)(void* context, uint32_t code, perch_bytes text);
  // It does not come back by itself.
  void (*stopped)(void* context, perch_stop_reason reason, perch_bytes text);
} perch_callbacks;

// What perch_open() is told.
typedef struct perch_options {
  size_t size;          // sizeof, as the caller has it
  const char* profile;  // a directory; made if missing. Not null
  const char* server;   // "host:port" or "[v6]:port"; null or "": the one stored in the profile
  const char* token;    // JWT; null or "": the one stored in the profile
  const char* agent;    // name and version of the program, at most 128 bytes; null: the library's
  int never_connect;    // not 0: never connects, only adds to the outbox and reads
} perch_options;

// Opens the profile and stores `server` and `token` in it for the next time. Does not connect yet:
// perch_poll() does. If another process holds the profile's connection, perch_connects() is 0: what is sent
// goes into the outbox and that process sends it; when that ends, perch_poll() takes over. `callbacks` is
// copied, and may be null: nothing is told. *client is null after an error. `detail` may be null. ERRORS:
// PERCH_INVALID (also a server that is no host:port, or none known while connecting), PERCH_NEWER_FORMAT,
// PERCH_SYSTEM, PERCH_CORRUPT, PERCH_FULL, PERCH_BUSY.
PERCH_API perch_error perch_open(const perch_options* options, const perch_callbacks* callbacks,
                                 perch_client** client, int64_t* detail) PERCH_NOEXCEPT;
// Says goodbye to the server as far as that goes without waiting, and frees the client. Null: nothing.
// ERRORS: PERCH_INVALID, from inside a callback: nothing is freed.
PERCH_API perch_error perch_close(perch_client* client) PERCH_NOEXCEPT;

// --- messages: all of it works offline. ERRORS: those of the disk (PERCH_BUSY, PERCH_CORRUPT, PERCH_FULL,
// PERCH_SYSTEM), and those that are named ---

// Commits a text to the outbox: from here on it survives a crash. `to` is a user id in digits or a handle,
// with or without '@'; if nobody has it, the row is rejected. `row`, if not null, gets its name: the callback
// row() and perch_status() tell how far it got. ERRORS, and nothing was queued: PERCH_INVALID (`to` can name
// nobody), PERCH_TOO_LARGE, PERCH_POISONED.
PERCH_API perch_error perch_send(perch_client* client, const char* to, const char* text,
                                 uint64_t* row) PERCH_NOEXCEPT;
// The same for bytes of any kind; `content` says which: 0 is text in UTF-8. `body` may be null if `len` is 0.
PERCH_API perch_error perch_send_bytes(perch_client* client, const char* to, uint8_t content,
                                       const void* body, size_t len, uint64_t* row) PERCH_NOEXCEPT;
// Tells `peer` and this user's other devices that everything received from `peer` has been read. `num`, if
// not null, gets the number of read marks queued. A handle that was never resolved: 0. ERRORS:
// PERCH_POISONED.
PERCH_API perch_error perch_mark_read(perch_client* client, const char* peer, size_t* num) PERCH_NOEXCEPT;
// The user that `peer` (digits or a handle) names; 0 while a handle was never resolved.
PERCH_API perch_error perch_user_of(perch_client* client, const char* peer, uint64_t* user) PERCH_NOEXCEPT;
// A handle that was resolved to `user`, and a zero byte, into `handle`, which has room for `size` bytes;
// empty if none was. ERRORS: PERCH_TOO_LARGE (detail: the size it takes; 65 is always enough).
PERCH_API perch_error perch_handle_of(perch_client* client, uint64_t user, char* handle,
                                      size_t size) PERCH_NOEXCEPT;
// Asks the server whose handle `peer` is, if that is not known; resolved() tells. Offline, or if another
// process has the connection: nothing.
PERCH_API perch_error perch_resolve(perch_client* client, const char* peer) PERCH_NOEXCEPT;
// How far a row of this profile has got: its state on the disk at this moment, which may be ahead of what
// row() has told. REQUIRES: `status->size` is set. ERRORS: PERCH_NOT_FOUND: there is no such row.
PERCH_API perch_error perch_status(perch_client* client, uint64_t row, perch_row* status) PERCH_NOEXCEPT;
// Calls `each` with the last `limit` messages of the conversation with `peer`, oldest first, own open rows
// last.
PERCH_API perch_error perch_history(perch_client* client, const char* peer, size_t limit,
                                    void (*each)(void* context, const perch_message* line),
                                    void* context) PERCH_NOEXCEPT;
// Calls `each` with up to `limit` received messages that no perch_set_seen() has covered, in order of
// arrival: what message() tells, what came in while another program of this profile was running, and what was
// committed just before a crash.
PERCH_API perch_error perch_unseen(perch_client* client, size_t limit,
                                   void (*each)(void* context, const perch_message* message),
                                   void* context) PERCH_NOEXCEPT;
// What has arrived up to here was shown.
PERCH_API perch_error perch_set_seen(perch_client* client, uint64_t arrival) PERCH_NOEXCEPT;
// Who this is. REQUIRES: `identity->size` is set.
PERCH_API perch_error perch_whoami(const perch_client* client, perch_identity* identity) PERCH_NOEXCEPT;

// --- the loop ---

// One turn: connects when it is time, reads, writes, waits for at most timeout_ms. `readable`, if not null,
// gets 1 if `also_fd` (a descriptor of the caller's, such as 0; -1: none) can be read, has ended or is no
// open descriptor (reading it says which), else 0. ERRORS: PERCH_INVALID. What happens to the connection or
// the disk is told by the callbacks.
PERCH_API perch_error perch_poll(perch_client* client, uint64_t timeout_ms, int also_fd,
                                 int* readable) PERCH_NOEXCEPT;
// Turns until perch_stop(), or until the device stopped by itself: perch_stopped() says why.
// ERRORS: PERCH_INVALID.
PERCH_API perch_error perch_run(perch_client* client) PERCH_NOEXCEPT;
// Ends perch_run() soon. May be called from another thread and from a signal handler. Null: nothing.
PERCH_API void perch_stop(perch_client* client) PERCH_NOEXCEPT;
// A fresh token, for the running session and the next ones; stored in the profile. If the device stopped
// because of the old one (PERCH_STOP_TOKEN), it comes back. ERRORS: those of the disk: the old one stays.
PERCH_API perch_error perch_set_token(perch_client* client, const char* token) PERCH_NOEXCEPT;

// 1: this process has the profile's connection, or tries to; 0: another process has.
PERCH_API int perch_connects(const perch_client* client) PERCH_NOEXCEPT;
// 1: the server knows this device as present.
PERCH_API int perch_online(const perch_client* client) PERCH_NOEXCEPT;
// PERCH_STOP_NONE unless the device has stopped by itself.
PERCH_API perch_stop_reason perch_stopped(const perch_client* client) PERCH_NOEXCEPT;
// The detail of the last error that a function returned for this client; 0 if it has none.
PERCH_API int64_t perch_last_detail(const perch_client* client) PERCH_NOEXCEPT;

// In a word or two, for logs. LIFETIME: static.
PERCH_API const char* perch_error_name(perch_error error) PERCH_NOEXCEPT;
// For people, in English. LIFETIME: static.
PERCH_API const char* perch_stop_reason_name(perch_stop_reason reason) PERCH_NOEXCEPT;
// Of the library that runs, as "0.1.0". LIFETIME: static.
PERCH_API const char* perch_version(void) PERCH_NOEXCEPT;

#ifdef __cplusplus
}
#endif
