// Tokens that the operator has revoked, and sessions that he ends.
#include "chat/core.h"

namespace perch::chat {

using store::OpKind;
using store::Status;
using store::StoreOp;

// True: the connection has been told. Asked on the home core, which writes revocations itself and ends what
// is there once one is on the disk: so no session begins behind one.
bool Core::is_revoked(net::ConnId id, UserId user, uint64_t issued_ms) {
  const Result<uint64_t> before_ms = reader_->revoked_before(user);
  if (!before_ms && before_ms.error().code == Errc::kNotFound) return false;
  if (!before_ms) {
    log_unreadable(user, "", before_ms.error().code);
    fail(id, wire::ErrorCode::Busy, "this account cannot be read");
    return true;
  }
  if (issued_ms >= *before_ms) return false;
  fail(id, wire::ErrorCode::TokenInvalid, "the operator has revoked this token");
  return true;
}

bool Core::revoke(Question& question, CoreId asker) {
  const Result<User*> user = load_user(question.user);
  if (!user) {
    question.found = user.error();
    return true;
  }
  auto op = std::make_unique<StoreOp>();
  op->kind = OpKind::kRevoke;
  op->waits = false;
  op->user = question.user;
  op->before_ms = question.before_ms;
  op->context = new QuestionAsked{&question, asker};
  submit(std::move(op));
  return false;
}

// Whoever is here logged in with a token that was issued before; a later one may come back with.
void Core::on_revoked(const StoreOp& op) {
  const std::unique_ptr<QuestionAsked> asked(static_cast<QuestionAsked*>(op.context));
  Question& question = *asked->question;
  if (op.status == Status::kDone) {
    reader_->release();  // what else is to come in this turn must see it
    const auto last_word = codec::error(wire::ErrorCode::TokenInvalid, "the operator has revoked this token");
    question.num_ended = turn_out(question.user, 0, last_word);
    metrics_.add(Metric::kErrorTokenInvalid, question.num_ended);
  } else {
    question.found = Error{Errc::kFull};
  }
  post(asked->asker, kHopAnswer, QuestionHop{&question});
}

void Core::disconnect(Question& question) {
  const Result<User*> user = load_user(question.user);
  if (!user || (question.device != 0 && (*user)->device(question.device) == nullptr)) {
    question.found = user ? Error{Errc::kNotFound, question.device} : user.error();
    return;
  }
  const auto last_word = codec::goaway(ToldWaits::kDrainingMs, "the operator has ended this session");
  question.num_ended = turn_out(question.user, question.device, last_word);
}

// How many sessions ended. REQUIRES: the user is in memory.
size_t Core::turn_out(UserId id, DeviceNo number, const codec::FrameBytes& last_word) {
  User& user = *users_.at(id);
  size_t num = 0;
  for (const auto& device : user.devices) {
    if (!device || !device->session || (number != 0 && device->row.number != number)) continue;
    turn_out(user, *device, last_word);
    ++num;
  }
  return num;
}

}  // namespace perch::chat
