"""A conversation as it stands now (PROTOCOL.md §10.1): what was said about its messages applied to them, whatever the order
in which it came."""
from typing import NamedTuple

from . import content
from .content import Item, MessageId
from .storage import DELETED, ENDED, Storage


class Line(NamedTuple):
    id: MessageId | None  # None: it has none yet
    shown: str  # "text", or what there is instead of one: "bytes", "deleted", "unreadable", "newer"
    text: str = ""
    edited: bool = False
    reply_to: MessageId | None = None
    reactions: tuple[tuple[int, str], ...] = ()  # (user, emoji)
    timer_s: int = 0


def _item(content_: int, body: bytes) -> Item | None:
    try:
        return content.decode(body) if content_ == content.ITEM else None
    except content.Unreadable:
        return None


def _line(id_: MessageId | None, content_: int, body: bytes, gone: int) -> Line:
    if gone == DELETED:
        return Line(id_, "deleted")
    if content_ == content.TEXT:
        return Line(id_, "text", body.decode(errors="replace"))
    if content_ != content.ITEM:
        return Line(id_, "bytes")
    item = _item(content_, body)
    if item is None:
        return Line(id_, "unreadable")
    if item.kind != "text":
        return Line(id_, "newer")
    return Line(id_, "text", item.text, reply_to=item.target, timer_s=item.timer_s)


def lines(storage: Storage, peer: int) -> list[Line]:
    storage.forget_ended()
    me = storage.identity().user
    edits: dict[MessageId, str] = {}
    reactions: dict[MessageId, dict[int, str]] = {}
    rows = storage.rows(peer)
    for id_, _, content_, body, kind, gone in rows:  # in order: the last one counts
        item = _item(content_, body) if kind in ("edit", "reaction") and not gone else None
        if item is None:
            continue
        by = id_.user if id_ else me
        if kind == "reaction":
            of_target = reactions.setdefault(item.target, {})
            of_target.pop(by, None)
            of_target[by] = item.text
        elif by == item.target.user:
            edits[item.target] = item.text
    out = []
    for id_, _, content_, body, kind, gone in rows:
        if kind or gone == ENDED:
            continue
        line = _line(id_, content_, body, gone)
        if line.shown == "text" and id_ in edits:
            line = line._replace(text=edits[id_], edited=True)
        if line.shown != "deleted":
            line = line._replace(reactions=tuple((by, emoji) for by, emoji in reactions.get(id_, {}).items() if emoji))
        out.append(line)
    return out


def last(storage: Storage, peer: int, kind: str, by: int = 0) -> Item | None:
    """The last item of that kind, `timer` or `profile`, in the conversation, of `by` or, for 0, of either."""
    me = storage.identity().user
    for id_, _, content_, body, item, _ in reversed(storage.rows(peer)):
        if item == kind and by in (0, id_.user if id_ else me):
            return _item(content_, body)
    return None
