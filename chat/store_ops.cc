// What this core asks of the disk, and what follows when it answers.
#include <algorithm>

#include "chat/core.h"

namespace perch::chat {

using store::OpKind;
using store::Status;
using store::StoreOp;

void Core::submit(std::unique_ptr<StoreOp> op) {
  op->core = options_.id;
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

void Core::on_store_done(StoreOp* raw) {
  std::unique_ptr<StoreOp> op(raw);
  --num_store_ops_;
  if (op->status == Status::kFailed)
    store_poisoned_ = true;  // no tick on it; the node stops, devices send again
  switch (op->kind) {
    case OpKind::kAccept:
      return on_accept_flushed(*op);
    case OpKind::kReceipt: {
      const std::unique_ptr<PendingReceipt::Waiter> waiter(static_cast<PendingReceipt::Waiter*>(op->context));
      if (waiter && op->status == Status::kDone) post(waiter->core, kHopSafe, waiter->who);
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
    case OpKind::kExpire: {
      // Written with the drop, so the sender is told in any case: now, or at its next login after a restart.
      if (op->status != Status::kDone || op->expired_for.num == 0) return;
      post(home(op->id.user), kHopExpired, ExpiredHop{op->id, op->to});
      if (User* const user = find_user(op->who.user)) owes_nothing(*user, op->id, 0);
      return;
    }
    case OpKind::kResult:
      if (op->context != nullptr) on_accept_flushed(*op);  // of a message that is for nobody
      return;
    case OpKind::kBlock:
      return on_block_written(*op);
    case OpKind::kRevoke:
      return on_revoked(*op);
    case OpKind::kConfirm:
    case OpKind::kReceiptAck:
    case OpKind::kExpiredAck:
      return;
  }
}

}  // namespace perch::chat
