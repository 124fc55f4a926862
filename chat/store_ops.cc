// What this core asks of the disk, and what follows when it answers.
#include <algorithm>

#include "chat/core.h"

namespace perch::chat {

using store::OpKind;
using store::Status;
using store::StoreOp;

void Core::submit(std::unique_ptr<StoreOp> op) {
  op->core = options_.id;
  if (op->kind == OpKind::kAccept) {
    if (!refused_.empty()) return refused_.push_back(std::move(op));  // behind those that wait for room
    ++num_accepts_posted_;
  }
  ++num_store_ops_;
  post(options_.store, kHopStore, StoreHop{op.release()});
}

// These devices need the message no more.
void Core::confirm_record(const store::Place& place, Number number, const store::Waiting& who) {
  auto op = std::make_unique<StoreOp>();
  op->kind = OpKind::kConfirm;
  op->place = place;
  op->number = number;
  op->who = who;
  submit(std::move(op));
}

// Another process may fill the disk between admission and commit. What was taken is then neither lost nor
// answered: its op is posted again until there is room, and no further message is taken meanwhile. A login is
// answered BUSY.
bool Core::keep_if_refused(std::unique_ptr<StoreOp>& op) {
  switch (op->kind) {
    case OpKind::kAccept:
    case OpKind::kConfirm:
    case OpKind::kReceipt:
    case OpKind::kReceiptAck:
    case OpKind::kExpire:
    case OpKind::kExpiredAck:
      break;
    case OpKind::kUser:
      refuse_login(*op);
      break;
    case OpKind::kAccount:
    case OpKind::kCeiling:
    case OpKind::kResult:
      return false;
  }
  op->status = Status::kPending;
  refused_.push_back(std::move(op));
  return true;
}

void Core::post_refused_again() {
  constexpr uint64_t kRetryMs = 200;
  const uint64_t now = now_.mono_ms();
  // Messages go in order of number, which is that of each conversation (delivery.md H8): so all of them first
  // come back from the store thread, which lets none pass.
  if (refused_.empty() || num_accepts_posted_ > 0 || now < refused_retry_ms_) return;
  refused_retry_ms_ = now + kRetryMs;
  auto again = std::exchange(refused_, {});
  const auto accepts =
      std::ranges::stable_partition(again, [](const auto& op) { return op->kind != OpKind::kAccept; });
  std::ranges::sort(accepts, {}, [](const auto& op) { return op->number; });
  bool first = true;
  for (auto& op : again) {
    if (op->kind == OpKind::kUser) {
      write_user_again(std::move(op));
    } else {
      op->again = op->kind == OpKind::kAccept && std::exchange(first, false);
      submit(std::move(op));
    }
  }
}

void Core::on_store_done(StoreOp* raw) {
  std::unique_ptr<StoreOp> op(raw);
  --num_store_ops_;
  if (op->kind == OpKind::kAccept) --num_accepts_posted_;
  if (op->status == Status::kFailed)
    store_poisoned_ = true;  // no tick on it; the node stops, devices send again
  if (op->status == Status::kFull && keep_if_refused(op)) return;
  switch (op->kind) {
    case OpKind::kAccept:
      return on_accept_flushed(*op);
    case OpKind::kReceipt: {
      User* user = find_user(op->receipt_key.user);
      Device* device = user ? user->device(op->receipt_key.to_device) : nullptr;
      if (device == nullptr || op->status != Status::kDone) return;
      const auto found = device->receipts.find(op->receipt_key);
      if (found == device->receipts.end()) return;
      found->second.stored = std::max(found->second.stored, op->up_to);
      return receipt_safe(found->second, op->up_to);
    }
    case OpKind::kCeiling:
      if (op->status == Status::kDone) ceiling_ = std::max(ceiling_, op->ceiling);
      ceiling_asked_ = false;
      return;
    case OpKind::kAccount: {
      std::unique_ptr<LoginRequest> login(static_cast<LoginRequest*>(op->context));
      if (op->status == Status::kNotFound)
        return fail(login->conn, wire::ErrorCode::NoAccount, "there is no such account");
      if (op->status == Status::kCorrupt) return refuse_unreadable(*login, Errc::kCorrupt);
      if (op->status != Status::kDone) return fail(login->conn, wire::ErrorCode::Busy, "come again later");
      login->user = op->user_row.id;
      login->handle = op->user_row.handle;
      return send_home(std::move(login));
    }
    case OpKind::kUser:
      return on_user_written(*op);
    case OpKind::kExpire:
      // Written with the drop, so the sender is told in any case: now, or at its next login after a restart.
      if (op->status != Status::kDone || op->expired_for.num == 0) return;
      post(home(op->id.user), kHopExpired, ExpiredHop{op->id, op->to});
      return owes_nothing(*find_user(op->who.user), op->id, 0);
    case OpKind::kConfirm:
    case OpKind::kReceiptAck:
    case OpKind::kExpiredAck:
    case OpKind::kResult:
      return;
  }
}

}  // namespace perch::chat
