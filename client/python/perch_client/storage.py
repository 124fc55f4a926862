"""A device's own SQLite: its outbox, its inbox and who it is. What is committed here is what the promise rests on, so
everything is flushed (synchronous=FULL), and what one read of the socket brought is one transaction.

One process at a time has a profile (Storage takes a lock), and one thread.
"""
import enum
import fcntl
import pathlib
import secrets
import sqlite3
import time
from typing import NamedTuple

from . import content
from .content import Item, MessageId

SCHEMA_VERSION = 2


class Mark(enum.IntEnum):
    """How far a row of the outbox got."""
    QUEUED = 0
    ACCEPTED = 1
    DELIVERED = 2
    REJECTED = 3
    EXPIRED = 4


class Kind(enum.IntEnum):
    MESSAGE = 0
    READ = 1


class Insert(enum.Enum):
    NEW = "new"
    KNOWN = "known"
    RENUMBERED = "renumbered"  # known, and its place in the order is another
    VARIANT = "variant"  # the id of another message, with other contents: kept beside it


class InUse(Exception):
    """Another process has this profile."""


class Identity(NamedTuple):
    user: int
    device: int
    incarnation: int
    previous_origin: int  # of the last earlier opening that was welcomed
    after: int  # the largest number that any result told
    has_gap: bool  # the server said that messages may be missing here, and nobody has called gap_was_shown()


class OutboxRow(NamedTuple):
    row: int
    kind: Kind
    to: int  # 0: its handle is not known yet
    handle: str
    origin: int
    seq: int
    content: int
    body: bytes
    of_device: int
    of_origin: int
    up_to: int
    open: bool
    mark: Mark
    reason: int
    number: int
    time_ms: int
    read: bool


class InboxRow(NamedTuple):
    arrival: int
    user: int
    device: int
    origin: int
    seq: int
    peer: int  # whose conversation it is in: the author, or the recipient of a copy of one's own
    number: int
    time_ms: int
    content: int
    body: bytes


_SCHEMA = """
CREATE TABLE identity (
  id INTEGER PRIMARY KEY CHECK (id = 0), user INTEGER, device INTEGER, incarnation BLOB, welcomed_origin BLOB,
  after INTEGER, last_seq INTEGER, has_gap INTEGER) STRICT;
INSERT INTO identity VALUES (0, 0, 0, x'0000000000000000', x'0000000000000000', 0, 0, 0);
CREATE TABLE outbox (
  row INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, to_user INTEGER NOT NULL, handle TEXT NOT NULL,
  origin BLOB, seq INTEGER, content INTEGER NOT NULL, body BLOB NOT NULL, of_device INTEGER NOT NULL,
  of_origin BLOB NOT NULL, up_to BLOB NOT NULL, open INTEGER NOT NULL, sent INTEGER NOT NULL,
  mark INTEGER NOT NULL, reason INTEGER NOT NULL, number INTEGER NOT NULL, time_ms INTEGER NOT NULL) STRICT;
CREATE UNIQUE INDEX outbox_seq ON outbox (seq);
CREATE INDEX outbox_open ON outbox (seq) WHERE open = 1;
CREATE INDEX outbox_accepted ON outbox (to_user, origin, seq) WHERE kind = 0 AND open = 0 AND mark = 1;
CREATE INDEX outbox_delivered ON outbox (to_user, origin, seq) WHERE kind = 0 AND mark = 2;
CREATE INDEX outbox_unresolved ON outbox (handle, row) WHERE seq IS NULL AND open = 1;
CREATE INDEX outbox_reads ON outbox (to_user, of_device, of_origin, seq) WHERE kind = 1;
CREATE TABLE inbox (
  arrival INTEGER PRIMARY KEY AUTOINCREMENT, user INTEGER NOT NULL, device INTEGER NOT NULL, origin BLOB NOT NULL,
  seq BLOB NOT NULL, variant INTEGER NOT NULL, peer INTEGER NOT NULL, number INTEGER NOT NULL,
  time_ms INTEGER NOT NULL, content INTEGER NOT NULL, body BLOB NOT NULL,
  UNIQUE (user, device, origin, seq, variant)) STRICT;
CREATE INDEX inbox_order ON inbox (peer, number);
CREATE TABLE unread (
  peer INTEGER NOT NULL, device INTEGER NOT NULL, origin BLOB NOT NULL, up_to BLOB NOT NULL,
  PRIMARY KEY (peer, device, origin)) STRICT;
CREATE TABLE read_marks (
  reader INTEGER NOT NULL, peer INTEGER NOT NULL, device INTEGER NOT NULL, origin BLOB NOT NULL, up_to BLOB NOT NULL,
  PRIMARY KEY (reader, peer, device, origin)) STRICT;
CREATE TABLE handles (handle TEXT PRIMARY KEY, user INTEGER NOT NULL) STRICT;
"""

