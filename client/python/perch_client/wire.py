"""Frames of the Perch protocol: bytes to objects and back (PROTOCOL.md §2), with the code that flatc made of the schema.

FlatBuffers for Python has no verifier, and its accessors read wherever an offset points. So every table, string and
vector that is read here is checked against the frame first.
"""
import struct
from types import SimpleNamespace

import flatbuffers

from perch.wire import (Confirm, Error, Expired, Frame, Goaway, Hello, Hold, Message, Outcome, Payload, Ping, Pong, Read,
                        Receipt, Refresh, Refreshed, Rejected, Resolve, Resolved, Route, Welcome)

IDENTIFIER = b"PRC1"
FRAME_BYTES_MIN = 20
FRAME_BYTES_MAX = 17 << 20  # of what a client is sent: a message keeps its size when a server's limits shrink
COUNTED = ("Message", "Read", "Receipt", "Expired")
SCOPE_USER = 0

_KINDS = {value: name for name, value in vars(Payload.Payload).items() if isinstance(value, int) and name[0] != "_"}
_ROUTE_BYTES = 72
_ROUTE_SLOT, _TYPE_SLOT, _PAYLOAD_SLOT = 4, 6, 8

# What a client reads: the class, its plain fields, and its strings and byte vectors with their places in the vtable.
# `required` ones cannot be missing.
_READABLE = {
    "Welcome": (Welcome.Welcome, ("version", "boot", "session", "incarnation", "user", "device", "window",
                                  "body_bytes_max", "frame_bytes_max", "ping_ms", "time_ms", "continuity_broken",
                                  "overflowed", "session_expires_ms"), {"handle": (32, False)}),
    "Refreshed": (Refreshed.Refreshed, ("session_expires_ms",), {}),
    "Pong": (Pong.Pong, ("nonce",), {}),
    "Goaway": (Goaway.Goaway, ("jitter_ms",), {"reason": (6, False)}),
    "Error": (Error.Error, ("code", "origin", "retry_ms", "request"), {"text": (6, False)}),
    "Resolved": (Resolved.Resolved, ("request", "user"), {"handle": (6, True)}),
    "Message": (Message.Message, ("content",), {"body": (4, True)}),
    "Read": (Read.Read, ("device", "origin", "up_to"), {}),
    "Outcome": (Outcome.Outcome, ("origin", "seq", "number", "time_ms", "tick"), {}),
    "Rejected": (Rejected.Rejected, ("origin", "seq", "number", "reason"), {}),
    "Hold": (Hold.Hold, ("origin", "seq", "reason", "wait_ms"), {}),
    "Receipt": (Receipt.Receipt, ("peer", "device", "origin", "first", "up_to"), {}),
    "Expired": (Expired.Expired, ("peer", "device", "origin", "seq"), {}),
}
_ROUTE_FIELDS = ("to", "origin", "seq", "from_", "number", "time_ms", "device", "scope")


class Broken(Exception):
    """Bytes that are no frame of this protocol. `route` and `kind` are set where they could be read all the same."""

    def __init__(self, why: str, kind: str = "", route: SimpleNamespace | None = None):
        super().__init__(why)
        self.kind, self.route = kind, route


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


# ---- frames in ---------------------------------------------------------------------------------------------


class Table:
    """A table whose vtable lies inside the buffer, and its fields at least begin inside the table."""

    def __init__(self, data: bytes, at: int):
        self.data, self.at = data, at
        if at < 0 or at % 4 != 0 or at + 4 > len(data):
            raise Broken("a table outside the frame")
        self.vtable = at - struct.unpack_from("<i", data, at)[0]
        if self.vtable < 0 or self.vtable % 2 != 0 or self.vtable + 4 > len(data):
            raise Broken("a vtable outside the frame")
        self.vtable_bytes, self.bytes = struct.unpack_from("<HH", data, self.vtable)
        if self.vtable_bytes < 4 or self.vtable_bytes % 2 != 0 or self.vtable + self.vtable_bytes > len(data) or \
                self.bytes < 4 or at + self.bytes > len(data):
            raise Broken("a table that reaches behind the frame")
        for slot in range(4, self.vtable_bytes, 2):
            if struct.unpack_from("<H", data, self.vtable + slot)[0] >= self.bytes:
                raise Broken("a field outside its table")

    def field(self, slot: int, size: int) -> int:
        """Where that field is, 0 if it is not there."""
        if slot >= self.vtable_bytes:
            return 0
        offset = struct.unpack_from("<H", self.data, self.vtable + slot)[0]
        if offset == 0:
            return 0
        if offset + size > self.bytes:
            raise Broken("a field that reaches behind its table")
        return self.at + offset

    def target(self, slot: int) -> int:
        at = self.field(slot, 4)
        return at and at + struct.unpack_from("<I", self.data, at)[0]

    def vector(self, slot: int) -> bytes | None:
        """A string or a vector of bytes."""
        at = self.target(slot)
        if at == 0:
            return None
        if at + 4 > len(self.data):
            raise Broken("a vector outside the frame")
        length = struct.unpack_from("<I", self.data, at)[0]
        if at + 4 + length > len(self.data):
            raise Broken("a vector that reaches behind the frame")
        return self.data[at + 4:at + 4 + length]


