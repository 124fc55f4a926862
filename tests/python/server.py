"""A scripted server for the Python client: its frames, made with what flatc made of the schema and nothing of the client."""
import importlib

import flatbuffers

_ROUTE = ("to", "origin", "seq", "closed", "after", "from_", "number", "time_ms", "device", "scope", "flags", "reserved")


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def frame(kind: str, *, route: dict | None = None, **fields) -> bytes:
    """Fields by their names in the schema; str and bytes become strings and vectors."""
    module = lambda name: importlib.import_module(f"perch.wire.{name}")  # noqa: E731
    builder = flatbuffers.Builder(256)
    make = {str: builder.CreateString, bytes: builder.CreateByteVector}
    made = {name: make.get(type(value), lambda same: same)(value) for name, value in fields.items()}
    getattr(module(kind), f"{kind}Start")(builder)
    for name, value in made.items():
        getattr(module(kind), f"{kind}Add{_camel(name)}")(builder, value)
    payload = getattr(module(kind), f"{kind}End")(builder)
    root = module("Frame")
    root.FrameStart(builder)
    if route is not None:
        root.FrameAddRoute(builder, module("Route").CreateRoute(builder, *(route.get(name, 0) for name in _ROUTE)))
    root.FrameAddPayloadType(builder, getattr(module("Payload").Payload, kind))
    root.FrameAddPayload(builder, payload)
    builder.FinishSizePrefixed(root.FrameEnd(builder), file_identifier=b"PRC1")
    return bytes(builder.Output())


ME, PEER, MY_DEVICE, PEER_ORIGIN = 5, 7, 2, 99


def welcome(**fields) -> bytes:
    return frame("Welcome", **{**dict(version=1, boot=1, session=1, incarnation=77, user=ME, device=MY_DEVICE, window=64,
                                      body_bytes_max=64 * 1024, frame_bytes_max=66 * 1024, ping_ms=30_000), **fields})


def message(seq: int, number: int, body: bytes, *, from_: int = PEER, to: int = ME, device: int = 1, scope: int = 0) -> bytes:
    return frame("Message", route=dict(to=to, origin=PEER_ORIGIN, seq=seq, from_=from_, number=number, device=device,
                                       scope=scope), body=body)


def read(up_to: int, of_origin: int, *, from_: int = PEER, to: int = ME, of_device: int = MY_DEVICE) -> bytes:
    return frame("Read", route=dict(to=to, origin=PEER_ORIGIN, seq=1000, from_=from_, number=1, device=1),
                 device=of_device, origin=of_origin, up_to=up_to)
