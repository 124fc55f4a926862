"""What a message contains (PROTOCOL.md §10): items to bytes and back, checked."""
import struct
from typing import NamedTuple

import flatbuffers

from perch.content import Delete, Edit, Kind, Profile, Reaction, Target, Text, Timer
from perch.content import Item as Root

from .wire import Broken, Table

TEXT, ITEM = 0, 1  # Message.content
IDENTIFIER = b"PCC1"
TEXT_BYTES_MAX, EMOJI_BYTES_MAX, NAME_BYTES_MAX, ABOUT_BYTES_MAX = 64_512, 64, 64, 512
TIMER_S_MAX = 31_536_000
ABOUT_ANOTHER = ("edit", "delete", "reaction")

_KINDS = {1: "text", 2: "edit", 3: "delete", 4: "reaction", 5: "timer", 6: "profile"}
_TARGET_BYTES = 32


class MessageId(NamedTuple):
    user: int
    device: int
    origin: int
    seq: int


class Item(NamedTuple):
    """`kind`: text, edit, delete, reaction, timer, profile; of a later version: newer, or silent if nobody misses it."""
    kind: str
    text: str = ""  # of a reaction the emoji, of a profile the name
    about: str = ""
    target: MessageId | None = None  # of a text: which message it answers
    timer_s: int = 0


class Unreadable(Exception):
    """Not what §10 allows."""


def encode(item: Item) -> bytes:
    """Raises Unreadable for what nobody could read."""
    _check(item)
    builder = flatbuffers.Builder(len(item.text) + 256)
    text = builder.CreateString(item.text)
    about = builder.CreateString(item.about) if item.kind == "profile" else 0

    def target() -> int:  # a struct is made inside its table
        return Target.CreateTarget(builder, item.target.user, item.target.origin, item.target.seq, item.target.device)

    match item.kind:
        case "text":
            Text.TextStart(builder)
            Text.TextAddText(builder, text)
            if item.target:
                Text.TextAddReplyTo(builder, target())
            Text.TextAddTimerS(builder, item.timer_s)
            kind, table = Kind.Kind.Text, Text.TextEnd(builder)
        case "edit":
            Edit.EditStart(builder)
            Edit.EditAddTarget(builder, target())
            Edit.EditAddText(builder, text)
            kind, table = Kind.Kind.Edit, Edit.EditEnd(builder)
        case "delete":
            Delete.DeleteStart(builder)
            Delete.DeleteAddTarget(builder, target())
            kind, table = Kind.Kind.Delete, Delete.DeleteEnd(builder)
        case "reaction":
            Reaction.ReactionStart(builder)
            Reaction.ReactionAddTarget(builder, target())
            Reaction.ReactionAddEmoji(builder, text)
            kind, table = Kind.Kind.Reaction, Reaction.ReactionEnd(builder)
        case "timer":
            Timer.TimerStart(builder)
            Timer.TimerAddTimerS(builder, item.timer_s)
            kind, table = Kind.Kind.Timer, Timer.TimerEnd(builder)
        case _:
            Profile.ProfileStart(builder)
            Profile.ProfileAddName(builder, text)
            Profile.ProfileAddAbout(builder, about)
            kind, table = Kind.Kind.Profile, Profile.ProfileEnd(builder)
    Root.ItemStart(builder)
    Root.ItemAddKindType(builder, kind)
    Root.ItemAddKind(builder, table)
    builder.Finish(Root.ItemEnd(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def decode(body: bytes) -> Item:
    """Raises Unreadable."""
    try:
        item = _read(body)
    except (Broken, UnicodeDecodeError, struct.error, IndexError) as error:
        raise Unreadable(str(error)) from None
    if item.kind not in ("newer", "silent"):
        _check(item)
    return item


def _read(body: bytes) -> Item:
    if len(body) < 12 or body[4:8] != IDENTIFIER:
        raise Unreadable("not an item")
    root = Table(body, struct.unpack_from("<I", body)[0])
    at = root.field(4, 1)
    number = body[at] if at else 0
    at = root.target(6)
    if number == 0 or at == 0:
        raise Unreadable("no kind")
    if number not in _KINDS:
        at = root.field(8, 1)
        return Item("silent" if at and body[at] else "newer")
    table = Table(body, at)

    def text(slot: int, required: bool = False) -> str:
        value = table.vector(slot)
        if value is None and required:
            raise Unreadable("no text")
        return (value or b"").decode()

    def target(slot: int) -> MessageId | None:
        place = table.field(slot, _TARGET_BYTES)
        if place == 0:
            return None
        user, origin, seq, device = struct.unpack_from("<QQQH", body, place)
        return MessageId(user, device, origin, seq)

    def seconds(slot: int) -> int:
        place = table.field(slot, 4)
        return struct.unpack_from("<I", body, place)[0] if place else 0

    match kind := _KINDS[number]:
        case "text":
            return Item(kind, text(4, True), target=target(6), timer_s=seconds(8))
        case "edit":
            return Item(kind, text(6, True), target=target(4))
        case "delete":
            return Item(kind, target=target(4))
        case "reaction":
            return Item(kind, text(6), target=target(4))
        case "timer":
            return Item(kind, timer_s=seconds(4))
        case _:
            return Item(kind, text(4), text(6))


def _check(item: Item) -> None:
    least, most = {"text": (1, TEXT_BYTES_MAX), "edit": (1, TEXT_BYTES_MAX), "reaction": (0, EMOJI_BYTES_MAX),
                   "profile": (0, NAME_BYTES_MAX)}.get(item.kind, (0, 0))
    try:
        size, about_size = len(item.text.encode()), len(item.about.encode())
    except UnicodeEncodeError as error:
        raise Unreadable(str(error)) from None
    if not least <= size <= most or about_size > ABOUT_BYTES_MAX or "\0" in item.text + item.about:
        raise Unreadable(f"a text of {size} bytes where {least} to {most} are allowed, or one with a zero byte")
    if not 0 <= item.timer_s <= TIMER_S_MAX:
        raise Unreadable("a timer of more than a year")
    if item.target is None:
        if item.kind in ABOUT_ANOTHER:
            raise Unreadable("about no message")
        return
    user, device, origin, seq = item.target
    if not (0 < user < 1 << 63 and 0 < device < 1 << 16 and 0 < origin < 1 << 64 and 0 < seq < 1 << 63):
        raise Unreadable("about a message that cannot be")
