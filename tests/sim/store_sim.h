// SimDisk and SimKv are the simulator's disk: what is committed outlives the node, the rest does not.
//
// A fault is armed as a number of operations from now; it may fall between any two writes of a transaction,
// before a commit, or after a commit that nobody hears of. From a crash on both environments of the disk
// answer errors until reboot(), which undoes the open transaction. So the journal may have committed what the
// tables have not; crash_at_switch waits for exactly that.
#pragma once
#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <vector>

#include "store/kv.h"

namespace perch::sim {

class SimKv;

struct SimDisk {
  uint64_t operations_to_crash = 0;    // 0: not armed
  uint64_t operations_to_refusal = 0;  // no room, this once
  uint64_t operations_to_failure = 0;  // EIO, this once: the process goes on
  bool crash_at_switch = false;  // the next transaction that is not on the environment of the last commit
  bool commit_survives = false;  // a crash or failure in commit() comes after the flush
  bool crashed = false;
  bool full = false;  // no room for anything, until somebody makes some
  double fill = 0.1, capacity_bytes = 1 << 30;
  const SimKv* last_committed = nullptr;
  uint64_t num_commits = 0, num_refusals = 0, num_failures = 0, num_switch_crashes = 0;
  std::optional<Error> strike();
  void disarm() {
    operations_to_crash = operations_to_refusal = operations_to_failure = 0;
    crash_at_switch = crashed = full = false;
  }
};

class SimKv final : public store::Kv {
 public:
  using Blob = std::vector<uint8_t>;
  struct Less {
    bool operator()(const Blob& a, const Blob& b) const {
      return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
    }
  };
  using Map = std::map<Blob, Blob, Less>;

  SimKv(SimDisk& disk, size_t num_tables) : disk_(disk), tables_(num_tables) {}
  Result<void> begin() override;
  Result<void> put(store::Table table, Bytes key, Bytes value) override;
  Result<void> append(store::Table table, Bytes key, Bytes value) override;
  Result<void> erase(store::Table table, Bytes key) override;
  Result<Bytes> get(store::Table table, Bytes key) override;
  Result<void> scan(store::Table table, Bytes from, const std::function<bool(Bytes, Bytes)>& visit) override;
  Result<void> commit() override;
  void abort() override;
  std::unique_ptr<store::Snapshot> snapshot() override;
  double fill() override { return disk_.fill; }
  uint64_t used_bytes() override { return static_cast<uint64_t>(disk_.fill * disk_.capacity_bytes); }
  uint64_t capacity_bytes() override { return static_cast<uint64_t>(disk_.capacity_bytes); }

  void reboot();
  // A copy of what is committed, and the way back to it. REQUIRES: no transaction is open.
  std::vector<Map> copy() const;
  void put_back(const std::vector<Map>& copy);
  // What a restart would find. REQUIRES: no transaction is open.
  const Map& committed(store::Table table) const;
  uint64_t num_puts() const { return num_puts_; }

 private:
  friend class SimSnapshot;
  struct Undo {
    store::Table table;
    Blob key;
    std::optional<Blob> value;
  };
  Result<void> write(store::Table table, Bytes key, std::optional<Blob> value);
  SimDisk& disk_;
  std::vector<Map> tables_;  // with the open transaction's writes
  std::vector<Undo> undo_;
  bool open_ = false;
  uint64_t num_puts_ = 0;
};

}  // namespace perch::sim
