// Whom users block, and what becomes of a message to somebody who blocks its sender (DELIVERY.md H31).
#include "chat/blocks.h"

#include <algorithm>

#include "chat/core.h"

namespace perch::chat {

using store::OpKind;
using store::Status;
using store::StoreOp;

namespace {

bool has(const std::vector<UserId>& list, UserId user) { return std::ranges::binary_search(list, user); }

void add(std::vector<UserId>& list, UserId user) {
  if (!has(list, user)) list.insert(std::ranges::lower_bound(list, user), user);
}

}  // namespace

void BlockList::set(UserId user, bool blocked) {
  add(blocked ? now : before, user);
  std::erase(blocked ? before : now, user);
}

// With the user: from then on this core alone changes it.
Result<void> Core::load_blocks(UserId user) {
  BlockList list;
  const Result<void> read = read_fresh([&] {
    list = BlockList{};
    return reader_->blocks(user, [&list](UserId whom, bool now) {
      (now ? list.now : list.before).push_back(whom);
      return true;
    });
  });
  if (read && list.size() > 0) blocks_[user] = std::move(list);
  return read;
}

bool Core::blocks(UserId user, UserId whom) const {
  if (blocks_.empty()) return false;
  const auto list = blocks_.find(user);
  return list != blocks_.end() && has(list->second.now, whom);
}

bool Core::ever_blocked(UserId user, UserId whom) const {
  if (blocks_.empty()) return false;
  const auto list = blocks_.find(user);
  return list != blocks_.end() && (has(list->second.now, whom) || has(list->second.before, whom));
}

std::span<const UserId> Core::blocked_by(UserId user) const {
  const auto list = blocks_.find(user);
  return list == blocks_.end() ? std::span<const UserId>() : list->second.now;
}

void Core::on_block(Bound& at, const wire::Block& ask) {
  Session& session = *at.device->session;
  if (ask.request() == 0)
    return fail(session.conn, wire::ErrorCode::Malformed, "the request of a Block is not 0");
  const UserId whom = ask.user();
  if (whom == 0 || whom == at.user->id) {
    send(session, codec::blocks(ask.request(), blocked_by(at.user->id)));
    return;
  }
  const BlockAsk asked{session.conn, ask.request(), nullptr, 0};
  switch (change_block(at.user->id, whom, ask.on(), asked)) {
    case BlockChange::kAsked:
      return;
    case BlockChange::kNone:
      send(session, codec::blocks(ask.request(), blocked_by(at.user->id)));
      return;
    case BlockChange::kTooMany:
      count_error(wire::ErrorCode::BlockLimit);
      send(session, codec::error(wire::ErrorCode::BlockLimit, "this user blocks as many as it may", 0, 0,
                                 ask.request()));
      return;
    case BlockChange::kBusy:
      return refuse_block(session, ask.request());
  }
}

void Core::refuse_block(Session& session, uint64_t request) {
  count_error(wire::ErrorCode::Busy);
  send(session, codec::error(wire::ErrorCode::Busy, "ask again later", 0, ToldWaits::kAskAgainMs, request));
}

// Whoever it is that asks hears of it once it is on the disk, and it counts from then on. Nobody is asked
// whether `whom` is there: a list is no way to find that out.
Core::BlockChange Core::change_block(UserId user, UserId whom, bool on, const BlockAsk& asked) {
  const auto found = blocks_.find(user);
  const uint32_t num_writes = found == blocks_.end() ? 0 : found->second.num_writes;
  if (num_writes == 0 && blocks(user, whom) == on) return BlockChange::kNone;
  if (num_writes >= kBlockWritesMax) return BlockChange::kBusy;
  const size_t size = found == blocks_.end() ? 0 : found->second.size();
  if (!ever_blocked(user, whom) && size + num_writes >= limits_.blocks_max) return BlockChange::kTooMany;
  ++blocks_[user].num_writes;
  auto op = std::make_unique<StoreOp>();
  op->kind = OpKind::kBlock;
  op->waits = false;
  op->user = user;
  op->whom = whom;
  op->create = on;
  op->context = new BlockAsk(asked);
  submit(std::move(op));
  return BlockChange::kAsked;
}

void Core::on_block_written(const StoreOp& op) {
  const std::unique_ptr<BlockAsk> asked(static_cast<BlockAsk*>(op.context));
  const bool done = op.status == Status::kDone;
  BlockList& list = blocks_.at(op.user);
  --list.num_writes;
  if (done) list.set(op.whom, op.create);
  if (list.size() == 0 && list.num_writes == 0) blocks_.erase(op.user);
  if (asked->question != nullptr) {
    if (!done) asked->question->found = Error{Errc::kFull};
    for (const UserId whom : blocked_by(op.user)) asked->question->blocks.push_back(whom);
    post(asked->asker, kHopAnswer, QuestionHop{asked->question});
  } else if (Bound* const at = bound(asked->conn); !done && at != nullptr) {
    refuse_block(*at->device->session, asked->request);
  }
  if (done) tell_blocks(op.user, *asked);
}

// All of the user's devices that are here: the one that asked, as its answer, and the others, because it has
// changed.
void Core::tell_blocks(UserId id, const BlockAsk& asked) {
  User* const user = find_user(id);
  PERCH_CHECK(user != nullptr);
  for (const auto& device : user->devices) {
    if (!device || !device->session) continue;
    const bool asks = asked.question == nullptr && device->session->conn == asked.conn;
    send(*device->session, codec::blocks(asks ? asked.request : 0, blocked_by(id)));
  }
}

// The sender's core is answered as by somebody who is away, but for nobody: it gives the one tick that it
// gives then, after a flush, and nothing is kept or shown here.
void Core::take_for_nobody(const MessageHop& hop, CoreId source) {
  metrics_.add(Metric::kBlocked);
  post(source, kHopAdmitted, DevicesHop{hop.flight, hop.user, {}, 0, false});
  post(source, kHopNeedsStore, DevicesHop{hop.flight, hop.user, {}, 0, false});
}

}  // namespace perch::chat
