// NewStore: both environments of a store as they are made anew, in DATA/restoring. They take the place of
// DATA's own when they are whole: a stop before leaves what was there, and the next restore or erase begins
// again.
//
// OWNER: whoever holds the lock of DATA. ERRORS: say() puts them into words.
#pragma once
#include <memory>
#include <string>

#include "core/result.h"
#include "store/kv.h"

namespace perch::ctl {

class NewStore {
 public:
  explicit NewStore(std::string data) : data_(std::move(data)) {}
  ~NewStore();  // what is not in its place by now is removed

  // `bytes`: of all keys and values, at most. ERRORS: kSystem, kFull.
  Result<void> open(uint64_t bytes);
  // In order of tables and keys, those of the journal first. ERRORS: those of Kv.
  Result<void> put(bool journal, store::Table table, Bytes key, Bytes value);
  // No put() follows. ERRORS: those of Kv.
  Result<void> commit();
  // After commit(): a copy from now on says that it is one. The new ceiling. ERRORS: those of Kv.
  Result<uint64_t> mark_restored(uint64_t last_used);
  // After commit(), where DATA has no store, or to replace the one it has. All belongs to whom DATA belongs
  // to. ERRORS: kSystem.
  Result<void> put_in_place();

 private:
  const std::string data_;
  std::unique_ptr<store::Kv> journal_, tables_;
  store::Kv* open_ = nullptr;  // has a transaction
  size_t bytes_ = 0;           // in it
};

// Takes away what an earlier one left that did not come to its end. ERRORS: kSystem.
Result<void> remove_unfinished(const std::string& data);
// Says on the standard error why nothing was done to `data`. Always kNotDone.
int say(const std::string& data, const Error& error);

}  // namespace perch::ctl
