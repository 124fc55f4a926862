"""The bytes that hostile_test.py sends: frames that break the format, frames out of place, bad tokens."""
import json
import struct
import time
from importlib import import_module

import flatbuffers

import wire
from wire import frame, hello, jwt, message, sized, token

ADA, BOB, EVE = 1, 2, 666
HS256 = {"alg": "HS256", "typ": "JWT", "kid": "dev"}


def claims(**more) -> dict:
    return {"sub": str(EVE), "dev": "d", "exp": int(time.time()) + 3600, **more}


def without(name: str) -> dict:
    return {key: value for key, value in claims().items() if key != name}


def u32(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + struct.pack("<I", value) + data[at + 4:]


def with_size(data: bytes) -> bytes:
    """`data` behind its first four bytes, with the length that it has now."""
    return sized(len(data) - 4) + data[4:]


def shifted_route(data: bytes, by: int) -> bytes:
    """The Route moved by changing where the root's vtable says it is."""
    root = 4 + struct.unpack_from("<I", data, 4)[0]
    vtable = root - struct.unpack_from("<i", data, root)[0]
    offset = struct.unpack_from("<H", data, vtable + 4)[0]
    assert offset + by > 0
    return data[:vtable + 4] + struct.pack("<H", offset + by) + data[vtable + 6:]


def media(num: int) -> bytes:
    """A Message with `num` tables in its media vector, from the generated code alone."""
    refs, messages, frames = (import_module(f"perch.wire.{name}") for name in ("MediaRef", "Message", "Frame"))
    builder = flatbuffers.Builder(1024)
    tables = []
    for _ in range(num):
        refs.MediaRefStart(builder)
        refs.MediaRefAddBytes(builder, 1)
        tables.append(refs.MediaRefEnd(builder))
    messages.MessageStartMediaVector(builder, num)
    for table in tables:
        builder.PrependUOffsetTRelative(table)
    vector = builder.EndVector()
    body = builder.CreateByteVector(b"x")
    messages.MessageStart(builder)
    messages.MessageAddBody(builder, body)
    messages.MessageAddMedia(builder, vector)
    payload = messages.MessageEnd(builder)
    frames.FrameStart(builder)
    route = import_module("perch.wire.Route").CreateRoute(builder, BOB, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    frames.FrameAddRoute(builder, route)
    frames.FrameAddPayloadType(builder, wire.PAYLOAD_IDS["Message"])
    frames.FrameAddPayload(builder, payload)
    builder.FinishSizePrefixed(frames.FrameEnd(builder), file_identifier=b"PRC1")
    return bytes(builder.Output())


MALFORMED_ANYWHERE = {
    "zeros": sized(60) + bytes(60),
    "ones": sized(60) + b"\xff" * 60,
    "text": sized(60) + b"GET / HTTP/1.1\r\nHost: example.org\r\nUser-Agent: none\r\n\r\n".ljust(60),
    "smallest frame, empty": sized(16) + bytes.fromhex("08000000") + b"PRC1" + bytes(8),
    "another identifier": frame("Ping", nonce=1, identifier=b"PRC2"),
    "no identifier": u32(frame("Ping", nonce=1), 8, 0),
    "root offset 0": u32(frame("Ping", nonce=1), 4, 0),
    "root offset at the end": u32(frame("Ping", nonce=1), 4, len(frame("Ping", nonce=1)) - 4),
    "root offset outside": u32(frame("Ping", nonce=1), 4, 5000),
    "root offset 2^31": u32(frame("Ping", nonce=1), 4, 2**31),
    "root offset 2^32-1": u32(frame("Ping", nonce=1), 4, 2**32 - 1),
    "misaligned: four bytes before an ordinary buffer": sized(56) + bytes(4) + frame("Ping", nonce=1)[4:],
    "union of type none": frame("Ping", nonce=1, payload_type=0),
    "union without a table": frame("Ping", table=False),
    "union of another type": frame("Ping", nonce=1, payload_type=wire.PAYLOAD_IDS["Hello"]),
    "cut in half": with_size(frame("Ping", nonce=1)[:28]),
    "Hello without token": frame("Hello", origin=1),
    "Refresh without token": frame("Refresh"),
    "Resolve without handle": frame("Resolve", request=1),
    "agent over 128 bytes": hello(EVE, agent="a" * 129),
    "token over 3584 bytes": hello(EVE, token="a" * 3585),
    "handle over 64 bytes": frame("Resolve", handle="h" * 65),
    "Message without body": frame("Message", route=dict(to=BOB, origin=7, seq=1)),
    "Message without route": frame("Message", body=b"x"),
    "Read without route": frame("Read", up_to=1),
    "Route over the root's fields": shifted_route(message(BOB, 1), -8),
    "Route over what follows": shifted_route(message(BOB, 1), 8),
    "65 media tables": media(65),
}
CLIENT_FRAMES = {
    "Message": message(BOB, 1), "Read": frame("Read", route=dict(to=BOB, origin=7, seq=1), up_to=1),
    "Confirm": frame("Confirm", count=0), "Ping": frame("Ping", nonce=1), "Refresh": frame("Refresh", token=token(EVE)),
    "Resolve": frame("Resolve", handle="ada"), "Block": frame("Block", request=1, user=ADA),
}
SERVER_FRAMES = {
    "Welcome": frame("Welcome", version=1), "Refreshed": frame("Refreshed"), "Pong": frame("Pong", nonce=1),
    "Goaway": frame("Goaway", jitter_ms=1), "Error": frame("Error", code=1), "Resolved": frame("Resolved", handle="ada"),
    "Outcome": frame("Outcome", origin=7, seq=1), "Rejected": frame("Rejected", seq=1), "Hold": frame("Hold", seq=1),
    "Receipt": frame("Receipt", peer=BOB), "Expired": frame("Expired", peer=BOB),
    "Blocks": frame("Blocks", users=[BOB]),
}
UNKNOWN_FRAMES = {name: frame(name) for name in ("Presence", "Typing", "CallSignal", "KeyBundle", "GroupChange")}
UNKNOWN_FRAMES |= {f"payload {number}": frame("Ping", nonce=1, payload_type=number) for number in (99, 255)}
BAD_TOKENS = {
    "empty": "", "one part": "a", "two parts": "a.b", "four parts": token(EVE) + ".a", "three dots": "...",
    "no base64": "!.!.!", "padding": token(EVE) + "=", "signature cut": token(EVE)[:-2],
    "forged": jwt(HS256, claims(), b"x" * 32),
    "other payload, old signature": ".".join(
        [token(EVE).split(".")[0], token(ADA).split(".")[1], token(EVE).split(".")[2]]),
    "alg none, no signature": jwt({"alg": "none", "kid": "dev"}, claims(), None),
    "alg none, signed": jwt({"alg": "none", "kid": "dev"}, claims()),
    "alg EdDSA, signed by the secret": jwt({"alg": "EdDSA", "kid": "dev"}, claims()),
    "alg HS512": jwt({"alg": "HS512", "kid": "dev"}, claims()),
    "alg in small letters": jwt({"alg": "hs256", "kid": "dev"}, claims()),
    "no alg": jwt({"kid": "dev"}, claims()),
    "unknown key": jwt({"alg": "HS256", "kid": "other"}, claims()),
    "kid no string": jwt({"alg": "HS256", "kid": 1}, claims()),
    "crit": jwt({**HS256, "crit": ["exp"]}, claims()),
    "payload no JSON": jwt(HS256, b"{"), "payload a list": jwt(HS256, b"[]"),
    "payload deep": jwt(HS256, json.dumps(claims()).encode()[:-1] + b', "x":' + b"[" * 900 + b"]" * 900 + b"}"),
    "a claim twice": jwt(HS256, json.dumps(claims()).encode()[:-1] + b', "sub": "1"}'),
    "no sub": jwt(HS256, without("sub")), "no dev": jwt(HS256, without("dev")), "no exp": jwt(HS256, without("exp")),
    "sub empty": jwt(HS256, claims(sub="")), "sub 33 bytes": jwt(HS256, claims(sub="s" * 33)),
    "sub 0": jwt(HS256, claims(sub="0")), "sub with a leading zero": jwt(HS256, claims(sub="007")),
    "sub 2^63": jwt(HS256, claims(sub=str(2**63))), "sub in capitals": jwt(HS256, claims(sub="EVE")),
    "sub with @": jwt(HS256, claims(sub="@eve")), "sub and handle": jwt(HS256, claims(sub="eve", handle="bob")),
    "handle of digits": jwt(HS256, claims(handle="42")),
    "dev empty": jwt(HS256, claims(dev="")), "dev 65 bytes": jwt(HS256, claims(dev="d" * 65)),
    "dev with control characters": jwt(HS256, claims(dev="d\x1b[2J")),
    "exp a string": jwt(HS256, claims(exp="tomorrow")), "exp below 0": jwt(HS256, claims(exp=-1)),
    "exp out of range": jwt(HS256, claims(exp=2**63)), "iat a string": jwt(HS256, claims(iat="now")),
    "not valid yet": jwt(HS256, claims(nbf=int(time.time()) + 3600)),
    "handle in capitals": jwt(HS256, claims(handle="ADA")), "handle 33 bytes": jwt(HS256, claims(handle="h" * 33)),
    "over 3 KiB": jwt(HS256, claims(x="x" * 2300)),
}
