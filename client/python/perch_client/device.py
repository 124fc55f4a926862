"""The client's half of the delivery protocol without I/O: bytes and time go in, bytes and events come out (PROTOCOL.md).

    OFFLINE --connected()--> HELLO --Welcome--> ONLINE
       ^-------------disconnected()-----|----------|      any of them --> STOPPED: what only people can mend

Whoever drives it: connects when `connect_at` has come; calls connected(), received() with what was read, timer() at
next_timer(); writes and clears `output`; and when `wants_close` is set writes what is left, closes, and calls
disconnected(). Times are seconds of one monotonic clock. Events are told after the commit of what they tell.
"""
import enum
import random
import sqlite3
from typing import Callable, NamedTuple

from . import wire
from .storage import InboxRow, Insert, Kind, OutboxRow, Storage

BACKOFF_MIN_S, BACKOFF_MAX_S = 0.5, 60.0
WELCOME_S_MAX = 15.0  # Hello without Welcome
ANSWER_S_MAX = 10.0  # a Ping and nothing heard
RESULT_S_MAX = 30.0  # a row without its result
STEADY_S = 10.0  # a session that lived so long clears the failures
AGENT = "perch-python/0.1"
HANDLE_BYTES_MAX = 64
NOT_FOUND, TOO_LARGE = 1, 2  # RejectReason


class State(enum.Enum):
    OFFLINE = "offline"
    HELLO = "hello"
    ONLINE = "online"
    STOPPED = "stopped"


class ErrorCode(enum.IntEnum):
    """Those of PROTOCOL.md §8 that a client does something of its own about."""
    VERSION = 3
    TOKEN_INVALID = 6
    TOKEN_EXPIRED = 7
    NO_ACCOUNT = 8
    DEVICE_LIMIT = 9
    REPLACED = 10
    SESSION_EXPIRED = 16
    BUSY = 17
    NOT_FOUND = 19


# ---- events ------------------------------------------------------------------------------------------------


class Online(NamedTuple):
    user: int
    device: int
    handle: str
    continuity_broken: bool  # this history may have a gap
    overflowed: bool  # messages for this device were dropped since its last login
    num_reopened: int  # rows that go out again, because the server was restored from a backup
    session_expires_ms: int


class Refreshed(NamedTuple):
    session_expires_ms: int


class Offline(NamedTuple):
    why: str


class Received(NamedTuple):
    message: InboxRow
    insert: Insert


class Changed(NamedTuple):
    row: OutboxRow


class ReadElsewhere(NamedTuple):
    peer: int


class Unreadable(NamedTuple):
    """A message came that this version cannot read; all 0: something else did. Nothing of it is kept."""
    user: int
    device: int
    origin: int
    seq: int


class Held(NamedTuple):
    reason: int
    wait_s: float


class Stopped(NamedTuple):
    why: str
    needs_token: bool  # set_token() goes on


