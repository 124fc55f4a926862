#!/usr/bin/python3
"""Plays As You Like It through a real server and real clients, and checks every participant's own database.

Each speaker is a `perch` client with a profile of its own. Entering is going online (`perch listen`),
leaving is going offline; each speech goes to everybody else who has a part in the scene (`perch send`), there
or not: who comes later finds what was said before. In the longest scene one speaker speaks while offline, and
the server is killed with SIGKILL while the talk goes on. At the end everybody comes online once more, and
every inbox and outbox is compared with the script, speech by speech.
"""
import argparse
import collections
import dataclasses
import os
import pathlib
import queue
import re
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time

import script

TOOLS = pathlib.Path(__file__).resolve().parents[1]
START_S_MAX = 20  # from the start of the server to its `listening`
LOGIN_S_MAX = 20  # from the start of a client to its being online, reconnects included
TICK_S_MAX = 2.0  # how long the talk waits for the ticks of one speech
SETTLE_S_MAX = 90  # for everything to arrive at the end

ENDS_WITH_US = ("setpriv", "--pdeathsig", "KILL")  # nothing that the play starts outlives it

SEND_QUEUED = 3  # exit status of `perch send`: in the outbox, no tick yet
QUEUED, ACCEPTED, DELIVERED, READ = range(4)  # outbox.mark, client/storage.h
TICKS = {QUEUED: "…", ACCEPTED: "✓", DELIVERED: "✓✓", READ: "✓✓"}


class DemoError(Exception):
    """What went wrong, said so that a reader knows what to do."""


class Server:
    def __init__(self, binary: pathlib.Path, folder: pathlib.Path, reactors: int):
        self.binary, self.data, self.log_path = binary, folder / "server", folder / "perchd.log"
        self.secret_path = folder / "secret"
        self.secret_path.write_text(secrets.token_urlsafe(48) + "\n")
        self.secret_path.chmod(0o600)
        self.reactors = reactors
        self.address = "127.0.0.1:0"  # the kernel chooses; a restart asks for the same again
        self.process = None

    def start(self):
        command = [*ENDS_WITH_US, self.binary, "--data", self.data, "--listen", self.address, "--accounts-auto",
                   "--secret-file", self.secret_path, "--reactors", str(self.reactors)]
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL)
        said = queue.Queue()

        def read():
            for row in self.process.stdout:
                said.put(row.decode(errors="replace").strip())
            said.put(None)

        threading.Thread(target=read, daemon=True).start()
        deadline = time.monotonic() + START_S_MAX
        while True:
            try:
                row = said.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise DemoError(f"perchd does not listen after {START_S_MAX} s") from None
            if row is None:
                last = self.log_path.read_text(errors="replace").strip().splitlines()[-3:]
                raise DemoError("perchd ended at its start: " + " / ".join(last))
            if match := re.match(r"listening (\S+)", row):
                self.address = match[1]
                return

    def num_stored(self) -> int:
        """How many messages this run of the server has written to its disk; by its own count."""
        told = subprocess.run([self.binary, "--data", self.data, "--metrics"], check=True, capture_output=True,
                              text=True, timeout=20).stdout
        return sum(map(int, re.findall(r"^perch_messages_stored_total\{.*\} (\d+)$", told, re.M)))

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.kill()


class Person:
    """One speaker: a user with one device, its profile folder, and `perch listen` while on stage."""

    def __init__(self, name: str, binary: pathlib.Path, folder: pathlib.Path):
        self.name = name
        self.handle = name.lower().replace(" ", "_")
        self.binary, self.profile = binary, folder / self.handle
        self.log_path = folder / f"{self.handle}.log"
        self.listener = None
        self.user = 0
        self.database = None

    def register(self, server: Server):
        """The first login: makes the account. Afterwards the profile remembers server and token."""
        token_path = self.log_path.with_suffix(".token")
        with open(token_path, "wb") as token:
            subprocess.run([TOOLS / "mint-token", "--secret-file", server.secret_path, "--sub", self.handle,
                            "--dev", "stage"], check=True, stdout=token)
        self.come("--server", server.address, "--token-file", token_path)
        self.database = sqlite3.connect(f"file:{self.profile / 'profile.db'}?mode=ro", uri=True, timeout=10)
        self.user = self.database.execute("SELECT user FROM identity").fetchone()[0]
        self.go()

    def come(self, *flags: str):
        log = open(self.log_path, "ab")
        self.listener = subprocess.Popen(
            [*ENDS_WITH_US, self.binary, "listen", "--profile", self.profile, *flags],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        online = threading.Event()

        def read(stream):
            for row in stream:
                log.write(row)
                log.flush()
                if row.startswith(b"* online"):
                    online.set()
            log.close()

        threading.Thread(target=read, args=(self.listener.stderr,), daemon=True).start()
        if not online.wait(LOGIN_S_MAX):
            raise DemoError(f"{self.name} is not online after {LOGIN_S_MAX} s; see {self.log_path}")

    def go(self):
        if self.listener:
            self.listener.send_signal(signal.SIGTERM)
            try:
                self.listener.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.listener.kill()
                self.listener.wait()
            self.listener = None

    def say(self, to: "Person", text: str):
        """Queues one message. While `perch listen` runs, that process sends it; else it waits."""
        command = [self.binary, "send", "--profile", self.profile, "--wait", "0", to.handle, "-"]
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=60)
        if done.returncode not in (0, SEND_QUEUED):
            raise DemoError(f"{self.name} could not send: {done.stderr.decode(errors='replace').strip()}")

    def rows(self, above: int = 0):
        """(row, mark, open) of every message composed above that row, in the order of composition."""
        return self.database.execute(
            "SELECT row, mark, open FROM outbox WHERE kind = 0 AND row > ? ORDER BY row", (above,)).fetchall()

    def last_row(self) -> int:
        return self.database.execute("SELECT coalesce(max(row), 0) FROM outbox").fetchone()[0]

    def num_received(self) -> int:
        return self.database.execute("SELECT count(*) FROM inbox WHERE user != ?", (self.user,)).fetchone()[0]


