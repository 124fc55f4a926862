// A user's row on the disk, and what follows once it is there.
//
// A login's write finds room at once or is refused. Any other waits for room, one at a time: what changes
// meanwhile is written with the next, however much that is.
#include <algorithm>

#include "chat/core.h"
#include "chat/user_write.h"

namespace perch::chat {

using store::OpKind;
using store::Status;
using store::StoreOp;

// The row has changed. `after` goes to the store once it is on the disk as it is now.
void Core::write_user(User& user, std::unique_ptr<LoginRequest> login,
                      std::vector<std::unique_ptr<StoreOp>> after) {
  ++user.num_writes;
  for (auto& op : after) user.after_row.push_back({user.num_writes, std::move(op)});
  if (login) return post_row(user, std::move(login));
  user.row_changed = true;
  post_row_if_changed(user);
}

void Core::post_row_if_changed(User& user) {
  if (!user.row_changed || user.row_posted) return;
  user.row_changed = false;
  if (user.num_written == user.num_writes) return;  // with a login
  user.row_posted = true;
  post_row(user, nullptr);
}

void Core::post_row(User& user, std::unique_ptr<LoginRequest> login) {
  if (login && login->number != 0) ++user.device(login->number)->num_logins;
  auto op = std::make_unique<StoreOp>();
  op->kind = OpKind::kUser;
  op->waits = login == nullptr;
  op->user_row = row_of(user);
  for (auto& device : user.devices)
    if (device) device->seen_posted_ms = device->row.seen_ms;
  op->context = new UserWrite{user.num_writes, std::move(login)};
  submit(std::move(op));
}

void Core::row_written(std::unique_ptr<LoginRequest> login) {
  if (login->number != 0) return welcome(std::move(login));
  // It waited until the device that it replaces may go. For one that has gone itself none goes.
  if (net_.writable(login->conn)) login_here(std::move(login));
}

void Core::on_user_written(const StoreOp& op) {
  const std::unique_ptr<UserWrite> write(static_cast<UserWrite*>(op.context));
  User* user = find_user(op.user_row.id);
  PERCH_CHECK(user != nullptr);
  if (write->login) {
    if (write->login->number != 0) --user->device(write->login->number)->num_logins;
  } else {
    user->row_posted = false;
  }
  if (op.status == Status::kDone) {
    user->num_written = std::max(user->num_written, write->number);
    std::erase_if(user->after_row, [&](AfterRow& after) {
      if (after.write > user->num_written) return false;
      submit(std::move(after.op));
      return true;
    });
    for (const auto& device : user->devices)
      if (device) send_back_if_left_out(*user, *device);
    if (write->login) row_written(std::move(write->login));
  } else if (write->login) {
    // No room: a peer is not kept waiting for it, the device comes again. Nobody needs the row for that.
    fail(write->login->conn, wire::ErrorCode::Busy, "come again later");
  }
  if (op.status != Status::kFailed) post_row_if_changed(*user);
}

}  // namespace perch::chat
