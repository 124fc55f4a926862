// The meta tables, one u64 per key, and whole transactions.
//
// ON: the store thread, or before there is one.
#pragma once
#include "store/keyspace.h"
#include "store/kv.h"

namespace perch::store {

// Inside the transaction of `kv`, in its meta table. ERRORS: kNotFound, kCorrupt; those of Kv.
Result<uint64_t> get_meta(Kv& kv, Table table, MetaKey key);
Result<uint64_t> get_meta_or(Kv& kv, Table table, MetaKey key, uint64_t absent);  // instead of kNotFound
Result<void> put_meta(Kv& kv, Table table, MetaKey key, uint64_t value);

// Begins, runs, commits; aborts at the first error, and returns it. `body()` returns a Result<void>.
template <typename Body>
Result<void> transact(Kv& kv, Body&& body) {
  if (auto begun = kv.begin(); !begun) return begun;
  if (auto done = body(); !done) {
    kv.abort();
    return done;
  }
  return kv.commit();
}

}  // namespace perch::store
