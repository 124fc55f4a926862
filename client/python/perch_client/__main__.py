"""A small command line over the library, for scripts and for the tests.

    python3 -m perch_client send   PROFILE SERVER TOKENFILE TO TEXT   waits for a tick, at most --wait seconds
    python3 -m perch_client talk   PROFILE SERVER TOKENFILE TO        sends each line of the standard input
    python3 -m perch_client about  PROFILE SERVER TOKENFILE TO reply|edit|delete|react|timer|profile [N] [TEXT]
                                                                      N: 1 is the last message, 2 the one before …
    python3 -m perch_client listen PROFILE SERVER TOKENFILE           prints what comes, until it is ended
"""
import argparse
import asyncio
import signal
import sqlite3
import sys
import threading

from . import Client, Insert, InUse, NotRunning, Refused, content, conversation

OK, FAILED, USAGE, QUEUED, REFUSED, STOPPED = range(6)


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT")
    return host.strip("[]"), int(port)


def target(text: str) -> int | str:
    return int(text) if text.isdigit() else text


async def send(client: Client, arguments) -> int:
    return await wait(client, client.say(arguments.to, arguments.text), arguments)


async def about(client: Client, arguments) -> int:
    text = arguments.text
    if arguments.what == "timer":
        return await wait(client, client.set_timer(arguments.to, int(text)), arguments)
    if arguments.what == "profile":
        name, _, rest = text.partition(":")
        return await wait(client, client.set_profile(name, rest), arguments)
    peer = arguments.to if isinstance(arguments.to, int) else client.storage.user_of(arguments.to)
    lines = conversation.lines(client.storage, peer)
    if arguments.number > len(lines):
        raise LookupError(f"there are {len(lines)} messages")
    target = lines[-arguments.number].id
    more = () if arguments.what == "delete" else (text,)
    return await wait(client, getattr(client, arguments.what)(target, *more), arguments)


async def wait(client: Client, row: int, arguments) -> int:
    try:
        async with asyncio.timeout(arguments.wait):
            done = await client.until(row)
    except TimeoutError:
        print("queued")
        return QUEUED
    except NotRunning as stopped:
        print(f"queued; {stopped}")
        return STOPPED
    except Refused as refused:
        print(refused)
        return REFUSED
    print(done.mark.name.lower())
    return OK


async def talk(client: Client, arguments) -> int:
    loop, lines = asyncio.get_running_loop(), asyncio.Queue()

    def read():  # a daemon, because nothing ends a thread that waits for the standard input
        for line in iter(sys.stdin.readline, ""):
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, "")

    threading.Thread(target=read, daemon=True).start()
    while line := await lines.get():
        client.send(arguments.to, line.rstrip("\n"))
        print(f"* queued: {line}", end="", flush=True)
    await client.until_settled()
    return OK


async def listen(client: Client, _) -> int:
    stopped = asyncio.get_running_loop().create_future()
    client.on_stopped = lambda event: stopped.set_result(event.why)
    if client.stopped is None:
        print(f"* stopped: {await stopped}", file=sys.stderr)
    return STOPPED


def shown(body: bytes) -> str:
    """Without what a terminal would obey."""
    return "".join(c if c.isprintable() else "\ufffd" for c in body.decode(errors="replace"))


def told(message) -> str:
    if message.content != content.ITEM:
        return shown(message.body)
    try:
        item = content.decode(message.body)
    except content.Unreadable:
        return "[a message that cannot be read]"
    return f"[{item.kind}] {shown(item.text.encode())}" if item.kind != "text" else shown(item.text.encode())


async def run(arguments) -> int:
    with open(arguments.token_file, encoding="ascii") as file:
        token = file.read().strip()
    async with Client(arguments.profile, arguments.server, token) as client:
        def show(message, insert):
            if insert is not Insert.RENUMBERED:
                print(f"{message.user}: {told(message)}", flush=True)
                if message.peer == message.user:
                    client.mark_read(message.peer)

        def online(event):
            print(f"* online as {event.user}/{event.device}", file=sys.stderr, flush=True)
            if client.storage.identity().has_gap:
                print("* messages may be missing here", file=sys.stderr, flush=True)
                client.storage.gap_was_shown()

        client.on_online = online
        client.on_unreadable = lambda what: print(f"* from {what.user}: a message that cannot be read", file=sys.stderr)
        client.on_offline = lambda why: print(f"* offline: {why}", file=sys.stderr, flush=True)
        client.on_row = lambda row: print(f"* {row.row} {row.mark.name.lower()}", file=sys.stderr, flush=True)
        if arguments.command == "listen":
            client.on_message = show
        task = asyncio.current_task()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            return await {"send": send, "talk": talk, "about": about, "listen": listen}[arguments.command](client, arguments)
        except asyncio.CancelledError:
            return OK
        except NotRunning as stopped:
            print(f"* stopped: {stopped}", file=sys.stderr)
            return STOPPED


def main() -> int:
    parser = argparse.ArgumentParser(prog="perch_client", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("send", "talk", "about", "listen"):
        command = commands.add_parser(name)
        command.add_argument("profile", help="folder of the device's database")
        command.add_argument("server", type=address, metavar="HOST:PORT")
        command.add_argument("token_file", help="file with the token")
        if name != "listen":
            command.add_argument("to", type=target, help="user id or handle")
        if name == "about":
            command.add_argument("what", choices=("reply", "edit", "delete", "react", "timer", "profile"))
            command.add_argument("number", type=int, help="of the message, from the last; of a timer or a profile 0")
            command.add_argument("text", nargs="?", default="", help="a timer in seconds; a profile as NAME:ABOUT")
        if name == "send":
            command.add_argument("text")
        if name in ("send", "about"):
            command.add_argument("--wait", type=float, default=10, help="seconds to wait for a tick (default 10)")
    arguments = parser.parse_args()
    try:
        return asyncio.run(run(arguments))
    except (InUse, LookupError, OSError, ValueError, content.Unreadable, sqlite3.Error) as error:
        print(f"perch_client: {error}", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