# What an item is about, and what becomes of a message; `item` is empty for what is shown as a message.
_FROM_1_TO_2 = "".join(f"""
ALTER TABLE {table} ADD COLUMN item TEXT NOT NULL DEFAULT '';
ALTER TABLE {table} ADD COLUMN target BLOB;
ALTER TABLE {table} ADD COLUMN timer_s INTEGER NOT NULL DEFAULT 0;
ALTER TABLE {table} ADD COLUMN ends_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE {table} ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
CREATE INDEX {table}_targets ON {table} (target) WHERE target IS NOT NULL;
CREATE INDEX {table}_ends ON {table} (ends_ms) WHERE ends_ms > 0;
""" for table in ("outbox", "inbox"))

# Of `gone`.
DELETED, ENDED = 1, 2

_OUTBOX = "row, kind, to_user, handle, origin, seq, content, body, of_device, of_origin, up_to, open, mark, reason, " \
          "number, time_ms, kind = 0 AND mark = 2 AND EXISTS (SELECT 1 FROM read_marks r, identity i WHERE " \
          "r.reader = to_user AND r.peer = i.user AND r.device = i.device AND r.origin = outbox.origin AND r.up_to >= blob64(seq))"


_OUTBOX_COLUMNS = "kind, to_user, handle, origin, seq, content, body, of_device, of_origin, up_to, open, sent, mark, reason, " \
                  "number, time_ms"
# Contents that are removed go when the outbox does not owe them any more.
_DROP_REMOVED = "UPDATE outbox SET body = x'' WHERE gone > 0 AND open = 0 AND mark != 1 AND body != x''"


def _blob(value: int) -> bytes:
    """64 bits without a sign, which SQLite's integers have. In this form they compare as numbers do."""
    return value.to_bytes(8, "big")


def _integer(value: int) -> int:
    """Of what only a server gives, and no real one as large as that."""
    return min(value, (1 << 63) - 1)


def _id_blob(target: MessageId) -> bytes:
    return _blob(target.user) + target.device.to_bytes(2, "big") + _blob(target.origin) + _blob(target.seq)


def _label(content_: int, body: bytes) -> tuple[str, Item | None]:
    """Column `item` and what it says; both are nothing for what is shown as a message and has no timer."""
    if content_ != content.ITEM:
        return "", None
    try:
        item = content.decode(body)
    except content.Unreadable:
        return "", None
    return "" if item.kind in ("text", "newer") else item.kind, item


def _number(blob: bytes | None) -> int:
    return int.from_bytes(blob or b"", "big")


