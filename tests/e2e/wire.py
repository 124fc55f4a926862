"""The Perch protocol for tests: frames from the schema, raw TCP, tokens, a server, an honest device.

The FlatBuffers code is generated from codec/schema/perch.fbs into a temporary folder when this is imported.
Nothing here shares code with the server or the C++ client, so that the two can be wrong only apart.
"""
import atexit
import base64
import hashlib
import hmac
import importlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace

import flatbuffers

from harness import BIN, ROOT, spawn

SECRET = b"0123456789abcdef0123456789abcdef-for-tests"
FRAME_BYTES_MAX = 66 * 1024
HELLO_BYTES_MAX = 4 * 1024
FRAME_BYTES_MIN = 20
BODY_BYTES_MAX = 64 * 1024
WINDOW = 64
DEVICES_MAX = 8
COUNTED = ("Message", "Read", "Receipt", "Expired")
_ROUTE = ("to", "origin", "seq", "closed", "after", "from_", "number", "time_ms", "device", "scope", "flags", "reserved")


def _generate() -> None:
    folder = tempfile.mkdtemp(prefix="perch-wire-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    subprocess.run(["flatc", "--python", "-o", folder, str(ROOT / "codec/schema/perch.fbs")], check=True)
    sys.path.insert(0, folder)


_generate()


def schema(name: str):
    """The generated class of a table, struct or enum."""
    return getattr(importlib.import_module(f"perch.wire.{name}"), name)


def _names(name: str) -> dict[int, str]:
    # Python's own begin with "_"; since 3.13 a class says in one of them, a number, where it is defined.
    members = vars(schema(name)).items()
    return {value: key for key, value in members if isinstance(value, int) and not key.startswith("_")}


PAYLOADS = _names("Payload")
PAYLOAD_IDS = {name: value for value, name in PAYLOADS.items()}
ERRORS, REJECTS, HOLDS, TICKS = (_names(name) for name in ("ErrorCode", "RejectReason", "HoldReason", "Tick"))


# What the server has said so far: payloads, and the codes and reasons in them.
SEEN = {name: set() for name in ("Payload", "ErrorCode", "RejectReason", "HoldReason", "Tick")}


def _remember(got: SimpleNamespace) -> None:
    SEEN["Payload"].add(got.kind)
    for kind, field, enum, names in (("Error", "code", "ErrorCode", ERRORS), ("Outcome", "tick", "Tick", TICKS),
                                     ("Rejected", "reason", "RejectReason", REJECTS),
                                     ("Hold", "reason", "HoldReason", HOLDS)):
        if got.kind == kind:
            SEEN[enum].add(names.get(getattr(got, field), "unknown"))


def unseen(enum: str) -> set[str]:
    """The values of an enum of the schema that no answer has had yet."""
    return set(_names(enum).values()) - SEEN[enum]


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


# ---- frames out --------------------------------------------------------------------------------------------


def frame(payload: str, *, route: dict | None = None, identifier: bytes = b"PRC1", payload_type: int | None = None,
          table: bool = True, **fields) -> bytes:
    """A whole frame. Fields by their names in the schema; str and bytes become strings and vectors. `route` is a
    dict of fields of Route. `payload_type` lies about the type, `table=False` leaves the payload out."""
    builder = flatbuffers.Builder(256)
    made = {}
    for name, value in fields.items():
        if isinstance(value, str):
            value = builder.CreateString(value)
        elif isinstance(value, (bytes, bytearray)):
            value = builder.CreateByteVector(bytes(value))
        elif isinstance(value, list):  # of ids
            builder.StartVector(8, len(value), 8)
            for number in reversed(value):
                builder.PrependUint64(number)
            value = builder.EndVector()
        made[name] = value
    at = None
    if table:
        module = importlib.import_module(f"perch.wire.{payload}")
        getattr(module, f"{payload}Start")(builder)
        for name, value in made.items():
            getattr(module, f"{payload}Add{_camel(name)}")(builder, value)
        at = getattr(module, f"{payload}End")(builder)
    root = importlib.import_module("perch.wire.Frame")
    root.FrameStart(builder)
    if route is not None:
        values = [route.get(name, 0) for name in _ROUTE]
        root.FrameAddRoute(builder, importlib.import_module("perch.wire.Route").CreateRoute(builder, *values))
    root.FrameAddPayloadType(builder, PAYLOAD_IDS[payload] if payload_type is None else payload_type)
    if at is not None:
        root.FrameAddPayload(builder, at)
    builder.FinishSizePrefixed(root.FrameEnd(builder), file_identifier=identifier)
    return bytes(builder.Output())


def message(to: int, seq: int, body: bytes = b"hello", *, origin: int = 7, closed: int = 0, after: int = 0, **route) -> bytes:
    return frame("Message", route=dict(to=to, origin=origin, seq=seq, closed=closed, after=after, **route), body=body)


def sized(length: int) -> bytes:
    return struct.pack("<I", length)


# ---- frames in ---------------------------------------------------------------------------------------------


def parse(data: bytes) -> SimpleNamespace:
    """kind, the fields of the payload, and `route` where there is one. Enums stay numbers, `name` names a code."""
    assert data[8:12] == b"PRC1", data[:16].hex()
    root = schema("Frame").GetRootAs(data, 4)
    kind = PAYLOADS[root.PayloadType()]
    table = schema(kind)()
    table.Init(root.Payload().Bytes, root.Payload().Pos)
    out = SimpleNamespace(kind=kind, route=None, bytes=data)
    for name in vars(schema(kind)):
        if name[0] == "_" or name == "Init" or name.startswith(("GetRootAs", kind + "BufferHas")):
            continue
        if name.endswith(("AsNumpy", "IsNone", "Length")):
            continue
        snake = "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")
        if kind == "Message":
            continue
        if hasattr(table, name + "Length"):
            value = [getattr(table, name)(i) for i in range(getattr(table, name + "Length")())]
        else:
            value = getattr(table, name)()
        setattr(out, snake, value.decode() if isinstance(value, bytes) else value)
    if kind == "Message":
        out.body = bytes(table.Body(i) for i in range(table.BodyLength()))
        out.content = table.Content()
    if root.Route() is not None:
        route = root.Route()
        out.route = SimpleNamespace(**{name: getattr(route, "From_" if name == "from_" else _camel(name))() for name in _ROUTE})
    return out


