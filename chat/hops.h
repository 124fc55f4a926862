// What cores and the store thread say to each other. Each payload is trivially copyable and fits a Hop.
#pragma once
#include "core/frame.h"
#include "core/mesh.h"
#include "core/types.h"
#include "store/backup_writer.h"
#include "store/store.h"

namespace perch::chat {

// Names a flight on its sender's home core, across time: a stale one fails to resolve.
struct FlightRef {
  uint32_t index = UINT32_MAX;
  uint32_t generation = 0;
};

enum HopKind : uint16_t {
  kHopLogin = 1,  // accept core -> home core: a connection has moved
  kHopMessage,    // sender's home -> recipient's home: take this
  kHopAdmitted,   // answers to a message, recipient's home -> sender's home …
  kHopRejected,
  kHopNeedsStore,
  kHopDone,
  kHopStored,      // sender's home -> recipient's home: the record is flushed
  kHopSettled,     // … and nothing more will be said of this flight from here
  kHopReceipt,     // recipient's home -> sender's home: a stored message has its first confirmation
  kHopSafe,        // … the receipt is safe, CONFIRM may be written
  kHopExpired,     // recipient's home -> sender's home: nobody fetched it in time; its record says so
  kHopFrameBack,   // a lease goes back to the frame's owner
  kHopStore,       // core -> store thread: a StoreOp
  kHopStoreDone,   // … and back, with its status
  kHopStoreState,  // store thread -> every core: full or not, poisoned or not
  kHopQuestion,    // main thread -> home core: about a user
  kHopAnswer,      // … and back
  kHopCut,         // main thread -> store thread: both environments at one moment, for a backup
  kHopCutMade,     // … and back
};

struct LoginRequest;  // chat/login.h
struct Question;      // chat/question.h

struct LoginHop {
  LoginRequest* login;
  uint32_t slot;
};
struct MessageHop {
  FlightRef flight;
  Frame* frame;
  UserId user;
};
struct DevicesHop {  // kHopAdmitted, kHopNeedsStore
  FlightRef flight;
  UserId user;
  std::array<DeviceNo, store::kDevicesMax> devices;
  uint8_t num;
  bool delivered;
};
struct AnswerHop {
  FlightRef flight;
  UserId user;
  uint8_t reason;
};  // kHopRejected, kHopSettled
struct DoneHop {
  FlightRef flight;
  UserId user;
  Seq first;  // of the run that a receipt for it may cover
};
struct StoredHop {
  FlightRef flight;
  UserId user;
  Number number;
  store::Place place;
  bool told_delivered;
};
// Who waits for a receipt to be safe: an item of a list, or (user == 0) a flight of this core.
struct SafeHop {
  UserId user;
  uint64_t position;
  FlightRef flight;
};
struct ReceiptHop {
  UserId sender;
  DeviceNo device;
  UserId peer;
  Origin origin;
  Seq first, seq;
  uint64_t position;
};
struct ExpiredHop {
  MessageId id;
  UserId to;
};
struct FrameHop {
  Frame* frame;
};
struct StoreHop {
  store::StoreOp* op;
};
struct QuestionHop {
  Question* question;
};
struct CutRequest {  // the main thread's; between the hop and the hop back the store thread fills it in
  Result<void> made;
  store::Cut cut;
};
struct CutHop {
  CutRequest* request;
};
struct StoreStateHop {
  bool full;
  bool poisoned;
};

// The core on which a user lives, as long as the node runs with so many.
inline CoreId home_of(UserId user, uint16_t num_cores) {
  uint64_t z = user * 0x9e3779b97f4a7c15u;
  z ^= z >> 32;
  z *= 0xbf58476d1ce4e5b9u;
  return static_cast<CoreId>((z >> 33) % num_cores);
}

inline store::Waiting waiting_of(const DevicesHop& hop) { return {hop.user, hop.num, hop.devices}; }

}  // namespace perch::chat
