// Kv is the seam to the disk: one LMDB environment. store_lmdb.cc alone includes lmdb.h;
// tests/sim/store_sim.cc keeps what is flushed apart from what is not and loses the rest at a crash.
//
// ON: one thread writes. Any thread reads, through its own Snapshot.
// DURABILITY: when commit() returns ok, everything in it is on the disk (no NOSYNC, NOMETASYNC, WRITEMAP,
//     NOMEMINIT). Any other answer of commit() but kFull is final: the caller must write no more.
// LIMITS: keys up to 511 bytes, values up to limits.chunk_bytes_max + a small header, so that no value
//     needs an overflow page: LMDB searches its whole list of free pages for a run of them.
#pragma once
#include <functional>
#include <memory>
#include <string_view>

#include "core/result.h"
#include "core/types.h"

namespace perch::store {

using Table = uint8_t;  // index into the names given at open

// What was committed at one moment. ON: one thread at a time. OWNER: whoever asked; it goes before its Kv.
class Snapshot {
 public:
  virtual ~Snapshot() = default;
  // LIFETIME: bytes returned are valid until the snapshot is renewed or destroyed.
  virtual Result<Bytes> get(Table table, Bytes key) = 0;  // ERRORS: kNotFound, kSystem, kCorrupt
  // Visits pairs with key >= from (empty: all) in key order until `visit` returns false. LIFETIME: the bytes
  // until `visit` returns. ERRORS: kSystem, kCorrupt.
  virtual Result<void> scan(Table table, Bytes from,
                            const std::function<bool(Bytes key, Bytes value)>& visit) = 0;
  // Lets go of the pages it pins; the next get or scan sees the newest commit. Call once a loop turn.
  virtual void release() = 0;
};

// One transaction at a time: put(), append(), erase(), get(), scan(), commit() and abort() are about it.
// ERRORS of all: kSystem (detail: errno or LMDB's code), kCorrupt; and those named.
class Kv {
 public:
  virtual ~Kv() = default;
  // REQUIRES: no transaction is open. ERRORS: kPoisoned: a commit has failed.
  virtual Result<void> begin() = 0;
  // ERRORS: kFull: the map or the disk; the transaction must be aborted and may be repeated smaller.
  virtual Result<void> put(Table table, Bytes key, Bytes value) = 0;
  virtual Result<void> append(Table table, Bytes key, Bytes value) = 0;  // REQUIRES: key above all others
  virtual Result<void> erase(Table table, Bytes key) = 0;                // absent: ok
  // With what the transaction has written. LIFETIME: until the next write. ERRORS: kNotFound.
  virtual Result<Bytes> get(Table table, Bytes key) = 0;
  // As Snapshot::scan(), with what the transaction has written. REQUIRES: `visit` writes nothing.
  virtual Result<void> scan(Table table, Bytes from,
                            const std::function<bool(Bytes key, Bytes value)>& visit) = 0;
  // Ends the transaction, whatever it returns. ERRORS: kFull: nothing of it is written, and a smaller one may
  // be tried; any other: nobody knows what is on the disk, and begin() refuses from then on.
  virtual Result<void> commit() = 0;
  virtual void abort() = 0;  // nothing of it is written; without a transaction: nothing
  virtual std::unique_ptr<Snapshot> snapshot() = 0;  // any thread may call it
  // Share of the map that is used and cannot be reused, 0 … 1; where that is worse, its share of what it
  // could have of the disk: a disk full of other things stops us only when we need its room. Never less, and
  // at most a hundredth of the map, or of what the disk has for it, more.
  virtual double fill() = 0;
  virtual uint64_t used_bytes() = 0;  // of the map, without what can be reused
  // What fill() is a share of: of so many bytes a further one takes the inverse.
  virtual uint64_t capacity_bytes() = 0;
};

}  // namespace perch::store