class Device:
    """ONE THREAD. `tell` gets the events, after the commit; it may call send(), mark_read() and set_token()."""

    def __init__(self, storage: Storage, token: str, clock: Callable[[], float], tell: Callable[[object], None],
                 rng: random.Random | None = None):
        self.storage, self._token, self._clock, self._tell = storage, token, clock, tell
        self._random = rng or random.SystemRandom()
        self.state = State.OFFLINE
        self.output = bytearray()
        self.wants_close = False
        self.connect_at = clock()
        self._hello_token = ""
        self._attempt = self._failures = 0
        self._why = ""
        self._body_bytes_max = self._frame_bytes_max = 1 << 30  # until a server says
        self._stopped_for_token = False
        self._events: list = []
        self._reset()

    def _reset(self) -> None:
        """What belongs to one connection."""
        self._framer = wire.Framer()
        self._online_at = self._heard_at = self._clock()
        self._pinged_at: float | None = None
        self._next_ping = self._hold_until = 0.0
        self._goaway_at: float | None = None
        self._retry_at = 0.0
        self._window, self._ping_s = 1, 30.0
        self._counted = self._confirmed = 0
        self._cursor = 0  # the largest seq that this session has sent, or gone back to
        self._in_flight: dict[int, float] = {}  # seq to when it was sent, in order
        self._requests: dict[int, str] = {}
        self._next_request = 1
        self._resolve_at = 0.0
        self._refreshing = False
        self._said_closed = 0

    # ---- what the application asks --------------------------------------------------------------------------

    def send(self, to: int | str, body: bytes, content: int = 0) -> int:
        """Commits a message to the outbox and returns its row; online or not. `to` is a user id or a handle."""
        user, handle = (0, to) if isinstance(to, str) else (to, "")
        if isinstance(to, str) and not 0 < len(handle.encode()) <= HANDLE_BYTES_MAX:
            raise ValueError(f"to: a handle has 1 to {HANDLE_BYTES_MAX} bytes")
        if not handle and not 0 < user < 1 << 63:
            raise ValueError("to: a user id is from 1 to 2^63 - 1")
        if not 0 <= content < 256:
            raise ValueError("content: 0 to 255")
        if len(body) > self._body_bytes_max:
            raise ValueError(f"a message may have {self._body_bytes_max} bytes on this server")
        with self.storage.transaction():
            row = self.storage.add_message(user, handle, content, body)
        self._post()
        return row

    def mark_read(self, peer: int) -> int:
        """All that came from `peer` is read. Returns how many rows say so."""
        with self.storage.transaction():
            unread = self.storage.unread(peer)
            me = self.storage.identity().user
            for device, origin, up_to in unread:
                self.storage.on_read(me, peer, device, origin, up_to)
                self.storage.add_read(peer, device, origin, up_to)
        self._post()
        return len(unread)

    def withdraw(self, row: int) -> bool:
        """Takes back a message that was never sent. False: it was, and is fixed."""
        with self.storage.transaction():
            return self.storage.withdraw(row)

    def set_token(self, token: str) -> None:
        """For the running session, or to go on after Stopped(needs_token)."""
        self._token = token
        if self.state is State.ONLINE:
            self.output += wire.refresh(token)
            self._refreshing = True
        elif self.state is State.STOPPED and self._stopped_for_token:
            self.state = State.OFFLINE
            self.connect_at = self._clock()

    def leave(self) -> None:
        """Before a connection is closed on purpose: the server learns which results it need not keep."""
        if self.state is State.ONLINE and self.storage.closed() != self._said_closed:
            self._ping()

    # ---- what happens to the connection ---------------------------------------------------------------------

    def connected(self) -> None:
        assert self.state is State.OFFLINE
        self._reset()
        self._attempt += 1
        identity = self.storage.identity()
        self.state = State.HELLO
        self._hello_token = self._token
        self.output[:] = wire.hello(self._token, origin=self.storage.origin, previous_origin=identity.previous_origin,
                                    attempt=self._attempt, incarnation=identity.incarnation, agent=AGENT)

    def disconnected(self, why: str = "the connection ended") -> None:
        """Also for an attempt to connect that failed."""
        now = self._clock()
        steady = self.state is State.ONLINE and now - self._online_at >= STEADY_S
        self.wants_close = False
        self.output.clear()
        if self.state is State.STOPPED:
            return
        self.state = State.OFFLINE
        if self._goaway_at is not None:
            self.connect_at = max(now, self._goaway_at)
            self._goaway_at = None  # once: a server that is not back yet is a failure like any other
        else:
            self._failures = 0 if steady else self._failures
            ceiling = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2 ** min(self._failures, 7))
            self.connect_at = max(self._retry_at, now + self._random.uniform(0, ceiling))
            self._failures += 1
        self._say(Offline(self._why or why))
        self._why = ""
        self._flush()

    def received(self, data: bytes) -> None:
        """One transaction, then one Confirm, for all that these bytes complete."""
        self._heard_at = self._clock()
        self._pinged_at = None
        try:
            with self.storage.transaction():
                try:
                    for frame in self._framer.feed(data):
                        if self.wants_close:
                            break
                        self._on_frame(frame)
                except wire.Broken as error:  # what came before it counts
                    self._drop(f"the server sent what breaks the format: {error}")
        except sqlite3.Error as error:  # nothing of it is committed, so nothing of it is told or confirmed
            self._events = [event for event in self._events if isinstance(event, Stopped)]
            self._drop(f"the profile: {error}")
            return self._flush()
        if self.state is State.ONLINE and self._counted > self._confirmed:
            self._confirmed, self._said_closed = self._counted, self.storage.closed()
            self.output += wire.confirm(self._counted, self._said_closed)
        self._flush()
        self._post()

    # ---- time -----------------------------------------------------------------------------------------------

    def next_timer(self) -> float:
        """When timer() has something to do."""
        if self.state is State.HELLO:
            return self._online_at + WELCOME_S_MAX
        if self.state is not State.ONLINE:
            return float("inf")
        times = [self._next_ping]
        if self._pinged_at is not None:
            times.append(self._pinged_at + ANSWER_S_MAX)
        if self._in_flight:
            times.append(next(iter(self._in_flight.values())) + RESULT_S_MAX)
        if self._goaway_at is not None:  # nothing is sent any more
            times.append(self._goaway_at)
        else:
            times += filter(None, (self._hold_until, self._resolve_at))
        return min(times)

    def timer(self) -> None:
        now = self._clock()
        if self.state is State.HELLO and now >= self._online_at + WELCOME_S_MAX:
            return self._drop("the server does not answer the login")
        if self.state is not State.ONLINE:
            return
        if self._goaway_at is not None and now >= self._goaway_at:
            self.leave()
            return self._drop("the server asked to reconnect")
        if self._pinged_at is not None and now >= self._pinged_at + ANSWER_S_MAX:
            return self._drop("the server does not answer")
        if self._in_flight and now >= next(iter(self._in_flight.values())) + RESULT_S_MAX:
            return self._drop("a message has no answer")
        if now >= self._next_ping:
            self._ping()
        self._post()

    def _ping(self) -> None:
        now = self._clock()
        self._said_closed = self.storage.closed()
        self.output += wire.ping(self._said_closed, self._random.getrandbits(64))
        self._pinged_at = now if self._pinged_at is None else self._pinged_at
        self._next_ping = now + self._ping_s

    # ---- sending --------------------------------------------------------------------------------------------

    def _post(self) -> None:
        """Sends what may be sent now: open rows in order, at most a window of them without a result. A storage that fails
        here ends the session, not what asked for it: the row of a send() is in the outbox already."""
        try:
            self._post_all()
        except sqlite3.Error as error:
            self._drop(f"the profile: {error}")
        self._flush()

    def _post_all(self) -> None:
        now = self._clock()
        if self.state is not State.ONLINE or self.wants_close or self._goaway_at is not None:
            return
        if now >= self._resolve_at:
            self._resolve_at = 0.0
            for handle in self.storage.unresolved():
                if handle not in self._requests.values():
                    self._requests[self._next_request] = handle
                    self.output += wire.resolve(self._next_request, handle)
                    self._next_request += 1
        if now < self._hold_until:
            return
        self._hold_until = 0.0
        while (room := self._window - len(self._in_flight)) > 0 and (rows := self.storage.open_rows(self._cursor, room)):
            if not self._send_rows(rows):
                return

    def _send_rows(self, rows: list[OutboxRow]) -> bool:
        """That they are sent is committed before they are. False: one waits for another server, and what is behind it."""
        frames, blocked = {}, False
        with self.storage.transaction():
            closed, after = self.storage.closed(), self.storage.identity().after
            for row in rows:
                frame = self._frame(row, closed, after)
                if len(frame) <= self._frame_bytes_max:
                    self.storage.mark_sent(row.row)
                    frames[row.seq] = frame
                elif not self.storage.was_sent(row.row):
                    self.storage.reject_unsent(row.row, TOO_LARGE)
                    self._changed(row.row)
                else:
                    blocked = True  # it went to a server that took more
                    break
        now = self._clock()
        for seq, frame in frames.items():
            self._cursor, self._in_flight[seq] = seq, now
            self.output += frame
        return not blocked

    def _frame(self, row: OutboxRow, closed: int, after: int) -> bytes:
        if row.kind is Kind.READ:
            return wire.read(row.to, row.origin, row.seq, closed, after, of_device=row.of_device, of_origin=row.of_origin,
                             up_to=row.up_to)
        return wire.message(row.to, row.origin, row.seq, closed, after, row.content, row.body)

    # ---- frames ---------------------------------------------------------------------------------------------

    def _on_frame(self, data: bytes) -> None:
        try:
            frame = wire.parse(data)
        except wire.Broken as broken:
            named = broken.kind not in ("Message", "Read") or broken.route is not None
            if self.state is not State.ONLINE or broken.kind not in wire.COUNTED or not named:
                raise
            return self._on_unreadable(broken.route)
        if self.state is State.HELLO and frame.kind not in ("Welcome", "Error", "Goaway"):
            raise wire.Broken("it spoke before the login was answered")
        handler = getattr(self, f"_on_{frame.kind.lower()}", None) if frame.kind else None
        if frame.kind in ("NONE", "Hello", "Refresh", "Ping", "Resolve", "Confirm"):
            raise wire.Broken("a client's frame")
        if frame.kind in wire.COUNTED:
            self._counted += 1
            if frame.route is not None and frame.route.scope != wire.SCOPE_USER:
                self._counted -= 1
                return self._on_unreadable(frame.route)
        if handler is not None:  # others are of a later version, and not counted
            handler(frame)

    def _on_unreadable(self, route) -> None:
        """Counted like any other: it would come at every login, and block what is behind it."""
        self._counted += 1
        self._say(Unreadable(*((route.from_, route.device, route.origin, route.seq) if route else (0, 0, 0, 0))))

    def _on_welcome(self, welcome) -> None:
        identity = self.storage.identity()
        if self.state is not State.HELLO:
            raise wire.Broken("a second Welcome")
        if identity.user and identity.user != welcome.user:
            return self._stop("the token is another user's", needs_token=False)
        reopened = 0
        if identity.incarnation and identity.incarnation != welcome.incarnation:
            reopened = self.storage.reopen()
        self.storage.set_welcome(welcome.user, welcome.device, welcome.incarnation,
                                 welcome.continuity_broken or welcome.overflowed)
        now = self._clock()
        self.state = State.ONLINE
        self._online_at = now
        self._window, self._ping_s = max(1, welcome.window), max(1.0, welcome.ping_ms / 1000)
        self._body_bytes_max, self._frame_bytes_max = welcome.body_bytes_max, welcome.frame_bytes_max
        self._next_ping = now + self._ping_s
        self._say(Online(welcome.user, welcome.device, welcome.handle, welcome.continuity_broken, welcome.overflowed,
                         reopened, welcome.session_expires_ms))

    def _on_refreshed(self, refreshed) -> None:
        self._refreshing = False
        self._say(Refreshed(refreshed.session_expires_ms))

    def _on_goaway(self, goaway) -> None:
        self._goaway_at = self._clock() + self._random.uniform(0, goaway.jitter_ms / 1000)
        self._why = "the server asked to reconnect"

    def _on_message(self, message) -> None:
        route = message.route
        peer = route.to if route.from_ == self.storage.identity().user else route.from_
        row = InboxRow(0, route.from_, route.device, route.origin, route.seq, peer, route.number, route.time_ms,
                       message.content, message.body)
        insert, arrival = self.storage.insert(row)
        if insert is not Insert.KNOWN:
            self._say(Received(row._replace(arrival=arrival), insert))

    def _on_read(self, read) -> None:
        me, reader = self.storage.identity().user, read.route.from_
        peer = read.route.to if reader == me else me
        before = self.storage.on_read(reader, peer, read.device, read.origin, read.up_to)
        if before is None:
            return
        if reader == me:
            self._say(ReadElsewhere(peer))
        elif read.device == self.storage.identity().device:
            for row in self.storage.rows_read(reader, read.origin, before, read.up_to):
                self._changed(row)

    def _on_receipt(self, receipt) -> None:
        if receipt.device == self.storage.identity().device:
            for row in self.storage.on_receipt(receipt.peer, receipt.origin, receipt.first, receipt.up_to):
                self._changed(row)

    def _on_expired(self, expired) -> None:
        if expired.device == self.storage.identity().device:
            self._changed(self.storage.on_expired(expired.origin, expired.seq))

    def _on_outcome(self, outcome) -> None:
        self._in_flight.pop(outcome.seq, None)
        self._changed(self.storage.on_outcome(outcome.origin, outcome.seq, outcome.number, outcome.time_ms,
                                              outcome.tick == 2))

    def _on_rejected(self, rejected) -> None:
        self._in_flight.pop(rejected.seq, None)
        self._changed(self.storage.on_rejected(rejected.origin, rejected.seq, rejected.number, rejected.reason))

    def _on_hold(self, hold) -> None:
        if hold.seq == 0:
            return
        self._in_flight = {seq: at for seq, at in self._in_flight.items() if seq < hold.seq}
        self._cursor = min(self._cursor, hold.seq - 1)
        self._hold_until = self._clock() + hold.wait_ms / 1000
        self._say(Held(hold.reason, hold.wait_ms / 1000))

    def _on_resolved(self, resolved) -> None:
        if handle := self._requests.pop(resolved.request, None):
            for row in self.storage.resolve(handle, resolved.user):
                self._changed(row)

    def _on_error(self, error) -> None:
        code, was_online = error.code, self.state is State.ONLINE
        if error.request and code in (ErrorCode.NOT_FOUND, ErrorCode.BUSY):  # of a Resolve: the session goes on
            handle = self._requests.pop(error.request, None)
            if handle and code == ErrorCode.NOT_FOUND:
                for row in self.storage.resolve(handle, 0):
                    self._changed(row)
            elif handle:
                self._resolve_at = self._clock() + max(0.1, error.retry_ms / 1000)
            return
        if code == ErrorCode.REPLACED and error.origin != self.storage.origin:
            return self._stop("another opening of this device took over", needs_token=False)
        if code in (ErrorCode.TOKEN_INVALID, ErrorCode.TOKEN_EXPIRED, ErrorCode.SESSION_EXPIRED):
            if self._hello_token != self._token and (self._refreshing or not was_online):
                return self._drop("the token is refused and another one is there already")
            return self._stop(error.text or "the token is refused", needs_token=True)
        if code in (ErrorCode.NO_ACCOUNT, ErrorCode.DEVICE_LIMIT, ErrorCode.VERSION):
            return self._stop(error.text or code, needs_token=False)
        if code == ErrorCode.BUSY:
            self._retry_at = self._clock() + error.retry_ms / 1000
        self._drop(f"the server ended the session: {error.text or code}")

    # ---- ends and events ------------------------------------------------------------------------------------

    def _drop(self, why: str) -> None:
        self.wants_close = True
        self._why = why

    def _stop(self, why: str, needs_token: bool) -> None:
        self.state = State.STOPPED
        self._stopped_for_token = needs_token
        self.wants_close = True
        self._say(Stopped(why, needs_token))

    def _changed(self, row: int | None) -> None:
        if row is not None:
            self._say(lambda: Changed(self.storage.row(row)))

    def _say(self, event) -> None:
        self._events.append(event)

    def _flush(self) -> None:
        events, self._events = self._events, []
        for event in events:
            self._tell(event() if isinstance(event, type(lambda: 0)) else event)
