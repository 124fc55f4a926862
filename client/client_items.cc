// What a Client says about messages: edits, deletions, reactions, answers, timers, profiles. Each is a row of
// the outbox, so that all of it works offline and arrives like any message.
#include "client/client.h"
#include "client/protocol/device.h"
#include "client/sqlite_store.h"

namespace perch::client {

Result<RowId> Client::post(const Target& to, const Item& item) {
  const auto body = encode_item(item);
  if (!body.ok()) return body.error();
  return post(to, kContentItem, *body);
}

Result<RowId> Client::say(std::string_view to, Item text) {
  if (stop_reason() == StopReason::kStorage) return Error{Errc::kPoisoned};
  const auto seconds = timer(to);
  if (!seconds.ok()) return seconds.error();
  text.timer_s = *seconds;
  const Target target = target_of(to);
  if (auto done = introduce(target); !done.ok()) return done.error();
  if (text.timer_s != 0 || text.target.seq != 0) return post(target, text);
  return post(target, kContentText,
              Bytes(reinterpret_cast<const uint8_t*>(text.text.data()), text.text.size()));
}

Result<RowId> Client::send(std::string_view to, std::string_view text) {
  return say(to, {.text = std::string(text)});
}

Result<RowId> Client::send(std::string_view to, uint8_t content, Bytes body) {
  if (stop_reason() == StopReason::kStorage) return Error{Errc::kPoisoned};
  const Target target = target_of(to);
  if (content != kContentItem) {
    if (auto done = introduce(target); !done.ok()) return done.error();
  }
  return post(target, content, body);
}

Result<Found> Client::message(const MessageId& id) {
  if (auto done = forget_ended(); !done.ok()) return done.error();
  return store_->message(id);
}

Result<Found> Client::own_message(const MessageId& id) {
  auto found = message(id);
  if (!found.ok()) return found;
  if (!found->line.mine) return Error{Errc::kInvalid};
  if (found->line.shown == Shown::kDeleted) return Error{Errc::kNotFound};
  return found;
}

Result<RowId> Client::reply(const MessageId& id, std::string_view text) {
  const auto found = message(id);
  if (!found.ok()) return found.error();
  if (found->line.shown == Shown::kDeleted) return Error{Errc::kNotFound};
  return say(std::to_string(found->peer), {.text = std::string(text), .target = id});
}

Result<RowId> Client::edit(const MessageId& id, std::string_view text) {
  const auto found = own_message(id);
  if (!found.ok()) return found.error();
  if (found->line.shown != Shown::kText) return Error{Errc::kInvalid};
  return post({.user = found->peer}, {.kind = ItemKind::kEdit, .text = std::string(text), .target = id});
}

Result<RowId> Client::edit(RowId row, std::string_view text) {
  if (auto valid = encode_item({.text = std::string(text)}); !valid.ok()) return valid.error();
  store_->begin();
  const bool changed = store_->change_unnamed(row, text);
  if (auto committed = store_->commit(); !committed.ok()) return committed.error();
  if (changed) return row;
  const auto status = store_->status(row);
  if (!status.ok()) return status.error();
  if (status->seq == 0) return Error{Errc::kInvalid};
  return edit({identity().user, identity().device, status->origin, status->seq}, text);
}

Result<RowId> Client::remove(const MessageId& id) {
  const auto found = own_message(id);
  if (!found.ok()) return found.error();
  const auto row = post({.user = found->peer}, {.kind = ItemKind::kDelete, .target = id});
  if (row.ok()) store_->scrub();  // if another process reads just now, poll() does it
  return row;
}

Result<RowId> Client::remove(RowId row) {
  store_->begin();
  const bool withdrawn = store_->withdraw_unnamed(row);
  if (auto committed = store_->commit(); !committed.ok()) return committed.error();
  if (withdrawn) {
    store_->scrub();
    return RowId{0};
  }
  const auto status = store_->status(row);
  if (!status.ok()) return status.error();
  return remove({identity().user, identity().device, status->origin, status->seq});
}

Result<RowId> Client::react(const MessageId& id, std::string_view emoji) {
  const auto found = message(id);
  if (!found.ok()) return found.error();
  if (found->line.shown == Shown::kDeleted) return Error{Errc::kNotFound};
  return post({.user = found->peer}, {.kind = ItemKind::kReaction, .text = std::string(emoji), .target = id});
}

Result<RowId> Client::set_timer(std::string_view peer, uint32_t seconds) {
  return post(target_of(peer), {.kind = ItemKind::kTimer, .timer_s = seconds});
}

Result<uint32_t> Client::timer(std::string_view peer) {
  const auto user = user_of(peer);
  if (!user.ok()) return user.error();
  const auto last = store_->last_item(*user, target_of(peer).handle, 0, ItemKind::kTimer);
  if (!last.ok()) return last.error();
  return *last ? (*last)->timer_s : 0u;
}

// --- profiles ----------------------------------------------------------------------------------------------

Result<Profile> Client::profile(std::string_view peer) {
  const auto user = user_of(peer);
  if (!user.ok()) return user.error();
  if (*user == 0) return Profile();
  auto last = store_->last_item(*user, {}, *user, ItemKind::kProfile);
  if (!last.ok()) return last.error();
  if (!*last) return Profile();
  return Profile{std::move((*last)->text), std::move((*last)->about)};
}

Result<void> Client::introduce(const Target& to) {
  const UserId me = identity().user;
  if (me == 0 || to.user == me) return {};
  const auto present = store_->last_item(me, {}, me, ItemKind::kProfile);
  if (!present.ok()) return present.error();
  if (!*present) return {};
  const auto user = to.user != 0 ? Result(to.user) : store_->user_of(to.handle);
  if (!user.ok()) return user.error();
  const auto sent = store_->last_item(*user, to.handle, me, ItemKind::kProfile);
  if (!sent.ok()) return sent.error();
  if (*sent == *present) return {};
  const auto row = post(to, **present);
  return row.ok() ? Result<void>() : row.error();
}

Result<RowId> Client::set_profile(const Profile& profile) {
  const UserId me = identity().user;
  if (me == 0) return Error{Errc::kNotFound};
  const auto others = store_->recipients();
  if (!others.ok()) return others.error();
  const Item item{.kind = ItemKind::kProfile, .text = profile.name, .about = profile.about};
  auto row = post({.user = me}, item);
  for (const Conversation& other : *others) {
    if (row.ok()) row = post({other.peer, other.handle}, item);
  }
  return row;
}

// --- what changes by itself --------------------------------------------------------------------------------

Result<void> Client::forget_ended() {
  if (auto done = store_->forget_ended(); !done.ok()) return done;
  if (store_->wants_scrub()) store_->scrub();
  return {};
}

void Client::tell_changes() {
  for (const UserId peer : store_->take_changed()) events_->on_changed(peer);
}

}  // namespace perch::client