@dataclasses.dataclass
class Totals:
    sent: int = 0
    live: int = 0
    stored: int = 0
    from_outbox: int = 0
    lost: int = 0
    duplicated: int = 0
    out_of_order: int = 0
    unticked: int = 0


def wrap(text: str, indent: str) -> str:
    return textwrap.fill(" ".join(text.split()), width=100, initial_indent=indent, subsequent_indent="      ")


class Play:
    def __init__(self, scenes: list[script.Scene], server: Server, people: dict[str, Person], pace_s: float):
        self.scenes, self.server, self.people, self.pace_s = scenes, server, people, pace_s
        self.expected = collections.defaultdict(list)  # (sender, recipient) to the speeches, in order
        self.num_expected = collections.Counter()  # recipient to how many
        self.totals = Totals()
        self.server_is_up = True

    def run(self) -> None:
        # The second scene is the longest: there the speaker of one speech is offline, and the server dies.
        longest = max(self.scenes, key=lambda scene: len(scene.lines()))
        third = len(longest.lines()) // 3
        for scene in self.scenes:
            print(f"\n=== {scene.name}: {scene.place}")
            num_said = 0
            for event in scene.events:
                if event.kind == "enter":
                    self.enter(event.who)
                elif event.kind == "exit":
                    self.leave(event.who)
                elif event.kind == "stage":
                    print(f"    [{event.text}]")
                else:
                    num_said += 1
                    here = scene is longest
                    self.speak(scene, event, offline=here and num_said == third,
                               kill=here and num_said == 2 * third)
                    if here and num_said == 2 * third + 4:
                        self.restart_server()

    def online(self) -> list[str]:
        return [name for name, person in self.people.items() if person.listener]

    def enter(self, names: list[str]) -> None:
        for name in names:
            person = self.people[name]
            before = person.num_received()
            person.come()
            self.wait(lambda: person.num_received() >= self.num_expected[name], TICK_S_MAX * 5)
            waited = person.num_received() - before
            note = f" and receives {waited} messages that waited" if waited else ""
            print(f" ++ {name} is online{note}")
        print(f"    online: {', '.join(self.online())}")

    def leave(self, names: list[str]) -> None:
        for name in names:
            self.people[name].go()
        print(f" -- {', '.join(names)} offline; online: {', '.join(self.online()) or 'nobody'}")

    def speak(self, scene: script.Scene, event: script.Event, offline: bool, kill: bool) -> None:
        """With `kill` the server dies when half of the messages are queued, the last ones on their way."""
        [name] = event.who
        sender = self.people[name]
        if offline:
            sender.go()
            print(f" !! {name} loses the network and speaks into the outbox")
        first = sender.last_row()
        others = [other for other in scene.cast if other != name]
        for num_sent, other in enumerate(others):
            if kill and num_sent == len(others) // 2:
                self.kill_server()
            sender.say(self.people[other], event.text)
            self.expected[name, other].append(event.text)
            self.num_expected[other] += 1
            self.totals.from_outbox += offline or not self.server_is_up
        self.totals.sent += len(others)
        if not offline and self.server_is_up:
            self.wait(lambda: self.ticked(sender, first, others), TICK_S_MAX)
        marks = [mark for _, mark, _ in sender.rows(first)]
        ticks = collections.defaultdict(list)
        for other, mark in zip(others, marks):
            ticks[TICKS.get(mark, "✗")].append(other)
        print(wrap(f"{name}: {event.text}", "    "))
        print("      " + "   ".join(f"{tick} {', '.join(whom)}" for tick, whom in ticks.items()))
        if offline:
            sender.come()
            sent = self.wait(lambda: self.ticked(sender, first, others), TICK_S_MAX * 5)
            print(f" ++ {name} is back: the outbox " + ("has been sent" if sent else "is still being sent"))
        time.sleep(self.pace_s)

    def ticked(self, sender: Person, above: int, others: list[str]) -> bool:
        """Whether every message above that row has the ticks it can have, its recipient being where he is."""
        done = True
        for other, (_, mark, _) in zip(others, sender.rows(above)):
            done = done and mark >= (DELIVERED if self.people[other].listener else ACCEPTED)
        return done

    def num_queued(self) -> int:
        return sum(mark == QUEUED for name in self.online() for _, mark, _ in self.people[name].rows())

    def kill_server(self) -> None:
        self.totals.stored += self.server.num_stored()
        self.server.kill()
        self.server_is_up = False
        print(" !! the server is killed with SIGKILL; the talk goes on into the outboxes")

    def restart_server(self) -> None:
        waiting = self.num_queued()
        self.server.start()
        self.server_is_up = True
        self.wait(lambda: self.num_queued() == 0, SETTLE_S_MAX)
        sent = waiting - self.num_queued()
        print(f" ++ the server is back: {sent} of {waiting} messages left the outboxes")

    @staticmethod
    def wait(done, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def settle(self) -> None:
        """Everybody comes once more, until nothing is on its way."""
        print("\n=== Everybody comes online once more")
        for person in self.people.values():
            if not person.listener:
                person.come()

        def quiet():
            return all(person.num_received() >= self.num_expected[name] and
                       all(mark >= DELIVERED and not is_open for _, mark, is_open in person.rows())
                       for name, person in self.people.items())

        self.wait(quiet, SETTLE_S_MAX)
        for person in self.people.values():
            person.go()

    def check(self) -> None:
        """Compares the databases with the script. Nothing of what the player saw on the way counts here."""
        totals = self.totals
        for person in self.people.values():
            totals.unticked += sum(mark not in (DELIVERED, READ) or is_open for _, mark, is_open in person.rows())
        for recipient, person in self.people.items():
            for sender, other in self.people.items():
                if sender == recipient:
                    continue
                script_says = self.expected[sender, recipient]
                for order in ("number, variant", "arrival"):
                    got = [body.decode() for (body,) in person.database.execute(
                        f"SELECT body FROM inbox WHERE user = ? ORDER BY {order}", (other.user,))]
                    missing = collections.Counter(script_says) - collections.Counter(got)
                    extra = collections.Counter(got) - collections.Counter(script_says)
                    if order == "arrival":  # the same rows: counted once
                        totals.lost += missing.total()
                        totals.duplicated += extra.total()
                    if not missing and not extra:
                        totals.out_of_order += sum(a != b for a, b in zip(script_says, got))
        totals.live = totals.sent - totals.stored


def main() -> int:
    parser = argparse.ArgumentParser(prog="play.py", description=__doc__.split("\n")[0])
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="folder with perchd and perch")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder to play in; emptied first")
    parser.add_argument("--reactors", type=int, default=min(8, os.cpu_count() or 1))
    parser.add_argument("--pace", type=float, default=0, metavar="SECONDS", help="pause after each speech")
    arguments = parser.parse_args()

    shutil.rmtree(arguments.data, ignore_errors=True)
    arguments.data.mkdir(parents=True)
    scenes = script.load()
    names = list(dict.fromkeys(name for scene in scenes for name in scene.cast))
    server = Server(arguments.bin / "perchd", arguments.data, arguments.reactors)
    people = {name: Person(name, arguments.bin / "perch", arguments.data) for name in names}
    play = Play(scenes, server, people, arguments.pace)
    began = time.monotonic()
    try:
        server.start()
        print(f"perchd listens on {server.address}; {len(names)} people register")
        for person in people.values():
            person.register(server)
        play.run()
        play.settle()
        play.totals.stored += server.num_stored()
        play.check()
    except DemoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        for person in people.values():
            person.go()
        server.stop()
    totals = play.totals
    held = not (totals.lost or totals.duplicated or totals.out_of_order or totals.unticked)
    if server.process.returncode != 0:
        print(f"error: perchd, asked to stop, ended with status {server.process.returncode}", file=sys.stderr)
        held = False
    verdict = "The promise held." if held else f"THE PROMISE DID NOT HOLD; see {arguments.data}"
    print(f"""
=== Checked against the script, in the database of each of {len(people)} participants
    messages sent            {totals.sent:6}
    forwarded live           {totals.live:6}
    stored and handed over   {totals.stored:6}   (at least: what was on its way at the kill counts as live)
    sent from outboxes       {totals.from_outbox:6}   (of these; while sender or server was away)
    lost                     {totals.lost:6}
    duplicated               {totals.duplicated:6}
    out of order             {totals.out_of_order:6}
    without two ticks        {totals.unticked:6}
    seconds                  {time.monotonic() - began:6.0f}
    {verdict}""")
    return 0 if held else 1


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # a play is watched as it happens, through a pipe too
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("stopped before the end: nothing was checked", file=sys.stderr)
        sys.exit(130)