class Storage:
    """Raises InUse if another process has the profile. An opening has an origin of its own, so a copied or restored
    database never gives an id again."""

    def __init__(self, folder: str | pathlib.Path, wall=time.time):
        self._wall = wall  # by which timers end
        self.changed: set[int] = set()  # peers of whose conversation something looks other than before
        self.wants_scrub = True  # after a process that was killed, who knows what its journal holds
        folder = pathlib.Path(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = open(folder / "lock", "wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise InUse(f"another process has the profile {folder}") from None
        self._db = sqlite3.connect(folder / "profile.db", isolation_level=None)
        self._db.create_function("blob64", 1, _blob, deterministic=True)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA secure_delete = ON")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version in (0, 1):
            with self.transaction():
                for statement in ((_SCHEMA if version == 0 else "") + _FROM_1_TO_2).split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif version != SCHEMA_VERSION:
            self.close()
            raise ValueError(f"{folder} was made by another version of this client (schema {version})")
        self.origin = secrets.randbelow((1 << 64) - 1) + 1
        self._previous_origin = _number(self._db.execute("SELECT welcomed_origin FROM identity").fetchone()[0])

    def close(self) -> None:
        self._db.close()
        self._lock.close()

    def transaction(self):
        """`with storage.transaction():` commits at the end, or rolls everything back for an exception."""
        return _Transaction(self._db)

    # ---- who this is -----------------------------------------------------------------------------------------

    def identity(self) -> Identity:
        user, device, incarnation, after, has_gap = self._db.execute(
            "SELECT user, device, incarnation, after, has_gap FROM identity").fetchone()
        return Identity(user, device, _number(incarnation), self._previous_origin, after, bool(has_gap))

    def set_welcome(self, user: int, device: int, incarnation: int, has_gap: bool) -> None:
        self._db.execute("UPDATE identity SET user = ?, device = ?, incarnation = ?, welcomed_origin = ?, "
                         "has_gap = max(has_gap, ?)",
                         (_integer(user), device, _blob(incarnation), _blob(self.origin), has_gap))

    def gap_was_shown(self) -> None:
        """Somebody has been told that messages may be missing here."""
        self._db.execute("UPDATE identity SET has_gap = 0")

    # ---- outbox ----------------------------------------------------------------------------------------------

    def add_message(self, to: int, handle: str, content_: int, body: bytes) -> int:
        """A row for the user, or for whoever has the handle if that is known already. Returns it."""
        known = self._db.execute("SELECT user FROM handles WHERE handle = ?", (handle,)).fetchone()
        to = known[0] if known else to
        kind, item = _label(content_, body)
        target = _id_blob(item.target) if kind and item.target else None
        cursor = self._db.execute(
            f"INSERT INTO outbox ({_OUTBOX_COLUMNS}, item, target, timer_s) "
            "VALUES (0, ?, ?, NULL, NULL, ?, ?, 0, x'', x'', 1, 0, 0, 0, 0, 0, ?, ?, ?)",
            (to, handle, content_, body, kind, target, item.timer_s if item and not kind else 0))
        if kind == "delete" and item.target.user == self.identity().user:
            self.remove(item.target, to, DELETED)
        if kind:
            self.changed.add(to)
        if to:
            self._name(cursor.lastrowid)
        return cursor.lastrowid

    def add_read(self, to: int, of_device: int, of_origin: int, up_to: int) -> int:
        """In the place of an older one for the same that was never sent."""
        key = (to, of_device, _blob(of_origin))
        unsent = self._db.execute("SELECT row FROM outbox WHERE open = 1 AND sent = 0 AND kind = 1 AND to_user = ? AND "
                                  "of_device = ? AND of_origin = ?", key).fetchone()
        if unsent:
            self._db.execute("UPDATE outbox SET up_to = max(up_to, ?) WHERE row = ?", (_blob(up_to), unsent[0]))
            return unsent[0]
        cursor = self._db.execute(
            f"INSERT INTO outbox ({_OUTBOX_COLUMNS}) VALUES (1, ?, '', NULL, NULL, 0, x'', ?, ?, ?, 1, 0, 0, 0, 0, 0)",
            (*key, _blob(up_to)))
        self._name(cursor.lastrowid)
        return cursor.lastrowid

    def _name(self, row: int) -> None:
        """Its id. From here on its place in the order is fixed."""
        self._db.execute("UPDATE identity SET last_seq = last_seq + 1")
        self._db.execute("UPDATE outbox SET origin = ?, seq = (SELECT last_seq FROM identity) WHERE row = ?",
                         (_blob(self.origin), row))

    def unresolved(self) -> list[str]:
        return [handle for (handle,) in self._db.execute(
            "SELECT handle FROM outbox INDEXED BY outbox_unresolved WHERE seq IS NULL AND open = 1 GROUP BY handle "
            "ORDER BY min(row)")]

    def resolve(self, handle: str, user: int) -> list[int]:
        """Names what waited for the handle; for user 0, nobody, rejects it. Returns those rows."""
        rows = [row for (row,) in self._db.execute(
            "SELECT row FROM outbox INDEXED BY outbox_unresolved WHERE handle = ? AND seq IS NULL AND open = 1 "
            "ORDER BY row", (handle,))]
        if user:
            user = _integer(user)
            self._db.execute("INSERT OR REPLACE INTO handles VALUES (?, ?)", (handle, user))
        for row in rows:
            if user:
                self._db.execute("UPDATE outbox SET to_user = ? WHERE row = ?", (user, row))
                self._name(row)
            else:
                self.reject_unsent(row, 1)
        return rows

    def user_of(self, handle: str) -> int:
        """0: that was never resolved."""
        found = self._db.execute("SELECT user FROM handles WHERE handle = ?", (handle,)).fetchone()
        return found[0] if found else 0

    def reject_unsent(self, row: int, reason: int) -> None:
        self._db.execute("UPDATE outbox SET open = 0, mark = ?, reason = ? WHERE row = ?", (Mark.REJECTED, reason, row))

    def mark_sent(self, row: int) -> None:
        self._db.execute("UPDATE outbox SET sent = 1 WHERE row = ? AND sent = 0", (row,))

    def was_sent(self, row: int) -> bool:
        return bool(self._db.execute("SELECT sent FROM outbox WHERE row = ?", (row,)).fetchone()[0])

    def open_rows(self, above: int, limit: int) -> list[OutboxRow]:
        """The open rows with an id above that seq, in order."""
        return self._outbox("WHERE open = 1 AND seq > ? ORDER BY seq LIMIT ?", above, limit)

    def closed(self) -> int:
        """The lowest seq that is open; with none, one more than the last used."""
        return self._db.execute("SELECT coalesce((SELECT min(seq) FROM outbox WHERE open = 1), last_seq + 1) "
                                "FROM identity").fetchone()[0]

    def row(self, row: int) -> OutboxRow:
        return self._outbox("WHERE row = ?", row)[0]

    def outbox(self, peer: int | None = None) -> list[OutboxRow]:
        """One's own messages from this device, to `peer` or to all, in the order of composition."""
        return self._outbox("WHERE kind = 0 AND ?1 IN (to_user, -1) ORDER BY row", -1 if peer is None else peer)

    def withdraw(self, row: int) -> bool:
        """Takes back a message that was never sent; one that was is fixed."""
        return self._changed("DELETE FROM outbox WHERE row = ? AND sent = 0 AND open = 1 RETURNING row", row) is not None

    def _outbox(self, where: str, *values) -> list[OutboxRow]:
        return [OutboxRow(row, Kind(kind), to, handle, _number(origin), seq or 0, content, body, of_device,
                          _number(of_origin), _number(up_to), bool(open_), Mark(mark), reason, number, time_ms, bool(read))
                for (row, kind, to, handle, origin, seq, content, body, of_device, of_origin, up_to, open_, mark, reason,
                     number, time_ms, read) in self._db.execute(f"SELECT {_OUTBOX} FROM outbox {where}", values)]

    def on_outcome(self, origin: int, seq: int, number: int, time_ms: int, delivered: bool) -> int | None:
        """Closes the row. One that is closed already takes the larger number and tick. Returns the row, if it is here."""
        self._raise_after(number)
        tick = Mark.DELIVERED if delivered else Mark.ACCEPTED
        return self._settled(self._changed(
            "UPDATE outbox SET open = 0, number = max(number, ?), time_ms = CASE WHEN time_ms = 0 THEN ? ELSE time_ms END, "
            "mark = CASE WHEN mark IN (0, 1) OR (mark = 4 AND ? = 2) THEN max(?, min(mark, 2)) ELSE mark END "
            "WHERE origin = ? AND seq = ? RETURNING row", _integer(number), _integer(time_ms), tick, tick, _blob(origin),
            _integer(seq)))

    def on_rejected(self, origin: int, seq: int, number: int, reason: int) -> int | None:
        self._raise_after(number)
        return self._settled(self._changed(
            "UPDATE outbox SET open = 0, mark = ?, reason = ?, number = max(number, ?) WHERE origin = ? AND seq = ? AND "
            "open = 1 AND mark <= 1 RETURNING row", Mark.REJECTED, reason, _integer(number), _blob(origin), _integer(seq)))

    def _settled(self, row: int | None) -> int | None:
        """A timer begins with the first result; a remark has its place now, or does not count."""
        if row is not None:
            self._db.execute("UPDATE outbox SET ends_ms = ? + timer_s * 1000 WHERE row = ? AND timer_s > 0 AND gone = 0 AND "
                             "ends_ms = 0", (self._now_ms(), row))
            to, item = self._db.execute("SELECT to_user, item FROM outbox WHERE row = ?", (row,)).fetchone()
            if item:
                self.changed.add(to)
            self._drop_removed()
        return row

    def _drop_removed(self) -> None:
        if self._db.execute(_DROP_REMOVED).rowcount:
            self.wants_scrub = True

    def on_receipt(self, peer: int, origin: int, first: int, up_to: int) -> list[int]:
        rows = [row for (row,) in self._db.execute(
            "UPDATE outbox INDEXED BY outbox_accepted SET mark = 2 WHERE kind = 0 AND open = 0 AND mark = 1 AND "
            "to_user = ? AND origin = ? AND seq BETWEEN ? AND ? RETURNING row",
            (_integer(peer), _blob(origin), _integer(first), _integer(up_to)))]
        self._drop_removed()
        return rows

    def rows_read(self, reader: int, origin: int, above: int, up_to: int) -> list[int]:
        """The delivered rows of this device that a mark of `reader` covers and the one before, `above`, did not."""
        return [row for (row,) in self._db.execute(
            "SELECT row FROM outbox INDEXED BY outbox_delivered WHERE kind = 0 AND mark = 2 AND to_user = ? AND "
            "origin = ? AND seq > ? AND seq <= ? ORDER BY seq",
            (_integer(reader), _blob(origin), _integer(above), _integer(up_to)))]

    def on_expired(self, origin: int, seq: int) -> int | None:
        return self._settled(self._changed("UPDATE outbox SET mark = ? WHERE kind = 0 AND origin = ? AND seq = ? AND "
                                           "mark <= 1 RETURNING row", Mark.EXPIRED, _blob(origin), _integer(seq)))

    def reopen(self) -> int:
        """The server came back from a backup: what it accepted and nobody has goes out again. Of the reads only the
        last of each says anything. Returns how many."""
        return self._db.execute(
            "UPDATE outbox SET open = 1 WHERE open = 0 AND mark = 1 AND (kind = 0 OR NOT EXISTS (SELECT 1 FROM outbox o "
            "INDEXED BY outbox_reads WHERE o.kind = 1 AND o.to_user = outbox.to_user AND o.of_device = outbox.of_device AND o.of_origin = "
            "outbox.of_origin AND o.seq > outbox.seq AND o.up_to >= outbox.up_to AND o.mark != 3))").rowcount

    def _raise_after(self, number: int) -> None:
        self._db.execute("UPDATE identity SET after = max(after, ?)", (_integer(number),))

    def _changed(self, sql: str, *values) -> int | None:
        found = self._db.execute(sql, values).fetchone()
        return found[0] if found else None

    # ---- inbox -----------------------------------------------------------------------------------------------

    def insert(self, message: InboxRow) -> tuple[Insert, int]:
        """By its id; `message.arrival` is not looked at. Returns the row's own arrival too."""
        key = (_integer(message.user), message.device, _blob(message.origin), _blob(message.seq))
        peer, number = _integer(message.peer), _integer(message.number)
        known = self._db.execute("SELECT arrival, number FROM inbox WHERE user = ? AND device = ? AND origin = ? AND seq = ? "
                                 "AND (gone > 0 OR (content = ? AND body = ?))",
                                 (*key, message.content, message.body)).fetchone()
        if known:
            if known[1] >= number:
                return Insert.KNOWN, known[0]
            self._db.execute("UPDATE inbox SET number = ? WHERE arrival = ?", (number, known[0]))
            return Insert.RENUMBERED, known[0]
        variant = self._db.execute("SELECT coalesce(max(variant) + 1, 0) FROM inbox WHERE user = ? AND device = ? AND "
                                   "origin = ? AND seq = ?", key).fetchone()[0]
        kind, item = _label(message.content, message.body)
        me = self.identity().user
        own = MessageId(key[0], message.device, message.origin, message.seq)
        target = item.target if kind and item.target else None
        gone = self._gone(target or own, peer)
        timer_s = item.timer_s if item and not kind else 0
        arrival = self._db.execute(
            "INSERT INTO inbox (user, device, origin, seq, variant, peer, number, time_ms, content, body, item, target, "
            "timer_s, ends_ms, gone) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, variant, peer, number, _integer(message.time_ms), message.content, b"" if gone else message.body, kind,
             target and _id_blob(target), timer_s,
             self._now_ms() + timer_s * 1000 if timer_s and key[0] == me and not gone else 0, gone)).lastrowid
        if kind == "delete" and target.user == key[0]:
            self.remove(target, peer, DELETED)
        if kind:
            self.changed.add(peer)
        if gone:
            return Insert.KNOWN, arrival  # nothing of it is to be told
        if key[0] == peer and not kind:
            self._db.execute(
                "INSERT INTO unread SELECT ?, ?, ?, ? WHERE ? > coalesce((SELECT up_to FROM read_marks, identity WHERE "
                "reader = identity.user AND peer = ? AND read_marks.device = ? AND origin = ?), x'') "
                "ON CONFLICT DO UPDATE SET up_to = max(up_to, excluded.up_to)", (*key, key[3], *key[:3]))
        return Insert.VARIANT if variant else Insert.NEW, arrival

    def on_read(self, reader: int, peer: int, device: int, origin: int, up_to: int) -> int | None:
        """`reader` has read what (device, origin) of `peer` sent, up to that seq. Returns how far it was before; None if
        that is nothing new."""
        key = (_integer(reader), _integer(peer), device, _blob(origin))
        before = self._db.execute("SELECT up_to FROM read_marks WHERE reader = ? AND peer = ? AND device = ? AND origin = ?",
                                  key).fetchone()
        if before and _number(before[0]) >= up_to:
            return None
        self._db.execute("INSERT OR REPLACE INTO read_marks VALUES (?, ?, ?, ?, ?)", (*key, _blob(up_to)))
        if key[0] == self.identity().user:  # a timer begins when its message is read
            self._db.execute("UPDATE inbox SET ends_ms = ? + timer_s * 1000 WHERE user = ? AND device = ? AND origin = ? AND "
                             "seq <= ? AND timer_s > 0 AND ends_ms = 0 AND gone = 0", (self._now_ms(), *key[1:], _blob(up_to)))
        self._db.execute("DELETE FROM unread WHERE peer = ? AND device = ? AND origin = ? AND up_to <= ? AND "
                         "? = (SELECT user FROM identity)", (*key[1:], _blob(up_to), key[0]))
        return _number(before[0]) if before else 0

    def unread(self, peer: int) -> list[tuple[int, int, int]]:
        """(device, origin, largest seq) of what `peer` sent and nobody here has read."""
        return [(device, _number(origin), _number(seq)) for device, origin, seq in self._db.execute(
            "SELECT device, origin, up_to FROM unread WHERE peer = ?", (peer,))]

    def history(self, peer: int) -> list[InboxRow]:
        """What came in that conversation, and what one's other devices said there, in its order: by number, as the rows
        of outbox(peer) have one too once they are closed."""
        return self._inbox("WHERE peer = ? ORDER BY number, arrival", peer)

    def inbox(self, after_arrival: int = 0) -> list[InboxRow]:
        """What has come, in the order in which it came."""
        return self._inbox("WHERE arrival > ? AND gone = 0 ORDER BY arrival", after_arrival)

    def _inbox(self, where: str, *values) -> list[InboxRow]:
        return [InboxRow(arrival, user, device, _number(origin), _number(seq), *rest)
                for arrival, user, device, origin, seq, *rest in
                self._db.execute("SELECT arrival, user, device, origin, seq, peer, number, time_ms, content, body "
                                 f"FROM inbox {where}", values)]


    # ---- what messages contain (PROTOCOL.md, 10) --------------------------------------------------------------

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)

    def _own(self, target: MessageId) -> bool:
        me = self.identity()
        return (target.user, target.device) == (me.user, me.device)

    def _gone(self, target: MessageId, peer: int) -> int:
        """What became of that message, or would at once if it came now."""
        found = self._db.execute("SELECT gone FROM inbox WHERE user = ? AND device = ? AND origin = ? AND seq = ? AND peer = ?",
                                 (_integer(target.user), target.device, _blob(target.origin), _blob(target.seq), peer)).fetchone()
        if not found and self._own(target):
            found = self._db.execute("SELECT gone FROM outbox WHERE origin = ? AND seq = ? AND to_user = ?",
                                     (_blob(target.origin), target.seq, peer)).fetchone()
        if found:
            return found[0]
        deleted = self._db.execute("SELECT 1 FROM inbox WHERE target = ? AND item = 'delete' AND user = ? AND peer = ?",
                                   (_id_blob(target), _integer(target.user), peer)).fetchone()
        return DELETED if deleted else 0

    def remove(self, target: MessageId, peer: int, gone: int) -> None:
        """The contents of a message and of what was said about it go, for good."""
        self._db.execute("UPDATE inbox SET body = x'', ends_ms = 0, gone = ? WHERE user = ? AND device = ? AND origin = ? AND "
                         "seq = ? AND peer = ? AND item = '' AND gone = 0",
                         (gone, _integer(target.user), target.device, _blob(target.origin), _blob(target.seq), peer))
        if self._own(target):
            self._db.execute("UPDATE outbox SET ends_ms = 0, gone = ? WHERE origin = ? AND seq = ? AND to_user = ? AND kind = 0 "
                             "AND item = '' AND gone = 0", (gone, _blob(target.origin), target.seq, peer))
        about = (gone, _id_blob(target), peer)
        self._db.execute("UPDATE inbox SET body = x'', gone = ? WHERE target = ? AND peer = ? AND item IN ('edit', 'reaction')", about)
        self._db.execute("UPDATE outbox SET gone = ? WHERE target = ? AND to_user = ? AND item IN ('edit', 'reaction')", about)
        self._drop_removed()
        self.changed.add(peer)
        self.wants_scrub = True

    def forget_ended(self) -> None:
        """What has ended by now is removed."""
        now = self._now_ms()
        me = self.identity()
        ended = [(MessageId(user, device, _number(origin), _number(seq)), peer) for user, device, origin, seq, peer in
                 self._db.execute("SELECT user, device, origin, seq, peer FROM inbox INDEXED BY inbox_ends WHERE ends_ms > 0 "
                                  "AND ends_ms <= ?", (now,))]
        ended += [(MessageId(me.user, me.device, _number(origin), seq), peer) for origin, seq, peer in
                  self._db.execute("SELECT origin, seq, to_user FROM outbox INDEXED BY outbox_ends WHERE ends_ms > 0 AND "
                                   "ends_ms <= ?", (now,))]
        if ended:
            with self.transaction():
                for target, peer in ended:
                    self.remove(target, peer, ENDED)

    def next_end(self) -> float | None:
        """When something ends, by the wall clock."""
        first = [found for table in ("inbox", "outbox") for (found,) in self._db.execute(
            f"SELECT min(ends_ms) FROM {table} INDEXED BY {table}_ends WHERE ends_ms > 0") if found]
        return min(first) / 1000 if first else None

    def scrub(self) -> None:
        """Removed contents are in the journal until it is cut off."""
        self.wants_scrub = bool(self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])

    def peer_of(self, target: MessageId) -> int:
        """In whose conversation that message is; 0: it is not here."""
        found = self._db.execute("SELECT peer FROM inbox WHERE user = ? AND device = ? AND origin = ? AND seq = ? AND item = ''",
                                 (_integer(target.user), target.device, _blob(target.origin), _blob(target.seq))).fetchone()
        if not found and self._own(target):
            found = self._db.execute("SELECT to_user FROM outbox WHERE origin = ? AND seq = ? AND kind = 0 AND item = ''",
                                     (_blob(target.origin), target.seq)).fetchone()
        return found[0] if found else 0

    def rows(self, peer: int) -> list[tuple]:
        """(id or None, place, content, body, item, gone) of that conversation, in its order; own open rows are last, and
        those that were rejected or have expired are left out."""
        me = self.identity()
        came = [(MessageId(user, device, _number(origin), _number(seq)), (number, arrival), *rest)
                for user, device, origin, seq, number, arrival, *rest in self._db.execute(
                    "SELECT user, device, origin, seq, number, arrival, content, body, item, gone FROM inbox WHERE peer = ?",
                    (peer,))]
        own = [(MessageId(me.user, me.device, _number(origin), seq) if seq else None,
                (1 << 63, row) if open_ else (number, 0), *rest)
               for origin, seq, number, row, open_, *rest in self._db.execute(
                   "SELECT origin, seq, number, row, open, content, body, item, gone FROM outbox WHERE to_user = ? AND kind = 0 "
                   "AND mark < 3", (peer,))]
        return sorted(came + own, key=lambda row: row[1])

    def recipients(self) -> list[int]:
        """To whom else something was sent that is shown as a message."""
        return [peer for (peer,) in self._db.execute(
            "SELECT to_user FROM outbox, identity WHERE kind = 0 AND item = '' AND mark != 3 AND to_user NOT IN (0, user) UNION "
            "SELECT peer FROM inbox, identity i WHERE inbox.user = i.user AND item = '' AND peer != i.user")]


class _Transaction:
    def __init__(self, db: sqlite3.Connection):
        self._db = db

    def __enter__(self):
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind, *_):
        if not kind:
            try:
                self._db.execute("COMMIT")
            except sqlite3.Error:
                self._roll_back()
                raise
        else:
            self._roll_back()

    def _roll_back(self) -> None:
        if self._db.in_transaction:  # a full disk has done it already
            self._db.execute("ROLLBACK")
