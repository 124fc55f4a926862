// Question: what the operator wants to know of one user, or wants done, asked of the user's home core by the
// main thread.
//
// OWNER: the main thread. It travels by pointer in a hop, and between that and the hop back, which may come
//     after a flush, only the core touches it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/result.h"
#include "core/types.h"

namespace perch::chat {

// What waits in a mailbox. Ages are served time, as everything that expires.
struct Waits {
  uint64_t num = 0;
  uint64_t bytes = 0;
  uint64_t oldest_ms = 0;    // its age
  uint64_t num_written = 0;  // of them: on the disk
  uint64_t num_sent = 0;     // … and sent on the present session, not confirmed yet
};

struct DeviceState {
  DeviceNo number = 0;
  std::string name;
  bool is_online = false;
  bool has_gap = false;     // it overflowed, or what waited for it has expired, and it has not heard of that
  uint64_t unseen_ms = 0;   // served time since it was seen; a start knows it to a day
  uint64_t expires_ms = 0;  // of its session: wall clock
  uint64_t num_open_rows = 0;  // that it has sent and not closed
  Waits waits;
};

struct Question {
  enum class Kind : uint8_t {
    kLook,
    kBlocks,
    kBlock,       // the user blocks `whom` …
    kUnblock,     // … and no more
    kDisconnect,  // its sessions end, or that of `device`; they may log in again
    kRevoke,      // tokens issued before `before_ms` are good no more; its sessions end
  };
  Kind kind = Kind::kLook;
  UserId user = 0;
  UserId whom = 0;
  DeviceNo device = 0;     // 0: all
  uint64_t before_ms = 0;  // wall clock

  // The answer. kNotFound: there is no such user; kTooLarge: it blocks as many as it may; kBusy,
  // kFull: again later; those of store::Reader.
  Result<void> found;
  std::string handle;  // kLook
  Waits waits;         // kLook: each message once, however many devices it is for
  std::vector<DeviceState> devices;
  std::vector<UserId> blocks;  // kBlocks, kBlock, kUnblock
  uint64_t num_ended = 0;      // kDisconnect, kRevoke: sessions
};

// Whom to tell once what was asked is on the disk: the context of a store op of kind kRevoke.
struct QuestionAsked {
  Question* question = nullptr;
  CoreId asker = 0;
};

}  // namespace perch::chat
