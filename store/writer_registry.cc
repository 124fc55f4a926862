// Writer: users, their devices and their handles, whom they block, which of their tokens are revoked.
#include <algorithm>

#include "store/writer.h"

namespace perch::store {
namespace {

Bytes bytes_of(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

}  // namespace

// A core may still have the user from before it got its handle, so a row without one keeps what it has. One
// that cannot be read is replaced: the core has all else of it.
Result<void> Writer::write_user(UserRow& row) {
  const auto key = pack_key(row.id);
  Value value;
  if (row.handle.empty()) {
    auto before = read_user(row.id);
    if (!before && before.error().code != Errc::kNotFound && before.error().code != Errc::kCorrupt)
      return before.error();
    if (before) row.handle = before->handle;
  }
  pack_user(key, row, value);
  if (auto r = journal_.put(kUsersTable, key, value.bytes()); !r) return r;
  if (row.handle.empty()) return {};
  pack_number(bytes_of(row.handle), row.id, value);
  return journal_.put(kHandlesTable, bytes_of(row.handle), value.bytes());
}

Result<UserRow> Writer::read_user(UserId id) {
  const auto key = pack_key(id);
  auto value = journal_.get(kUsersTable, key);
  if (!value) return value.error();
  return unpack_user(key, *value);
}

Result<void> Writer::write_block(const StoreOp& op) {
  const auto key = pack_key(BlockKey{op.user, op.whom});
  Value value;
  pack_number(key, op.create ? 1 : 0, value);
  return journal_.put(kBlocksTable, key, value.bytes());
}

// Of two revocations the later counts, whatever a clock that was set back says.
Result<void> Writer::write_revocation(const StoreOp& op) {
  const auto key = pack_key(op.user);
  uint64_t before_ms = op.before_ms;
  auto stored = journal_.get(kRevokedTable, key);
  if (!stored && stored.error().code != Errc::kNotFound) return stored.error();
  if (stored) {
    // One that cannot be read is replaced: it refuses every login.
    if (const auto known = unpack_number(key, *stored); known) before_ms = std::max(before_ms, *known);
  }
  Value value;
  pack_number(key, before_ms, value);
  return journal_.put(kRevokedTable, key, value.bytes());
}

// What cannot be read is one user's trouble: nothing is written over it.
Result<void> Writer::write_account(StoreOp& op, Outcome& outcome) {
  outcome = Outcome::kNotFound;
  UserId id = op.user_row.id;
  if (!op.handle.empty()) {
    if (op.handle.size() > kHandleBytesMax) return {};
    auto value = journal_.get(kHandlesTable, bytes_of(op.handle));
    if (!value && value.error().code != Errc::kNotFound) return value.error();
    if (value) {
      const auto found = unpack_number(bytes_of(op.handle), *value);
      if (!found && id == 0) {
        outcome = Outcome::kCorrupt;
        return {};
      }
      // Who is named by id stays that user, without a handle that is, or may be, somebody else's.
      if (id == 0)
        id = *found;
      else if (!found || id != *found)
        op.handle.clear();
    }
  } else if (id == 0) {
    return {};
  }
  if (id != 0) {
    auto row = read_user(id);
    if (!row && row.error().code == Errc::kCorrupt) {
      outcome = Outcome::kCorrupt;
      return {};
    }
    if (!row && row.error().code != Errc::kNotFound) return row.error();
    if (row) {
      const bool gets_handle = row->handle.empty() && !op.handle.empty();
      op.user_row = std::move(*row);
      outcome = Outcome::kDone;
      if (!gets_handle) return {};
      op.user_row.handle = op.handle;
      return write_user(op.user_row);
    }
  }
  if (!op.create) return {};
  while (id == 0) {
    id = random_.next() >> 1;
    if (id == 0) continue;
    const auto taken = journal_.get(kUsersTable, pack_key(id));
    if (!taken && taken.error().code != Errc::kNotFound) return taken.error();
    if (taken) id = 0;
  }
  // What the caller filled in besides stays: a user made by the first login already has its device.
  op.user_row.id = id;
  if (!op.handle.empty()) op.user_row.handle = op.handle;
  outcome = Outcome::kDone;
  return write_user(op.user_row);
}

}  // namespace perch::store
