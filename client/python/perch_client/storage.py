"""A device's own SQLite: its outbox, its inbox and who it is. What is committed here is what the promise rests on, so
everything is flushed (synchronous=FULL), and what one read of the socket brought is one transaction.

One process at a time has a profile (Storage takes a lock), and one thread.
"""
import enum
import fcntl
import pathlib
import secrets
import sqlite3
from typing import NamedTuple

SCHEMA_VERSION = 1


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

_OUTBOX = "row, kind, to_user, handle, origin, seq, content, body, of_device, of_origin, up_to, open, mark, reason, " \
          "number, time_ms, kind = 0 AND mark = 2 AND EXISTS (SELECT 1 FROM read_marks r, identity i WHERE " \
          "r.reader = to_user AND r.peer = i.user AND r.device = i.device AND r.origin = outbox.origin AND r.up_to >= blob64(seq))"


def _blob(value: int) -> bytes:
    """64 bits without a sign, which SQLite's integers have. In this form they compare as numbers do."""
    return value.to_bytes(8, "big")


def _integer(value: int) -> int:
    """Of what only a server gives, and no real one as large as that."""
    return min(value, (1 << 63) - 1)


def _number(blob: bytes | None) -> int:
    return int.from_bytes(blob or b"", "big")


class Storage:
    """Raises InUse if another process has the profile. An opening has an origin of its own, so a copied or restored
    database never gives an id again."""

    def __init__(self, folder: str | pathlib.Path):
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
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            with self.transaction():
                for statement in _SCHEMA.split(";"):
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

    def add_message(self, to: int, handle: str, content: int, body: bytes) -> int:
        """A row for the user, or for whoever has the handle if that is known already. Returns it."""
        known = self._db.execute("SELECT user FROM handles WHERE handle = ?", (handle,)).fetchone()
        to = known[0] if known else to
        cursor = self._db.execute(
            "INSERT INTO outbox VALUES (NULL, 0, ?, ?, NULL, NULL, ?, ?, 0, x'', x'', 1, 0, 0, 0, 0, 0)",
            (to, handle, content, body))
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
            "INSERT INTO outbox VALUES (NULL, 1, ?, '', NULL, NULL, 0, x'', ?, ?, ?, 1, 0, 0, 0, 0, 0)", (*key, _blob(up_to)))
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
        return self._changed(
            "UPDATE outbox SET open = 0, number = max(number, ?), time_ms = CASE WHEN time_ms = 0 THEN ? ELSE time_ms END, "
            "mark = CASE WHEN mark IN (0, 1) OR (mark = 4 AND ? = 2) THEN max(?, min(mark, 2)) ELSE mark END "
            "WHERE origin = ? AND seq = ? RETURNING row", _integer(number), _integer(time_ms), tick, tick, _blob(origin), _integer(seq))

    def on_rejected(self, origin: int, seq: int, number: int, reason: int) -> int | None:
        self._raise_after(number)
        return self._changed("UPDATE outbox SET open = 0, mark = ?, reason = ?, number = max(number, ?) "
                             "WHERE origin = ? AND seq = ? AND open = 1 AND mark <= 1 RETURNING row", Mark.REJECTED, reason,
                             _integer(number), _blob(origin), _integer(seq))

    def on_receipt(self, peer: int, origin: int, first: int, up_to: int) -> list[int]:
        return [row for (row,) in self._db.execute(
            "UPDATE outbox INDEXED BY outbox_accepted SET mark = 2 WHERE kind = 0 AND open = 0 AND mark = 1 AND "
            "to_user = ? AND origin = ? AND seq BETWEEN ? AND ? RETURNING row", (_integer(peer), _blob(origin), _integer(first), _integer(up_to)))]

    def rows_read(self, reader: int, origin: int, above: int, up_to: int) -> list[int]:
        """The delivered rows of this device that a mark of `reader` covers and the one before, `above`, did not."""
        return [row for (row,) in self._db.execute(
            "SELECT row FROM outbox INDEXED BY outbox_delivered WHERE kind = 0 AND mark = 2 AND to_user = ? AND "
            "origin = ? AND seq > ? AND seq <= ? ORDER BY seq",
            (_integer(reader), _blob(origin), _integer(above), _integer(up_to)))]

    def on_expired(self, origin: int, seq: int) -> int | None:
        return self._changed("UPDATE outbox SET mark = ? WHERE kind = 0 AND origin = ? AND seq = ? AND mark <= 1 "
                             "RETURNING row", Mark.EXPIRED, _blob(origin), _integer(seq))

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
                                 "AND content = ? AND body = ?", (*key, message.content, message.body)).fetchone()
        if known:
            if known[1] >= number:
                return Insert.KNOWN, known[0]
            self._db.execute("UPDATE inbox SET number = ? WHERE arrival = ?", (number, known[0]))
            return Insert.RENUMBERED, known[0]
        variant = self._db.execute("SELECT coalesce(max(variant) + 1, 0) FROM inbox WHERE user = ? AND device = ? AND "
                                   "origin = ? AND seq = ?", key).fetchone()[0]
        arrival = self._db.execute(
            "INSERT INTO inbox VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, variant, peer, number, _integer(message.time_ms), message.content, message.body)).lastrowid
        if key[0] == peer:
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
        return self._inbox("WHERE arrival > ? ORDER BY arrival", after_arrival)

    def _inbox(self, where: str, *values) -> list[InboxRow]:
        return [InboxRow(arrival, user, device, _number(origin), _number(seq), *rest)
                for arrival, user, device, origin, seq, *rest in
                self._db.execute("SELECT arrival, user, device, origin, seq, peer, number, time_ms, content, body "
                                 f"FROM inbox {where}", values)]


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