class Connection:
    """A TCP connection that sends whatever bytes it is given and reads frames."""

    def __init__(self, address: tuple[str, int], timeout: float = 10):
        self.timeout = timeout
        self.socket = socket.create_connection(address, timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_or_gone(self, data: bytes) -> None:
        """Sends; that the server has closed already is no failure of what is tested."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def receive(self, timeout: float | None = None) -> SimpleNamespace | None:
        """The next frame; None at the end of the stream. Raises TimeoutError."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while len(self.data) < 4 or len(self.data) < 4 + struct.unpack_from("<I", self.data)[0]:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("nothing came")
            self.socket.settimeout(left)
            try:
                got = self.socket.recv(65536)
            except socket.timeout as error:
                raise TimeoutError("nothing came") from error
            except ConnectionResetError as error:
                raise AssertionError("reset instead of an orderly end") from error
            if not got:
                assert not self.data, f"the stream ended inside a frame: {self.data!r}"
                return None
            self.data += got
        size = 4 + struct.unpack_from("<I", self.data)[0]
        data, self.data = self.data[:size], self.data[size:]
        got = parse(data)
        _remember(got)
        return got

    def until(self, kind: str, timeout: float | None = None, **fields) -> SimpleNamespace:
        """The next frame of this kind with these fields; others are skipped, an Error or the end is a failure."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            got = self.receive(max(0.01, deadline - time.monotonic()))
            assert got is not None, f"closed while waiting for {kind}"
            if got.kind == kind and all(getattr(got, name) == value for name, value in fields.items()):
                return got
            assert got.kind != "Error", f"Error {ERRORS.get(got.code, got.code)} while waiting for {kind}"

    def error(self, timeout: float | None = None) -> SimpleNamespace:
        """The Error that closes: frames before it are skipped, behind it nothing may come but the end."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            got = self.receive(max(0.01, deadline - time.monotonic()))
            assert got is not None, "closed without a word"
            if got.kind == "Error":
                break
        got.name = ERRORS.get(got.code, str(got.code))
        after = self.receive()
        assert after is None, f"{after.kind} behind Error {got.name}"
        return got

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Ends at once with a reset instead of an end of stream."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


# ---- tokens ------------------------------------------------------------------------------------------------


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(header: dict, payload: dict | bytes, secret: bytes | None = SECRET) -> str:
    """Any token, good or bad. secret=None: an empty signature."""
    text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    signed = base64url(json.dumps(header).encode()) + "." + base64url(text)
    return signed + "." + ("" if secret is None else base64url(hmac.new(secret, signed.encode(), hashlib.sha256).digest()))


def token(sub: int | str, dev: str = "d", seconds: float = 3600, handle: str = "", **more) -> str:
    payload = {"sub": str(sub), "dev": dev, "exp": int(time.time() + seconds), **more}
    if handle:
        payload["handle"] = handle
    return jwt({"alg": "HS256", "typ": "JWT", "kid": "dev"}, payload)


def hello(sub: int | str = 1, dev: str = "d", *, origin: int = 7, attempt: int = 1, **fields) -> bytes:
    fields = {"token": token(sub, dev), "origin": origin, "attempt": attempt, "agent": "hostile", **fields}
    return frame("Hello", **{name: value for name, value in fields.items() if value is not None})


# ---- server and device -------------------------------------------------------------------------------------


class Perchd:
    """A perchd on a port of its own. The data folder is kept between starts if `data` names one."""

    def __init__(self, *flags: str, data: pathlib.Path | None = None, log=None, **environment: str):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="perch-e2e-"))
        (self.folder / "secret").write_bytes(SECRET + b"\n")
        (self.folder / "secret").chmod(0o600)
        self.process = spawn(
            [BIN / "perchd", "--data", data or self.folder / "data", "--secret-file", self.folder / "secret", "--listen",
             "127.0.0.1:0", "--reactors", "1", *flags], stdout=subprocess.PIPE, stderr=log, text=True,
            env={**os.environ, **environment})
        line = self.process.stdout.readline()
        assert line.startswith("listening "), f"perchd did not start: {line!r}"
        host, port = line.split()[1].rsplit(":", 1)
        self.address = (host, int(port))

    def connect(self, timeout: float = 10) -> Connection:
        return Connection(self.address, timeout)

    def alive(self) -> bool:
        return self.process.poll() is None

    def login(self, sub: int | str, dev: str = "d", **fields) -> "Device":
        return Device(self, sub, dev, **fields)

    def resident_kib(self) -> int:
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("the server is gone")

    def stop(self) -> int:
        """SIGTERM, and the exit status of the drain."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return -signal.SIGKILL
        finally:
            self.process.stdout.close()
            shutil.rmtree(self.folder, ignore_errors=True)


class Device(Connection):
    """A logged-in connection. `origin` is of this opening, `seq` counts its rows, `count` what it was sent counted."""

    def __init__(self, server: Perchd, sub: int | str, dev: str = "d", *, timeout: float = 10, **fields):
        super().__init__(server.address, timeout)
        self.origin = fields.setdefault("origin", random.getrandbits(64) | 1)
        self.seq = 0
        self.count = 0
        super().send(hello(sub, dev, **fields))
        self.welcome = self.receive()
        assert self.welcome is not None, "closed instead of Welcome"
        if self.welcome.kind != "Welcome":
            self.close()
            raise AssertionError(f"{self.welcome.kind} {ERRORS.get(getattr(self.welcome, 'code', 0))} instead of Welcome")
        self.user = self.welcome.user

    def receive(self, timeout: float | None = None) -> SimpleNamespace | None:
        got = super().receive(timeout)
        if got is not None and got.kind in COUNTED:
            self.count += 1
        return got

    def message(self, to: int, body: bytes = b"hello", **route) -> int:
        """Sends a row that closes all before it; its seq."""
        self.seq += 1
        route.setdefault("closed", self.seq)
        self.send(message(to, self.seq, body, origin=self.origin, **route))
        return self.seq

    def take(self, timeout: float | None = None) -> SimpleNamespace:
        """The next Message, confirmed."""
        got = self.until("Message", timeout)
        self.send(frame("Confirm", count=self.count))
        return got

    def ping(self) -> None:
        nonce = random.getrandbits(64)
        self.send(frame("Ping", nonce=nonce))
        self.until("Pong", nonce=nonce)