def parse(data: bytes) -> SimpleNamespace:
    """One whole frame. Of the result: `kind`, `route` (or None), and the fields of the payload by their names in the
    schema; strings are decoded, byte vectors are bytes. `kind` is "" for a payload of a later schema.
    Raises Broken."""
    if len(data) < FRAME_BYTES_MIN or data[8:12] != IDENTIFIER:
        raise Broken("not a frame of Perch")
    root = Table(data, 4 + struct.unpack_from("<I", data, 4)[0])
    at = root.field(_TYPE_SLOT, 1)
    kind = _KINDS.get(data[at], "") if at else "NONE"
    route = None
    if at := root.field(_ROUTE_SLOT, _ROUTE_BYTES):
        struct_route = Route.Route()
        struct_route.Init(data, at)
        route = SimpleNamespace(**{name: getattr(struct_route, "From_" if name == "from_" else _camel(name))()
                                   for name in _ROUTE_FIELDS})
    if kind not in _READABLE:
        return SimpleNamespace(kind=kind, route=route)
    try:
        return _payload(data, root, kind, route)
    except (Broken, UnicodeDecodeError, struct.error, IndexError) as error:
        raise Broken(str(error), kind, route) from None


def _payload(data: bytes, root: Table, kind: str, route: SimpleNamespace | None) -> SimpleNamespace:
    table_class, plain, vectors = _READABLE[kind]
    at = root.target(_PAYLOAD_SLOT)
    if at == 0:
        raise Broken("an empty payload")
    if kind in ("Message", "Read") and route is None:
        raise Broken("no route")
    checked = Table(data, at)
    table = table_class()
    table.Init(data, at)
    out = SimpleNamespace(kind=kind, route=route)
    for name in plain:
        setattr(out, name, getattr(table, _camel(name))())
    for name, (slot, required) in vectors.items():
        value = checked.vector(slot)
        if value is None and required:
            raise Broken(f"no {name}")
        if name != "body":
            value = (value or b"").decode()
        setattr(out, name, value)
    return out


class Framer:
    """Cuts a byte stream into frames."""

    def __init__(self):
        self._data = bytearray()

    def feed(self, data: bytes):
        """Yields each frame that is now complete. Raises Broken for a length that no frame has."""
        self._data += data
        while len(self._data) >= 4:
            size = 4 + struct.unpack_from("<I", self._data)[0]
            if not FRAME_BYTES_MIN <= size <= FRAME_BYTES_MAX:
                raise Broken(f"a frame of {size} bytes")
            if len(self._data) < size:
                return
            frame = bytes(self._data[:size])
            del self._data[:size]
            yield frame


# ---- frames out --------------------------------------------------------------------------------------------


def _frame(module, builder: flatbuffers.Builder, fields: dict, route: tuple | None = None) -> bytes:
    """`fields` by their names in the schema; strings and vectors are made already."""
    kind = module.__name__.rsplit(".", 1)[1]
    getattr(module, f"{kind}Start")(builder)
    for name, value in fields.items():
        getattr(module, f"{kind}Add{_camel(name)}")(builder, value)
    payload = getattr(module, f"{kind}End")(builder)
    Frame.FrameStart(builder)
    if route is not None:
        Frame.FrameAddRoute(builder, Route.CreateRoute(builder, *route, 0, 0, 0, 0, SCOPE_USER, 0, 0))
    Frame.FrameAddPayloadType(builder, getattr(Payload.Payload, kind))
    Frame.FrameAddPayload(builder, payload)
    builder.FinishSizePrefixed(Frame.FrameEnd(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def hello(token: str, *, origin: int, previous_origin: int, attempt: int, incarnation: int, agent: str) -> bytes:
    builder = flatbuffers.Builder(512)
    texts = {"token": builder.CreateString(token), "agent": builder.CreateString(agent)}
    return _frame(Hello, builder, {**texts, "version_min": 1, "version_max": 1, "origin": origin,
                                   "previous_origin": previous_origin, "attempt": attempt, "incarnation": incarnation})


def refresh(token: str) -> bytes:
    builder = flatbuffers.Builder(512)
    return _frame(Refresh, builder, {"token": builder.CreateString(token)})


def ping(closed: int, nonce: int) -> bytes:
    return _frame(Ping, flatbuffers.Builder(64), {"closed": closed, "nonce": nonce})


def resolve(request: int, handle: str) -> bytes:
    builder = flatbuffers.Builder(128)
    return _frame(Resolve, builder, {"handle": builder.CreateString(handle), "request": request})


def confirm(count: int, closed: int) -> bytes:
    return _frame(Confirm, flatbuffers.Builder(64), {"count": count, "closed": closed})


def message(to: int, origin: int, seq: int, closed: int, after: int, content: int, body: bytes) -> bytes:
    builder = flatbuffers.Builder(len(body) + 192)
    return _frame(Message, builder, {"body": builder.CreateByteVector(body), "content": content},
                  (to, origin, seq, closed, after))


def read(to: int, origin: int, seq: int, closed: int, after: int, *, of_device: int, of_origin: int, up_to: int) -> bytes:
    return _frame(Read, flatbuffers.Builder(192), {"device": of_device, "origin": of_origin, "up_to": up_to},
                  (to, origin, seq, closed, after))
