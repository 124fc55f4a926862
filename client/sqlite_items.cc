// What the messages of a SqliteStore contain (PROTOCOL.md, 10). Everything is kept as it came and folded when
// it is read, so that no order of arrival, no later number and no rejection can leave a message as it never
// was. Only removing is done at once, and for good.
#include <algorithm>

#include "client/sqlite_query.h"
#include "core/check.h"

namespace perch::client {

SqliteStore::Label SqliteStore::label_of(uint8_t content, Bytes body) {
  if (content != kContentItem) return {};
  const Result<Item> item = decode_item(body);
  if (!item.ok() || item->kind == ItemKind::kUnknown) return {};
  Label label;
  label.kind = item->kind;
  if (item->kind != ItemKind::kText) label.target = item->target;
  if (item->kind == ItemKind::kText) label.timer_s = item->timer_s;
  return label;
}

uint64_t SqliteStore::end_of(uint32_t timer_s) const {
  return timer_s == 0 ? 0 : clock_->wall_ms() + uint64_t{timer_s} * 1000;
}

void SqliteStore::label_row(RowId row, UserId to, const Label& label) {
  if (label.kind == ItemKind::kText && label.timer_s == 0) return;
  Query(*this,
        "UPDATE outbox SET item=?, target_user=?, target_device=?, target_origin=?, target_seq=?, timer_s=? "
        "WHERE row=?",
        label.kind, label.target.user, uint64_t{label.target.device}, label.target.origin, label.target.seq,
        uint64_t{label.timer_s}, row)
      .run();
  if (label.kind == ItemKind::kDelete && label.target.user == identity_.user)
    remove(label.target, to, Gone::kDeleted);
  if (label.kind != ItemKind::kText) note_change(to);
}

bool SqliteStore::change_unnamed(RowId row, std::string_view text) {
  PERCH_CHECK(in_transaction_);
  std::vector<uint8_t> body;
  {
    Query query(*this,
                "SELECT content, body, to_user FROM outbox WHERE row=? AND seq=0 AND open=1 AND kind=0 AND "
                "item=0 AND content<2",
                row);
    if (!query.step()) return false;
    note_change(query.u64(2));
    if (query.u64(0) == kContentText) {
      body.assign(text.begin(), text.end());
    } else {
      Result<Item> item = decode_item(query.blob(1));
      if (!item.ok() || item->kind != ItemKind::kText) return false;
      item->text = text;
      auto encoded = encode_item(*item);
      if (!encoded.ok()) return false;
      body = std::move(*encoded);
    }
  }
  Query(*this, "UPDATE outbox SET body=? WHERE row=?", body, row).run();
  return true;
}

bool SqliteStore::withdraw_unnamed(RowId row) {
  PERCH_CHECK(in_transaction_);
  Query query(*this, "DELETE FROM outbox WHERE row=? AND seq=0 AND open=1 AND kind=0 RETURNING to_user", row);
  if (!query.step()) return false;
  removing_ = true;
  note_change(query.u64(0));
  query.run();
  return true;
}

// --- removing ----------------------------------------------------------------------------------------------

Gone SqliteStore::gone_of(const MessageId& target, UserId peer) {
  if (target.seq == 0) return Gone::kNo;
  {
    Query query(*this,
                "SELECT gone FROM inbox WHERE user=? AND device=? AND origin=? AND seq=? AND peer=? "
                "ORDER BY gone DESC LIMIT 1",
                target.user, uint64_t{target.device}, target.origin, target.seq, peer);
    if (query.step()) return static_cast<Gone>(query.u64(0));
  }
  if (target.user == identity_.user && target.device == identity_.device) {
    Query query(*this, "SELECT gone FROM outbox WHERE seq=? AND origin=? AND to_user=? AND seq>0", target.seq,
                target.origin, peer);
    if (query.step()) return static_cast<Gone>(query.u64(0));
  }
  // It is not here: its deletion may be.
  Query came(
      *this,
      "SELECT 1 FROM inbox INDEXED BY inbox_remarks WHERE target_origin=?1 AND target_seq=?2 AND "
      "target_seq<>0 AND target_user=?3 AND target_device=?4 AND item=2 AND user=?3 AND peer=?5 LIMIT 1",
      target.origin, target.seq, target.user, uint64_t{target.device}, peer);
  return came.step() ? Gone::kDeleted : Gone::kNo;
}

// The frame of a row stays as long as the outbox owes it; what becomes of the row takes it away.
#define PERCH_FRAME_OF_REMOVED "frame=CASE WHEN open OR mark=1 THEN frame END"

void SqliteStore::remove(const MessageId& id, UserId peer, Gone gone) {
  Query(*this,
        "UPDATE inbox SET body=x'', read=1, ends_ms=0, gone=?6 WHERE user=?1 AND device=?2 AND origin=?3 AND "
        "seq=?4 AND peer=?5 AND item=0 AND gone=0",
        id.user, uint64_t{id.device}, id.origin, id.seq, peer, gone)
      .run();
  if (id.user == identity_.user && id.device == identity_.device) {
    Query(*this,
          "UPDATE outbox SET body=x'', ends_ms=0, gone=?4, " PERCH_FRAME_OF_REMOVED
          " WHERE seq=?1 AND origin=?2 AND to_user=?3 AND seq>0 AND kind=0 AND item=0 AND gone=0",
          id.seq, id.origin, peer, gone)
        .run();
  }
  // An edit that waits for its id would be sent as it stands in its row: it is not needed any more.
  Query(*this,
        "DELETE FROM outbox WHERE target_origin=?1 AND target_seq=?2 AND target_seq<>0 AND target_user=?3 "
        "AND target_device=?4 AND to_user=?5 AND item IN (1, 3) AND seq=0",
        id.origin, id.seq, id.user, uint64_t{id.device}, peer)
      .run();
  Query(*this,
        "UPDATE outbox SET body=x'', gone=?6, " PERCH_FRAME_OF_REMOVED
        " WHERE target_origin=?1 AND target_seq=?2 AND target_seq<>0 AND target_user=?3 AND target_device=?4 "
        "AND to_user=?5 AND item IN (1, 3) AND gone=0",
        id.origin, id.seq, id.user, uint64_t{id.device}, peer, gone)
      .run();
  Query(*this,
        "UPDATE inbox SET body=x'', gone=?6 WHERE target_origin=?1 AND target_seq=?2 AND target_seq<>0 AND "
        "target_user=?3 AND target_device=?4 AND peer=?5 AND item IN (1, 3) AND gone=0",
        id.origin, id.seq, id.user, uint64_t{id.device}, peer, gone)
      .run();
  removing_ = true;
  note_change(peer);
}

Result<void> SqliteStore::forget_ended() {
  const uint64_t now = clock_->wall_ms();
  bool ended = false;
  {
    Query query(
        *this,
        "SELECT EXISTS (SELECT 1 FROM inbox INDEXED BY inbox_ends WHERE ends_ms>0 AND ends_ms<=?1) OR "
        "EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_ends WHERE ends_ms>0 AND ends_ms<=?1)",
        now);
    ended = query.step() && query.u64(0) != 0;
  }
  if (failed_ != 0) return error_of(failed_);
  if (!ended) return {};
  begin();
  std::vector<std::pair<MessageId, UserId>> all;
  {
    Query came(*this,
               "SELECT user, device, origin, seq, peer FROM inbox INDEXED BY inbox_ends WHERE ends_ms>0 AND "
               "ends_ms<=?",
               now);
    while (came.step()) {
      all.push_back(
          {{came.u64(0), static_cast<DeviceNo>(came.u64(1)), came.u64(2), came.u64(3)}, came.u64(4)});
    }
    Query own(*this,
              "SELECT origin, seq, to_user FROM outbox INDEXED BY outbox_ends WHERE ends_ms>0 AND ends_ms<=?",
              now);
    while (own.step()) {
      all.push_back({{identity_.user, identity_.device, own.u64(0), own.u64(1)}, own.u64(2)});
    }
  }
  for (const auto& [id, peer] : all) remove(id, peer, Gone::kEnded);
  return commit();
}

bool SqliteStore::scrub() {
  PERCH_CHECK(!in_transaction_);
  sqlite3_busy_timeout(db_, 0);  // who reads just now is not waited for
  const int code = sqlite3_wal_checkpoint_v2(db_, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  sqlite3_busy_timeout(db_, busy_ms_);
  wants_scrub_ = code != SQLITE_OK;
  return !wants_scrub_;
}

// --- reading -----------------------------------------------------------------------------------------------

std::vector<Remark> SqliteStore::remarks(const MessageId& id, UserId peer) {
  std::vector<Remark> out;
  const auto add = [&](Remark remark, Bytes body) {
    Result<Item> item = decode_item(body);
    if (!item.ok()) return;
    remark.text = std::move(item->text);
    out.push_back(std::move(remark));
  };
  Query came(*this,
             "SELECT item, user, number, arrival, body FROM inbox INDEXED BY inbox_remarks WHERE "
             "target_origin=? AND target_seq=? AND target_seq<>0 AND target_user=? AND target_device=? AND "
             "peer=? AND item IN (1, 3) AND gone=0",
             id.origin, id.seq, id.user, uint64_t{id.device}, peer);
  while (came.step()) {
    add({static_cast<ItemKind>(came.u64(0)), came.u64(1), {false, came.u64(2), came.u64(3)}, {}},
        came.blob(4));
  }
  Query own(
      *this,
      "SELECT item, open, number, row, body FROM outbox INDEXED BY outbox_remarks WHERE target_origin=? "
      "AND target_seq=? AND target_seq<>0 AND target_user=? AND target_device=? AND to_user=? AND "
      "item IN (1, 3) AND gone=0 AND mark<4",
      id.origin, id.seq, id.user, uint64_t{id.device}, peer);
  while (own.step()) {
    const bool open = own.u64(1) != 0;
    add({static_cast<ItemKind>(own.u64(0)), identity_.user, {open, open ? 0 : own.u64(2), own.u64(3)}, {}},
        own.blob(4));
  }
  return out;
}

void SqliteStore::complete_text(HistoryLine& line, UserId peer) {
  if (line.shown == Shown::kDeleted) return;
  if (line.content == kContentText) {
    line.text.assign(line.body.begin(), line.body.end());
  } else if (line.content != kContentItem) {
    line.shown = Shown::kBytes;
  } else if (Result<Item> item = decode_item(line.body); !item.ok()) {
    line.shown = Shown::kUnreadable;
  } else if (item->kind != ItemKind::kText) {
    line.shown = Shown::kNewer;
  } else {
    line.text = std::move(item->text);
    line.timer_s = item->timer_s;
    if (item->target.seq != 0) line.answers.emplace().id = item->target;
  }
  if (line.id.seq != 0) fold(line, remarks(line.id, peer));
}

void SqliteStore::complete(HistoryLine& line, UserId peer) {
  complete_text(line, peer);
  if (!line.answers) return;
  Quote& quote = *line.answers;
  std::optional<Found> found = find(quote.id);
  if (!found || found->peer != peer) return;
  complete_text(found->line, peer);
  quote.here = true;
  quote.shown = found->line.shown;
  quote.text = std::move(found->line.text);
}

std::optional<Found> SqliteStore::find(const MessageId& id) {
  if (id.seq == 0) return std::nullopt;
  {
    Query came(*this,
               "SELECT " PERCH_LINE_COLUMNS
               " FROM inbox WHERE user=? AND device=? AND origin=? AND seq=? AND item=0 AND gone<2 "
               "ORDER BY variant LIMIT 1",
               id.user, uint64_t{id.device}, id.origin, id.seq);
    if (came.step()) return Found{came.message(0).message.peer, came.line_that_came(0)};
  }
  if (id.user != identity_.user || id.device != identity_.device) return std::nullopt;
  Query own(*this,
            "SELECT " PERCH_OWN_LINE_COLUMNS
            " FROM outbox WHERE seq=? AND origin=? AND seq>0 AND kind=0 AND item=0 AND gone<2",
            id.seq, id.origin);
  if (!own.step()) return std::nullopt;
  HistoryLine line = own.own_line(0);
  return Found{line.row.to, std::move(line)};
}

Result<Found> SqliteStore::message(const MessageId& id) {
  const Reading reading(*this);
  std::optional<Found> found = find(id);
  if (found) complete(found->line, found->peer);
  if (failed_ != 0) return error_of(failed_);
  if (!found) return Error{Errc::kNotFound};
  return std::move(*found);
}

Result<std::optional<Item>> SqliteStore::last_item(UserId peer, std::string_view handle, UserId by,
                                                   ItemKind kind) {
  PERCH_CHECK(kind == ItemKind::kTimer || kind == ItemKind::kProfile);  // the indexes hold no others
  std::optional<Item> out;
  Number number = 0;
  const auto take = [&](Bytes body) {
    if (Result<Item> item = decode_item(body); item.ok()) out = std::move(*item);
  };
  {
    Query came(*this,
               "SELECT number, body FROM inbox INDEXED BY inbox_settings WHERE peer=?1 AND ?1<>0 AND item>=4 "
               "AND item=?2 AND (?3=0 OR user=?3) ORDER BY number DESC, arrival DESC LIMIT 1",
               peer, kind, by);
    if (came.step()) {
      number = came.u64(0);
      take(came.blob(1));
    }
  }
  if (by == 0 || by == identity_.user) {
    Query own(
        *this,
        "SELECT open, number, body FROM outbox INDEXED BY outbox_settings WHERE item>=4 AND item=?1 AND "
        "((to_user=?2 AND ?2<>0) OR (to_user=0 AND handle=?3 AND ?3<>'')) AND mark<4 "
        "ORDER BY open DESC, CASE WHEN open THEN row ELSE number END DESC LIMIT 1",
        kind, peer, handle);
    if (own.step() && (own.u64(0) != 0 || own.u64(1) > number)) take(own.blob(2));
  }
  return unless_failed(std::move(out));
}

Result<std::vector<Conversation>> SqliteStore::recipients() {
  std::vector<Conversation> out;
  Query query(*this,
              "SELECT to_user, CASE WHEN to_user=0 THEN handle ELSE '' END FROM outbox WHERE kind=0 AND "
              "item=0 AND mark<>4 AND to_user<>?1 UNION "
              "SELECT peer, '' FROM inbox WHERE user=?1 AND item=0 AND peer<>?1",
              identity_.user);
  while (query.step()) {
    Conversation& next = out.emplace_back();
    next.peer = query.u64(0);
    next.handle = query.text(1);
  }
  return unless_failed(std::move(out));
}

}  // namespace perch::client
