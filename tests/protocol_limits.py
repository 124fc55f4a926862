#!/usr/bin/env python3
"""The table of limits in PROTOCOL.md says what chat/perchd.toml has, which config_test compares with the code; and what
is fixed."""
import math
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
UNITS = {"KiB": 1024, "MiB": 1024 ** 2, "s": 1000, "days": 86_400_000, "bytes": 1}

# How a row begins: what its first numbers are, in order.
CONFIGURED = {
    "first frame": ["frames.hello_bytes_max"],
    "frame, prefix included": ["frames.frame_bytes_max"],
    "Message.body": ["frames.body_bytes_max"],
    "window W": ["delivery.window"],
    "results kept": ["delivery.unclosed_windows_max"],
    "counted frames unconfirmed": ["delivery.unconfirmed_frames_max", "delivery.unconfirmed_bytes_max"],
    "rate of a device": ["delivery.rate_burst", "delivery.rate_per_second"],
    "devices of a user": ["delivery.devices_max", "delivery.device_removable_ms"],
    "device without a session": ["delivery.device_unseen_ms"],
    "whom a user blocks": ["delivery.blocks_max"],
    "mailbox of a device": ["delivery.mailbox_items_max", "delivery.mailbox_bytes_max"],
    "waiting message": ["delivery.expiry_ms"],
    "connect to Hello": ["connections.login_ms_max"],
    "a frame's first to last byte": ["connections.frame_ms_max"],
    "ping": ["connections.ping_ms"],
    "silence": ["connections.silence_ms_max"],
    "client does not read": ["connections.send_stall_ms_max"],
    "frames queued": ["connections.send_queue_frames_max"],
}
FIXED = {
    "smallest frame": ["codec/frame.h kFrameBytesMin"],
    "token / agent / handle": ["tls/token.h kTokenBytesMax", "codec/frame.h kAgentBytesMax",
                               "codec/frame.h kHandleBytesMax", "codec/frame.h kTextBytesMax"],
    "changes of a user's blocks": ["chat/blocks.h kBlockWritesMax"],
    "device numbers of a user": [],  # what DeviceNo counts: devices_test
    "nesting": ["codec/frame.cc kDepthMax", "codec/frame.cc kTablesMax"],
}


def numbers(text: str) -> list[int]:
    """Those of "30 days", "10,000 frames, 64 MiB", "3 KiB / 128 bytes", in bytes, milliseconds or pieces."""
    found = re.findall(r"(?<![\w.])(\d[\d,]*)(?: (KiB|MiB|days|s|bytes)\b)?", text)
    return [int(number.replace(",", "")) * UNITS.get(unit, 1) for number, unit in found]


def constant(place: str) -> int:
    path, name = place.split()
    value = re.search(rf"constexpr \w+ {name} = ([\d' *]+);", (ROOT / path).read_text())
    assert value, f"{path} has no {name}"
    return math.prod(int(factor.replace("'", "")) for factor in value[1].split("*"))


def main() -> int:
    text = (ROOT / "PROTOCOL.md").read_text()
    table = text[text.index("## 7. Limits"):].split("\n## ")[0]
    rows = [re.sub(r"[*`]", "", line).strip("| ").split(" | ", 1) for line in table.splitlines()
            if line.startswith("| ") and not line.startswith("| what ")]
    config = tomllib.loads((ROOT / "chat/perchd.toml").read_text())["limits"]
    wrong = []
    unused = set(CONFIGURED) | set(FIXED)
    for name, rest in rows:
        begins = [begin for begin in unused if name.startswith(begin)]
        if len(begins) != 1:
            wrong.append(f"{name}: no row of this test, or several: {begins}")
            continue
        unused.remove(begins[0])
        if begins[0] in FIXED:
            want = {place: constant(place) for place in FIXED[begins[0]]}
        else:
            want = {key: config[key.split(".")[0]][key.split(".")[1]] for key in CONFIGURED[begins[0]]}
        said = numbers(rest)[:len(want)]
        if said != list(want.values()):
            wrong.append(f"{name}: PROTOCOL.md says {said}, the code {want}")
    wrong += [f"{name}: no such row in PROTOCOL.md" for name in sorted(unused)]
    print("\n".join(wrong + [f"{len(rows)} limits, {len(wrong)} wrong"]))
    return 1 if wrong or not rows else 0


sys.exit(main())
