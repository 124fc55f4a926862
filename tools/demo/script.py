#!/usr/bin/python3
"""Reads the play beside this file into events: who comes, who says what, who goes.

A speaker's name begins a speech at the left margin, a tab follows; stage directions stand in brackets. What
a direction leaves unsaid is settled here: `Exit` alone is the last speaker's, `Exeunt` alone everybody's,
`Lords` are the Lords who speak in the scene, people without a part (attendants, trains) are left out, and
whoever is still on stage at the end of a scene leaves then.

`tools/demo/script.py` prints the scenes; as a module, load() gives them.
"""
import dataclasses
import pathlib
import re
import sys

PLAY = pathlib.Path(__file__).resolve().parent / "as_you_like_it.txt"
SPEECH = re.compile(r"([A-Z][A-Za-z ]*)\t(.*)")


@dataclasses.dataclass
class Event:
    kind: str  # "enter", "exit", "line", or "stage" for any other direction
    who: list[str]
    text: str = ""  # the speech, or the direction as it stands


@dataclasses.dataclass
class Scene:
    name: str
    place: str
    cast: list[str] = dataclasses.field(default_factory=list)  # who speaks in it, in order of appearance
    events: list[Event] = dataclasses.field(default_factory=list)

    def lines(self) -> list[Event]:
        return [event for event in self.events if event.kind == "line"]


class ScriptError(Exception):
    pass


def _items(text: str):
    """Yields ("act" | "scene" | "speech" | "direction", first, second) in the order of the text."""
    speaker, speech, direction = "", [], None

    def flush():
        nonlocal speaker, speech
        if speech:
            yield "speech", speaker, "\n".join(speech).strip()
        speech = []

    for row in text.splitlines():
        if row.startswith("#"):
            continue
        if direction is not None:  # goes on from the row before
            direction += " " + row.strip()
        elif row.startswith("\t["):
            yield from flush()
            direction = row.strip()
        elif row.startswith("ACT "):
            yield from flush()
            speaker = ""
            yield "act", row.strip(), ""
        elif match := SPEECH.fullmatch(row):
            yield from flush()
            if match[1].startswith("SCENE "):
                yield "scene", match[1], match[2].strip()
            else:
                speaker, speech = match[1].strip(), [match[2].strip()]
        elif speaker and row.strip():  # after a direction too: the same person goes on
            speech.append(row.strip())
        elif row.strip():
            raise ScriptError(f"belongs to nobody: {row!r}")
        if direction is not None and direction.endswith("]"):
            yield "direction", direction[1:-1], ""
            direction = None
    yield from flush()


def _named(direction: str, cast: list[str]) -> list[str]:
    who = [name for name in cast if re.search(rf"\b{re.escape(name)}\b", direction)]
    if re.search(r"\bLords\b", direction):
        who += [name for name in cast if name.endswith(" Lord")]
    return who


def _resolve(scene: Scene, items: list[tuple[str, str, str]]) -> None:
    """Turns the raw items into events. ERRORS: ScriptError where somebody is in two states at once."""
    scene.cast = list(dict.fromkeys(first for kind, first, _ in items if kind == "speech"))
    on_stage: list[str] = []
    last_speaker = ""

    def enter(who, text):
        if again := [name for name in who if name in on_stage]:
            raise ScriptError(f"{scene.name}: already there: {again} [{text}]")
        on_stage.extend(who)
        scene.events.append(Event("enter", who, text))

    def leave(who, text):
        if absent := [name for name in who if name not in on_stage]:
            raise ScriptError(f"{scene.name}: not there: {absent} [{text}]")
        for name in who:
            on_stage.remove(name)
        scene.events.append(Event("exit", who, text))

    for kind, first, second in items:
        if kind == "speech":
            if first not in on_stage:
                raise ScriptError(f"{scene.name}: {first} speaks but is not there")
            last_speaker = first
            scene.events.append(Event("line", [first], second))
            continue
        named = _named(first, scene.cast)
        if re.search(r"\b(Re-enter|Enter)\b", first):
            enter(named, first)
        elif first.startswith("Exeunt"):
            leave(named or list(on_stage), first)
        elif first.startswith("Exit"):
            leave(named or [last_speaker], first)
        else:
            scene.events.append(Event("stage", [], first))
    if on_stage:
        leave(list(on_stage), "end of the scene")


def load(path: pathlib.Path = PLAY) -> list[Scene]:
    scenes: list[Scene] = []
    raw: list[list[tuple[str, str, str]]] = []
    act = ""
    for kind, first, second in _items(path.read_text()):
        if kind == "act":
            act = first
        elif kind == "scene":
            scenes.append(Scene(f"{act}, {first}", second))
            raw.append([])
        elif not scenes:
            raise ScriptError(f"before the first scene: {first}")
        else:
            raw[-1].append((kind, first, second))
    for scene, items in zip(scenes, raw):
        _resolve(scene, items)
    return scenes


def main() -> int:
    scenes = load()
    for scene in scenes:
        kinds = [event.kind for event in scene.events]
        print(f"{scene.name}: {scene.place}")
        counts = [f"{kinds.count(kind)} {what}" for kind, what in
                  (("line", "speeches"), ("enter", "entrances"), ("exit", "exits"))]
        print(f"  {', '.join(counts)}")
        print(f"  {', '.join(scene.cast)}")
    speakers = {name for scene in scenes for name in scene.cast}
    print(f"{sum(len(scene.lines()) for scene in scenes)} speeches of {len(speakers)} speakers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
