#include "store_sim.h"

#include <cerrno>

#include "core/check.h"

namespace perch::sim {
namespace {

constexpr Error kCrash{Errc::kSystem, EIO};

SimKv::Blob blob(Bytes bytes) { return {bytes.begin(), bytes.end()}; }

Result<Bytes> get_in(const SimKv::Map& map, Bytes key) {
  const auto found = map.find(blob(key));
  if (found == map.end()) return Error{Errc::kNotFound};
  return Bytes(found->second);
}

void scan_in(const SimKv::Map& map, Bytes from, const std::function<bool(Bytes, Bytes)>& visit) {
  for (auto at = map.lower_bound(blob(from)); at != map.end() && visit(at->first, at->second); ++at) {
  }
}

}  // namespace

std::optional<Error> SimDisk::strike() {
  const auto now = [](uint64_t& operations) { return operations > 0 && --operations == 0; };
  if (now(operations_to_crash)) crashed = true;
  if (crashed) return kCrash;
  if (now(operations_to_failure)) return ++num_failures, kCrash;
  if (full || now(operations_to_refusal)) return ++num_refusals, Error{Errc::kFull};
  return std::nullopt;
}

// Reads are between transactions only: the simulated store commits within one step of the scheduler.
class SimSnapshot final : public store::Snapshot {
 public:
  explicit SimSnapshot(SimKv& kv) : kv_(kv) {}
  Result<Bytes> get(store::Table table, Bytes key) override { return get_in(kv_.committed(table), key); }
  Result<void> scan(store::Table table, Bytes from, const std::function<bool(Bytes, Bytes)>& visit) override {
    scan_in(kv_.committed(table), from, visit);
    return {};
  }
  void release() override {}

 private:
  SimKv& kv_;
};

Result<void> SimKv::begin() {
  PERCH_CHECK(!open_);
  if (disk_.crash_at_switch && disk_.last_committed != nullptr && disk_.last_committed != this) {
    disk_.crashed = true;
    ++disk_.num_switch_crashes;
  }
  if (disk_.crashed) return kCrash;
  open_ = true;
  return {};
}

Result<void> SimKv::write(store::Table table, Bytes key, std::optional<Blob> value) {
  PERCH_CHECK(open_ && table < tables_.size());
  PERCH_CHECK(!key.empty() && key.size() <= 511);
  if (const auto error = disk_.strike()) return *error;
  num_puts_ += value.has_value();
  Map& map = tables_[table];
  const auto found = map.find(blob(key));
  undo_.push_back({table, blob(key), found == map.end() ? std::nullopt : std::optional<Blob>(found->second)});
  if (value) {
    map[blob(key)] = std::move(*value);
  } else if (found != map.end()) {
    map.erase(found);
  }
  return {};
}

Result<void> SimKv::put(store::Table table, Bytes key, Bytes value) { return write(table, key, blob(value)); }

Result<void> SimKv::append(store::Table table, Bytes key, Bytes value) {
  PERCH_CHECK(tables_[table].empty() || Less()(tables_[table].rbegin()->first, blob(key)));
  return write(table, key, blob(value));
}

Result<void> SimKv::erase(store::Table table, Bytes key) { return write(table, key, std::nullopt); }

Result<Bytes> SimKv::get(store::Table table, Bytes key) {
  PERCH_CHECK(open_);
  if (disk_.crashed) return kCrash;
  return get_in(tables_[table], key);
}

Result<void> SimKv::scan(store::Table table, Bytes from, const std::function<bool(Bytes, Bytes)>& visit) {
  PERCH_CHECK(open_);
  if (disk_.crashed) return kCrash;
  scan_in(tables_[table], from, visit);
  return {};
}

Result<void> SimKv::commit() {
  PERCH_CHECK(open_);
  const auto error = disk_.strike();
  if (error && (!disk_.commit_survives || error->code == Errc::kFull)) {
    abort();
    return *error;
  }
  open_ = false;
  undo_.clear();
  ++disk_.num_commits;
  disk_.last_committed = this;
  if (error) return *error;
  return {};
}

void SimKv::abort() {
  if (!open_) return;
  for (auto at = undo_.rbegin(); at != undo_.rend(); ++at) {
    if (at->value)
      tables_[at->table][at->key] = std::move(*at->value);
    else
      tables_[at->table].erase(at->key);
  }
  undo_.clear();
  open_ = false;
}

std::unique_ptr<store::Snapshot> SimKv::snapshot() { return std::make_unique<SimSnapshot>(*this); }

std::vector<SimKv::Map> SimKv::copy() const {
  PERCH_CHECK(!open_);
  return tables_;
}

void SimKv::put_back(const std::vector<Map>& copy) {
  PERCH_CHECK(!open_);
  tables_ = copy;
}

void SimKv::reboot() { abort(); }

const SimKv::Map& SimKv::committed(store::Table table) const {
  PERCH_CHECK(!open_ && table < tables_.size());
  return tables_[table];
}

}  // namespace perch::sim
